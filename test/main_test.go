// Package test drives the real binary from outside, as its users do: it builds
// it once, runs it as a process of its own, and kills it too.
package test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/store/storetest/pgtest"

	// What the binary is built from, so that a cached result never stands for another binary.
	_ "github.com/sigpost/sigpost/internal/cli"
)

// binary is the program, in workDir.
var binary, workDir string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sigpost-test-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	workDir, binary = dir, filepath.Join(dir, "sigpost")
	if err := buildSigpost(binary); err != nil {
		log.Fatalf("build sigpost: %v", err)
	}
	defer shared.Close()
	return m.Run()
}

// shared is the PostgreSQL of tests with many nodes.
var shared pgtest.Server

const (
	veriffSecret  = "abcdef12-abcd-abcd-abcd-abcdef012345"
	webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	// patience is far more than anything here takes; it only ends a test that failed.
	patience = 30 * time.Second
)

// process is one run of `sigpost serve`.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	log  *safeBuffer
	done chan error
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// serve starts the binary on a configuration and waits until it answers.
func serve(t *testing.T, config string, env ...string) *process {
	t.Helper()
	return serveWith(t, binary, config, env...)
}

// serveWith is serve with another binary.
func serveWith(t *testing.T, binary, config string, env ...string) *process {
	t.Helper()
	p := launch(t, binary, config, env...)
	p.ready()
	return p
}

// launch starts a binary on a configuration.
func launch(t *testing.T, binary, config string, env ...string) *process {
	t.Helper()
	return launchWith(t, binary, config, env)
}

// launchWith is launch with further flags.
func launchWith(t *testing.T, binary, config string, env []string, flags ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, append([]string{"serve", "--config", config}, flags...)...), log: &safeBuffer{}, done: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p.log
	p.cmd.Stdout = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(p.kill)
	raw, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if address, ok := strings.CutPrefix(line, "listen: "); ok {
			p.url = "http://" + strings.TrimSpace(address)
		}
	}
	return p
}

// receive serves a handler to the end of the test, and after that of what is started later.
func receive(t *testing.T, h http.Handler) (url string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// ready asks for /health until it is answered.
func (p *process) ready() {
	p.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		select {
		case err := <-p.done:
			p.done <- err
			p.t.Fatalf("sigpost ended: %v\n%s", err, p.log)
		default:
		}
		res, err := http.Get(p.url + "/health")
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
	}
	p.t.Fatalf("sigpost does not answer\n%s", p.log)
}

// kill ends the process at once, as a power cut would.
func (p *process) kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
	err := <-p.done
	p.done <- err
}

// stop ends the process gracefully.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	err := <-p.done
	p.done <- err
	if err != nil {
		p.t.Errorf("sigpost ended with %v\n%s", err, p.log)
	}
}

// sigpost runs a command to its end.
func sigpost(t *testing.T, stdin string, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdin = strings.NewReader(stdin)
	raw, err := cmd.CombinedOutput()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(raw), e.ExitCode()
	}
	if err != nil {
		t.Fatalf("sigpost %v: %v", args, err)
	}
	return string(raw), 0
}

// tried counts the ports that freeAddress has looked at.
var tried atomic.Int32

// freeAddress is an address on which nobody listens. Its port is not one of those that the
// system gives to connections, so it stays free until a process takes it.
func freeAddress(t *testing.T) string {
	t.Helper()
	const first, last = 10_000, 32_000
	for range last - first {
		port := first + (os.Getpid()*97+int(tried.Add(1)))%(last-first)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // somebody does
		}
		address := l.Addr().String()
		l.Close()
		return address
	}
	t.Fatal("all ports are in use")
	return ""
}

// writeConfig writes a configuration with one Veriff source into dir.
func writeConfig(t *testing.T, dir, listen, secret, endpoints string) string {
	t.Helper()
	path := filepath.Join(dir, "sigpost.yaml")
	text := fmt.Sprintf(`listen: %s
data: %s
allow_nets: ["127.0.0.0/8"]
sources:
  - name: veriff-prod
    provider: veriff
    secrets: ["%s"]
%s`, listen, filepath.Join(dir, "data"), secret, endpoints)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func endpointsYAML(url string) string {
	return fmt.Sprintf("    endpoints:\n      - url: %s\n        secret: %s\n", url, webhookSecret)
}

// post sends a body to the source, signed as Veriff signs, and returns the
// status and the message id.
func post(client *http.Client, url string, body []byte, signature string) (status int, id string, err error) {
	req, err := http.NewRequest(http.MethodPost, url+"/in/veriff-prod", bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-AUTH-CLIENT", "8e4f7cd8-7a19-4d7d-971f-a076407ee03c")
	req.Header.Set("X-HMAC-SIGNATURE", signature)
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, "", err
	}
	var answer struct{ ID string }
	if err := json.Unmarshal(raw, &answer); err != nil {
		return res.StatusCode, "", fmt.Errorf("answer %q: %w", raw, err)
	}
	return res.StatusCode, answer.ID, nil
}

// call makes a request of the API and returns what was answered.
func call(client *http.Client, url, token, method, path, body string, header ...string) (status int, answer []byte, err error) {
	req, err := http.NewRequest(method, url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

func sign(body []byte) string {
	mac := hmac.New(sha256.New, []byte(veriffSecret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
