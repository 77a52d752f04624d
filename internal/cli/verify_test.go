package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/signature"
)

// vector is a published signature, or one that must not verify.
type vector struct {
	ID       string
	Provider string
	Valid    bool
	Secret   string
	Headers  map[string]string
	Body     string
	At       int64 `json:"verify_at_unix"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	content, err := os.ReadFile("../../signature/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Vectors []vector }
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Vectors) < 14 {
		t.Fatalf("%d vectors, want all 14", len(all.Vectors))
	}
	return all.Vectors
}

// args are those of `sigpost verify` for a vector.
func (v vector) args(t *testing.T) []string {
	t.Helper()
	args := []string{"verify", "--provider", v.Provider, "--secret", v.Secret}
	for name, value := range v.Headers {
		args = append(args, "--header", name+": "+value)
	}
	if v.At != 0 {
		args = append(args, "--at", fmt.Sprint(v.At))
	}
	return append(args, file(t, "body", v.Body))
}

func TestVerifyJudgesPublishedVectorsAsMarked(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			r := sigpost(t, v.args(t)...)
			if v.Valid {
				r.expect(t, ExitOK, "valid: ", "secret 1 of 1")
			} else {
				r.expect(t, ExitInvalid, "invalid: ", "→")
			}
			r.never(t, v.Secret)
		})
	}
}

func veriffVector(t *testing.T) vector {
	t.Helper()
	for _, v := range vectors(t) {
		if v.ID == "veriff-decision" {
			return v
		}
	}
	t.Fatal("the vector veriff-decision is missing")
	return vector{}
}

func TestVerifySaysWhichSecretMatched(t *testing.T) {
	t.Parallel()
	v := veriffVector(t)
	header := "X-HMAC-SIGNATURE: " + v.Headers["X-HMAC-SIGNATURE"]
	secrets := file(t, "secrets", "an-older-secret-of-ours\r\n\n"+v.Secret+"\n")
	tests := map[string]invocation{
		"secret 2 of 2":  {args: []string{"--secret", "an-older-secret-of-ours", "--secret", v.Secret, "-"}},
		"secret 2 of 2 ": {args: []string{"--secret-file", secrets, "-"}},
		"secret 1 of 1":  {args: []string{"-"}, env: map[string]string{"SIGPOST_SECRET": v.Secret}},
		"secret 1 of 1 ": {args: []string{"--secret", v.Secret, "-"}, env: map[string]string{"SIGPOST_SECRET": "ignored beside a flag"}},
	}
	for want, i := range tests {
		i.args = append([]string{"verify", "--provider", "veriff", "--header", header}, i.args...)
		i.in = v.Body
		i.run(t).expect(t, ExitOK, strings.TrimSpace(want))
	}
}

func TestVerifyExplainsWhatWouldBeValid(t *testing.T) {
	t.Parallel()
	v := veriffVector(t)
	expected := v.Headers["X-HMAC-SIGNATURE"]
	v.Body += "\n"
	args := append(v.args(t), "--json")
	r := sigpost(t, args...)
	r.expect(t, ExitInvalid)
	var got struct {
		Valid    bool
		Provider string
		Reason   string
		Findings []signature.Finding
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Valid || got.Provider != "veriff" || got.Reason == "" || len(got.Findings) == 0 || !strings.Contains(r.out, "newline") {
		t.Errorf("verdict %s does not say that the newline is too much", r.out)
	}
	r.never(t, v.Secret, expected)
}

func TestVerifyTellsTheSkewAndTheWayOut(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		if v.ID != "stripe-dotnet-event" {
			continue
		}
		sigpost(t, v.args(t)...).expect(t, ExitOK, "secret 1 of 1, at 2018-08-02T10:10:20Z")
		sigpost(t, append(v.args(t), "--json")...).expect(t, ExitOK, `"signedAt": "2018-08-02T10:10:20Z"`)
		v.At += 3600
		sigpost(t, v.args(t)...).expect(t, ExitInvalid, "1h1m40s in the past", "5m", "--at 1533204620")
		v.At = 0
		sigpost(t, v.args(t)...).expect(t, ExitInvalid, "--at 1533204620")
	}
}

// TestSignedHereVerifiesHere feeds the output of sign to verify for every provider that signs.
func TestSignedHereVerifiesHere(t *testing.T) {
	t.Parallel()
	set, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		d, err := set.Lookup(name)
		if err != nil || !d.Signed() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret := strings.TrimSpace(sigpost(t, "secret", "generate", "--provider", name).out)
			body := file(t, "body", "{\"a\":1}\n")
			signed := sigpost(t, "sign", "--provider", name, "--secret", secret, body)
			signed.expect(t, ExitOK, d.Scheme.Header+": ")
			headers := file(t, "headers", signed.out)
			sigpost(t, "verify", "--provider", name, "--secret", secret, "--header", "@"+headers, body).expect(t, ExitOK, "valid")
			sigpost(t, "verify", "--provider", name, "--secret", secret, "--header", "@"+headers, file(t, "other", "{}")).expect(t, ExitInvalid, "invalid")
		})
	}
}

func TestOwnProvidersComeFromTheConfigurationAlone(t *testing.T) {
	t.Parallel()
	config := file(t, "sigpost.yaml", shopConfig)
	body := file(t, "body", "{}")
	signed := sigpost(t, "sign", "--config", config, "--provider", "myshop", "--secret", "open sesame", body)
	signed.expect(t, ExitOK, "X-Shop-Signature: sha256=")
	sigpost(t, "verify", "--config", config, "--provider", "myshop", "--secret", "open sesame", "--header", strings.TrimSpace(signed.out), body).expect(t, ExitOK)

	// The environment may name the configuration, as for the other commands.
	i := invocation{args: []string{"sign", "--provider", "myshop", body}, env: map[string]string{"SIGPOST_CONFIG": config, "SIGPOST_SECRET": "open sesame"}}
	if r := i.run(t); r.out != signed.out {
		t.Errorf("with the configuration of the environment %q, want %q", r.out, signed.out)
	}
}
