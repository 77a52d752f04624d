package cli

import (
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/provider"
)

func TestGeneratedSecretsPassTheirCheck(t *testing.T) {
	t.Parallel()
	set, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		if d, err := set.Lookup(name); err != nil || !d.Signed() {
			continue
		}
		made := sigpost(t, "secret", "generate", "--provider", name)
		made.expect(t, ExitOK)
		if strings.Count(made.out, "\n") != 1 {
			t.Errorf("%s: %q is not one line", name, made.out)
		}
		r := invocation{args: []string{"secret", "check", "--provider", name}, in: made.out}.run(t)
		r.expect(t, ExitOK, "fine")
		r.never(t, strings.TrimSpace(made.out))
	}
}

func TestSecretCheckSaysEachProblemOnALine(t *testing.T) {
	t.Parallel()
	r := invocation{args: []string{"secret", "check", "--provider", "metamap"}, in: "tooshort\r\n"}.run(t)
	r.expect(t, ExitInvalid)
	want := "it has 8 characters, at least 16 are needed\nit has no upper-case letter\nit has no digit\n"
	if r.out != want || r.err != "" {
		t.Errorf("said\n%s%s\nwant\n%s", r.out, r.err, want)
	}
}

func TestSecretCheckReportsForMachines(t *testing.T) {
	t.Parallel()
	const weak = "Tooshort1"
	r := sigpost(t, "secret", "check", "--provider", "metamap", "--secret", weak, "--json")
	r.expect(t, ExitInvalid, `"fine": false`, `"provider": "metamap"`, "at least 16")
	r.never(t, weak)
	sigpost(t, "secret", "check", "--provider", "metamap", "--secret", "Longenough4MetaMap", "--json").expect(t, ExitOK, `"fine": true`, `"problems": []`)
	sigpost(t, "secret", "check", "--provider", "metamap", "--secret", "").expect(t, ExitInvalid, "it is empty")
}
