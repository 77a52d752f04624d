package clients_test

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// jwtSecret is what the owner of the server signs his tokens with.
const jwtSecret = "a secret of the tests, long enough for HS256"

// server is one run of `sigpost serve`.
type server struct {
	t       *testing.T
	cmd     *exec.Cmd
	url     string
	data    string
	headers string
	log     safeBuffer
	done    chan error
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

// serve starts the binary with one of the sets of signature headers and waits
// until it answers.
func serve(t *testing.T, headers string) *server {
	t.Helper()
	listen, data := freeAddress(t), filepath.Join(t.TempDir(), "data")
	s := &server{t: t, url: "http://" + listen, data: data, headers: headers, done: make(chan error, 1)}
	s.cmd = exec.Command(binary, "serve", "--listen", listen, "--data", data, "--allow-nets", "127.0.0.0/8", "--log-level", "error")
	s.cmd.Env = append(os.Environ(), "SIGPOST_JWT_SECRET="+jwtSecret, "SIGPOST_SIGNATURE_HEADERS="+headers)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(s.end)
	s.ready()
	return s
}

// freeAddress is an address that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *server) ready() {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		select {
		case err := <-s.done:
			s.done <- err
			s.t.Fatalf("sigpost ended: %v\n%s", err, &s.log)
		default:
		}
		res, err := http.Get(s.url + "/health")
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
	}
	s.t.Fatalf("sigpost does not answer\n%s", &s.log)
}

// end stops the process and, if the test failed, shows what it had to say.
func (s *server) end() {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Error(err)
	}
	<-s.done
	if s.t.Failed() {
		s.t.Logf("sigpost said:\n%s", &s.log)
	}
}

// signedToken is a token that the owner signs himself; the organization is made
// when it is used first.
func signedToken(t *testing.T, org string) string {
	t.Helper()
	claims := jwt.RegisteredClaims{Subject: org, Issuer: "sigpost-tests", IssuedAt: jwt.NewNumericDate(time.Now()), ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(jwtSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// madeToken is a key that the command line makes.
func (s *server) madeToken(t *testing.T, org string) string {
	t.Helper()
	cmd := exec.Command(binary, "token", "create", "--data", s.data, "--org", org, "--scope", "admin", "--name", "clients")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sigpost token create: %v\n%s", err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// environment says to a client of an organization where everything is. Its token
// is one that the owner signed unless another is given.
func (s *server) environment(t *testing.T, org, token, receiver string) []string {
	t.Helper()
	if token == "" {
		token = signedToken(t, org)
	}
	return append(os.Environ(), "SIGPOST_URL="+s.url, "SIGPOST_TOKEN="+token, "SIGPOST_ORG="+org, "SIGPOST_JWT_SECRET="+jwtSecret,
		"SIGPOST_HEADERS="+s.headers, "RECEIVER_URL="+receiver)
}
