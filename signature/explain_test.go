package signature

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// explainSecret is good base64, so that it can be a key of every form.
	explainSecret = "bWFya2VyLXNlY3JldC1rZXk"
	compactJSON   = `{"id":"evt_1","tags":["a","b"],"empty":{},"text":"a: b, {c} \"d , e\" : [f]"}`
)

func indentedJSON(indent string) string {
	nl := func(n int) string { return "\n" + strings.Repeat(indent, n) }
	return "{" + nl(1) + `"id": "evt_1",` + nl(1) + `"tags": [` + nl(2) + `"a",` + nl(2) + `"b"` + nl(1) + `],` +
		nl(1) + `"empty": {},` + nl(1) + `"text": "a: b, {c} \"d , e\" : [f]"` + nl(0) + "}"
}

const pythonJSON = `{"id": "evt_1", "tags": ["a", "b"], "empty": {}, "text": "a: b, {c} \"d , e\" : [f]"}`

// known are the secrets of an operator, the first one live.
func known(values ...string) []KnownSecret {
	var all []KnownSecret
	for _, v := range values {
		all = append(all, KnownSecret{Value: v})
	}
	return all
}

func codes(e Explanation) []string {
	var all []string
	for _, f := range e.Findings {
		all = append(all, f.Code)
	}
	return all
}

// wantFinding checks that the code is among the findings, and that none of
// them quotes a secret.
func wantFinding(t *testing.T, e Explanation, code string, secrets ...KnownSecret) Finding {
	t.Helper()
	for _, f := range e.Findings {
		for _, k := range secrets {
			bare := strings.TrimPrefix(strings.TrimSpace(k.Value), "whsec_")
			if bare != "" && strings.Contains(f.Message+f.Fix, bare) {
				t.Errorf("%s quotes a secret: %s %s", f.Code, f.Message, f.Fix)
			}
		}
	}
	i := slices.IndexFunc(e.Findings, func(f Finding) bool { return f.Code == code })
	if e.Valid || i < 0 {
		t.Fatalf("Explain = %+v; want %s", e, code)
	}
	return e.Findings[i]
}

// withBody is what arrives when the body was changed after signing.
func (r Request) withBody(body string) Request {
	r.Body = []byte(body)
	return r
}

func TestExplainLeavesValidRequestsAlone(t *testing.T) {
	t.Parallel()
	e := Explain(Veriff(), signed(t, Veriff(), "{}", "s"), known("other", "s"), signedAt)
	if !e.Valid || len(e.Findings) != 0 {
		t.Errorf("Explain = %+v", e)
	}
}

func TestExplainFindsChangedBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sent, came, code string }{
		"compacted from 2 spaces":           {indentedJSON("  "), compactJSON, CodeBodyCompacted},
		"compacted from 4 spaces":           {indentedJSON("    "), compactJSON, CodeBodyCompacted},
		"compacted from tabs":               {indentedJSON("\t"), compactJSON, CodeBodyCompacted},
		"compacted from tabs and a newline": {indentedJSON("\t") + "\n", compactJSON, CodeBodyCompacted},
		"compacted from python":             {pythonJSON, compactJSON, CodeBodyCompacted},
		"indented":                          {compactJSON, indentedJSON("  "), CodeBodyReindented},
		"indented, newline cut":             {compactJSON + "\n", indentedJSON("  "), CodeBodyReindented},
		"python from compact":               {compactJSON, pythonJSON, CodeBodyReindented},
		"2 spaces from 4":                   {indentedJSON("    "), indentedJSON("  "), CodeBodyCompacted},
		"newline added":                     {compactJSON, compactJSON + "\n", CodeTrailingNewline},
		"newline added to text":             {"plain text", "plain text\n", CodeTrailingNewline},
		"newline cut":                       {compactJSON + "\n", compactJSON, CodeTrailingNewline},
		"space added":                       {"plain text", " plain text ", CodeTrailingNewline},
		"LF to CRLF":                        {"a\nb\nc", "a\r\nb\r\nc", CodeLineEndings},
		"CRLF to LF":                        {"a\r\nb\r\nc", "a\nb\nc", CodeLineEndings},
		"byte order mark":                   {compactJSON, "\xef\xbb\xbf" + compactJSON, CodeBodyReindented},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, s := range []Scheme{Veriff(), StandardWebhooks(), Stripe()} {
				secrets := known("b3RoZXI", explainSecret)
				r := signed(t, s, c.sent, explainSecret).withBody(c.came)
				wantFinding(t, Explain(s, r, secrets, signedAt.Add(time.Hour)), c.code, secrets...)
			}
		})
	}
}

func TestExplainFindsPreviousSecret(t *testing.T) {
	t.Parallel()
	secrets := []KnownSecret{{Value: "live-secret-marker"}, {Value: "previous-secret-marker", Name: "secrets[1]", Previous: true}}
	f := wantFinding(t, Explain(Veriff(), signed(t, Veriff(), "{}", "previous-secret-marker"), secrets, signedAt), CodePreviousSecret, secrets...)
	if !strings.Contains(f.Message, "secrets[1]") {
		t.Errorf("which one? %s", f.Message)
	}
}

func TestExplainFindsWhiteSpaceAroundSecret(t *testing.T) {
	t.Parallel()
	for _, pad := range []string{"\n", "\r\n", " "} {
		ours := known("marker-of-secret" + pad)
		f := wantFinding(t, Explain(Veriff(), signed(t, Veriff(), "{}", "marker-of-secret"), ours, signedAt), CodeSecretWhitespace, ours...)
		if !strings.Contains(f.Message, "secret 1") {
			t.Errorf("which one? %s", f.Message)
		}
		theirs := known("marker-of-secret")
		wantFinding(t, Explain(Veriff(), signed(t, Veriff(), "{}", "marker-of-secret"+pad), theirs, signedAt), CodeSecretWhitespace, theirs...)
	}
	// Base64 cannot have a newline, so the secret is bad before anything is signed.
	ours := known(whsec + "\n")
	wantFinding(t, Explain(StandardWebhooks(), signed(t, StandardWebhooks(), "{}", whsec), ours, signedAt), CodeSecretWhitespace, ours...)
}

func TestExplainFindsSecretsOfAnotherForm(t *testing.T) {
	t.Parallel()
	text := StandardWebhooks()
	text.Variants[0].Key = KeyText
	decoded := Meeva()
	decoded.Variants[0].Key, decoded.Variants[0].KeyPrefix = KeyBase64, "whsec_"
	fromHex := Veriff()
	fromHex.Variants[0].Key = KeyHex
	for name, c := range map[string]struct {
		configured, sender Scheme
		secret             string
	}{
		"text, should be decoded": {StandardWebhooks(), text, whsec},
		"decoded, should be text": {Meeva(), decoded, whsec},
		"hex, should be text":     {Veriff(), fromHex, "00ff00ff00ff00ff00ff00ff00ff00ff"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFinding(t, Explain(c.configured, signed(t, c.sender, "{}", c.secret), known(c.secret), signedAt), CodeSecretDecoded, known(c.secret)...)
		})
	}
	bare := strings.TrimPrefix(whsec, "whsec_")
	wantFinding(t, Explain(Meeva(), signed(t, Meeva(), "{}", bare), known(whsec), signedAt), CodeSecretDecoded, known(whsec)...)
}

func TestExplainFindsAnotherEncoding(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), "{}", explainSecret)
	raw, _ := hex.DecodeString(r.Header.Get("X-HMAC-SIGNATURE"))
	for name, value := range map[string]string{"base64": base64.StdEncoding.EncodeToString(raw), "base64url": base64.RawURLEncoding.EncodeToString(raw)} {
		f := wantFinding(t, Explain(Veriff(), r.with("X-HMAC-SIGNATURE", value), known(explainSecret), signedAt), CodeEncoding, known(explainSecret)...)
		if !strings.Contains(f.Message, "base64") {
			t.Errorf("%s: %s", name, f.Message)
		}
	}
	s := StandardWebhooks()
	sw := signed(t, s, "{}", whsec)
	raw, _ = base64.StdEncoding.DecodeString(strings.TrimPrefix(sw.Header.Get("webhook-signature"), "v1,"))
	sw = sw.with("webhook-signature", "v1,"+hex.EncodeToString(raw))
	wantFinding(t, Explain(s, sw, known(whsec), signedAt), CodeEncoding, known(whsec)...)
	svix := Request{Body: sw.Body, Header: headersOf([]HeaderField{
		{"svix-id", "msg_1"}, {"svix-timestamp", "1614265330"}, {"svix-signature", sw.Header.Get("webhook-signature")},
	})}
	wantFinding(t, Explain(s, svix, known(whsec), signedAt), CodeEncoding, known(whsec)...)
}

func TestExplainFindsMissingOrOtherPrefix(t *testing.T) {
	t.Parallel()
	r := signed(t, GitHub(), "{}", explainSecret)
	bare := strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	for _, value := range []string{bare, "v1=" + bare} {
		wantFinding(t, Explain(GitHub(), r.with("X-Hub-Signature-256", value), known(explainSecret), signedAt), CodePrefix, known(explainSecret)...)
	}
	v := signed(t, Veriff(), "{}", explainSecret)
	v = v.with("X-HMAC-SIGNATURE", "sha256="+v.Header.Get("X-HMAC-SIGNATURE"))
	wantFinding(t, Explain(Veriff(), v, known(explainSecret), signedAt), CodePrefix, known(explainSecret)...)
}

func TestExplainKnowsOtherProviders(t *testing.T) {
	t.Parallel()
	for _, other := range []Scheme{Stripe(), GitHub(), Slack(), StandardWebhooks(), Meeva()} {
		r := signed(t, other, "{}", explainSecret)
		f := wantFinding(t, Explain(Veriff(), r, known(explainSecret), signedAt), CodeOtherProvider, known(explainSecret)...)
		if !strings.Contains(f.Message, "this looks like "+other.Name) || !strings.Contains(f.Message, "verifies") {
			t.Errorf("%s: %s", other.Name, f.Message)
		}
		f = wantFinding(t, Explain(Veriff(), r, known("wrong"), signedAt), CodeOtherProvider)
		if strings.Contains(f.Message, "verifies") {
			t.Errorf("%s with a wrong secret: %s", other.Name, f.Message)
		}
	}
}

func TestExplainTellsTheSizeOfClockSkew(t *testing.T) {
	t.Parallel()
	r := signed(t, Stripe(), "{}", explainSecret)
	for skew, want := range map[time.Duration]string{
		7 * time.Minute: "7m0s too old", -2 * time.Hour: "2h0m0s in the future", 5*time.Minute + time.Second: "5m1s too old",
	} {
		e := Explain(Stripe(), r, known(explainSecret), signedAt.Add(skew))
		f := wantFinding(t, e, CodeClockSkew, known(explainSecret)...)
		if !strings.Contains(f.Message, want) || !strings.Contains(f.Message, "5m0s") || len(e.Findings) != 1 {
			t.Errorf("%v: %+v; want %q", skew, e.Findings, want)
		}
	}
	far, err := Stripe().Sign(Content{Timestamp: time.Unix(99999999999999999, 0)}, "s")
	if err != nil {
		t.Fatal(err)
	}
	f := wantFinding(t, Explain(Stripe(), Request{Header: headersOf(far)}, known("s"), signedAt), CodeClockSkew)
	if strings.Contains(f.Message, "-") && strings.Contains(f.Message, ", -") {
		t.Errorf("a negative size: %s", f.Message)
	}
}

func TestExplainFindsCutBodies(t *testing.T) {
	t.Parallel()
	for name, came := range map[string]string{"cut": compactJSON[:30], "cut in a string": compactJSON[:8], "cut after a backslash": `{"a":"b\`, "empty": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signed(t, Veriff(), compactJSON, explainSecret).withBody(came)
			wantFinding(t, Explain(Veriff(), r, known(explainSecret), signedAt), CodeTruncatedBody, known(explainSecret)...)
		})
	}
}

func TestExplainNamesHeaderFaults(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), "{}", explainSecret)
	f := wantFinding(t, Explain(Veriff(), r.with("X-HMAC-SIGNATURE"), known(explainSecret), signedAt), CodeMissingHeader, known(explainSecret)...)
	if !strings.Contains(f.Message, "X-HMAC-SIGNATURE") {
		t.Error(f.Message)
	}
	wantFinding(t, Explain(Veriff(), r.with("X-HMAC-SIGNATURE", "0123"), known(explainSecret), signedAt), CodeMalformedHeader, known(explainSecret)...)
	wantFinding(t, Explain(Veriff(), Request{}, known(explainSecret), signedAt), CodeMissingHeader)
}

func TestExplainMentionsContentEncodingBriefly(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), compactJSON, explainSecret).withBody("\x1f\x8b\x08gzip").with("Content-Encoding", "gzip")
	f := wantFinding(t, Explain(Veriff(), r, known(explainSecret), signedAt), CodeContentEncoding, known(explainSecret)...)
	if !strings.Contains(f.Message, "gzip") {
		t.Error(f.Message)
	}
	r = r.with("Content-Encoding", strings.Repeat("g", 1<<20))
	if f := wantFinding(t, Explain(Veriff(), r, known(explainSecret), signedAt), CodeContentEncoding); len(f.Message) > 300 {
		t.Errorf("the header makes a message of %d bytes", len(f.Message))
	}
}

func TestExplainDoesNotChangeLongBodies(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", explainBody)
	r := signed(t, Veriff(), long, explainSecret)
	e := Explain(Veriff(), r.withBody(long+"\n"), known(explainSecret), signedAt)
	wantFinding(t, e, CodeBodyTooLong, known(explainSecret)...)
	if slices.Contains(codes(e), CodeTrailingNewline) {
		t.Error("a body above the bound was changed")
	}
	short := long[:explainBody-1]
	wantFinding(t, Explain(Veriff(), signed(t, Veriff(), short, explainSecret).withBody(short+"\n"), known(explainSecret), signedAt), CodeTrailingNewline)
}

func TestExplainSaysWhenNothingIsFound(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), compactJSON, "the provider's")
	e := Explain(Veriff(), r, known(explainSecret), signedAt)
	wantFinding(t, e, CodeNothingFound, known(explainSecret)...)
	if len(e.Findings) != 1 {
		t.Errorf("findings %v", codes(e))
	}
}

func TestExplainNeedsASecretAndAScheme(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), "{}", "s")
	wantFinding(t, Explain(Veriff(), r, nil, signedAt), CodeNoSecret)
	wantFinding(t, Explain(Veriff(), r, known(""), signedAt), CodeNoSecret)
	wantFinding(t, Explain(Veriff(), r, []KnownSecret{{Value: "s", Previous: true}}, signedAt), CodePreviousSecret)
	wantFinding(t, Explain(Scheme{Header: "X-HMAC-SIGNATURE"}, r, known("s"), signedAt), CodeBadScheme)
	wantFinding(t, Explain(StandardWebhooks(), signed(t, StandardWebhooks(), "{}", whsec), known("whsec_not base64"), signedAt), CodeBadSecret)
}

func TestExplainStaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	var secrets []KnownSecret
	for i := range 1000 {
		secrets = append(secrets, KnownSecret{Value: fmt.Sprint("secret", i), Previous: i > 0})
	}
	for body, most := range map[string]int{compactJSON: explainTries, strings.Repeat("x", 8<<20): 7} {
		e := newExplainer(Veriff(), signed(t, Veriff(), "{}", "unknown").withBody(body), secrets, signedAt)
		e.run()
		if e.tries > most || e.tries == 0 {
			t.Errorf("%d tries on %d bytes, want at most %d", e.tries, len(body), most)
		}
	}
}
