package test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hostileSenders speak to the source as no provider should. Each says what it was answered, 0 for
// nothing; it ends when the server hangs up on it, or when stop is closed.
func hostileSenders(stop chan struct{}) map[string]struct {
	speak func(c net.Conn) error
	want  []int
} {
	const start = "POST /in/veriff-prod HTTP/1.1\r\nHost: x\r\n"
	endless := func(head, more string) func(net.Conn) error {
		return func(c net.Conn) error {
			_, err := io.WriteString(c, head)
			for more := strings.Repeat(more, 1+(32<<10)/len(more)); err == nil; {
				_, err = io.WriteString(c, more)
			}
			return err
		}
	}
	dripping := func(head string) func(net.Conn) error {
		return func(c net.Conn) error {
			_, err := io.WriteString(c, head)
			for err == nil {
				select {
				case <-stop:
					return nil
				case <-time.After(time.Second):
				}
				_, err = io.WriteString(c, "x")
			}
			return err
		}
	}
	return map[string]struct {
		speak func(c net.Conn) error
		want  []int
	}{
		"a gigabyte, announced": {endless(start+"Content-Length: 1073741824\r\n\r\n", "x"), []int{413}},
		"an endless body":       {endless(start+"Transfer-Encoding: chunked\r\n\r\n", "1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n"), []int{413}},
		"one endless chunk":     {endless(start+"Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", "x"), []int{413}},
		"an endless header":     {endless(start+"X: ", "x"), []int{431}},
		"endless headers":       {endless(start, "X: x\r\n"), []int{431}},
		"an endless line":       {endless("POST /in/", "x"), []int{431}},
		"endless blank lines":   {endless("", "\r\n"), []int{0, 400}},
		"an endless chunk head": {endless(start+"Transfer-Encoding: chunked\r\n\r\n1;", "x"), []int{400, 413}},
		"a body that drips":     {dripping(start + "Content-Length: 1000\r\n\r\n"), []int{0}},
		"a header that drips":   {dripping(start + "X: "), []int{0}},
		"a line that drips":     {dripping("PO"), []int{0}},
		"cut in the body": {func(c net.Conn) error {
			_, err := io.WriteString(c, start+"Content-Length: 1000\r\n\r\nx")
			reset(c)
			return err
		}, []int{0}},
		"cut in the header": {func(c net.Conn) error { _, err := io.WriteString(c, start+"X:"); reset(c); return err }, []int{0}},
		"continue, and nothing": {func(c net.Conn) error {
			_, err := io.WriteString(c, start+"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n")
			<-stop
			return err
		}, []int{0, 100}},
		"HTTP/2 without asking":  {endless("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"), []int{0, 400, 404, 505}},
		"no handshake after all": {func(c net.Conn) error { <-stop; return nil }, []int{0}},
	}
}

// Many of each at once, in the clear and over TLS, cost no memory to speak of and delay nobody else.
func TestHostileProvidersHarmNobodyElse(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	certificate, _ := trusted(t)
	dir := t.TempDir()
	clear := serve(t, writeConfig(t, dir, freeAddress(t), veriffSecret, endpointsYAML(url)))
	listen := freeAddress(t)
	config := sourceConfig(t, t.TempDir(), listen, endpointsYAML(url), loopbackAllowed+keyPair(t, certificate))
	over := launch(t, binary, config)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	over.url = "https://" + listen
	waitFor(t, func() bool {
		res, err := client.Get(over.url + "/health")
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
	stop := make(chan struct{})
	var speaking sync.WaitGroup
	var sent atomic.Int64
	for name, s := range hostileSenders(stop) {
		for i := range 8 {
			speaking.Go(func() {
				c, err := net.Dial("tcp", strings.TrimPrefix(clear.url, "http://"))
				if err == nil && i%2 == 1 {
					c.Close()
					c, err = net.Dial("tcp", listen)
				}
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				spoken := net.Conn(&counted{Conn: c, most: &sent})
				if i%2 == 1 && name != "no handshake after all" {
					spoken = tls.Client(spoken, &tls.Config{InsecureSkipVerify: true})
				}
				status, heard := 0, spoken // TLS is heard as TLS, also where what is spoken is not
				answered := make(chan struct{})
				go func() {
					defer close(answered)
					heard.SetReadDeadline(time.Now().Add(patience))
					if res, err := http.ReadResponse(bufio.NewReader(heard), nil); err == nil {
						status = res.StatusCode
					}
				}()
				if strings.HasPrefix(name, "cut") {
					spoken = c // only TCP can be reset
				}
				s.speak(spoken)
				select {
				case <-answered:
				case <-stop:
					return
				}
				if right := fmt.Sprint(s.want); status != 0 && !strings.Contains(right, fmt.Sprint(status)) {
					t.Errorf("%s: answered %d, one of %v is right", name, status, s.want)
				}
			})
		}
	}
	begun := time.Now()
	for i := range 20 {
		alive(t, clear, app, fmt.Sprint(i))
		body := []byte(fmt.Sprintf(`{"over TLS":%d}`, i))
		if status, _, err := post(client, over.url, body, sign(body)); err != nil || status != http.StatusOK {
			t.Fatalf("over TLS a good event is answered %d, %v\n%s", status, err, tail(over.log.String()))
		}
		if got := app.next(); !bytes.Equal(got.body, body) {
			t.Fatalf("%.80q arrives", got.body)
		}
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("40 events took %v beside hostile senders", took)
	}
	close(stop)
	speaking.Wait()
	if sent.Load() > mostSent {
		t.Errorf("one of them could send %d bytes", sent.Load())
	}
	small(t, clear)
	small(t, over)
}

// keyPair is the configuration of a certificate.
func keyPair(t *testing.T, c *tls.Certificate) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	private, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("tls: {cert: %q, key: %q}\n", cert, key)
}

// Compressed bodies that are signed and grow beyond all bounds are kept as they came, and cost what
// they have, not what they claim.
func TestCompressedBombsAreKeptAsTheyCame(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	p := serve(t, sourceConfig(t, t.TempDir(), freeAddress(t), "    max_body: 4MiB\n"+endpointsYAML(url), loopbackAllowed))
	bomb := bombOf(t, 1<<30)
	twice := bombOf(t, 0)
	for _, encoding := range []string{"gzip", "x-gzip", "GZIP", "gzip, gzip", "deflate", "br", "zstd", "identity", "gzip, identity, gzip, gzip, gzip, gzip"} {
		for _, body := range [][]byte{bomb, bomb[:len(bomb)/2], twice, []byte("no gzip at all")} {
			body = append(append([]byte(nil), body...), encoding...) // each another event
			req, err := http.NewRequest(http.MethodPost, p.url+"/in/veriff-prod", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Encoding", encoding)
			req.Header.Set("X-HMAC-SIGNATURE", sign(body))
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s, %d bytes: answered %d", encoding, len(body), res.StatusCode)
				continue
			}
			if got := app.next(); !bytes.Equal(got.body, body) || got.header.Get("Content-Encoding") != encoding {
				t.Errorf("%s: %d bytes arrive as %q, %d were sent", encoding, len(got.body), got.header.Get("Content-Encoding"), len(body))
			}
		}
	}
	small(t, p)
}
