package provider

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestVeriffPublishedDecision(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("testdata/veriff-decision.json")
	if err != nil {
		t.Fatal(err)
	}
	want := hook.Event{
		Type:      "veriff.decision.approved",
		DedupeKey: "sha256:8256905b04f041ed715568c281107d03f72b1d4bb62b573ba8fe8e623e7273ee",
		Family:    "veriff.decision",
		Subjects: []hook.Subject{
			{Kind: "session", ID: "12df6045-3846-3e45-946a-14fa6136d78b"},
			{Kind: "vendor_data", ID: "12345678"},
		},
		OccurredAt: time.Date(2019, 11, 6, 7, 18, 36, 916e6, time.UTC),
		Rank:       3,
		Final:      true,
		Meanings:   []hook.Meaning{{Field: "verification.code", Value: "9001", Text: "approved"}},
	}
	if diff := cmp.Diff(want, definition(t, "veriff").Inspect(nil, body)); diff != "" {
		t.Error(diff)
	}
}

// Each case is a payload in which a rule could be mistaken for another.
func TestVeriffRecognisesInOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body, want string
		subjects         []hook.Subject
	}{
		{
			"a user status has a verification inside, and is no decision",
			`{"eventType":"user-status.created","sessionId":"s","attemptId":"a","data":{"verification":{"id":"x","userDefinedData":{"statusCode":"vip"}}}}`,
			"veriff.user_status.vip", []hook.Subject{{Kind: "session", ID: "s"}, {Kind: "attempt", ID: "a"}},
		},
		{
			"a user status without a code",
			`{"eventType":"user-status.created","sessionId":"s","data":{"verification":{"userDefinedData":{"statusCode":null}}}}`,
			"veriff.user_status.unknown", []hook.Subject{{Kind: "session", ID: "s"}},
		},
		{
			"full auto has a null end user",
			`{"status":"success","eventType":"fullauto","sessionId":"s","attemptId":"a","endUserId":null,"data":{"verification":{"decision":"approved"}}}`,
			"veriff.fullauto.approved", []hook.Subject{{Kind: "session", ID: "s"}, {Kind: "attempt", ID: "a"}},
		},
		{
			"ine", `{"eventType":"ine_registry","sessionId":"s","vendorData":""}`,
			"veriff.ine.result", []hook.Subject{{Kind: "session", ID: "s"}},
		},
		{
			"ine and curp is written with hyphens", `{"eventType":"combined-ine-curp-registry","sessionId":"s","vendorData":"v"}`,
			"veriff.ine_curp.result", []hook.Subject{{Kind: "session", ID: "s"}, {Kind: "vendor_data", ID: "v"}},
		},
		{
			"ine and curp with underscores is nothing known", `{"eventType":"combined_ine_curp_registry","sessionId":"s"}`,
			"veriff.unknown", []hook.Subject{{Kind: "session", ID: "s"}},
		},
		{
			"curp says type and id, and has the attempt inside", `{"type":"curp_registry","id":"s","data":{"attemptId":"a"}}`,
			"veriff.curp.result", []hook.Subject{{Kind: "session", ID: "s"}, {Kind: "attempt", ID: "a"}},
		},
		{
			"an old watchlist result has no session", `{"checkType":"initial_result","attemptId":"a","matchStatus":"no_match"}`,
			"veriff.watchlist.initial_result", []hook.Subject{{Kind: "attempt", ID: "a"}},
		},
		{
			"a watchlist result under data", `{"status":"success","data":{"checkType":"updated_result","sessionId":"s","attemptId":"a","vendorData":7,"endUserId":"e"}}`,
			"veriff.watchlist.updated_result",
			[]hook.Subject{{Kind: "session", ID: "s"}, {Kind: "attempt", ID: "a"}, {Kind: "vendor_data", ID: "7"}, {Kind: "end_user", ID: "e"}},
		},
		{
			"a watchlist result by its match alone", `{"matchStatus":"no_match","sessionId":"s"}`,
			"veriff.watchlist.unknown", []hook.Subject{{Kind: "session", ID: "s"}},
		},
		{
			"review goes by the status, whatever the code", `{"verification":{"id":"s","code":9104,"status":"review"}}`,
			"veriff.decision.review", []hook.Subject{{Kind: "session", ID: "s"}},
		},
		{
			"expired and abandoned share a code", `{"verification":{"id":"s","code":9104,"status":"abandoned"}}`,
			"veriff.decision.abandoned", []hook.Subject{{Kind: "session", ID: "s"}},
		},
		{
			"a newer decision", `{"eventType":null,"verification":{"id":"s","attemptId":"a","endUserId":"e","vendorData":null,"status":"declined"}}`,
			"veriff.decision.declined", []hook.Subject{{Kind: "session", ID: "s"}, {Kind: "attempt", ID: "a"}, {Kind: "end_user", ID: "e"}},
		},
		{
			"a decision without a status", `{"verification":{"id":"s"}}`,
			"veriff.decision.unknown", []hook.Subject{{Kind: "session", ID: "s"}},
		},
		{
			"a status that nobody has seen", `{"verification":{"id":"s","status":"on hold/ü"}}`,
			"veriff.decision.on_hold__", []hook.Subject{{Kind: "session", ID: "s"}},
		},
		{
			"an old event has no attempt", `{"id":"s","feature":"selfid","code":7001,"action":"started","vendorData":12345678}`,
			"veriff.event.started", []hook.Subject{{Kind: "session", ID: "s"}, {Kind: "vendor_data", ID: "12345678"}},
		},
		{
			"code 7005 goes with an address instead of an attempt", `{"id":"s","feature":"selfid","code":7005,"action":"submitted","addressId":"x"}`,
			"veriff.event.submitted", []hook.Subject{{Kind: "session", ID: "s"}},
		},
		{
			"code 7003 is not documented any more", `{"id":"s","feature":"selfid","code":7003,"action":"tier_1_approved"}`,
			"veriff.event.tier_1_approved", []hook.Subject{{Kind: "session", ID: "s"}},
		},
		{"an action without a code is no event", `{"id":"s","feature":"selfid","action":"started"}`, "veriff.unknown", nil},
		{"a new webhook", `{"eventType":"brand-new","sessionId":"s"}`, "veriff.unknown", []hook.Subject{{Kind: "session", ID: "s"}}},
		{"an array", `[{"verification":{}}]`, "veriff.unknown", nil},
		{"the last of two members counts", `{"verification":{"id":"old","status":"approved"},"verification":{"status":"declined"}}`, "veriff.decision.declined", nil},
		{"a name with an escape is the same name", `{"verific\u0061tion":{"id":"s","st\u0061tus":"appr\u006fved"}}`, "veriff.decision.approved", []hook.Subject{{Kind: "session", ID: "s"}}},
		{"not JSON", "Hello, World!", "veriff.unknown", nil},
		{"nothing", "", "veriff.unknown", nil},
	}
	d := definition(t, "veriff")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := d.Classify(http.Header{}, []byte(tt.body))
			if e.Type != tt.want {
				t.Errorf("type is %s, want %s", e.Type, tt.want)
			}
			if diff := cmp.Diff(tt.subjects, e.Subjects, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVeriffRanksOrderWhatHasNoTime(t *testing.T) {
	t.Parallel()
	d := definition(t, "veriff")
	last := 0
	for _, name := range []string{"veriff.event.started", "veriff.event.submitted", "veriff.decision.approved"} {
		s, err := d.Sample(name)
		if err != nil {
			t.Fatal(err)
		}
		if e := d.Classify(s.Header, s.Body); e.Rank <= last {
			t.Errorf("%s has rank %d, not more than %d", name, e.Rank, last)
		} else {
			last = e.Rank
		}
	}
}

func TestVeriffReasonCodesMayBeNumbersOrTexts(t *testing.T) {
	t.Parallel()
	d := definition(t, "veriff")
	for _, code := range []string{`102`, `"102"`} {
		e := d.Inspect(nil, []byte(`{"verification":{"status":"declined","code":9102,"reasonCode":`+code+`}}`))
		want := []hook.Meaning{
			{Field: "verification.code", Value: "9102", Text: "declined"},
			{Field: "verification.reasonCode", Value: "102", Text: "the document seems to have been tampered with"},
		}
		if diff := cmp.Diff(want, e.Meanings); diff != "" {
			t.Error(diff)
		}
	}
	e := d.Inspect(nil, []byte(`{"verification":{"status":"declined","reasonCode":"507"}}`))
	if len(e.Meanings) != 1 || !strings.Contains(e.Meanings[0].Text, "contradict") {
		t.Errorf("a granular code means %v", e.Meanings)
	}
	if e := d.Inspect(nil, []byte(`{"verification":{"status":"declined","reasonCode":99999}}`)); e.Meanings != nil {
		t.Errorf("an unknown code means %v", e.Meanings)
	}
}

func TestMetaMapVerificationIsTheLastSegment(t *testing.T) {
	t.Parallel()
	d := definition(t, "metamap")
	for _, resource := range []string{"https://api.getmati.com/v2/verifications/v1", "https://api.prod.metamap.com/v2/verifications/v1/?x=/y"} {
		body := `{"eventName":"verification_started","resource":"` + resource + `","flowId":"f1","metadata":{"user_id":42}}`
		e := d.Classify(nil, []byte(body))
		want := []hook.Subject{{Kind: "verification", ID: "v1"}, {Kind: "user", ID: "42"}}
		if diff := cmp.Diff(want, e.Subjects); diff != "" {
			t.Error(diff)
		}
		if flow := d.FlowID([]byte(body)); flow != "f1" {
			t.Errorf("flow is %q", flow)
		}
	}
	if flow := d.FlowID([]byte("{")); flow != "" {
		t.Errorf("what is not JSON has the flow %q", flow)
	}
	if len(d.Addresses) != 4 {
		t.Errorf("there are %d addresses", len(d.Addresses))
	}
}

func TestEventIDsComeFromBodyOrHeader(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, provider, body string
		header               http.Header
		wantType, wantKey    string
	}{
		{"meeva", "meeva", `{"id":"evt_1","type":"booking.created"}`, nil, "meeva.booking.created", "id:evt_1"},
		{"stripe", "stripe", `{"id":"evt_1","type":"invoice.paid"}`, nil, "stripe.invoice.paid", "id:evt_1"},
		{"webhook-id", "standard-webhooks", `{"type":"a.b"}`, http.Header{"Webhook-Id": {"msg_1"}}, "a.b", "id:msg_1"},
		{"svix-id, and no type", "standard-webhooks", `{"test":2432232314}`, http.Header{"Svix-Id": {"msg_1"}}, "standard-webhooks.unknown", "id:msg_1"},
		{"svix-id beside its signature, and a foreign id", "standard-webhooks", `{}`, http.Header{"Svix-Id": {"msg_1"}, "Svix-Signature": {"v1,x"}, "Webhook-Id": {"forged"}}, "standard-webhooks.unknown", "id:msg_1"},
		{"webhook-id beside its signature, and a foreign id", "standard-webhooks", `{}`, http.Header{"Webhook-Id": {"msg_1"}, "Webhook-Signature": {"v1,x"}, "Svix-Id": {"forged"}}, "standard-webhooks.unknown", "id:msg_1"},
		{"an id beside what is not JSON", "standard-webhooks", `hello`, http.Header{"Webhook-Id": {"msg_1"}}, "standard-webhooks.unknown", "id:msg_1"},
		{"github with an action", "github", `{"action":"opened"}`, http.Header{"X-Github-Event": {"issues"}, "X-Github-Delivery": {"d"}}, "github.issues.opened", "id:d"},
		{"github without an action", "github", `{}`, http.Header{"X-Github-Event": {"push"}, "X-Github-Delivery": {"d"}}, "github.push", "id:d"},
		{
			"github as a form", "github", "payload=%7B%22action%22%3A%22opened%22%7D",
			http.Header{"X-Github-Event": {"issues"}, "X-Github-Delivery": {"d"}, "Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}},
			"github.issues.opened", "id:d",
		},
		{"github's test value", "github", "Hello, World!", http.Header{"X-Github-Event": {"push"}, "X-Github-Delivery": {"d"}}, "github.unknown", "id:d"},
	}
	set := builtin(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := set.Lookup(tt.provider)
			if err != nil {
				t.Fatal(err)
			}
			e := d.Classify(tt.header, []byte(tt.body))
			if e.Type != tt.wantType || e.DedupeKey != tt.wantKey {
				t.Errorf("got %s, %s; want %s, %s", e.Type, e.DedupeKey, tt.wantType, tt.wantKey)
			}
		})
	}
}

func TestMeetbotJobIsNoEventID(t *testing.T) {
	t.Parallel()
	d := definition(t, "meetbot")
	one := d.Classify(nil, []byte(`{"type":"recording.finalized","id":"job_1","status":"completed"}`))
	two := d.Classify(nil, []byte(`{"type":"recording.failed","id":"job_1","status":"failed"}`))
	if one.DedupeKey == two.DedupeKey {
		t.Error("two events of one job have the same key")
	}
}

func TestValuesThatNameNothingAreLeftOut(t *testing.T) {
	t.Parallel()
	d := definition(t, "veriff")
	for _, value := range []string{`null`, `""`, `{}`, `["x"]`, `"a\u0000b"`, `"` + strings.Repeat("x", maxValue+1) + `"`} {
		if e := d.Classify(nil, []byte(`{"eventType":"ine_registry","vendorData":`+value+`}`)); len(e.Subjects) != 0 {
			t.Errorf("%.40s makes the subjects %v", value, e.Subjects)
		}
	}
	e := d.Classify(nil, []byte("{\"eventType\":\"ine_registry\",\"vendorData\":\"a\xffb\"}"))
	if len(e.Subjects) != 1 || e.Subjects[0].ID != "a\uFFFDb" {
		t.Errorf("broken UTF-8 makes the subjects %q", e.Subjects)
	}
}

func TestTimesOfAllForms(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		`"2026-03-02T09:21:44.318Z"`:      "2026-03-02T09:21:44.318Z",
		`"2026-03-02T09:21:44.318123Z"`:   "2026-03-02T09:21:44.318123Z",
		`"2026-03-02T10:21:44+01:00"`:     "2026-03-02T09:21:44Z",
		`1772443304`:                      "2026-03-02T09:21:44Z",
		`"1772443304"`:                    "2026-03-02T09:21:44Z",
		`1772443304318`:                   "2026-03-02T09:21:44.318Z",
		`1772443304318123`:                "2026-03-02T09:21:44.318123Z",
		`1772443304.5`:                    "2026-03-02T09:21:44.5Z",
		`"yesterday"`:                     "",
		`"0001-01-01T00:00:00Z"`:          "",
		`-5`:                              "",
		`1e300`:                           "",
		`null`:                            "",
		`{"time":"2026-03-02T09:21:44Z"}`: "",
	}
	d := definition(t, "generic")
	for written, want := range tests {
		got := ""
		if at := d.Classify(nil, []byte(`{"timestamp":`+written+`}`)).OccurredAt; !at.IsZero() {
			got = at.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%s is %q, want %q", written, got, want)
		}
	}
}

func TestDeepNestingIsNotJSON(t *testing.T) {
	t.Parallel()
	d := definition(t, "veriff")
	for _, body := range [][]byte{
		bytes.Repeat([]byte("["), 20<<20),
		bytes.Repeat([]byte(`{"verification":`), 1<<20),
		[]byte(strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)),
	} {
		if _, ok := Canonical(body); ok {
			t.Errorf("%.20s… is taken for JSON", body)
		}
		if e := d.Classify(nil, body); e.Type != "veriff.unknown" || !strings.HasPrefix(e.DedupeKey, "sha256:") {
			t.Errorf("%.20s… is %s, %s", body, e.Type, e.DedupeKey)
		}
	}
	deep := strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)
	if _, ok := Canonical([]byte(deep)); !ok {
		t.Errorf("%d levels are refused", maxDepth)
	}
}

func TestTypesAreAlwaysFit(t *testing.T) {
	t.Parallel()
	e := definition(t, "generic").Classify(nil, []byte(`{"type":"`+strings.Repeat("ä", 400)+`"}`))
	if e.Type != strings.Repeat("_", maxType) {
		t.Errorf("type is %q", e.Type)
	}
}

func FuzzClassify(f *testing.F) {
	set := builtin(f)
	for _, d := range set.definitions {
		for _, s := range d.Samples() {
			f.Add(s.Body)
		}
	}
	f.Add([]byte(`{"a":[1,{"a":1e9,"\u0061":"\ud800"}],"a":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		header := http.Header{"X-Github-Event": {string(body)}, "Webhook-Id": {string(body)}}
		for _, d := range set.definitions {
			e := d.Inspect(header, body)
			if e.Type == "" || len(e.Type) > maxType || clean(e.Type) != e.Type {
				t.Errorf("%s: type is %q", d.Name, e.Type)
			}
			e.Meanings = nil
			if diff := cmp.Diff(e, d.Classify(header, body)); diff != "" {
				t.Error(diff)
			}
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	d := definition(b, "veriff")
	body, err := os.ReadFile("testdata/veriff-decision.json")
	if err != nil {
		b.Fatal(err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		d.Classify(header, body)
	}
}
