package test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
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

// answering is a receiver that says what it likes; it returns its address.
func answering(t *testing.T, answer func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
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

// hostileReceivers answer a request in every way that is no success.
func hostileReceivers(t *testing.T, trap string) map[string]func(net.Conn) {
	t.Helper()
	once := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				io.WriteString(c, text)
			}
		}
	}
	var zipped bytes.Buffer
	gz := gzip.NewWriter(&zipped)
	if _, err := gz.Write(make([]byte, 32<<20)); err != nil {
		t.Fatal(err)
	}
	gz.Close()
	return map[string]func(net.Conn){
		"endless-body":    func(c net.Conn) { endlessly(c, "HTTP/1.1 500 No\r\n\r\n", "x") },
		"gigabyte":        func(c net.Conn) { endlessly(c, "HTTP/1.1 500 No\r\nContent-Length: 1073741824\r\n\r\n", "x") },
		"endless-chunks":  func(c net.Conn) { endlessly(c, "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n") },
		"endless-header":  func(c net.Conn) { endlessly(c, "HTTP/1.1 200 OK\r\nX: ", "x") },
		"endless-headers": func(c net.Conn) { endlessly(c, "HTTP/1.1 200 OK\r\n", "X: x\r\n") },
		"endless-1xx":     func(c net.Conn) { endlessly(c, "", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") },
		"endless-line":    func(c net.Conn) { endlessly(c, "", "x") },
		"gzip-bomb":       once(fmt.Sprintf("HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", zipped.Len(), zipped.String())),
		"redirect":        once("HTTP/1.1 307 Go\r\nLocation: " + trap + "\r\nContent-Length: 0\r\n\r\n"),
		"not-http":        once("SSH-2.0-OpenSSH_9.9\r\n"),
		"switching":       once("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
		"status-of-000":   once("HTTP/1.1 000 Nothing\r\n\r\n"),
		"two-lengths":     once("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
		"cut":             once("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"),
		"silent-close":    once(""),
		"reset":           func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) },
		"never-answers":   func(c net.Conn) { io.Copy(io.Discard, c) },
		"answers-early": func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
			io.Copy(io.Discard, c)
		},
		"strange-retry": once("HTTP/1.1 503 Busy\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n"),
	}
}

type shownDelivery struct {
	Endpoint, State string
	Attempts        int
	NextAttempt     time.Time
	Log             []struct{ Outcome, Reason string }
}

func TestHostileReceiversHarmNobodyElse(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	var trapped atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { trapped.Add(1) }))
	defer trap.Close()
	receivers := hostileReceivers(t, trap.URL)
	var endpoints strings.Builder
	fmt.Fprintf(&endpoints, "%s        name: healthy\n", endpointsYAML(url))
	for name, r := range receivers {
		fmt.Fprintf(&endpoints, "      - {name: %s, url: 'http://%s/', timeout: 1s}\n", name, answering(t, r))
	}
	fmt.Fprintf(&endpoints, "      - {name: tls-that-hangs, url: 'https://%s/', timeout: 1s}\n", answering(t, func(c net.Conn) { io.Copy(io.Discard, c) }))
	dir := t.TempDir()
	p := serve(t, writeConfig(t, dir, freeAddress(t), veriffSecret, endpoints.String()))
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
		return len(shown.Deliveries) == len(receivers)+2
	})
	for _, d := range shown.Deliveries {
		want := "pending"
		if d.Endpoint == "healthy" {
			want = "delivered"
		}
		if d.State != want || want == "pending" && !d.NextAttempt.After(begun) {
			t.Errorf("%s: %s, next %v, %v; %s is right", d.Endpoint, d.State, d.NextAttempt, d.Log, want)
		}
	}
	if trapped.Load() != 0 {
		t.Error("a redirect was followed")
	}
	small(t, p)
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
