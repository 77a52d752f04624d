package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sourceConfig writes a configuration with one Veriff source, more keys of that
// source, and more keys at the top.
func sourceConfig(t *testing.T, dir, listen, source, top string) string {
	t.Helper()
	path := filepath.Join(dir, "sigpost.yaml")
	text := fmt.Sprintf("listen: %s\ndata: %s\n%ssources:\n  - name: veriff-prod\n    provider: veriff\n    secrets: [%q]\n%s",
		listen, filepath.Join(dir, "data"), top, veriffSecret, source)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const loopbackAllowed = "allow_nets: [\"127.0.0.0/8\"]\n"

// say sends bytes as they are on a connection of its own and returns the
// status of each answer until the server closes or `answers` have come.
func say(t *testing.T, url, text string, answers int) (statuses []int) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	go io.WriteString(c, text) // fails when the server has had enough
	r := bufio.NewReader(c)
	for len(statuses) < answers {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return statuses
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return statuses
		}
		statuses = append(statuses, res.StatusCode)
	}
	return statuses
}

// alive fails the test when a good event is not taken and delivered.
func alive(t *testing.T, p *process, app *application, after string) {
	t.Helper()
	body := []byte(fmt.Sprintf(`{"alive":%q}`, after))
	if status, _, err := post(http.DefaultClient, p.url, body, sign(body)); err != nil || status != http.StatusOK {
		t.Fatalf("after %s a good event is answered %d, %v\n%s", after, status, err, tail(p.log.String()))
	}
	if got := app.next(); !bytes.Equal(got.body, body) {
		t.Fatalf("after %s, %.80q arrives", after, got.body)
	}
}
