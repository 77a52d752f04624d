package send

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var (
	ids      = hook.NewIDs([hook.IDSecretSize]byte{1})
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
)

func message() *hook.Message {
	return &hook.Message{ID: 1 << 40, App: 7, Event: hook.Event{Type: "veriff.decision.approved",
		Subjects: []hook.Subject{{Kind: "session", ID: "s-1"}, {Kind: "end_user", ID: "Zoë \"x\" 100%\n"}, {Kind: "session", ID: "second"}}},
		Headers: []hook.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "X-Hmac-Signature", Value: "ab"}},
		Body:    []byte("{\"a\": 1}\n\x00")}
}

func newTarget(t *testing.T, c *Client, e hook.Endpoint) *Target {
	t.Helper()
	e.App = 7
	signer, err := signature.NewSigner(signature.StandardWebhooks(), secret)
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(e, TargetOptions{Client: c, Signer: signer, IDs: ids, Source: "veriff-prod"})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func client(t *testing.T, nets []netip.Prefix) *Client {
	t.Helper()
	c := NewClient(Options{AllowNets: nets, UserAgent: "Sigpost/test"})
	t.Cleanup(c.Close)
	return c
}

func TestRequestIsSignedAndCarriesTheExactBytes(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		io.WriteString(w, "thanks")
	}))
	defer receiver.Close()
	m := message()
	e := hook.Endpoint{URL: receiver.URL + "/hook?k=v", Headers: []hook.Header{{Name: "X-Own", Value: "1"}}}
	a := newTarget(t, client(t, loopback), e).Attempt(context.Background(), m, &hook.Delivery{})
	if a.Outcome != hook.OutcomeDelivered || a.Status != 200 || string(a.Response) != "thanks" || a.Reason != "" {
		t.Fatalf("attempt: %+v", a)
	}
	if !bytes.Equal(body, m.Body) {
		t.Errorf("body %q, %q is right", body, m.Body)
	}
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify(body, got.Header); err != nil {
		t.Errorf("the official library does not verify it: %v", err)
	}
	for name, want := range map[string]string{
		"Webhook-Id": ids.Public(hook.KindMessage, m.ID), "Content-Type": "application/json", "X-Hmac-Signature": "ab", "X-Own": "1",
		"Sigpost-Source": "veriff-prod", "Sigpost-Event-Type": "veriff.decision.approved", "Sigpost-Hops": "1", "User-Agent": "Sigpost/test",
		"Sigpost-Subject": `session="s-1", end-user="Zo%C3%AB %22x%22 100%25%0A"`, "Accept-Encoding": "",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s: %q, %q is right", name, v, want)
		}
	}
	if got.URL.RequestURI() != "/hook?k=v" || got.Method != http.MethodPost {
		t.Errorf("%s %s", got.Method, got.URL)
	}
}

// A message of which a newer state is known says so, and nobody else can make it say so.
func TestAStaleMessageSaysSo(t *testing.T) {
	t.Parallel()
	var got http.Header
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer receiver.Close()
	m := message()
	target := newTarget(t, client(t, loopback), hook.Endpoint{URL: receiver.URL})
	for _, stale := range []bool{false, true} {
		target.stale = func(_ context.Context, asked *hook.Message) bool { return stale && asked == m }
		target.Attempt(context.Background(), m, &hook.Delivery{})
		if _, there := got["Sigpost-Stale"]; there != stale || stale && got.Get("Sigpost-Stale") != "true" {
			t.Errorf("stale %v: %q", stale, got["Sigpost-Stale"])
		}
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		fmt.Sscan(r.PathValue("code"), &code)
		w.Header().Set("Location", "/status/200")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(code)
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte("x"), 1<<20)) })
	mux.HandleFunc("/reset", func(w http.ResponseWriter, r *http.Request) {
		c, _, _ := http.NewResponseController(w).Hijack()
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	mux.HandleFunc("/nonsense", func(w http.ResponseWriter, r *http.Request) {
		c, _, _ := http.NewResponseController(w).Hijack()
		io.WriteString(c, "SSH-2.0-OpenSSH\r\n")
		c.Close()
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "short")
	})
	receiver := httptest.NewServer(mux)
	receiver.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer receiver.Close()
	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, c := range map[string]struct {
		endpoint hook.Endpoint
		outcome  hook.Outcome
		reason   string
	}{
		"204":               {hook.Endpoint{URL: receiver.URL + "/status/204"}, hook.OutcomeDelivered, ""},
		"exactly 200 asked": {hook.Endpoint{URL: receiver.URL + "/status/202", SuccessCodes: []int{200}}, hook.OutcomeStatus, "202"},
		"500":               {hook.Endpoint{URL: receiver.URL + "/status/500"}, hook.OutcomeStatus, "500 Internal Server Error"},
		"redirect":          {hook.Endpoint{URL: receiver.URL + "/status/302"}, hook.OutcomeRedirect, "not followed"},
		"refused":           {hook.Endpoint{URL: "http://" + closed.Addr().String()}, hook.OutcomeConnect, "refused"},
		"reset":             {hook.Endpoint{URL: receiver.URL + "/reset"}, hook.OutcomeConnect, "reset"},
		"not HTTP":          {hook.Endpoint{URL: receiver.URL + "/nonsense"}, hook.OutcomeProtocol, "not HTTP"},
		"cut answer":        {hook.Endpoint{URL: receiver.URL + "/cut"}, hook.OutcomeProtocol, "before its answer was complete"},
		"unknown authority": {hook.Endpoint{URL: secure.URL + "/status/200"}, hook.OutcomeTLS, "certificate"},
		"http behind https": {hook.Endpoint{URL: strings.Replace(receiver.URL, "http:", "https:", 1)}, hook.OutcomeTLS, "http instead of https"},
		"long answer":       {hook.Endpoint{URL: receiver.URL + "/long"}, hook.OutcomeDelivered, ""},
	} {
		a := newTarget(t, client(t, loopback), c.endpoint).Attempt(context.Background(), message(), &hook.Delivery{})
		if a.Outcome != c.outcome || !strings.Contains(a.Reason, c.reason) || (c.reason == "") != (a.Reason == "") {
			t.Errorf("%s: %s %q; %s with %q is right", name, a.Outcome, a.Reason, c.outcome, c.reason)
		}
		if len(a.Response) > keptResponse {
			t.Errorf("%s: %d bytes of the answer kept", name, len(a.Response))
		}
		if name == "500" && time.Until(a.NotBefore).Round(time.Second) != 7*time.Second {
			t.Errorf("Retry-After gives %v", a.NotBefore)
		}
	}
}

// The guard sees the address that is really dialled, whatever the URL calls it.
func TestPrivateNetworksAreForbiddenUnlessAllowed(t *testing.T) {
	t.Parallel()
	reached := false
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer receiver.Close()
	_, port, _ := net.SplitHostPort(receiver.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::1]", "169.254.169.254", "10.0.0.1", "192.168.1.1", "100.64.0.1", "[fd00::1]", "2130706433", "0x7f.1"} {
		a := newTarget(t, client(t, nil), hook.Endpoint{URL: "http://" + host + ":" + port, Timeout: 2 * time.Second}).Attempt(context.Background(), message(), &hook.Delivery{})
		forbidden := a.Outcome == hook.OutcomeForbidden && strings.Contains(a.Reason, "allow_nets")
		if !forbidden && a.Outcome != hook.OutcomeDNS {
			t.Errorf("%s: %s %q", host, a.Outcome, a.Reason)
		}
	}
	if reached {
		t.Error("a forbidden address was reached")
	}
	own := NewClient(Options{AllowNets: loopback, Own: func(at netip.AddrPort) bool { return at.String() == receiver.Listener.Addr().String() }})
	if a := newTarget(t, own, hook.Endpoint{URL: receiver.URL}).Attempt(context.Background(), message(), &hook.Delivery{}); a.Outcome != hook.OutcomeForbidden || !strings.Contains(a.Reason, "own listeners") {
		t.Errorf("our own listener: %s %q", a.Outcome, a.Reason)
	}
}

func TestALoopEndsAtFiveHops(t *testing.T) {
	t.Parallel()
	calls := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { calls++ }))
	defer receiver.Close()
	target := newTarget(t, client(t, loopback), hook.Endpoint{URL: receiver.URL})
	for hops, want := range map[string]hook.Outcome{"4": hook.OutcomeDelivered, "5": hook.OutcomeLoop, "-3": hook.OutcomeDelivered, "x": hook.OutcomeDelivered} {
		m := message()
		m.Headers = append(m.Headers, hook.Header{Name: "Sigpost-Hops", Value: hops})
		if a := target.Attempt(context.Background(), m, &hook.Delivery{}); a.Outcome != want {
			t.Errorf("after %s hops: %s, %s is right", hops, a.Outcome, want)
		}
	}
	if calls != 3 {
		t.Errorf("%d requests were made, 3 are right", calls)
	}
}

// pipe is a network in memory whose only host is f.
func pipe(f func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go f(far)
		return near, nil
	}
}

func TestTimeoutBoundsTheWholeExchange(t *testing.T) {
	t.Parallel()
	for name, receiver := range map[string]func(net.Conn){
		"never answers": func(c net.Conn) { io.Copy(io.Discard, c) },
		"drips": func(c net.Conn) {
			go io.Copy(io.Discard, c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
			for {
				time.Sleep(time.Second)
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newClientOn(pipe(receiver))
				defer c.Close()
				begun := time.Now()
				a := newTarget(t, c, hook.Endpoint{URL: "http://receiver/"}).Attempt(context.Background(), message(), &hook.Delivery{})
				if a.Outcome != hook.OutcomeTimeout || time.Since(begun) != hook.DefaultTimeout || a.Duration != hook.DefaultTimeout {
					t.Errorf("%s after %v: %q", a.Outcome, time.Since(begun), a.Reason)
				}
				time.Sleep(2 * time.Second) // the dripping receiver finds its connection closed
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Time{
		"": {}, "120": now.Add(2 * time.Minute), " 0 ": now, "Sun, 01 Mar 2026 13:00:00 GMT": now.Add(time.Hour),
		"-1": {}, "soon": {}, "99999999999999999999": {}, "1.5": {},
	} {
		if got := retryAfter(value, now); !got.Equal(want) {
			t.Errorf("%q: %v, %v is right", value, got, want)
		}
	}
}

func TestReasonsNeverHoldTheURL(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errors.New("x"), &net.DNSError{Name: "h", Err: "no such host", IsNotFound: true}, tls.RecordHeaderError{}, io.EOF} {
		if _, reason := explain(context.Background(), err); strings.Contains(reason, "?") && strings.Contains(reason, "token=") || reason == "" {
			t.Errorf("%v: %q", err, reason)
		}
	}
}

// A receiver that closes an idle connection at the moment of its next use has
// taken nothing; that is no failed attempt.
func TestAConnectionClosedWhileIdleCostsNoAttempt(t *testing.T) {
	t.Parallel()
	var took atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	once := func(c net.Conn) {
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		if len(r.Header["Idempotency-Key"]) > 0 {
			t.Error("the marker was sent")
		}
		took.Add(1)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		c.Read(make([]byte, 1)) // the first byte of the next request, and away
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go once(c)
		}
	}()
	target := newTarget(t, client(t, loopback), hook.Endpoint{URL: "http://" + l.Addr().String()})
	for n := range 5 {
		if a := target.Attempt(context.Background(), message(), &hook.Delivery{}); a.Outcome != hook.OutcomeDelivered {
			t.Errorf("attempt %d: %s %q", n+1, a.Outcome, a.Reason)
		}
	}
	if n := took.Load(); n != 5 {
		t.Errorf("%d of 5 were taken", n)
	}
}

// A connection is used again for the next attempt, and only after a whole answer.
func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer  string
		dialled int64
	}{
		"length":            {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1},
		"chunked":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1},
		"no content":        {"HTTP/1.1 204 No Content\r\n\r\n", 1},
		"interim":           {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1},
		"close":             {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 3},
		"more than it says": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok HTTP/1.1 500 Forged\r\n\r\n", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var dialled atomic.Int64
			dial := pipe(func(conn net.Conn) {
				dialled.Add(1)
				for in := bufio.NewReader(conn); ; {
					r, err := http.ReadRequest(in)
					if err != nil {
						conn.Close()
						return
					}
					io.Copy(io.Discard, r.Body)
					io.WriteString(conn, c.answer)
				}
			})
			client := newClientOn(dial)
			defer client.Close()
			target := newTarget(t, client, hook.Endpoint{URL: "http://receiver/"})
			for range 3 {
				if a := target.Attempt(context.Background(), message(), &hook.Delivery{}); a.Outcome != hook.OutcomeDelivered {
					t.Fatalf("%s: %s", a.Outcome, a.Reason)
				}
			}
			if n := dialled.Load(); n != c.dialled {
				t.Errorf("%d connections for 3 attempts, %d is right", n, c.dialled)
			}
		})
	}
}

func TestIdleConnectionsAreLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Int64
		client := newClientOn(pipe(func(conn net.Conn) {
			in := bufio.NewReader(conn)
			for {
				r, err := http.ReadRequest(in)
				if err != nil {
					gone.Add(1)
					return
				}
				io.Copy(io.Discard, r.Body)
				io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		}))
		target := newTarget(t, client, hook.Endpoint{URL: "http://receiver/"})
		target.Attempt(context.Background(), message(), &hook.Delivery{})
		time.Sleep(idleTimeout - time.Second)
		synctest.Wait()
		if gone.Load() != 0 {
			t.Error("a connection was closed before its time")
		}
		time.Sleep(idleTimeout)
		synctest.Wait()
		if gone.Load() != 1 {
			t.Error("an idle connection was kept for ever")
		}
		client.Close()
	})
}

// A large body is sent by net/http, which hears an early answer while it writes.
func TestLargeBodiesAndHostileAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   int
		answer string
		want   hook.Outcome
		reason string
	}{
		"large body":      {plainBody + 1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", hook.OutcomeDelivered, ""},
		"endless header":  {10, "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Fill: "+strings.Repeat("x", 1000)+"\r\n", 100) + "\r\n", hook.OutcomeProtocol, "64 KiB"},
		"endless interim": {10, strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 20) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", hook.OutcomeProtocol, "interim"},
		"not HTTP":        {10, "SSH-2.0-OpenSSH_9.9\r\n\r\n", hook.OutcomeProtocol, "not HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClientOn(pipe(func(conn net.Conn) {
				defer conn.Close()
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					io.Copy(io.Discard, r.Body)
				}
				io.WriteString(conn, c.answer)
			}))
			defer client.Close()
			m := message()
			m.Body = bytes.Repeat([]byte("x"), c.body)
			a := newTarget(t, client, hook.Endpoint{URL: "http://receiver/"}).Attempt(context.Background(), m, &hook.Delivery{})
			if a.Outcome != c.want || !strings.Contains(a.Reason, c.reason) {
				t.Errorf("%s %q, %s with %q is right", a.Outcome, a.Reason, c.want, c.reason)
			}
		})
	}
}
