package test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answering is a receiver that says what it likes, over TLS where a certificate is given; it returns
// its address.
func answering(t *testing.T, certificate *tls.Certificate, answer func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if certificate != nil {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}})
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				answer(c)
			}()
		}
	}()
	return l.Addr().String()
}

// endlessly writes until the other side has had enough.
func endlessly(c net.Conn, start, more string) {
	if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
		return
	}
	_, err := io.WriteString(c, start)
	for more = strings.Repeat(more, 1+4096/len(more)); err == nil; {
		_, err = io.WriteString(c, more)
	}
}

// drips writes a byte now and then.
func drips(c net.Conn, start string) {
	if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
		return
	}
	_, err := io.WriteString(c, start)
	for err == nil {
		<-time.After(50 * time.Millisecond)
		_, err = io.WriteString(c, "x")
	}
}

// reset ends a connection so that its other end is told.
func reset(c net.Conn) {
	if over, ok := c.(*tls.Conn); ok {
		if over.Handshake() != nil {
			return
		}
		c = over.NetConn()
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// hostileReceiver answers in a way that is no success.
type hostileReceiver struct {
	answer  func(net.Conn)
	outcome string // what an attempt is to be called
}

// hostileReceivers answer a request in every way that is no success.
func hostileReceivers(t *testing.T, trap string) map[string]hostileReceiver {
	t.Helper()
	once := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				io.WriteString(c, text)
			}
		}
	}
	bomb := bombOf(t, 32<<20)
	return map[string]hostileReceiver{
		"endless-body":    {func(c net.Conn) { endlessly(c, "HTTP/1.1 500 No\r\n\r\n", "x") }, "status"},
		"gigabyte":        {func(c net.Conn) { endlessly(c, "HTTP/1.1 500 No\r\nContent-Length: 1073741824\r\n\r\n", "x") }, "status"},
		"endless-chunks":  {func(c net.Conn) { endlessly(c, "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n") }, "status"},
		"endless-header":  {func(c net.Conn) { endlessly(c, "HTTP/1.1 200 OK\r\nX: ", "x") }, "protocol"},
		"endless-headers": {func(c net.Conn) { endlessly(c, "HTTP/1.1 200 OK\r\n", "X: x\r\n") }, "protocol"},
		"endless-1xx":     {func(c net.Conn) { endlessly(c, "", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") }, "protocol"},
		"endless-line":    {func(c net.Conn) { endlessly(c, "", "x") }, "protocol"},
		"drips-a-body":    {func(c net.Conn) { drips(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n") }, "timeout"},
		"drips-chunks":    {func(c net.Conn) { drips(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2710\r\n") }, "timeout"},
		"drips-a-header":  {func(c net.Conn) { drips(c, "HTTP/1.1 200 OK\r\nX: ") }, "timeout"},
		"drips-a-line":    {func(c net.Conn) { drips(c, "H") }, "timeout"},
		"gzip-bomb":       {once(fmt.Sprintf("HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(bomb), bomb)), "status"},
		"redirect":        {once("HTTP/1.1 307 Go\r\nLocation: " + trap + "\r\nContent-Length: 0\r\n\r\n"), "redirect"},
		"not-http":        {once("SSH-2.0-OpenSSH_9.9\r\n"), "protocol"},
		"switching":       {once("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "status"},
		"status-of-000":   {once("HTTP/1.1 000 Nothing\r\n\r\n"), "protocol"},
		"two-lengths":     {once("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), "protocol"},
		"cut":             {once("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"), "protocol"},
		"silent-close":    {once(""), "protocol"},
		"reset":           {reset, "connect"},
		"never-answers":   {func(c net.Conn) { io.Copy(io.Discard, c) }, "timeout"},
		"answers-early": {func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
			io.Copy(io.Discard, c)
		}, "status or timeout"}, // net/http takes no answer that came before its request
		"strange-retry": {once("HTTP/1.1 503 Busy\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n"), "status"},
	}
}

// bombOf is so many zeros, compressed.
func bombOf(t *testing.T, size int) []byte {
	t.Helper()
	var zipped bytes.Buffer
	gz := gzip.NewWriter(&zipped)
	zeros := make([]byte, 1<<20)
	for ; size > 0; size -= len(zeros) {
		if _, err := gz.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.Bytes()
}

// hostileHandlers do over HTTP/2 what can be done there.
func hostileHandlers() map[string]hostileHandler {
	return map[string]hostileHandler{
		"endless-body": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			for err := error(nil); err == nil; {
				_, err = w.Write(make([]byte, 4096))
			}
		}, "status"},
		"drips": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write([]byte("x"))
				http.NewResponseController(w).Flush()
				<-time.After(50 * time.Millisecond)
			}
		}, "timeout"},
		"endless-1xx": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Header().Set("Link", "x")
				w.WriteHeader(http.StatusEarlyHints)
			}
		}, "protocol"},
		"reset":         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "protocol"},
		"never-answers": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "timeout"},
		"large-header":  {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 900<<10)) }, "protocol"},
	}
}

type hostileHandler struct {
	serve   http.HandlerFunc
	outcome string
}

// counted counts what a receiver could send in one go.
type counted struct {
	net.Conn
	most *atomic.Int64
	sent int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent += int64(n)
	for most := c.most.Load(); c.sent > most && !c.most.CompareAndSwap(most, c.sent); most = c.most.Load() {
	}
	return n, err
}

type shownDelivery struct {
	Endpoint, State string
	Attempts        int
	NextAttempt     time.Time
	Log             []struct {
		Outcome, Reason string
		DurationMs      float64
	}
}

// hostileTimeout is that of the hostile endpoints; mostSent is what one answer may bring out of a receiver
// before nobody reads any more: what the system buffers on loopback.
const (
	hostileTimeout = 3 * time.Second
	mostSent       = 16 << 20
)

// Every kind of bad answer, by HTTP/1.1 in the clear and over TLS (which go different ways, see plain.go) and by
// HTTP/2: each is called what it is, ends in time, costs no memory to speak of, and delays nobody else.
func TestHostileReceiversHarmNobodyElse(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	var trapped atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { trapped.Add(1) }))
	defer trap.Close()
	certificate, env := trusted(t)
	var endpoints strings.Builder
	var most atomic.Int64
	outcomes := map[string]string{"tls-that-hangs": "timeout", "tls-that-is-none": "tls"}
	add := func(name, url, outcome string) {
		fmt.Fprintf(&endpoints, "      - {name: %s, url: '%s', timeout: %v}\n", name, url, hostileTimeout)
		outcomes[name] = outcome
	}
	fmt.Fprintf(&endpoints, "%s        name: healthy\n", endpointsYAML(url))
	for name, r := range hostileReceivers(t, trap.URL) {
		answer := func(c net.Conn) { r.answer(&counted{Conn: c, most: &most}) }
		if name == "reset" {
			answer = r.answer
		}
		add(name, "http://"+answering(t, nil, answer), r.outcome)
		add(name+"-tls", "https://"+answering(t, certificate, answer), r.outcome)
	}
	for name, h := range hostileHandlers() {
		srv := httptest.NewUnstartedServer(h.serve)
		srv.EnableHTTP2 = true
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.StartTLS()
		t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
		add(name+"-h2", srv.URL, h.outcome)
	}
	add("tls-that-hangs", "https://"+answering(t, nil, func(c net.Conn) { io.Copy(io.Discard, c) }), "timeout")
	add("tls-that-is-none", "https://"+answering(t, nil, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad\r\n\r\n") }), "tls")
	dir := t.TempDir()
	p := serve(t, writeConfig(t, dir, freeAddress(t), veriffSecret, endpoints.String()), env)
	begun := time.Now()
	var id string
	for i := range 20 {
		body := []byte(fmt.Sprintf(`{"n":%d}`, i))
		status, got, err := post(http.DefaultClient, p.url, body, sign(body))
		if err != nil || status != http.StatusOK {
			t.Fatalf("answered %d, %v", status, err)
		}
		if i == 0 {
			id = got
		}
		app.next()
	}
	if took := time.Since(begun); took > 15*time.Second { // the others keep each event for a second
		t.Errorf("the healthy endpoint got 20 events in %v", took)
	}
	var shown struct{ Deliveries []shownDelivery }
	waitFor(t, func() bool {
		out, code := sigpost(t, "", "message", "show", id, "--json", "--data", filepath.Join(dir, "data"))
		shown.Deliveries = nil
		if err := json.Unmarshal([]byte(out), &shown); err != nil || code != 0 {
			t.Fatalf("message show: %d %v\n%s", code, err, out)
		}
		for _, d := range shown.Deliveries {
			if d.Attempts == 0 {
				return false
			}
		}
		return len(shown.Deliveries) == len(outcomes)+1
	})
	for _, d := range shown.Deliveries {
		if d.Endpoint == "healthy" {
			if d.State != "delivered" {
				t.Errorf("the healthy endpoint: %s, %v", d.State, d.Log)
			}
			continue
		}
		first := d.Log[0]
		if d.State != "pending" || !d.NextAttempt.After(begun) || !strings.Contains(outcomes[d.Endpoint], first.Outcome) {
			t.Errorf("%s: %s, next %v, %v; pending and %s are right", d.Endpoint, d.State, d.NextAttempt, d.Log, outcomes[d.Endpoint])
		}
		if took := time.Duration(first.DurationMs * float64(time.Millisecond)); took > hostileTimeout+2*time.Second {
			t.Errorf("%s: an attempt took %v", d.Endpoint, took)
		}
	}
	if trapped.Load() != 0 {
		t.Error("a redirect was followed")
	}
	t.Logf("at most %d bytes", most.Load())
	if most.Load() > mostSent {
		t.Errorf("a receiver could send %d bytes", most.Load())
	}
	small(t, p)
}

// trusted is a certificate for 127.0.0.1, and the environment of a process that trusts it.
func trusted(t *testing.T) (*tls.Certificate, string) {
	t.Helper()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	path := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &srv.TLS.Certificates[0], "SSL_CERT_FILE=" + path
}

// small fails the test when the process has ever had more than 256 MiB.
func small(t *testing.T, p *process) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Logf("memory not measured: %v", err)
		return
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(text)[0])
			if err != nil || kib > 256<<10 {
				t.Errorf("it grew to %d KiB, %v", kib, err)
			}
		}
	}
}

// What must never be reached is on loopback, and is called by every name that it has.
func TestPrivateAddressesAreNeverDialled(t *testing.T) {
	t.Parallel()
	var trapped atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { trapped.Add(1) }))
	defer trap.Close()
	_, port, err := net.SplitHostPort(trap.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	endpoint := func(host string) string {
		return fmt.Sprintf("    endpoints:\n      - {url: 'http://%s:%s/', timeout: 1s}\n", host, port)
	}
	for _, host := range []string{"127.0.0.1", "127.255.0.3", "localhost", "LOCALHOST", "localhost.", "a.localhost", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "10.1.2.3", "169.254.169.254", "[fe80::1]", "[fd00::1]"} {
		config := sourceConfig(t, t.TempDir(), "127.0.0.1:0", endpoint(host), "")
		if out, code := sigpost(t, "", "config", "check", config); code == 0 || !strings.Contains(out, "sources[0].endpoints[0].url") || !strings.Contains(out, "allow_nets") {
			t.Errorf("config check with an endpoint on %s: %d\n%s", host, code, out)
		}
	}
	var endpoints strings.Builder
	endpoints.WriteString("    endpoints:\n")
	disguised := []string{"2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]", "100.64.0.1", "ip6-localhost", "localhost.localdomain"}
	for _, host := range disguised {
		fmt.Fprintf(&endpoints, "      - {url: 'http://%s:%s/', timeout: 1s}\n", host, port)
	}
	p := serve(t, sourceConfig(t, t.TempDir(), freeAddress(t), endpoints.String(), ""))
	body := []byte(`{"a":1}`)
	if status, _, err := post(http.DefaultClient, p.url, body, sign(body)); err != nil || status != http.StatusOK {
		t.Fatalf("answered %d, %v", status, err)
	}
	waitFor(t, func() bool { return strings.Count(p.log.String(), "msg=attempt") >= len(disguised) })
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, "msg=attempt") && !strings.Contains(line, "outcome=forbidden") && !strings.Contains(line, "outcome=dns") && !strings.Contains(line, "outcome=timeout") {
			t.Errorf("not forbidden: %s", line)
		}
	}
	if trapped.Load() != 0 {
		t.Error("a private address was reached")
	}
}

func TestOurOwnListenersAreNeverDialled(t *testing.T) {
	t.Parallel()
	listen := freeAddress(t)
	_, port, _ := net.SplitHostPort(listen)
	p := serve(t, sourceConfig(t, t.TempDir(), listen, fmt.Sprintf("    endpoints:\n      - url: http://%s/in/veriff-prod\n      - url: http://localhost:%s/in/veriff-prod\n", listen, port), loopbackAllowed))
	body := []byte(`{"a":1}`)
	if status, _, err := post(http.DefaultClient, p.url, body, sign(body)); err != nil || status != http.StatusOK {
		t.Fatalf("answered %d, %v", status, err)
	}
	waitFor(t, func() bool { return strings.Count(p.log.String(), "outcome=forbidden") == 2 })
	if strings.Contains(p.log.String(), "outcome=duplicate") {
		t.Error("it came back to us")
	}
}
