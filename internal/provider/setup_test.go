package provider

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestEveryProviderSaysHowItIsSetUp(t *testing.T) {
	t.Parallel()
	set, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		d, err := set.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		steps := d.Steps()
		if n := strings.Count(strings.Join(steps, "\n"), SetupURL); n != 1 || d.Kind == "" {
			t.Errorf("%s (%q): the URL stands %d times in %q", name, d.Kind, n, steps)
		}
		for _, w := range d.Webhooks {
			for _, pattern := range w.EventTypes {
				if !slices.ContainsFunc(d.Types, func(e EventType) bool { return hook.MatchEventType(pattern, e.Name) }) {
					t.Errorf("%s: webhook %s brings %s, which no known type is", name, w.Name, pattern)
				}
			}
		}
		for _, e := range d.Types { // where webhooks are told apart, each type is of one
			in := func(w Webhook) bool {
				return slices.ContainsFunc(w.EventTypes, func(p string) bool { return hook.MatchEventType(p, e.Name) })
			}
			if len(d.Webhooks) > 0 && !slices.ContainsFunc(d.Webhooks, in) && !strings.HasSuffix(e.Name, ".unknown") {
				t.Errorf("%s: no webhook brings %s", name, e.Name)
			}
		}
	}
}

// The pattern is for browsers, where a class of characters is looked for ahead; without
// these parts it is Go's, too.
func TestPatternsFitSecretsThatAreMade(t *testing.T) {
	t.Parallel()
	set, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	ahead := regexp.MustCompile(`\(\?=[^)]*\)`)
	for _, name := range set.Names() {
		d, err := set.Lookup(name)
		if err != nil || !d.Signed() {
			continue
		}
		secret, err := d.GenerateSecret()
		if err != nil {
			t.Fatal(err)
		}
		pattern := regexp.MustCompile(ahead.ReplaceAllString(d.Secret.Pattern(), ""))
		if !pattern.MatchString(secret) || pattern.MatchString("short") {
			t.Errorf("%s: %s does not fit %s, or too little does", name, pattern, secret)
		}
	}
}

func TestAProviderWithoutStepsHasSomeAllTheSame(t *testing.T) {
	t.Parallel()
	d := &Definition{Title: "Shop", Receive: Receive{HTTPS: true}}
	if steps := d.Steps(); len(steps) != 2 || !strings.Contains(steps[0], SetupURL) || !strings.Contains(steps[1], "HTTPS") {
		t.Errorf("%q", steps)
	}
}
