package provider

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/strictyaml"
)

// define reads providers as the configuration does.
func define(t *testing.T, set *Set, config string) error {
	t.Helper()
	var into struct {
		Providers []strictyaml.Raw `yaml:"providers"`
	}
	if err := strictyaml.Decode([]byte(config), &into); err != nil {
		t.Fatal(err)
	}
	for _, raw := range into.Providers {
		if err := set.Define(raw); err != nil {
			return err
		}
	}
	return nil
}

func TestTheExampleOfTheDocumentationWorks(t *testing.T) {
	t.Parallel()
	set := builtin(t)
	if err := define(t, set, example); err != nil {
		t.Fatal(err)
	}
	d, err := set.Lookup("shop")
	if err != nil {
		t.Fatal(err)
	}
	if !d.Signed() || d.Scheme.Header != "X-Shop-Signature" || d.Scheme.Tolerance != 5*time.Minute {
		t.Errorf("the scheme is %+v", d.Scheme)
	}
	s, err := d.Sample("shop.order.paid")
	if err != nil {
		t.Fatal(err)
	}
	want := hook.Event{
		Type: "shop.order.paid", ID: "e-1", DedupeKey: "id:e-1", Family: "shop.order",
		Subjects:   []hook.Subject{{Kind: "order", ID: "1001"}, {Kind: "customer", ID: "c-1"}},
		OccurredAt: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), Rank: 2,
		Meanings: []hook.Meaning{{Field: "order.carrier", Value: "1", Text: "bicycle"}},
	}
	if diff := cmp.Diff(want, d.Inspect(s.Header, s.Body)); diff != "" {
		t.Error(diff)
	}
	stock := d.Classify(http.Header{"X-Shop-Event-Id": {"e-2"}}, []byte(`{"stock":{"article":"a-1"},"customerUrl":"https://shop.example.com/customers/c-2"}`))
	want = hook.Event{
		Type: "shop.stock.changed", ID: "e-2", DedupeKey: "id:e-2",
		Subjects: []hook.Subject{{Kind: "customer", ID: "c-2"}, {Kind: "article", ID: "a-1"}},
	}
	if diff := cmp.Diff(want, stock); diff != "" {
		t.Error(diff)
	}
	if e := d.Classify(nil, []byte(`{"kind":"refund"}`)); e.Type != "shop.unknown" {
		t.Errorf("an event without a rule is %s", e.Type)
	}
	if secret, err := d.GenerateSecret(); err != nil || len(d.CheckSecret(secret)) > 0 {
		t.Errorf("got the secret %q, %v", secret, err)
	}
}

func TestAUserMayNameABuiltInScheme(t *testing.T) {
	t.Parallel()
	set := builtin(t)
	if err := define(t, set, "providers: [{name: gitea, scheme: github, rules: [{type: ['gitea.{a.1.b}']}]}]"); err != nil {
		t.Fatal(err)
	}
	d, err := set.Lookup("gitea")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(definition(t, "github").Scheme, d.Scheme); diff != "" {
		t.Error(diff)
	}
	if e := d.Classify(nil, []byte(`{"a":[{"b":"x"},{"b":"y"}]}`)); e.Type != "gitea.y" {
		t.Errorf("the element of an array gives %s", e.Type)
	}
	if d.Title != "gitea" {
		t.Errorf("the title is %q", d.Title)
	}
}

func TestFaultsNameTheirKeys(t *testing.T) {
	t.Parallel()
	tests := []struct{ yaml, path, message string }{
		{`{nam: x}`, "providers[0].nam", "did you mean"},
		{`{name: Shop}`, "providers[0].name", "lower-case"},
		{`{scheme: github}`, "providers[0].name", "not a name"},
		{`{name: veriff}`, "providers[0].name", "another provider"},
		{`{name: svix}`, "providers[0].name", "another provider"},
		{`{name: x, aliases: [meeva]}`, "providers[0].aliases[0]", "another provider"},
		{`{name: x, scheme: gitub}`, "providers[0].scheme", `did you mean "github"?`},
		{`{name: x, scheme: {headr: X}}`, "providers[0].scheme.headr", "did you mean"},
		{`{name: x, scheme: {header: X, content: "{timestamp}{body}"}}`, "providers[0].scheme", ""},
		{`{name: x, scheme: [github]}`, "providers[0].scheme", "not a list"},
		{`{name: x, id: [a..b]}`, "providers[0].id[0]", "is not a path"},
		{`{name: x, id: ["header:"]}`, "providers[0].id[0]", "names no header"},
		{`{name: x, id: ["a | upper"]}`, "providers[0].id[0]", "last_segment"},
		{`{name: x, flow: ""}`, "providers[0].flow", "is not a path"},
		{`{name: x, rules: [{}]}`, "providers[0].rules[0].type", "missing"},
		{`{name: x, rules: [{type: ["a b"]}]}`, "providers[0].rules[0].type[0]", "letters, digits"},
		{`{name: x, rules: [{type: ["a.{b"]}]}`, "providers[0].rules[0].type[0]", "not closed"},
		{`{name: x, rules: [{type: [""]}]}`, "providers[0].rules[0].type[0]", "empty"},
		{`{name: x, rules: [{type: [a], when: [{is: [b]}]}]}`, "providers[0].rules[0].when[0].from", "missing"},
		{`{name: x, rules: [{type: [a], when: [{from: [b]}]}]}`, "providers[0].rules[0].when[0]", "either is or has"},
		{`{name: x, rules: [{type: [a], when: [{from: [b], is: [c], has: value}]}]}`, "providers[0].rules[0].when[0]", "either is or has"},
		{`{name: x, rules: [{type: [a], when: [{from: [b], has: stuff}]}]}`, "providers[0].rules[0].when[0].has", "none of nothing"},
		{`{name: x, rules: [{type: [a], subjects: [{kind: A, from: [b]}]}]}`, "providers[0].rules[0].subjects[0].kind", "not a kind"},
		{`{name: x, subjects: [{kind: order}]}`, "providers[0].subjects[0].from", "missing"},
		{`{name: x, subjects: [{kind: order, from: [a]}], primary: ordr}`, "providers[0].primary", `did you mean "order"?`},
		{`{name: x, types: [{name: "a b"}]}`, "providers[0].types[0].name", "not an event type"},
		{`{name: x, codes: [{title: a}]}`, "providers[0].codes[0].from", "missing"},
		{`{name: x, samples: [{type: a, body: "{"}]}`, "providers[0].samples[0].body", "not JSON"},
		{`{name: x, samples: [{type: a}]}`, "providers[0].samples[0].body", "missing"},
		{`{name: x, samples: [{body: "{}"}]}`, "providers[0].samples[0].type", "not an event type"},
		{`{name: x, secret: {forms: [{min: 9, max: 8}]}}`, "providers[0].secret.forms[0].min", "more than max"},
		{`{name: x, secret: {forms: [{min: 99999}]}}`, "providers[0].secret.forms[0]", "between"},
		{`{name: x, secret: {forms: [{max: 1, require: [upper, digit]}]}}`, "providers[0].secret.forms[0]", "no secret can"},
		{`{name: x, secret: {forms: [{require: [vowel]}]}}`, "providers[0].secret.forms[0].require[0]", "none of upper"},
		{`{name: x, receive: {status: 302}}`, "providers[0].receive.status", "not a success"},
		{`{name: x, receive: {within: -1s}}`, "providers[0].receive.within", "negative"},
		{`{name: x, send: {success: [500]}}`, "providers[0].send.success[0]", "not a success"},
		{`{name: x, send: {schedule: [1m, -1m]}}`, "providers[0].send.schedule[1]", "negative"},
		{`{name: x, addresses: [192.0.2.1]}`, "providers[0].addresses[0]", "192.0.2.1/32"},
	}
	for _, tt := range tests {
		err := define(t, builtin(t), "# a comment\nproviders:\n  - "+tt.yaml)
		faults, ok := errors.AsType[strictyaml.Faults](err)
		if !ok || len(faults) != 1 {
			t.Errorf("%s: got %v", tt.yaml, err)
			continue
		}
		if f := faults[0]; f.Path != tt.path || f.Line != 3 || !strings.Contains(f.Message, tt.message) {
			t.Errorf("%s: got %v, want %s and %q", tt.yaml, f, tt.path, tt.message)
		}
	}
}

func TestAllFaultsAreReportedTogether(t *testing.T) {
	t.Parallel()
	err := define(t, builtin(t), `providers: [{name: X, scheme: nothing, rules: [{}], receive: {status: 1}}]`)
	faults, _ := errors.AsType[strictyaml.Faults](err)
	if len(faults) != 4 {
		t.Errorf("got %d faults, want 4:\n%v", len(faults), err)
	}
}
