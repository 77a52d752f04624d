package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/strictyaml"
)

// faultsOf loads a configuration that must be refused, and returns its faults.
func faultsOf(t *testing.T, text string, env, flags map[string]string) []string {
	t.Helper()
	_, err := load(t, text, env, flags)
	if err == nil {
		t.Fatalf("no fault was found in\n%s", text)
	}
	return strings.Split(err.Error(), "\n")
}

// source is a document with one source that has these further keys.
func source(provider, keys string) string {
	return "sources:\n  - name: x\n    provider: " + provider + "\n" + keys
}

func endpoint(keys string) string {
	return source("veriff", "    secrets: [s]\n    endpoints:\n      - "+keys+"\n")
}

func TestFaultsNameKeyValueAndWayOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"mask cuts address": {"allow_nets: [10.1.2.3/8]", `line 1: allow_nets[0]: "10.1.2.3/8" is no network, because its mask cuts the address; write 10.0.0.0/8 for the network or 10.1.2.3 for the address`},
		"mapped network":    {"allow_nets: [\"::ffff:10.0.0.0/104\"]", `line 1: allow_nets[0]: "::ffff:10.0.0.0/104" is an IPv4 network in the form of IPv6; write it like 10.0.0.0/8`},
		"size":              {source("veriff", "    secrets: [s]\n    max_body: 1MB\n"), `line 5: sources[0].max_body: "1MB" is not a size like 1048576, 512KiB or 1MiB`},
		"how nodes tell":    {"database_notify: pol", `line 1: database_notify: "pol" is not one of listen, poll; did you mean "poll"?`},
		"same listeners":    {"intake_listen: 127.0.0.1:8080", `line 1: intake_listen: "127.0.0.1:8080" is the address of listen, which serves everything; choose another, or leave intake_listen out`},
		"name is a path":    {"sources:\n  - {name: .., provider: veriff, secrets: [s]}", `line 2: sources[0].name: ".." is not a name of 1 to 60 letters, digits, - _ and .`},
		"no name":           {"sources:\n  - {provider: veriff, secrets: [s]}", `line 2: sources[0].name: is missing; give the source a name of letters, digits, - _ and .`},
		"unreadable source": {"sources: [text]", `line 1: sources[0]: this must be a mapping (name: value), not a single value`},
		"unset secret":      {source("metamap", "    secrets: [\"${NOT_SET}\"]\n"), `line 4: sources[0].secrets[0]: the environment variable NOT_SET is not set; set it, or write $$ for a dollar sign`},
		"missing file":      {source("veriff", "    secrets_file: missing\n"), `line 4: sources[0].secrets_file: the file cannot be read`},
		"needless secret":   {source("generic", "    secret: s\n"), `line 2: sources[0].secrets: generic does not sign, so there is nothing to verify; leave secrets out`},
		"mapped host":       {endpoint("url: http://[::ffff:127.0.0.1]/"), "line 6: sources[0].endpoints[0].url: ::ffff:127.0.0.1 is on a private network, to which nothing is sent unless the operator allows it; add \"127.0.0.1/32\" to allow_nets (or `--allow-nets 127.0.0.0/8`), then restart"},
		"policy and scheme": {endpoint("{url: http://example.com/, policy: veriff}"), `line 6: sources[0].endpoints[0].url: "http://example.com/" is not https, and veriff posts to https URLs only; use https, or leave policy out`},
		"policy and port":   {endpoint("{url: https://example.com:8443/, policy: veriff}"), `line 6: sources[0].endpoints[0].url: "https://example.com:8443/" has the port 8443, and veriff posts to the standard port only; leave the port or policy out`},
		"header twice":      {endpoint("{url: https://example.com/, headers: {X-A: b, x-a: c}}"), `line 6: sources[0].endpoints[0].headers.x-a: this is the same header as X-A; keep one`},
		"order by a kind":   {endpoint("{url: https://example.com/, order: session}"), `line 6: sources[0].endpoints[0].order: is "session"; it is none, subject, or subject: and a kind, for example subject:session`},
		"unknown kind":      {endpoint("{url: https://example.com/, order: \"subject:sesion\"}"), `line 6: sources[0].endpoints[0].order: events of veriff name no subject of the kind "sesion"; did you mean "session"`},
		"another's kind":    {endpoint("{url: https://example.com/, order: \"subject:order\"}"), `line 6: sources[0].endpoints[0].order: events of veriff name no subject of the kind "order"; there are session, end_user`},
		"no subjects":       {source("generic", "    token: 0123456789012345678901\n    endpoints: [{url: https://example.com/, order: subject}]\n"), `line 5: sources[0].endpoints[0].order: is "subject", but events of generic name no subject; leave order out`},
		"no order":          {endpoint("{url: https://example.com/, latest_only: true}"), `line 6: sources[0].endpoints[0].latest_only: needs an order; set order to subject`},
		"order by what":     {endpoint("{url: https://example.com/, order: subject, order_by: ocurrence}"), `line 6: sources[0].endpoints[0].order_by: "ocurrence" is not one of acceptance, occurrence; did you mean "occurrence"`},
		"window of nothing": {endpoint("{url: https://example.com/, order: subject, order_window: 5s}"), `line 6: sources[0].endpoints[0].order_window: counts only where the order is that of occurrence`},
		"poison":            {endpoint("{url: https://example.com/, order: subject, on_poison: drop}"), `line 6: sources[0].endpoints[0].on_poison: is "drop"; it is block, skip or park`},
		"poison after":      {endpoint("{url: https://example.com/, order: subject, on_poison: skip, poison_after: -1}"), `line 6: sources[0].endpoints[0].poison_after: -1 is less than 1`},
		"hop-by-hop":        {source("veriff", "    secrets: [s]\n    forward_headers: [Authorization, Connection]\n"), `line 5: sources[0].forward_headers[1]: "Connection" belongs to one connection or to sigpost and is never forwarded; leave it out`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := faultsOf(t, c.text, nil, nil)
			if len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
				t.Error(cmp.Diff([]string{c.want}, got))
			}
		})
	}
}

func TestFaultsNameTheVariableOrFlagThatSetTheKey(t *testing.T) {
	t.Parallel()
	env := map[string]string{"SIGPOST_LISTEN": "nowhere", "SIGPOST_ALLOW_NETS": "10.0.0.0/33"}
	got := faultsOf(t, "listen: :1\nlog: {level: info}\n", env, map[string]string{"log_level": "loud"})
	want := []string{
		`SIGPOST_ALLOW_NETS: "10.0.0.0/33" is neither a network like 10.0.0.0/8 nor an address like 10.0.0.1`,
		`SIGPOST_LISTEN: "nowhere" is not an address with a port, for example 127.0.0.1:8080 or :8080`,
		`--log-level: "loud" is not one of debug, info, warn, error`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsOfTheUsersProvidersNameTheirPlace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sigpost.yaml")
	if err := os.WriteFile(file, []byte("providers:\n  - name: a\n  - name: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Options{File: file, Env: lookup(nil), Catalog: refusing{&providers{}}})
	if err == nil || err.Error() != "line 3: providers[1]: no good" {
		t.Errorf("got %v", err)
	}
}

// refusing refuses the provider b.
type refusing struct{ *providers }

func (r refusing) Define(raw strictyaml.Raw) error {
	if err := r.providers.Define(raw); err != nil {
		return err
	}
	if r.defined[len(r.defined)-1] == "b" {
		return fmt.Errorf("no good")
	}
	return nil
}

func TestExpansionPutsTheEnvironmentIntoOneValue(t *testing.T) {
	t.Parallel()
	env := map[string]string{"A": "a", "EMPTY": "", "DOLLAR": "${A} $$", "YAML": "x: [y"}
	for text, want := range map[string]string{
		"${A}": "a", "-${A}-${A}-": "-a-a-", "$$": "$", "$${A}": "${A}", "$$$$": "$$", "x${EMPTY}": "x",
		"${DOLLAR}": "${A} $$", // not expanded again
		"${YAML}":   "x: [y",
	} {
		c, err := load(t, source("veriff", "    secrets: ['"+text+"']\n"), env, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := c.Sources[0].Secrets[0].Reveal(); got != want {
			t.Errorf("%s became %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"${A":     "there is a ${ without }",
		"${}":     "there is a ${ without }",
		"${a-b}":  "there is a ${ without }",
		"a$b":     "there is a single dollar sign",
		"a$":      "there is a single dollar sign",
		"${a}":    "the environment variable a is not set",
		"${A}${B": "there is a ${ without }",
	} {
		got := faultsOf(t, source("veriff", "    secrets: ['"+text+"']\n"), env, nil)
		if len(got) != 1 || !strings.HasPrefix(got[0], "line 4: sources[0].secrets[0]: "+want) {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestVariablesOfTheFileMayBeginLikeOurs(t *testing.T) {
	t.Parallel()
	if _, err := load(t, source("veriff", "    secret: ${SIGPOST_X_SECRET}\n"), map[string]string{"SIGPOST_X_SECRET": "s"}, nil); err != nil {
		t.Error(err)
	}
}

func TestAllFormsOfASourcesSecretsAreLiveTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"one": "first\n", "more": "third\nfourth\n", "c.yaml": source("veriff", "    secret_file: one\n    secrets: [second]\n    secrets_file: more\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(Options{File: filepath.Join(dir, "c.yaml"), Env: lookup(nil), Catalog: &providers{}})
	if err != nil {
		t.Fatal(err)
	}
	want := []hook.Secret{"first", "second", "third", "fourth"}
	if diff := cmp.Diff(want, c.Sources[0].Secrets, cmp.Transformer("reveal", hook.Secret.Reveal)); diff != "" {
		t.Error(diff)
	}
}

func TestARandomTokenDoesNotClashWithAName(t *testing.T) {
	t.Parallel()
	text := "sources:\n  - {name: open, provider: generic}\n  - {name: b, provider: veriff, secrets: [s], token: open}\n"
	if _, err := load(t, text, nil, nil); err != nil {
		t.Error(err)
	}
	got := faultsOf(t, strings.Replace(text, "generic", "veriff, secrets: [s]", 1), nil, nil)
	if len(got) != 1 || got[0] != "line 3: sources[1].token: sources[0] has the same URL; give each source a token of its own" {
		t.Errorf("%v", got)
	}
}

func TestWarningsOfOpenFilesAndNetworks(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sigpost.yaml")
	warnings := func(text string) string {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Options{File: file, Env: lookup(map[string]string{"S": "s"}), Catalog: &providers{}})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(c.Warnings, "\n")
	}
	if got := warnings(source("veriff", "    secrets: [\"${S}\"]\n")); got != "" {
		t.Errorf("a file without secrets: %s", got)
	}
	if got := warnings(source("veriff", "    secrets: [s]\n")); !strings.Contains(got, "sigpost.yaml holds secrets and can be read by others (mode 0644)") {
		t.Errorf("a file with a secret: %q", got)
	}
	got := warnings("allow_nets: [0.0.0.0/0]\ntrusted_proxies: [\"::/0\"]\n")
	if !strings.Contains(got, "allow_nets: 0.0.0.0/0 lets") || !strings.Contains(got, "trusted_proxies: ::/0 lets") {
		t.Errorf("open networks: %q", got)
	}
}

// Every field that may hold a secret holds the marker, in documents that are
// broken in every way.
func TestNoFaultHoldsWhatMayBeASecret(t *testing.T) {
	t.Parallel()
	const marker = "MARKER"
	whole := `listen: [x]
public_url: http://u:MARKER@x/?MARKER
egress_proxy: ftp://u:MARKER@proxy
sources:
  - name: "?"
    provider: %[1]s
    token: "MARKER !"
    secret: "MARKER"
    secrets: ["MARKER", "p${MARKER !}", "$MARKER", {MARKER: x}]
    auth_client: "MARKER"
    endpoints:
      - {url: "ftp://u:MARKER@x/?MARKER", secret: "MARKER", secrets: [MARKER], headers: {Host: MARKER, X: "MARKER\n"}, signature: {scheme: x, secret: MARKER}}
      - {url: "http://u:MARKER@x y/", secret: MARKER}
      - {url: "http://10.0.0.1/?MARKER#MARKER", signature: MARKER}
  - MARKER
`
	for _, provider := range []string{"veriff", "metamap", "generic", "nope", "[x]"} {
		for _, fault := range faultsOf(t, fmt.Sprintf(whole, provider), nil, nil) {
			if strings.Contains(fault, marker) {
				t.Errorf("provider %s: %s", provider, fault)
			}
		}
	}
}
