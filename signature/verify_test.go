package signature

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The secret of the published Standard Webhooks vectors, and a second one.
const (
	whsec      = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	whsecOther = "whsec_plJ3nmyCDGBKInavdOK15jsl"
)

var signedAt = time.Unix(1614265330, 0)

// headersOf is a request's header made of signed fields.
func headersOf(fields []HeaderField) http.Header {
	h := http.Header{}
	for _, f := range fields {
		h.Add(f.Name, f.Value)
	}
	return h
}

// signed is a request with the body, signed by the scheme.
func signed(t testing.TB, s Scheme, body string, secrets ...string) Request {
	t.Helper()
	r := Request{Method: "POST", URL: "https://example.com/hook", Body: []byte(body)}
	fields, err := s.Sign(Content{ID: "msg_1", Timestamp: signedAt, Method: r.Method, URL: r.URL, Body: r.Body}, secrets...)
	if err != nil {
		t.Fatalf("Sign: %v", err)
	}
	r.Header = headersOf(fields)
	return r
}

// with is the request with one header set to the values, or without it.
func (r Request) with(name string, values ...string) Request {
	r.Header = r.Header.Clone()
	r.Header.Del(name)
	for _, v := range values {
		r.Header.Add(name, v)
	}
	return r
}

func wantError(t *testing.T, s Scheme, r Request, want error, secrets ...string) {
	t.Helper()
	if got, err := s.Verify(r, signedAt, secrets...); !errors.Is(err, want) {
		t.Errorf("Verify = %+v, %v; want %v", got, err, want)
	}
}

func wantSecret(t *testing.T, s Scheme, r Request, want int, secrets ...string) {
	t.Helper()
	got, err := s.Verify(r, signedAt, secrets...)
	if err != nil || got.Secret != want {
		t.Errorf("Verify = %+v, %v; want secret %d", got, err, want)
	}
}

type vector struct {
	ID, Scheme, Secret, Method, Body string
	Valid                            bool
	Headers                          map[string]string
	VerifyAt                         int64 `json:"verify_at_unix"`
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Count   int
		Vectors []vector
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 || len(file.Vectors) != file.Count {
		t.Fatalf("%d vectors were read, the file says %d", len(file.Vectors), file.Count)
	}
	return file.Vectors
}

func (v vector) request() Request {
	h := http.Header{}
	for name, value := range v.Headers {
		h.Set(name, value)
	}
	return Request{Method: v.Method, Header: h, Body: []byte(v.Body)}
}

func TestPublishedVectorsBehaveAsMarked(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			s, ok := Lookup(v.Scheme)
			if !ok {
				t.Fatalf("there is no scheme %q", v.Scheme)
			}
			_, err := s.Verify(v.request(), time.Unix(v.VerifyAt, 0), v.Secret)
			if v.Valid && err != nil {
				t.Errorf("Verify: %v; want it valid", err)
			}
			if !v.Valid && !errors.Is(err, ErrMismatch) {
				t.Errorf("Verify: %v; want ErrMismatch", err)
			}
		})
	}
}

func TestVeriffSampleIsTheOneThatWasSigned(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("testdata/veriff-decision.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range readVectors(t) {
		if v.ID == "veriff-decision" {
			if diff := cmp.Diff(v.Body, string(body)); diff != "" {
				t.Error(diff)
			}
		}
	}
}

func TestSigningRepeatsThePublishedSignatures(t *testing.T) {
	t.Parallel()
	fields, err := StandardWebhooks().Sign(Content{ID: "msg_p5jXN8AQM9LWM0D4loKWxJek", Timestamp: signedAt, Body: []byte(`{"test": 2432232314}`)}, whsec)
	want := []HeaderField{
		{"webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
		{"webhook-timestamp", "1614265330"},
		{"webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}
	if diff := cmp.Diff(want, fields); err != nil || diff != "" {
		t.Errorf("standard webhooks: %v\n%s", err, diff)
	}
	fields, err = GitHub().Sign(Content{Body: []byte("Hello, World!")}, "It's a Secret to Everybody")
	want = []HeaderField{{"X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}}
	if diff := cmp.Diff(want, fields); err != nil || diff != "" {
		t.Errorf("github: %v\n%s", err, diff)
	}
}

func TestResultTellsIDAndTime(t *testing.T) {
	t.Parallel()
	got, err := StandardWebhooks().Verify(signed(t, StandardWebhooks(), "{}", whsec), signedAt, whsecOther, whsec)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Result{Secret: 1, ID: "msg_1", Timestamp: signedAt}); !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
	got, err = Veriff().Verify(signed(t, Veriff(), "{}", "s"), signedAt, "s")
	if want := (Result{}); err != nil || !cmp.Equal(want, got) {
		t.Errorf("veriff has neither id nor time: %+v, %v", got, err)
	}
}

func TestAnyLiveSecretIsEnoughAndTheFirstIsTold(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), "{}", "b")
	wantSecret(t, Veriff(), r, 0, "b")
	wantSecret(t, Veriff(), r, 2, "a", "c", "b")
	wantSecret(t, Veriff(), r, 1, "a", "b", "b")
	wantError(t, Veriff(), r, ErrMismatch, "a", "c")
}

func TestMeetbotRotationIsAList(t *testing.T) {
	t.Parallel()
	s, name := Meetbot(), "x-meetbot-signature"
	one := signed(t, s, "{}", "old").Header.Get(name)
	two := signed(t, s, "{}", "new", "old").Header.Get(name)
	if strings.Contains(one, ",") {
		t.Errorf("one secret makes a list: %s", one)
	}
	if !strings.HasSuffix(two, ","+one) || strings.Count(two, ",") != 1 {
		t.Errorf("two secrets make %s", two)
	}
	r := signed(t, s, "{}", "new", "old")
	wantSecret(t, s, r, 0, "new")
	wantSecret(t, s, r, 0, "old")
	wantError(t, s, r, ErrMismatch, "neither")
	for _, list := range []string{
		"sha256=zz," + one, one + ",nonsense", "sha1=aabb, " + one, ",," + one + ",", one[:len(one)-2] + "," + one,
	} {
		wantSecret(t, s, r.with(name, list), 0, "old")
	}
	wantSecret(t, s, r.with(name, "sha256=zz", one), 0, "old") // repeated headers are one list
	for _, list := range []string{"sha256=zz,nonsense", ",", "sha256=", one[:len(one)-2]} {
		wantError(t, s, r.with(name, list), ErrMalformedHeader, "old")
	}
}

func TestSchemeWithOneSignatureSignsWithTheFirstSecret(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), "{}", "new", "old")
	wantSecret(t, Veriff(), r, 0, "new")
	wantError(t, Veriff(), r, ErrMismatch, "old")
}

func TestSecretsThatCannotWorkAreErrorsOfTheirOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scheme  Scheme
		secrets []string
		want    error
		index   int
	}{
		"none":             {Veriff(), nil, ErrNoSecret, -1},
		"empty":            {Veriff(), []string{""}, ErrNoSecret, 0},
		"empty among two":  {Veriff(), []string{"a", ""}, ErrNoSecret, 1},
		"not base64":       {StandardWebhooks(), []string{"whsec_a b"}, ErrBadSecret, 0},
		"prefix alone":     {StandardWebhooks(), []string{"whsec_"}, ErrBadSecret, 0},
		"too much padding": {StandardWebhooks(), []string{"whsec_QUJD===="}, ErrBadSecret, 0},
		"short public key": {StandardWebhooks(), []string{"whpk_QUJD"}, ErrBadSecret, 0},
		"short seed":       {StandardWebhooks(), []string{"whsk_QUJD"}, ErrBadSecret, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := NewVerifier(c.scheme, c.secrets...)
			se, ok := errors.AsType[*SecretError](err)
			if !errors.Is(err, c.want) || !ok || se.Index != c.index {
				t.Errorf("NewVerifier: %v (%+v); want %v, index %d", err, se, c.want, c.index)
			}
			if place := fmt.Sprintf("secret %d: ", c.index+1); strings.HasPrefix(fmt.Sprint(err), place) != (c.index >= 0) {
				t.Errorf("%q does not begin with %q", err, place)
			}
			if _, err := NewSigner(c.scheme, c.secrets...); !errors.Is(err, c.want) {
				t.Errorf("NewSigner: %v; want %v", err, c.want)
			}
		})
	}
}

func TestUnknownAlgorithmIsRefused(t *testing.T) {
	t.Parallel()
	s := Veriff()
	s.Variants[0].Algorithm = "rsa-sha256"
	_, err := NewVerifier(s, "a")
	if !errors.Is(err, ErrUnknownAlgorithm) || !errors.Is(err, ErrBadScheme) {
		t.Errorf("NewVerifier: %v", err)
	}
	if _, err := Custom(s); !errors.Is(err, ErrUnknownAlgorithm) {
		t.Errorf("Custom: %v", err)
	}
}

func TestErrorsTellNoSecretAndNoSignature(t *testing.T) {
	t.Parallel()
	const marker = "c2VjcmV0LW1hcmtlcg" // base64, so that every key form takes it
	for _, s := range builtin() {
		good := signed(t, s, "{}", marker)
		names := []string{s.Header, s.IDHeader, s.TimestampHeader}
		expected := good.Header.Get(s.Header)
		for _, p := range []string{"sha256=", "v1,", "v1=", "v0="} {
			if _, after, ok := strings.Cut(expected, p); ok {
				expected = after
			}
		}
		other := good
		other.Body = []byte("other")
		requests := []Request{other, {}, good.with(s.Header, marker), good.with(s.Header, expected+"00")}
		for _, n := range names {
			if n != "" {
				requests = append(requests, good.with(n), good.with(n, ""), good.with(n, "x"), good.with(n, "x", "y"))
			}
		}
		for _, r := range requests {
			_, err := s.Verify(r, signedAt.Add(time.Hour), marker)
			if err == nil {
				t.Errorf("%s: a bad request is valid: %v", s.Name, r.Header)
			} else if text := err.Error(); strings.Contains(text, marker) || strings.Contains(text, expected) {
				t.Errorf("%s: %q tells too much", s.Name, text)
			}
		}
	}
	for _, secret := range []string{"whsec_!" + marker, "whpk_" + marker, "whsk_" + marker, "!" + marker} {
		if _, err := NewSigner(StandardWebhooks(), secret); err == nil || strings.Contains(err.Error(), marker) {
			t.Errorf("NewSigner: %v", err)
		}
	}
}
