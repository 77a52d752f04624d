package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/strictyaml"
)

// providers is a catalogue of three.
type providers struct{ defined []string }

func (p *providers) Define(raw strictyaml.Raw) error {
	var d struct {
		Name string `yaml:"name"`
	}
	err := raw.Decode(&d)
	p.defined = append(p.defined, d.Name)
	return err
}

func (p *providers) Facts(name string) (ProviderFacts, error) {
	fine := func(string) []string { return nil }
	switch name {
	case "veriff":
		return ProviderFacts{Signed: true, AuthClient: true, HasSendPolicy: true, HTTPSOnly: true, StandardPort: true, CheckSecret: fine, Subjects: []string{"session", "end_user"}}, nil
	case "metamap":
		return ProviderFacts{Signed: true, FlowID: true, HasAddresses: true, CheckSecret: func(s string) []string {
			if len(s) < 16 {
				return []string{"it has fewer than 16 characters"}
			}
			return nil
		}}, nil
	case "generic":
		return ProviderFacts{CheckSecret: fine}, nil
	}
	return ProviderFacts{}, fmt.Errorf("there is no provider %q; %s", name, strictyaml.DidYouMean(name, []string{"veriff", "metamap", "generic"}))
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

// load loads text as a file, with an environment and flags.
func load(t *testing.T, text string, env, flags map[string]string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sigpost.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range env {
		names = append(names, name+"=x")
	}
	return Load(Options{File: file, Env: lookup(env), Environ: names, Flags: flags, Catalog: &providers{}})
}

const goodEndpointSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestWholeConfigurationIsRead(t *testing.T) {
	t.Parallel()
	c, err := load(t, `
listen: :9000
public_url: https://hooks.example.com
allow_nets: ["127.0.0.0/8", 10.1.2.3]
log: {level: warn}
providers:
  - name: ours
sources:
  - name: veriff-prod
    provider: veriff
    secrets: ["${VERIFF_SECRET}", "b$$c"]
    auth_client: "${KEY}-${KEY}"
    on_duplicate: forward
    max_body: 2MiB
    allow_ips: [192.0.2.1]
    endpoints:
      - url: http://127.0.0.1:3000/hook
        secret: `+goodEndpointSecret+`
        event_types: ["veriff.decision.*"]
        timeout: 5s
        headers: {X-A: b}
        retries: [1m, 1h]
        order: subject:end_user
        order_by: occurrence
        order_window: 30s
        latest_only: true
        on_poison: park
        poison_after: 7
`, map[string]string{"VERIFF_SECRET": "a: [b", "KEY": "k"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Sources[0]
	if s.Secrets[0].Reveal() != "a: [b" || s.Secrets[1].Reveal() != "b$c" || s.AuthClient.Reveal() != "k-k" {
		t.Error("secrets were not expanded as written")
	}
	if c.Listen != ":9000" || c.Data != DefaultData || c.Log.Level != "warn" || c.Log.Format != "text" || s.MaxBody != 2<<20 || s.OnDuplicate != "forward" || s.OnBadSignature != "reject" {
		t.Errorf("%+v", c)
	}
	if c.AllowNets[1].String() != "10.1.2.3/32" || s.AllowIPs[0].String() != "192.0.2.1/32" {
		t.Errorf("networks: %v, %v", c.AllowNets, s.AllowIPs)
	}
	e := s.Endpoints[0]
	order := hook.Order{By: "subject:end_user", ByOccurrence: true, Window: 30 * time.Second, LatestOnly: true, OnPoison: hook.PoisonPark, PoisonAfter: 7}
	if e.Ordering() != order || (&Endpoint{Order: "none"}).Ordering() != (hook.Order{}) {
		t.Errorf("order: %+v", e.Ordering())
	}
	if e.Timeout != 5*time.Second || len(e.Retries) != 2 || e.Headers["X-A"] != "b" || len(e.Secrets) != 1 || e.Secrets[0].Reveal() != goodEndpointSecret {
		t.Errorf("%+v", e)
	}
}

func TestFlagsComeBeforeEnvironmentBeforeFile(t *testing.T) {
	t.Parallel()
	file := "listen: 127.0.0.1:1\ndata: /file\npublic_url: https://file.example\n"
	env := map[string]string{"SIGPOST_DATABASE_NOTIFY": "poll", "SIGPOST_DATA": "/env", "SIGPOST_PUBLIC_URL": "https://env.example", "SIGPOST_ALLOW_NETS": "10.0.0.0/8, ::1"}
	c, err := load(t, file, env, map[string]string{"public_url": "https://flag.example"})
	if err != nil {
		t.Fatal(err)
	}
	if c.DatabaseNotify != NotifyPoll || Default().DatabaseNotify != NotifyListen {
		t.Errorf("database_notify: %q", c.DatabaseNotify)
	}
	if c.Listen != "127.0.0.1:1" || c.Data != "/env" || c.PublicURL != "https://flag.example" || len(c.AllowNets) != 2 || c.ControlSocket != "/env/control.sock" {
		t.Errorf("%+v", c)
	}
}

// Every fault in one go, each with its key, the value and the way out.
func TestAllFaultsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := load(t, `listen: nowhere
public_url: hooks.example.com
allow_nets: ["127.0.0.0/33"]
lisen: x
tls: {cert: a.pem}
log: {level: wran}
shutdown_timeout: 5
sources:
  - name: "bad name"
    provider: verif
    secrets: ["${UNSET}"]
    on_duplicate: drpo
  - name: m
    provider: metamap
    secrets: [short]
    auth_client: x
    max_body: 21MiB
  - name: m
    provider: veriff
    flow_id: f
    provider_ips: true
    endpoints:
      - url: ftp://x
      - url: http://u:p@example.com/
      - url: http://10.0.0.1:3000/
      - url: http://localhost:3000/
      - url: http://127.0.0.1:3000/
        secret: whsec_short
        event_types: ["a b"]
        timeout: 2m
        headers: {Host: x, "X Y": z, X-Ok: "a\nb"}
        policy: metamap
        signature: {scheme: strip, secret: ""}
      - url: http://127.0.0.1:3000/
  - name: g
    provider: generic
    token: short
`, nil, nil)
	if err == nil {
		t.Fatal("no fault was found")
	}
	for _, want := range []string{
		`line 1: listen: "nowhere" is not an address with a port`,
		`line 2: public_url: "hooks.example.com" is not an http or https URL`,
		`line 3: allow_nets[0]: `, `line 4: lisen: `, `did you mean "listen"?`,
		`line 5: tls: has only one of cert and key`,
		`line 6: log.level: "wran" is not one of debug, info, warn, error; did you mean "warn"?`,
		`line 7: shutdown_timeout: `,
		`line 9: sources[0].name: "bad name"`, `line 10: sources[0].provider: there is no provider "verif"; did you mean "veriff"?`,
		`line 11: sources[0].secrets[0]: the environment variable UNSET is not set`, `line 12: sources[0].on_duplicate: "drpo" is not one of drop, forward; did you mean "drop"?`,
		`sources[1].secrets[0]: it has fewer than 16 characters; ` + "`sigpost secret generate --provider metamap`", `sources[1].auth_client: metamap sends no client key`,
		`sources[1].max_body: 21MiB is not between 1 byte and 20MiB`,
		`sources[2].name: "m" is the name of sources[1] already`, `sources[2].secrets: is empty, but veriff signs`, `sources[2].flow_id: `, `sources[2].provider_ips: `,
		`sources[2].endpoints[0].url: "ftp://x" begins with "ftp:"`, `sources[2].endpoints[1].url: has a user name`,
		"sources[2].endpoints[2].url: 10.0.0.1 is on a private network, to which nothing is sent unless the operator allows it; add \"10.0.0.1/32\" to allow_nets (or `--allow-nets 10.0.0.1/32`), then restart",
		`sources[2].endpoints[3].url: localhost is on a private network`,
		`sources[2].endpoints[4].event_types[0]: "a b" is not an event type`, `sources[2].endpoints[4].timeout: 2m0s is not between 1s and 1m`,
		`sources[2].endpoints[4].headers.Host: this header is set by sigpost`, `sources[2].endpoints[4].headers: "X Y" is not a valid header name`,
		`sources[2].endpoints[4].headers.X-Ok: its value has characters`, `sources[2].endpoints[4].policy: it is not known how metamap delivers`,
		`sources[2].endpoints[4].signature.scheme: there is no scheme "strip"; did you mean "stripe"?`, `sources[2].endpoints[4].signature.secret: is empty`,
		`sources[2].endpoints[5]: endpoints[4] of this source is the same`, `sources[3].token: is all that protects a source`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no fault like %s", want)
		}
	}
	if t.Failed() {
		t.Logf("the faults:\n%v", err)
	}
}

func TestSecretsAreNeverInFaults(t *testing.T) {
	t.Parallel()
	const marker = "hunter2-hunter2"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "s"), []byte(marker), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"sources:\n  - {name: x, provider: nope, secrets: [%[1]s], token: '%[1]s !', auth_client: %[1]s, endpoints: [{url: ftp://x, secret: %[1]s, secrets: [%[1]s], signature: {scheme: x, secret: %[1]s}}]}\n",
		"sources:\n  - {name: x, provider: generic, secrets: [%[1]s], token: short-%[1]s}\n",
		"sources:\n  - {name: x, provider: metamap, secrets: {a: %[1]s}}\n",
		"sources:\n  - {name: x, provider: metamap, secrets: [{a: %[1]s}], token: [%[1]s]}\n",
		"sources:\n  - {name: x, provider: metamap, secrets: ['${%[1]s'], token: '$%[1]s'}\n",
		"sources:\n  - {name: x, provider: veriff, secrets: [a], endpoints: [{url: 'http://u:%[1]s@x/'}]}\n",
		"sources:\n  - {name: x, provider: veriff, secrets: [a], endpoints: [{url: 'http://u:%[1]s@exa%%%%zz.com/'}]}\n",
		"sources:\n  - {name: x, provider: veriff, secrets: [a], endpoints: [{url: 'https://x/?key=%[1]s#f'}, {url: 'ftp://x/?k=%[1]s'}, {url: 'http://:3000/?%[1]s'}]}\n",
	} {
		_, err := load(t, fmt.Sprintf(text, marker), nil, nil)
		if err == nil {
			t.Errorf("no fault in %s", text)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the secret is in %v", err)
		}
	}
}

func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("two", "first\n\nsecond\r\n", 0o600)
	write("app", goodEndpointSecret+"\n", 0o644)
	write("empty", "\n", 0o600)
	text := "sources:\n  - {name: x, provider: veriff, secrets_file: two, endpoints: [{url: 'https://example.com/', secret_file: app}]}\n"
	write("sigpost.yaml", text, 0o600)
	c, err := Load(Options{File: filepath.Join(dir, "sigpost.yaml"), Env: lookup(nil), Catalog: &providers{}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]hook.Secret{"first", "second"}, c.Sources[0].Secrets, cmp.Transformer("reveal", hook.Secret.Reveal)); d != "" {
		t.Error(d)
	}
	if c.Sources[0].Endpoints[0].Secrets[0].Reveal() != goodEndpointSecret {
		t.Error("the endpoint's secret has its newline")
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "chmod 600") {
		t.Errorf("warnings: %v", c.Warnings)
	}
	write("sigpost.yaml", strings.NewReplacer("two", "missing", "app}", "empty, secret: x}").Replace(text), 0o600)
	_, err = Load(Options{File: filepath.Join(dir, "sigpost.yaml"), Env: lookup(nil), Catalog: &providers{}})
	if err == nil || !strings.Contains(err.Error(), "secrets_file: the file cannot be read") || !strings.Contains(err.Error(), "not both") {
		t.Errorf("%v", err)
	}
}

func TestUnknownVariableIsAFault(t *testing.T) {
	t.Parallel()
	_, err := load(t, "", map[string]string{"SIGPOST_LISTN": "x", "SIGPOST_SHUTDOWN_TIMEOUT": "soon"}, nil)
	if err == nil || !strings.Contains(err.Error(), `SIGPOST_LISTN: there is no such variable; did you mean "SIGPOST_LISTEN"?`) || !strings.Contains(err.Error(), `"soon" is not a duration`) {
		t.Errorf("%v", err)
	}
}

func TestExampleIsValid(t *testing.T) {
	t.Parallel()
	c, err := load(t, string(Example()), map[string]string{"VERIFF_SECRET": "abcdef12-abcd-abcd-abcd-abcdef012345"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sources) != 1 || len(c.Sources[0].Endpoints) != 1 {
		t.Errorf("%+v", c.Sources)
	}
}

func TestMissingFileIsAFault(t *testing.T) {
	t.Parallel()
	_, err := Load(Options{File: "/does/not/exist.yaml", Env: lookup(nil), Catalog: &providers{}})
	if err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%v", err)
	}
}
