package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ran is what one command line did.
type ran struct {
	code     int
	out, err string
}

// invocation is a command line with what stands around it.
type invocation struct {
	args []string
	in   string
	env  map[string]string
}

func (i invocation) run(t *testing.T) ran {
	t.Helper()
	var out, errOut bytes.Buffer
	env := func(name string) (string, bool) {
		value, ok := i.env[name]
		return value, ok
	}
	code := Run(context.Background(), "test", i.args, strings.NewReader(i.in), &out, &errOut, env)
	return ran{code, out.String(), errOut.String()}
}

// sigpost runs a command line in an empty environment.
func sigpost(t *testing.T, args ...string) ran {
	t.Helper()
	return invocation{args: args}.run(t)
}

// file writes content into a file of the test.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// expect checks exit code and the texts that must and must not be there.
func (r ran) expect(t *testing.T, code int, wants ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, want := range wants {
		if !strings.Contains(r.out+r.err, want) {
			t.Errorf("the output lacks %q", want)
		}
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", r.out, r.err)
	}
}

// never checks that a text is in no output, for what must stay secret.
func (r ran) never(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(r.out+r.err, text) {
			t.Errorf("the output has %q in it:\n%s%s", text, r.out, r.err)
		}
	}
}

// shopConfig is a configuration with a provider of the user's.
const shopConfig = `
listen: 127.0.0.1:9999
sources:
  - {name: shop, provider: myshop, secrets: ["${NOT_SET_HERE}"]}
providers:
  - name: myshop
    title: My $$hop
    scheme:
      header: X-Shop-Signature
      variants: [{algorithm: hmac-sha256, prefix: "sha256="}]
    secret:
      forms: [{min: 8}]
    send: {timeout: 200ms, success: [202], schedule: [1ms, 1ms]}
    rules:
      - {type: ["myshop.{kind}"]}
    types:
      - {name: myshop.sold, about: Something was sold.}
    samples:
      - {type: myshop.sold, body: '{"kind":"sold","price":3}'}
`

func TestEveryOfflineCommandShowsRealExamples(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"verify", "sign", "inspect", "trigger", "providers", "secret generate", "secret check"} {
		r := sigpost(t, append(strings.Fields(command), "--help")...)
		r.expect(t, ExitOK, "Examples:\n  sigpost "+strings.Fields(command)[0])
	}
}

func TestWrongUseNamesTheWayOut(t *testing.T) {
	t.Parallel()
	body := file(t, "body.json", "{}")
	config := file(t, "sigpost.yaml", "providers:\n  - {name: bad name, colour: red}\n")
	const secret = "abcdef12-abcd-abcd-abcd-abcdef012345"
	tests := map[string]struct {
		args []string
		want string
	}{
		"no file":               {[]string{"verify", "--provider", "veriff", "--secret", secret}, "takes one FILE"},
		"no provider":           {[]string{"verify", "--secret", secret, body}, "--provider is missing; there are generic"},
		"unknown provider":      {[]string{"verify", "--provider", "verif", "--secret", secret, body}, `"verif" is not known; did you mean "veriff"?`},
		"no secret":             {[]string{"verify", "--provider", "veriff", body}, "--secret is missing; give it, or --secret-file, or set SIGPOST_SECRET"},
		"empty secret":          {[]string{"verify", "--provider", "veriff", "--secret", "", body}, "--secret is empty"},
		"no such file":          {[]string{"verify", "--provider", "veriff", "--secret", secret, body + "x"}, "no such file"},
		"no such secret file":   {[]string{"sign", "--provider", "veriff", "--secret-file", body + "x", body}, "--secret-file: open"},
		"header without colon":  {[]string{"verify", "--provider", "veriff", "--secret", secret, "--header", "X-HMAC-SIGNATURE", body}, "write it as 'Name: value'"},
		"header without name":   {[]string{"verify", "--provider", "veriff", "--secret", secret, "--header", ": x", body}, "not the name of a header"},
		"header with a break":   {[]string{"verify", "--provider", "veriff", "--secret", secret, "--header", "A: b\nC: d", body}, "line break"},
		"time in milliseconds":  {[]string{"verify", "--provider", "stripe", "--secret", secret, "--at", "1772442000000", body}, "not milliseconds"},
		"time in words":         {[]string{"sign", "--provider", "stripe", "--secret", secret, "--at", "noon", body}, `--at "noon" is no time`},
		"provider without key":  {[]string{"sign", "--provider", "generic", "--secret", secret, body}, "it signs nothing"},
		"id that is not signed": {[]string{"sign", "--provider", "veriff", "--secret", secret, "--id", "x", body}, "--id: veriff signs no id"},
		"secret of wrong form":  {[]string{"sign", "--provider", "standard-webhooks", "--secret", "whsec_?", body}, "--secret: "},
		"unknown flag":          {[]string{"inspect", "--colour", body}, "unknown flag: --colour"},
		"standard input twice":  {[]string{"sign", "--provider", "veriff", "--secret-file", "-", "-"}, "for one thing only"},
		"faulty configuration":  {[]string{"inspect", "--provider", "x", "--config", config, body}, "colour"},
		"two names":             {[]string{"providers", "veriff", "stripe"}, "takes one NAME, it got 2"},
		"unknown name":          {[]string{"providers", "strip"}, `did you mean "stripe"?`},
		"secret for nothing":    {[]string{"secret", "generate", "--provider", "generic"}, "does not sign"},
		"argument for secret":   {[]string{"secret", "check", "--provider", "veriff", "x"}, "takes no argument"},
		"secret of what":        {[]string{"secret", "make"}, `"make"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sigpost(t, tt.args...)
			r.expect(t, ExitUsage, tt.want)
			r.never(t, secret)
		})
	}
}
