package signature

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const operatorSecret = "a-secret-of-some-length"

// operatorBody has what serialisers disagree on.
const operatorBody = `{"a":1,"url":"https://x/y","n":"ñ😀","q":"d\\\"e"}`

func TestExplainFindsRenamedHeader(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), operatorBody, operatorSecret)
	r.Header = http.Header{"X_hmac_signature": r.Header["X-Hmac-Signature"]}
	wantFinding(t, Explain(Veriff(), r, known(operatorSecret), signedAt), CodeHeaderRenamed)
	wantCodes(t, Explain(Veriff(), r, known("another"), signedAt), CodeMissingHeader)
}

func TestExplainFindsCutSignature(t *testing.T) {
	t.Parallel()
	for _, s := range []Scheme{Veriff(), Meeva(), Slack(), StandardWebhooks()} {
		r := signed(t, s, operatorBody, whsec)
		value := r.Header.Get(s.Header)
		cut := r.with(s.Header, value[:len(s.Variants[0].Prefix)+20])
		wantFinding(t, Explain(s, cut, known(whsec), signedAt), CodeTruncatedHeader)
		wantCodes(t, Explain(s, r.with(s.Header, value[:len(s.Variants[0].Prefix)+8]), known(whsec), signedAt), CodeMalformedHeader)
	}
}

func TestExplainFindsQuotes(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), operatorBody, operatorSecret)
	quoted := r.with("X-HMAC-SIGNATURE", `"`+r.Header.Get("X-HMAC-SIGNATURE")+`"`)
	wantFinding(t, Explain(Veriff(), quoted, known(operatorSecret), signedAt), CodePrefix)
	wantFinding(t, Explain(Veriff(), r, known(`"`+operatorSecret+`"`), signedAt), CodeSecretWhitespace)
}

func TestExplainFindsOtherEscapes(t *testing.T) {
	t.Parallel()
	forms := []string{
		operatorBody,
		strings.ReplaceAll(operatorBody, "ñ😀", `\u00f1\ud83d\ude00`),
		strings.ReplaceAll(operatorBody, "/", `\/`),
		strings.ReplaceAll(strings.ReplaceAll(operatorBody, "/", `\/`), "ñ😀", `\u00f1\ud83d\ude00`),
	}
	for _, sent := range forms[:1] {
		for _, got := range forms[1:] {
			wantFinding(t, Explain(Veriff(), signed(t, Veriff(), sent, operatorSecret).withBody(got), known(operatorSecret), signedAt), CodeBodyEscaped)
			wantFinding(t, Explain(Veriff(), signed(t, Veriff(), got, operatorSecret).withBody(sent), known(operatorSecret), signedAt), CodeBodyEscaped)
		}
	}
}

func TestExplainUnpacksGzip(t *testing.T) {
	t.Parallel()
	pack := func(text string) string {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		return out.String()
	}
	r := signed(t, Veriff(), operatorBody, operatorSecret)
	e := Explain(Veriff(), r.withBody(pack(operatorBody)), known(operatorSecret), signedAt)
	if f := wantFinding(t, e, CodeContentEncoding); !strings.Contains(f.Message, "before it compressed") {
		t.Errorf("message %q", f.Message)
	}
	if _, ok := gunzip([]byte(pack(strings.Repeat("x", explainBody+1)))); ok {
		t.Error("a body grows beyond the bound")
	}
}

func TestExplainComparesContentLength(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), "plain text that is long", operatorSecret).withBody("plain text").with("Content-Length", "23")
	wantFinding(t, Explain(Veriff(), r, known(operatorSecret), signedAt), CodeTruncatedBody)
}

func TestExplainNamesPreviousSecretOfChangedBody(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), `{"a":1}`, "old").withBody("{\n  \"a\": 1\n}")
	secrets := []KnownSecret{{Value: operatorSecret}, {Value: "old", Previous: true}}
	wantCodes(t, Explain(Veriff(), r, secrets, signedAt), CodeBodyReindented, CodePreviousSecret)
}

func TestExplainBlamesOnlyTheBadSecret(t *testing.T) {
	t.Parallel()
	r := signed(t, StandardWebhooks(), operatorBody, whsec)
	wantCodes(t, Explain(StandardWebhooks(), r, known("whsec_!!", whsec), signedAt), CodeBadSecret)
}

func wantCodes(t *testing.T, e Explanation, want ...string) {
	t.Helper()
	if got := codes(e); !slices.Equal(got, want) {
		t.Errorf("findings %v, want %v", got, want)
	}
}

func TestHeaderNamesHaveNoCase(t *testing.T) {
	t.Parallel()
	r := signed(t, StandardWebhooks(), operatorBody, whsec)
	lower := http.Header{}
	for name, v := range r.Header {
		lower[strings.ToLower(name)] = v
	}
	if _, err := StandardWebhooks().Verify(Request{Header: lower, Body: r.Body}, signedAt, whsec); err != nil {
		t.Error(err)
	}
	lower["WEBHOOK-ID"] = []string{"msg_2"}
	wantError(t, StandardWebhooks(), Request{Header: lower, Body: r.Body}, ErrMalformedHeader, whsec)
}

func TestBlankSecretIsNoSecret(t *testing.T) {
	t.Parallel()
	if _, err := NewVerifier(Veriff(), operatorSecret, " \n"); !errors.Is(err, ErrNoSecret) {
		t.Errorf("error %v", err)
	}
}

func TestEd25519SignaturesAreFew(t *testing.T) {
	t.Parallel()
	_, _, public := ed25519Keys()
	list := func(n int) Request {
		one := "v1a," + base64.StdEncoding.EncodeToString(make([]byte, 64)) + " "
		r := signed(t, StandardWebhooks(), operatorBody, whsec)
		return r.with("webhook-signature", strings.TrimSpace(strings.Repeat(one, n)))
	}
	wantError(t, StandardWebhooks(), list(maxEd25519), ErrMismatch, public)
	wantError(t, StandardWebhooks(), list(maxEd25519+1), ErrMalformedHeader, public)
}

func TestSignNeedsWhatTheSchemeSigns(t *testing.T) {
	t.Parallel()
	s := Scheme{Header: "X-Signature", Variants: []Variant{{Algorithm: HMACSHA256}}, Content: "{method}{url}{body}"}
	for c, good := range map[*Content]bool{{Method: "POST"}: false, {URL: "/x"}: false, {Method: "POST", URL: "/x"}: true} {
		if _, err := s.Sign(*c, operatorSecret); (err == nil) != good {
			t.Errorf("%+v: %v", *c, err)
		}
	}
	if _, err := StandardWebhooks().Sign(Content{ID: "a\x01b", Timestamp: signedAt}, whsec); err == nil {
		t.Error("an id with a control character is signed")
	}
}

func FuzzUnpacked(f *testing.F) {
	for _, seed := range []string{operatorBody, `{"\u`, `["\ud83d\u0041\`, "{\xff\\/", "\x1f\x8b\x08"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		for _, c := range unpacked(body) {
			if bytes.Equal(c.body, body) || len(c.body) > explainBody && len(c.body) > 12*len(body) {
				t.Errorf("%q gives %q", body, c.body)
			}
		}
		if !bytes.Equal(before, body) {
			t.Error("the body was changed")
		}
	})
}
