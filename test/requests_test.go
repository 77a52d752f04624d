package test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

type hostileRequest struct {
	name, request string
	want          []int // any of these answers
}

func hostileRequests() []hostileRequest {
	body := `{"a":1}`
	signature := "X-HMAC-SIGNATURE: " + sign([]byte(body)) + "\r\n"
	start := "POST /in/veriff-prod HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	length := "Content-Length: 7\r\n"
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	return []hostileRequest{
		{"two lengths", start + length + "Content-Length: 8\r\n" + signature + "\r\n" + body + "x", []int{400}},
		{"length and chunked", start + length + "Transfer-Encoding: chunked\r\n" + signature + "\r\n0\r\n\r\n", []int{400, 401}},
		{"negative length", start + "Content-Length: -7\r\n\r\n", []int{400}},
		{"absurd length", start + "Content-Length: 99999999999999999999\r\n\r\n", []int{400}},
		{"announced over the limit", start + "Content-Length: 1048577\r\n" + signature + "\r\n", []int{413}},
		{"chunk size nonsense", start + "Transfer-Encoding: chunked\r\n" + signature + "\r\nzz\r\n", []int{400}},
		{"huge chunk size", start + "Transfer-Encoding: chunked\r\n" + signature + "\r\nfffffffffffffffff\r\n", []int{400, 413}},
		{"unknown transfer encoding", start + "Transfer-Encoding: gzip\r\n" + signature + "\r\n", []int{501}},
		{"longer than announced", start + "Content-Length: 6\r\n" + signature + "\r\n" + body, []int{401}},
		{"100,000 headers", start + many(100_000, "X-%d: 1\r\n") + length + signature + "\r\n" + body, []int{431}},
		{"a header of 100 KiB", start + "X-Big: " + strings.Repeat("x", 100<<10) + "\r\n" + length + signature + "\r\n" + body, []int{431}},
		{"a signature of 1 MiB", start + "X-HMAC-SIGNATURE: " + strings.Repeat("a", 1<<20) + "\r\n" + length + "\r\n" + body, []int{431}},
		{"a signature of 60 KiB", start + "X-HMAC-SIGNATURE: " + strings.Repeat("a", 60<<10) + "\r\n" + length + "\r\n" + body, []int{401}},
		{"a signature that is good and one that is not", start + signature + "X-HMAC-SIGNATURE: 00\r\n" + length + "\r\n" + body, []int{401}},
		{"a signature that is not good and one that is", start + "X-HMAC-SIGNATURE: 00\r\n" + signature + length + "\r\n" + body, []int{401}},
		{"empty signature", start + "X-HMAC-SIGNATURE:\r\n" + length + "\r\n" + body, []int{401}},
		{"NUL in a header", start + "X-A: a\x00b\r\n" + length + signature + "\r\n" + body, []int{400}},
		{"CR in a header", start + "X-A: a\rb\r\n" + length + signature + "\r\n" + body, []int{400}},
		{"a space before the colon", start + "Content-Length : 7\r\n" + signature + "\r\n" + body, []int{400}},
		{"a folded header", start + "X-A: a\r\n b\r\n" + signature + "\r\n", []int{400, 401}},
		{"no host", "POST /in/veriff-prod HTTP/1.1\r\n" + length + signature + "\r\n" + body, []int{400}},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []int{400}},
		{"HTTP/3.7", "POST /in/veriff-prod HTTP/3.7\r\nHost: x\r\n\r\n", []int{505}},
		{"a URL of 100 KiB", "POST /in/" + strings.Repeat("a", 100<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{431}},
		{"GET", "GET /in/veriff-prod HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []int{405}},
		{"OPTIONS", "OPTIONS /in/veriff-prod HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []int{405}},
		{"PUT", "PUT /in/veriff-prod HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", []int{405}},
		{"DELETE", "DELETE /in/veriff-prod HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []int{405}},
		{"a method of its own", "BREW /in/veriff-prod HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []int{405}},
		{"CONNECT", "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\nConnection: close\r\n\r\n", []int{404, 405}},
	}
}

func TestHostileRequestsAreRefusedAndTheServerLives(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	p := serve(t, writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, endpointsYAML(url)))
	for _, c := range hostileRequests() {
		if got := say(t, p.url, c.request, 1); len(got) != 1 || !slices.Contains(c.want, got[0]) {
			t.Errorf("%s: answered %v, one of %v is right", c.name, got, c.want)
		}
		alive(t, p, app, c.name)
	}
	if n := len(app.got); n != 0 {
		t.Errorf("%d more were delivered", n)
	}
}

func TestPathsAndTokensThatAreNotASource(t *testing.T) {
	t.Parallel()
	p := serve(t, writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, ""))
	body := `{"a":1}`
	for _, path := range []string{
		"/in/", "/in", "/in//veriff-prod", "/in/../health", "/in/%2e%2e/health", "/in/veriff-prod/extra", "/in/veriff-prod%2fextra", "/in/veriff-prod%00", "/in/VERIFF-PROD",
		"/in/veriff-pro", "/in/veriff-prod2", "/in/veriff-prod/..", "/in/%76eriff-prod%20", "/in/veriff-prod//", "/in/*", "/in/src_0000000000000000000000", "/IN/veriff-prod",
		"/api/v1/message", "/rejected", "/v1/messages", "/in/veriff-prod;x=1",
	} {
		request := "POST " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 7\r\nX-HMAC-SIGNATURE: " + sign([]byte(body)) + "\r\n\r\n" + body
		if got := say(t, p.url, request, 1); len(got) != 1 || got[0] != http.StatusNotFound {
			t.Errorf("%s: answered %v, 404 is right", path, got)
		}
	}
	for _, guess := range []string{"0", "aaaaaaaaaaaaaaaaaaaaaa", "%00", "veriff", "null", "undefined"} {
		if got := say(t, p.url, "POST /in/"+guess+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 1); len(got) != 1 || got[0] != http.StatusNotFound {
			t.Errorf("token %s: answered %v", guess, got)
		}
	}
}

func TestOldAndPipelinedRequestsAreTaken(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	p := serve(t, writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, endpointsYAML(url)))
	old := `{"old":1}`
	if got := say(t, p.url, fmt.Sprintf("POST /in/veriff-prod HTTP/1.0\r\nContent-Length: 9\r\nX-HMAC-SIGNATURE: %s\r\n\r\n%s", sign([]byte(old)), old), 1); len(got) != 1 || got[0] != 200 {
		t.Errorf("HTTP/1.0 is answered %v", got)
	}
	if got := app.next(); string(got.body) != old {
		t.Errorf("%q arrives", got.body)
	}
	var all strings.Builder
	const n = 50
	for i := range n {
		body := fmt.Sprintf(`{"n":%d}`, i)
		fmt.Fprintf(&all, "POST /in/veriff-prod HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nX-HMAC-SIGNATURE: %s\r\n\r\n%s", len(body), sign([]byte(body)), body)
	}
	got := say(t, p.url, all.String(), n)
	if len(got) != n || strings.Count(fmt.Sprint(got), "200") != n {
		t.Errorf("%d pipelined requests are answered %v", n, got)
	}
	seen := map[string]bool{}
	for range n {
		seen[string(app.next().body)] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d arrive", len(seen), n)
	}
}

func TestStrangeBodiesAreKeptByteForByte(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	p := serve(t, sourceConfig(t, t.TempDir(), freeAddress(t), "    max_body: 20MiB\n"+endpointsYAML(url), loopbackAllowed))
	const most = 20 << 20
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	if _, err := w.Write(make([]byte, 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"20 MiB of opening brackets": bytes.Repeat([]byte("["), most),
		"nested brackets that close": append(bytes.Repeat([]byte("["), most/2), bytes.Repeat([]byte("]"), most/2)...),
		"nested objects":             append(bytes.Repeat([]byte(`{"a":`), most/6-1), bytes.Repeat([]byte("}"), most/6-1)...),
		"a million members":          append(append([]byte("{"), bytes.Repeat([]byte(`"b":1,"a":2,`), 1<<20)...), []byte(`"c":3}`)...),
		"not JSON":                   []byte("hello, I am no JSON"),
		"empty":                      {},
		"NUL and bad UTF-8":          []byte("\x00\xff\xfe{\r\n\x00"),
		"one quote":                  []byte(`"`),
		"a gzip bomb without a name": gz.Bytes(),
		"byte order mark":            []byte("\xef\xbb\xbf{\"a\":1}"),
	} {
		status, id, err := post(http.DefaultClient, p.url, body, sign(body))
		if err != nil || status != http.StatusOK {
			t.Errorf("%s: answered %d, %v", name, status, err)
			continue
		}
		got := app.next()
		if !bytes.Equal(got.body, body) {
			t.Errorf("%s: %d bytes arrive, %d were sent, and they differ", name, len(got.body), len(body))
		}
		if kind := got.header.Get("sigpost-event-type"); kind != "veriff.unknown" || got.header.Get("webhook-id") != id {
			t.Errorf("%s: type %q, id %q", name, kind, got.header.Get("webhook-id"))
		}
	}
}

func TestABodyOverTheLimitIsNeverCut(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	p := serve(t, sourceConfig(t, t.TempDir(), freeAddress(t), "    max_body: 64KiB\n"+endpointsYAML(url), loopbackAllowed))
	for _, size := range []int{64<<10 + 1, 1 << 20, 30 << 20} {
		for _, chunked := range []bool{false, true} {
			body := bytes.Repeat([]byte("x"), size)
			// Signed over what a server that cuts would keep.
			req, err := http.NewRequest(http.MethodPost, p.url+"/in/veriff-prod", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if chunked {
				req.ContentLength = -1
			}
			req.Header.Set("X-HMAC-SIGNATURE", sign(body[:64<<10]))
			client := &http.Client{Transport: &http.Transport{}}
			res, err := client.Do(req)
			if err != nil {
				if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
					continue // it hung up on the rest, which the client never stopped sending
				}
				t.Fatal(err)
			}
			res.Body.Close()
			client.CloseIdleConnections()
			if res.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%d bytes, chunked %t: answered %d", size, chunked, res.StatusCode)
			}
		}
	}
	alive(t, p, app, "bodies over the limit")
	exact := bytes.Repeat([]byte("y"), 64<<10)
	if status, _, err := post(http.DefaultClient, p.url, exact, sign(exact)); err != nil || status != http.StatusOK {
		t.Errorf("exactly the limit: %d, %v", status, err)
	}
	if got := app.next(); !bytes.Equal(got.body, exact) {
		t.Error("it was changed")
	}
}

func TestSilentAndSlowSendersBlockNobody(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	p := serve(t, writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, endpointsYAML(url)))
	for i := range 550 {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch {
		case i < 500: // says nothing
		case i < 525:
			_, err = io.WriteString(c, "POST /in/veriff-prod HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		default:
			_, err = io.WriteString(c, "POST /in/veriff-prod HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{\"a\":")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	for i := range 20 {
		alive(t, p, app, strconv.Itoa(i))
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("20 events took %v beside slow senders", took)
	}
}

// Who announces a body and sends none must not take the memory of those who send.
func TestSilentBodiesTakeNoRoomFromOthers(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	p := serve(t, writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, endpointsYAML(url)))
	for range 300 {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "POST /in/veriff-prod HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	alive(t, p, app, "300 silent bodies")
}
