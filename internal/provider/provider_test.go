package provider

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

var update = flag.Bool("update", false, "write golden files and docs/providers.md instead of comparing them")

func builtin(tb testing.TB) *Set {
	tb.Helper()
	set, err := Builtin()
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func definition(tb testing.TB, name string) *Definition {
	tb.Helper()
	d, err := builtin(tb).Lookup(name)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// golden compares got with the file, or writes the file when asked to.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is out of date; run go test ./internal/provider -update and read the difference:\n%s", file, diff)
	}
}

func TestBuiltinProvidersAreAllThere(t *testing.T) {
	t.Parallel()
	want := []string{"generic", "github", "meetbot", "meeva", "metamap", "standard-webhooks", "stripe", "veriff"}
	if diff := cmp.Diff(want, builtin(t).Names()); diff != "" {
		t.Error(diff)
	}
	for _, d := range builtin(t).definitions {
		if signed := d.Name != "generic"; d.Signed() != signed {
			t.Errorf("%s: signed is %v", d.Name, d.Signed())
		}
	}
}

func TestLookupKnowsAliasesAndSuggestsNames(t *testing.T) {
	t.Parallel()
	set := builtin(t)
	d, err := set.Lookup("svix")
	if err != nil || d.Name != "standard-webhooks" {
		t.Fatalf("svix is %v, %v", d, err)
	}
	_, err = set.Lookup("verify")
	if hook.CodeOf(err) != hook.CodeInvalid || !strings.Contains(fmt.Sprint(err), `did you mean "veriff"?`) {
		t.Errorf("got %v", err)
	}
}

func TestEverySampleIsRecognisedAsItself(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, d := range builtin(t).definitions {
		for _, s := range d.Samples() {
			e := d.Inspect(s.Header, s.Body)
			if e.Type != s.EventType {
				t.Errorf("%s: the sample %s is recognised as %s", d.Name, s.EventType, e.Type)
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, s.Body); err != nil {
				t.Errorf("sample %s: %v", s.EventType, err)
			}
			if !bytes.Equal(compact.Bytes(), s.Body) {
				t.Errorf("sample %s is not compact JSON", s.EventType)
			}
			writeEvent(&out, e)
		}
	}
	golden(t, "testdata/samples.golden", out.String())
}

func writeEvent(out *strings.Builder, e hook.Event) {
	fmt.Fprintf(out, "%s\n  key %s\n", e.Type, e.DedupeKey)
	if e.Family != "" || e.Rank != 0 {
		fmt.Fprintf(out, "  family %q rank %d\n", e.Family, e.Rank)
	}
	if !e.OccurredAt.IsZero() {
		fmt.Fprintf(out, "  at %s\n", e.OccurredAt.Format(time.RFC3339Nano))
	}
	for _, s := range e.Subjects {
		fmt.Fprintf(out, "  %s %s\n", s.Kind, s.ID)
	}
	for _, m := range e.Meanings {
		fmt.Fprintf(out, "  %s = %s: %s\n", m.Field, m.Value, m.Text)
	}
}

func TestEveryListedTypeHasASample(t *testing.T) {
	t.Parallel()
	for _, d := range builtin(t).definitions {
		for _, typ := range d.Types {
			if _, err := d.Sample(typ.Name); err != nil {
				t.Error(err)
			}
		}
		for _, s := range d.Samples() {
			if _, ok := d.Type(s.EventType); !ok {
				t.Errorf("%s: the sample %s is of no listed type", d.Name, s.EventType)
			}
		}
	}
}

func TestSampleSuggestsTypes(t *testing.T) {
	t.Parallel()
	_, err := definition(t, "veriff").Sample("veriff.decision.aproved")
	if hook.CodeOf(err) != hook.CodeInvalid || !strings.Contains(fmt.Sprint(err), `did you mean "veriff.decision.approved"?`) {
		t.Errorf("got %v", err)
	}
}

func TestSamplesAreCopies(t *testing.T) {
	t.Parallel()
	d := definition(t, "veriff")
	d.Samples()[0].Body[0] = '!'
	if d.Samples()[0].Body[0] != '{' {
		t.Error("a caller can change the samples of everybody")
	}
}

func TestSubjectKindsBeginWithThePrimaryOne(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"veriff": {"session", "attempt", "vendor_data", "end_user"}, "metamap": {"verification", "identity", "user"}, "generic": nil,
	} {
		if diff := cmp.Diff(want, definition(t, name).SubjectKinds()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
