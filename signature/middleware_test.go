package signature

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// post sends a request through the middleware; seen is what the next handler
// read, nil when it was not called.
func post(t *testing.T, v *Verifier, o MiddlewareOptions, r *http.Request) (w *httptest.ResponseRecorder, seen *http.Request, body string) {
	t.Helper()
	w = httptest.NewRecorder()
	v.Middleware(o)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen, body = r, string(raw)
		w.WriteHeader(http.StatusNoContent)
	})).ServeHTTP(w, r)
	return w, seen, body
}

func verifierOf(t *testing.T, s Scheme, secrets ...string) *Verifier {
	t.Helper()
	v, err := NewVerifier(s, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func signedHTTP(t *testing.T, s Scheme, body, secret string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/hook?a=b", strings.NewReader(body))
	fields, err := s.Sign(Content{ID: "msg_1", Timestamp: time.Now(), Method: r.Method, URL: "https://example.com/hook?a=b", Body: []byte(body)}, secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		r.Header.Set(f.Name, f.Value)
	}
	return r
}

func TestMiddlewarePassesTheExactBytesAndTheResult(t *testing.T) {
	t.Parallel()
	body := "{ \"a\" : 1 }\r\n\x00\xff"
	w, r, got := post(t, verifierOf(t, StandardWebhooks(), whsecOther, whsec), MiddlewareOptions{}, signedHTTP(t, StandardWebhooks(), body, whsec))
	if w.Code != http.StatusNoContent || got != body || r.ContentLength != int64(len(body)) {
		t.Fatalf("%d %q, want the bytes %q", w.Code, got, body)
	}
	result, ok := ResultFrom(r.Context())
	if !ok || result.Secret != 1 || result.ID != "msg_1" {
		t.Errorf("ResultFrom = %+v, %v", result, ok)
	}
	if _, ok := ResultFrom(t.Context()); ok {
		t.Error("a result without a middleware")
	}
}

func TestMiddlewareRefusesWithoutSayingWhy(t *testing.T) {
	t.Parallel()
	v := verifierOf(t, Stripe(), "s")
	old := signedHTTP(t, Stripe(), "{}", "s")
	fields, _ := Stripe().Sign(Content{Timestamp: time.Now().Add(-time.Hour), Body: []byte("{}")}, "s")
	old.Header.Set(fields[0].Name, fields[0].Value)
	malformed := signedHTTP(t, Stripe(), "{}", "s")
	malformed.Header.Set("Stripe-Signature", "x")
	for name, r := range map[string]*http.Request{
		"no header":    httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")),
		"malformed":    malformed,
		"other secret": signedHTTP(t, Stripe(), "{}", "other"),
		"too old":      old,
	} {
		w, seen, _ := post(t, v, MiddlewareOptions{}, r)
		if w.Code != http.StatusUnauthorized || w.Body.String() != "invalid signature\n" || seen != nil {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
	}
}

func TestMiddlewareBoundsTheBody(t *testing.T) {
	t.Parallel()
	v := verifierOf(t, Veriff(), "s")
	for name, c := range map[string]struct {
		size int
		max  int64
		want int
	}{
		"at the limit":         {100, 100, http.StatusNoContent},
		"above the limit":      {101, 100, http.StatusRequestEntityTooLarge},
		"at the default":       {1 << 20, 0, http.StatusNoContent},
		"above the default":    {1<<20 + 1, 0, http.StatusRequestEntityTooLarge},
		"far above, in chunks": {5 << 20, 100, http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signedHTTP(t, Veriff(), strings.Repeat("x", c.size), "s")
			r.ContentLength = -1 // as with chunks, nothing is known before it is read
			if w, seen, _ := post(t, v, MiddlewareOptions{MaxBody: c.max}, r); w.Code != c.want || (seen != nil) != (c.want == http.StatusNoContent) {
				t.Errorf("%d, want %d", w.Code, c.want)
			}
		})
	}
}

func TestMiddlewareBoundsChunksOnTheWire(t *testing.T) {
	t.Parallel()
	v := verifierOf(t, Veriff(), "s")
	server := httptest.NewServer(v.Middleware(MiddlewareOptions{MaxBody: 1000})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer server.Close()
	for size, want := range map[int]int{1000: http.StatusOK, 1001: http.StatusRequestEntityTooLarge} {
		signed := signedHTTP(t, Veriff(), strings.Repeat("x", size), "s")
		// A reader of no known length is sent in chunks.
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, io.MultiReader(signed.Body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = signed.Header
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%d bytes: %d, want %d", size, response.StatusCode, want)
		}
	}
}

func TestMiddlewareAnswersUnreadableBody(t *testing.T) {
	t.Parallel()
	r := signedHTTP(t, Veriff(), "{}", "s")
	r.Body = io.NopCloser(iotest.ErrReader(errors.New("connection lost")))
	w, seen, _ := post(t, verifierOf(t, Veriff(), "s"), MiddlewareOptions{}, r)
	if w.Code != http.StatusBadRequest || seen != nil || strings.Contains(w.Body.String(), "lost") {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

func TestMiddlewareLeavesTheAnswerToTheHook(t *testing.T) {
	t.Parallel()
	v := verifierOf(t, Veriff(), "s")
	var got error
	o := MiddlewareOptions{MaxBody: 10, Reject: func(w http.ResponseWriter, _ *http.Request, err error) {
		got = err
		w.WriteHeader(http.StatusTeapot)
	}}
	w, seen, _ := post(t, v, o, signedHTTP(t, Veriff(), "{}", "other"))
	if w.Code != http.StatusTeapot || !errors.Is(got, ErrMismatch) || seen != nil {
		t.Errorf("%d, %v", w.Code, got)
	}
	w, seen, _ = post(t, v, o, signedHTTP(t, Veriff(), strings.Repeat("x", 11), "s"))
	if _, large := errors.AsType[*http.MaxBytesError](got); w.Code != http.StatusTeapot || !large || seen != nil {
		t.Errorf("%d, %v", w.Code, got)
	}
}

func TestMiddlewareTakesTheURLAsItsSenderKnowsIt(t *testing.T) {
	t.Parallel()
	s := Scheme{Header: "X-Sig", Content: "{method}{url}{body}", Variants: []Variant{{Algorithm: HMACSHA256}}}
	v := verifierOf(t, s, "s")
	o := MiddlewareOptions{URL: func(r *http.Request) string { return "https://example.com" + r.URL.RequestURI() }}
	if w, _, _ := post(t, v, o, signedHTTP(t, s, "{}", "s")); w.Code != http.StatusNoContent {
		t.Errorf("with the sender's URL: %d", w.Code)
	}
	if w, _, _ := post(t, v, MiddlewareOptions{}, signedHTTP(t, s, "{}", "s")); w.Code != http.StatusUnauthorized {
		t.Errorf("with path and query alone: %d", w.Code)
	}
}
