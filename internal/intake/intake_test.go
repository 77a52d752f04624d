package intake

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

const secret = "abcdef12-abcd-abcd-abcd-abcdef012345"

var ids = hook.NewIDs([hook.IDSecretSize]byte{1})

// door is a Handler with a pipeline and a store that remember.
type door struct {
	*Handler
	mu       sync.Mutex
	taken    []hook.Incoming
	rejected []*hook.Rejected
	fail     error // of the pipeline
	full     error // of the store
	outcomes []Outcome
}

func (d *door) Accept(_ context.Context, in hook.Incoming) (hook.Receipt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return hook.Receipt{}, d.fail
	}
	for i, known := range d.taken {
		if known.Event.DedupeKey == in.Event.DedupeKey {
			return hook.Receipt{Message: hook.Key(i + 1), Duplicate: true}, nil
		}
	}
	d.taken = append(d.taken, in)
	return hook.Receipt{Message: hook.Key(len(d.taken)), Deliveries: 1}, nil
}

func (d *door) Reject(_ context.Context, r *hook.Rejected) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full != nil {
		return d.full
	}
	r.ID = hook.Key(len(d.rejected) + 1)
	d.rejected = append(d.rejected, r)
	return nil
}

func (d *door) MarkAccepted(context.Context, hook.Key, hook.Key) error { return nil }

func newDoor(t *testing.T, change func(*Source)) *door {
	t.Helper()
	d := &door{}
	d.Handler = New(Options{Pipeline: d, Store: d, IDs: ids, Log: slog.New(slog.DiscardHandler),
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Observe:        func(_ *hook.Source, o Outcome, _ time.Duration) { d.outcomes = append(d.outcomes, o) }})
	v, err := signature.NewVerifier(signature.Veriff(), secret)
	if err != nil {
		t.Fatal(err)
	}
	s := &Source{Source: hook.Source{ID: 5, Org: 1, App: 7, Name: "veriff-prod", Token: "veriff-prod"}, Verifier: v,
		Classify: func(_ http.Header, body []byte) hook.Event { return hook.Event{Type: "t", DedupeKey: string(body)} },
		Explain: func(r signature.Request, now time.Time) signature.Explanation {
			return signature.Explain(signature.Veriff(), r, []signature.KnownSecret{{Value: secret}}, now)
		}}
	if change != nil {
		change(s)
	}
	d.SetSources([]*Source{s})
	return d
}

// signed makes a request that verifies, then changes it.
func signed(t *testing.T, body string, change func(*http.Request)) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/in/veriff-prod", strings.NewReader(body))
	signer, err := signature.NewSigner(signature.Veriff(), secret)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := signer.Sign(signature.Content{Body: []byte(body), Timestamp: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		r.Header.Set(f.Name, f.Value)
	}
	if change != nil {
		change(r)
	}
	return r
}

func (d *door) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source  func(*Source)
		request func(*http.Request)
		door    func(*door)
		status  int
		outcome Outcome
	}{
		"good":                    {nil, nil, nil, 200, Accepted},
		"trailing slash":          {nil, func(r *http.Request) { r.URL.Path += "/" }, nil, 200, Accepted},
		"bad signature":           {nil, func(r *http.Request) { r.Header.Set("X-Hmac-Signature", strings.Repeat("0", 64)) }, nil, 401, BadSignature},
		"no signature":            {nil, func(r *http.Request) { r.Header.Del("X-Hmac-Signature") }, nil, 401, BadSignature},
		"malformed signature":     {nil, func(r *http.Request) { r.Header.Set("X-Hmac-Signature", "zz") }, nil, 401, BadSignature},
		"unknown source":          {nil, func(r *http.Request) { r.URL.Path = "/in/other" }, nil, 404, UnknownSource},
		"GET":                     {nil, func(r *http.Request) { r.Method = http.MethodGet }, nil, 405, BadMethod},
		"address allowed":         {func(s *Source) { s.AllowIPs = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }, nil, nil, 200, Accepted},
		"address not allowed":     {func(s *Source) { s.AllowIPs = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} }, nil, nil, 403, BadAddress},
		"too large, announced":    {func(s *Source) { s.MaxBody = 5 }, nil, nil, 413, TooLarge},
		"too large, chunked":      {func(s *Source) { s.MaxBody = 5 }, func(r *http.Request) { r.ContentLength = -1 }, nil, 413, TooLarge},
		"exactly the limit":       {func(s *Source) { s.MaxBody = 13 }, nil, nil, 200, Accepted},
		"body cut":                {nil, func(r *http.Request) { r.ContentLength = 100 }, nil, 400, BadRequest},
		"store gone":              {nil, nil, func(d *door) { d.fail = errors.New("disk full") }, 503, NotKept},
		"right client":            {func(s *Source) { s.AuthClientHeader, s.AuthClient = "X-Auth-Client", "k" }, func(r *http.Request) { r.Header.Set("X-Auth-Client", "k") }, nil, 200, Accepted},
		"wrong client":            {func(s *Source) { s.AuthClientHeader, s.AuthClient = "X-Auth-Client", "k" }, func(r *http.Request) { r.Header.Set("X-Auth-Client", "K") }, nil, 401, BadSignature},
		"wrong flow":              {func(s *Source) { s.FlowID, s.FlowOf = "f", func([]byte) string { return "g" } }, nil, nil, 401, BadSignature},
		"quarantine":              {func(s *Source) { s.Quarantine = true }, func(r *http.Request) { r.Header.Del("X-Hmac-Signature") }, nil, 200, Quarantined},
		"quarantine full":         {func(s *Source) { s.Quarantine = true }, func(r *http.Request) { r.Header.Del("X-Hmac-Signature") }, func(d *door) { d.full = hook.Errorf(hook.CodeTooLarge, "full") }, 503, QuarantineFull},
		"quarantine not kept":     {func(s *Source) { s.Quarantine = true }, func(r *http.Request) { r.Header.Del("X-Hmac-Signature") }, func(d *door) { d.full = errors.New("disk full") }, 503, NotKept},
		"no scheme, random token": {func(s *Source) { s.Verifier = nil }, func(r *http.Request) { r.Header.Del("X-Hmac-Signature") }, nil, 200, Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t, c.source)
			if c.door != nil {
				c.door(d)
			}
			w := d.serve(signed(t, `{"some":"one"}`[:13], c.request))
			if w.Code != c.status || len(d.outcomes) != 1 || d.outcomes[0] != c.outcome {
				t.Fatalf("answered %d %v, %d %s is right: %s", w.Code, d.outcomes, c.status, c.outcome, w.Body)
			}
			var body map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("the answer is not JSON: %q", w.Body)
			}
			if c.status == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			if c.status == 405 && w.Header().Get("Allow") != "POST" {
				t.Error("405 without Allow")
			}
			if c.status == 401 && body["detail"] != "invalid signature" {
				t.Errorf("the caller is told %q", body["detail"])
			}
			if accepted := len(d.taken) == 1; accepted != (c.outcome == Accepted) {
				t.Errorf("%d events were taken", len(d.taken))
			}
		})
	}
}

func TestADuplicateGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	d := newDoor(t, nil)
	first, second := d.serve(signed(t, "{}", nil)), d.serve(signed(t, "{}", nil))
	if first.Code != 200 || first.Body.String() != second.Body.String() || second.Code != 200 || !strings.Contains(first.Body.String(), "msg_") {
		t.Errorf("%d %s then %d %s", first.Code, first.Body, second.Code, second.Body)
	}
}

func TestBytesAreKeptExactly(t *testing.T) {
	t.Parallel()
	d := newDoor(t, nil)
	for _, body := range []string{"", "{}", " \r\n\x00\xff", strings.Repeat("x", startBuffer-1), strings.Repeat("y", startBuffer), strings.Repeat("z", startBuffer+1), strings.Repeat("1", 1<<20)} {
		for _, length := range []int64{int64(len(body)), -1} {
			d.taken = nil
			w := d.serve(signed(t, body, func(r *http.Request) { r.ContentLength = length }))
			if w.Code != 200 || string(d.taken[0].Body) != body {
				t.Errorf("%d bytes, announced %d: answered %d", len(body), length, w.Code)
			}
		}
	}
}

func TestHeadersThatGoOn(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(s *Source) { s.SecretHeaders, s.AllowHeaders = []string{"x-clear"}, []string{"x-gitlab-token"} })
	d.serve(signed(t, "{}", func(r *http.Request) {
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Content-Encoding": "identity", "X-Auth-Client": "c", "X-Clear": "secret", "X-Gitlab-Token": "named",
			"Authorization": "Bearer x", "Cookie": "a=b", "Proxy-Authorization": "x", "X-Forwarded-For": "1.2.3.4", "Forwarded": "for=x", "Te": "trailers",
			"Connection": "close, X-Hop", "X-Hop": "1", "Webhook-Id": "theirs", "Svix-Signature": "v1,x", "Sigpost-Source": "forged", "Sigpost-Hops": "2", "User-Agent": "Veriff",
			"Accept-Encoding": "gzip", "Upgrade": "h2c",
		} {
			r.Header.Set(name, value)
		}
		r.Header.Add("X-Two", "1")
		r.Header.Add("X-Two", "2")
		r.Header.Set("X-Hmac-Signature", r.Header.Get("X-Hmac-Signature"))
	}))
	var got []string
	for _, h := range d.taken[0].Headers {
		if h.Name != "X-Hmac-Signature" {
			got = append(got, h.Name+"="+h.Value)
		}
	}
	want := []string{"Content-Encoding=identity", "Content-Type=application/json", "Sigpost-Hops=2", "Sigpost-Original-Svix-Signature=v1,x",
		"Sigpost-Original-User-Agent=Veriff", "Sigpost-Original-Webhook-Id=theirs", "X-Auth-Client=c", "X-Gitlab-Token=named", "X-Two=1", "X-Two=2"}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestNoParserSeesABodyThatDidNotVerify(t *testing.T) {
	t.Parallel()
	parsed := false
	d := newDoor(t, func(s *Source) {
		s.Classify = func(http.Header, []byte) hook.Event { parsed = true; return hook.Event{} }
		s.FlowID, s.FlowOf = "f", func([]byte) string { parsed = true; return "f" }
	})
	d.serve(signed(t, "{}", func(r *http.Request) { r.Header.Set("X-Hmac-Signature", strings.Repeat("0", 64)) }))
	if parsed {
		t.Error("a parser saw it")
	}
}

func TestEncodedBodiesAreClassifiedDecodedAndKeptEncoded(t *testing.T) {
	t.Parallel()
	var seen []byte
	d := newDoor(t, func(s *Source) {
		s.Classify = func(_ http.Header, body []byte) hook.Event { seen = body; return hook.Event{DedupeKey: "x"} }
	})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, `{"a":1}`)
	z.Close()
	d.serve(signed(t, zipped.String(), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }))
	if string(seen) != `{"a":1}` || !bytes.Equal(d.taken[0].Body, zipped.Bytes()) {
		t.Errorf("classified %q, kept %d of %d bytes", seen, len(d.taken[0].Body), zipped.Len())
	}
	var bomb bytes.Buffer
	z = gzip.NewWriter(&bomb)
	z.Write(make([]byte, 8<<20))
	z.Close()
	if got := decoded(http.Header{"Content-Encoding": {"gzip"}}, bomb.Bytes(), 1<<20); len(got) != bomb.Len() {
		t.Errorf("a bomb of %d bytes became %d", bomb.Len(), len(got))
	}
}

func TestRemoteTrustsOnlyKnownProxies(t *testing.T) {
	t.Parallel()
	d := newDoor(t, nil)
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:1", "203.0.113.9", "192.0.2.1"},
		{"10.0.0.1:1", "203.0.113.9", "203.0.113.9"},
		{"10.0.0.1:1", "6.6.6.6, 203.0.113.9", "203.0.113.9"},
		{"10.0.0.1:1", "203.0.113.9, 10.0.0.2", "203.0.113.9"},
		{"10.0.0.1:1", "rubbish", "10.0.0.1"},
		{"10.0.0.1:1", "", "10.0.0.1"},
		{"[::ffff:192.0.2.1]:1", "", "192.0.2.1"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := d.Remote(r).String(); got != c.want {
			t.Errorf("%s forwarded for %q: %s, %s is right", c.peer, c.forwarded, got, c.want)
		}
	}
}

// Who forgot an address of the provider sees which; the body of a stranger is not read.
func TestWhatComesFromAnotherAddressIsKeptWithoutItsBody(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(s *Source) { s.AllowIPs = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} })
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go d.Run(ctx)
	r := signed(t, `{"a":1}`, nil)
	unread := &unreadBody{}
	r.Body = unread
	if w := d.serve(r); w.Code != 403 || unread.read.Load() {
		t.Fatalf("answered %d, the body was read: %v", w.Code, unread.read.Load())
	}
	kept := d.firstRejected(t)
	if kept.Reason != ReasonAddress || kept.Remote != "192.0.2.1" || kept.Size != 7 || len(kept.Body) != 0 || kept.Quarantined {
		t.Fatalf("kept: %+v", kept)
	}
	explained := func(want string) {
		t.Helper()
		why, err := d.Explain(kept)
		if err != nil || why.Valid || len(why.Findings) != 1 || !strings.Contains(why.Findings[0].Message, want) {
			t.Errorf("explained: %+v, %v; %q is right", why, err, want)
		}
	}
	explained("192.0.2.1 is not among the addresses")
	source := *d.sourceByKey(5)
	source.AllowIPs = nil
	d.SetSources([]*Source{&source})
	explained("and is now")
	if _, err := d.Readmit(ctx, kept); hook.CodeOf(err) != hook.CodeInvalid || !strings.Contains(err.Error(), "its body was not read") {
		t.Errorf("let in: %v", err)
	}
}

// unreadBody notes when somebody reads it.
type unreadBody struct{ read atomic.Bool }

func (b *unreadBody) Read([]byte) (int, error) {
	b.read.Store(true)
	return 0, io.EOF
}

func (b *unreadBody) Close() error { return nil }

// firstRejected waits for the first request that is kept.
func (d *door) firstRejected(t *testing.T) *hook.Rejected {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		d.mu.Lock()
		list := d.rejected
		d.mu.Unlock()
		if len(list) > 0 {
			return list[0]
		}
	}
	t.Fatal("no rejected request is kept")
	return nil
}

func TestARejectedRequestIsKeptExplainedAndReadmittedOnceMended(t *testing.T) {
	t.Parallel()
	d := newDoor(t, nil)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go d.Run(ctx)
	wrong, err := signature.NewVerifier(signature.Veriff(), "another-secret-that-is-wrong")
	if err != nil {
		t.Fatal(err)
	}
	source := *d.sourceByKey(5)
	right := source.Verifier
	source.Verifier = wrong
	d.SetSources([]*Source{&source})
	if w := d.serve(signed(t, "{\"a\":1}", nil)); w.Code != 401 {
		t.Fatalf("answered %d", w.Code)
	}
	r := d.firstRejected(t)
	if r.Reason != ReasonMismatch || string(r.Body) != "{\"a\":1}" || r.URL != "/in/veriff-prod" {
		t.Fatalf("kept: %+v", r)
	}
	if _, err := d.Readmit(ctx, r); hook.CodeOf(err) != hook.CodeInvalid {
		t.Errorf("let in with the wrong secret: %v", err)
	}
	source.Verifier = right
	d.SetSources([]*Source{&source})
	why, err := d.Explain(r)
	if err != nil || !why.Valid {
		t.Errorf("explained: %+v, %v", why, err)
	}
	receipt, err := d.Readmit(ctx, r)
	if err != nil || receipt.Message == 0 || len(d.taken) != 1 || string(d.taken[0].Body) != "{\"a\":1}" {
		t.Errorf("readmitted: %+v, %v", receipt, err)
	}
	cut := *r
	cut.Size++
	if _, err := d.Readmit(ctx, &cut); err == nil || !strings.Contains(err.Error(), "only the first") {
		t.Errorf("a cut body was let in: %v", err)
	}
	gone := *r
	gone.Source = 999
	if _, err := d.Readmit(ctx, &gone); hook.CodeOf(err) != hook.CodeNotFound {
		t.Errorf("without a source: %v", err)
	}
}

func TestRejectedRequestsAreSampled(t *testing.T) {
	t.Parallel()
	var s sampler
	now := time.Unix(1000, 0)
	taken := 0
	for range 100 {
		if s.take(now) {
			taken++
		}
	}
	if taken != rejectRate || !s.take(now.Add(time.Second)) {
		t.Errorf("%d of 100 in a second were kept", taken)
	}
}

func TestASlowSenderIsToldSo(t *testing.T) {
	t.Parallel()
	d := newDoor(t, nil)
	srv := httptest.NewUnstartedServer(d)
	srv.Config.ReadTimeout = 50 * time.Millisecond
	srv.Start()
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "POST /in/veriff-prod HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	answer, err := io.ReadAll(c)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 408")) {
		t.Errorf("answered %q, %v", answer, err)
	}
}

func TestASignedURLIsTheOneThatTheWorldSees(t *testing.T) {
	t.Parallel()
	scheme := signature.Veriff()
	scheme.Content = "{method}{url}{body}"
	v, err := signature.NewVerifier(scheme, secret)
	if err != nil {
		t.Fatal(err)
	}
	d := newDoor(t, func(s *Source) { s.Verifier, s.Base = v, "https://hooks.example.com" })
	for url, want := range map[string]int{"https://hooks.example.com/in/veriff-prod?a=b": 200, "http://hooks.example.com/in/veriff-prod?a=b": 401, "/in/veriff-prod?a=b": 401} {
		fields, err := scheme.Sign(signature.Content{Method: "POST", URL: url, Body: []byte("{}")}, secret)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/in/veriff-prod?a=b", strings.NewReader("{}"))
		r.Header.Set(fields[0].Name, fields[0].Value)
		if w := d.serve(r); w.Code != want {
			t.Errorf("%s: %d, %d is right", url, w.Code, want)
		}
	}
}
