package web_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sigpost/sigpost/signature"
)

const (
	receiverSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	// patience is far more than anything here takes; it only ends a test that failed.
	patience = 60 * time.Second
)

// The programs that the dashboard shows are run as they are: what they are told
// is theirs they take, and nothing else.
func TestReceiversTakeWhatIsTheirsAndNothingElse(t *testing.T) {
	t.Parallel()
	body := []byte("{\"name\": \"Zoë\", \"bytes\": \"\\u0000 and white space \" }\n")
	for _, c := range []struct {
		file, program string
		args          func(file, address string) []string
	}{
		{"receiver.go", "go", func(f, _ string) []string { return []string{"run", f} }},
		{"receiver.mjs", "node", func(f, _ string) []string { return []string{f} }},
		{"receiver.py", "python3", func(f, _ string) []string { return []string{f} }},
		{"receiver.php", "php", func(f, address string) []string { return []string{"-S", address, f} }},
		{"receiver.rb", "ruby", func(f, _ string) []string { return []string{f} }},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			url := startReceiver(t, c.file, c.program, c.args)
			now := time.Now()
			good := sign(t, body, "msg_1", now)
			for name, r := range map[string]struct {
				headers http.Header
				body    []byte
				want    int
			}{
				"as it was sent":     {good, body, http.StatusNoContent},
				"two signatures":     {with(good, "webhook-signature", "v1,AAAA "+good.Get("webhook-signature")), body, http.StatusNoContent},
				"another body":       {good, append(bytes.Clone(body), ' '), http.StatusUnauthorized},
				"another id":         {with(good, "webhook-id", "msg_2"), body, http.StatusUnauthorized},
				"no signature":       {with(good, "webhook-signature", ""), body, http.StatusUnauthorized},
				"no time":            {with(good, "webhook-timestamp", ""), body, http.StatusUnauthorized},
				"a time of no kind":  {with(good, "webhook-timestamp", "soon"), body, http.StatusUnauthorized},
				"an old one":         {sign(t, body, "msg_1", now.Add(-10*time.Minute)), body, http.StatusUnauthorized},
				"one of the future":  {sign(t, body, "msg_1", now.Add(10*time.Minute)), body, http.StatusUnauthorized},
				"a short signature":  {with(good, "webhook-signature", "v1,"), body, http.StatusUnauthorized},
				"of another version": {with(good, "webhook-signature", "v2"+good.Get("webhook-signature")[2:]), body, http.StatusUnauthorized},
			} {
				if got := postTo(t, url, r.headers, r.body); got != r.want {
					t.Errorf("%s: %d, want %d", name, got, r.want)
				}
			}
		})
	}
}

// startReceiver runs a program until the test ends and returns its URL.
func startReceiver(t *testing.T, file, program string, args func(file, address string) []string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is needed: %v", program, err)
		}
		t.Skipf("%s is needed to run what the dashboard shows for it: %v", program, err)
	}
	text, err := os.ReadFile(filepath.Join("src", "receivers", file+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, args(copied, address)...)
	cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+receiverSecret, "PORT="+port)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	prepare(cmd) // `go run` has a child, which goes with it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said: %s", file, &said)
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return "http://" + address + "/"
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen: %v", file, err)
		}
	}
}

func sign(t *testing.T, body []byte, id string, at time.Time) http.Header {
	t.Helper()
	fields, err := signature.StandardWebhooks().Sign(signature.Content{ID: id, Timestamp: at, Body: body}, receiverSecret)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for _, f := range fields {
		h.Set(f.Name, f.Value)
	}
	return h
}

func with(h http.Header, name, value string) http.Header {
	c := h.Clone()
	c.Set(name, value)
	if value == "" {
		c.Del(name)
	}
	return c
}

func postTo(t *testing.T, url string, h http.Header, body []byte) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h.Clone()
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Errorf("the receiver did not answer: %v", err)
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}
