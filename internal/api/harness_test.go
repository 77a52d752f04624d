package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/server"
)

// harness is a whole server on a directory of its own, whose API is called
// without a network. Deliveries go out over loopback.
type harness struct {
	t      *testing.T
	dir    string
	server *server.Server
	stop   func()
	token  string // of the organization that requests are made for
	// database is the URL of the one that it shares with others; empty for none.
	database string
	polls    bool // tells others through a table
}

// masterKey is that of nodes.
const masterKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

const jwtSecret = "a secret of the tests, long enough"

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, dir: t.TempDir(), token: jwtOf(t, "org_tests", "")}
	h.start()
	t.Cleanup(func() { h.stop() })
	return h
}

// start opens the directory and runs the server; stop ends it, and start may follow.
func (h *harness) start() {
	h.t.Helper()
	cfg := config.Default()
	cfg.Listen, cfg.Data, cfg.JWTSecret = "127.0.0.1:0", h.dir, jwtSecret
	cfg.ControlSocket = filepath.Join(h.dir, "c.sock")
	cfg.ShutdownTimeout = time.Second
	if h.polls {
		cfg.DatabaseNotify = config.NotifyPoll
	}
	if h.database != "" {
		cfg.DatabaseURL, cfg.MasterKey = hook.Secret(h.database), masterKey
	}
	var loopback config.Network
	if err := loopback.UnmarshalText([]byte("127.0.0.0/8")); err != nil {
		h.t.Fatal(err)
	}
	cfg.AllowNets = []config.Network{loopback}
	providers, err := provider.Builtin()
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.Open(ctx, server.Options{Config: cfg, Providers: providers, Log: slog.New(slog.NewTextHandler(failures{h.t}, nil)), Version: "test"})
	if err != nil {
		h.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	h.server = s
	h.stop = func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Error(err)
		}
		if err := s.Close(); err != nil {
			h.t.Error(err)
		}
		h.stop = func() {}
	}
}

// failures shows what the server logs as an error, and nothing else.
type failures struct{ t *testing.T }

func (f failures) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "level=ERROR") {
		f.t.Logf("server: %s", line)
	}
	return len(line), nil
}

// jwtOf signs a token: of an organization, or of one of its applications.
func jwtOf(t *testing.T, org, app string) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": org, "exp": time.Now().Add(time.Hour).Unix()}
	if app != "" {
		claims = jwt.MapClaims{"sub": app, "organization": org, "exp": time.Now().Add(time.Hour).Unix()}
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(jwtSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// as makes requests with another token.
func (h *harness) as(token string) *harness {
	other := *h
	other.token = token
	return &other
}

// send makes a request; body is JSON text, or a value that becomes it.
func (h *harness) send(method, path string, body any, header ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	text, isText := body.(string)
	if !isText && body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			h.t.Fatal(err)
		}
		text = string(raw)
	}
	r := httptest.NewRequest(method, path, strings.NewReader(text))
	if h.token != "" {
		r.Header.Set("Authorization", "Bearer "+h.token)
	}
	if text != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.server.API().ServeHTTP(w, r)
	return w
}

// do makes a request and reads the answer, which must be JSON or empty.
func (h *harness) do(method, path string, body any, header ...string) (int, map[string]any) {
	h.t.Helper()
	w := h.send(method, path, body, header...)
	answer := map[string]any{}
	if w.Code == http.StatusNoContent {
		if w.Body.Len() > 0 {
			h.t.Errorf("%s %s: 204 with a body", method, path)
		}
		return w.Code, answer
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		h.t.Errorf("%s %s: %d is not JSON: %q", method, path, w.Code, w.Body)
	}
	return w.Code, answer
}

// must makes a request that has to succeed with a status.
func (h *harness) must(status int, method, path string, body any, header ...string) map[string]any {
	h.t.Helper()
	got, answer := h.do(method, path, body, header...)
	if got != status {
		h.t.Fatalf("%s %s: %d %v, %d is right", method, path, got, answer, status)
	}
	return answer
}

// app makes an application and returns its id.
func (h *harness) app(name string) string {
	h.t.Helper()
	return h.must(http.StatusCreated, "POST", "/api/v1/app", map[string]any{"name": name})["id"].(string)
}

// receiver takes webhooks and keeps what came.
type receiver struct {
	URL string
	got chan taken
}

type taken struct {
	header http.Header
	body   string
}

// receiver answers every webhook with a status.
func (h *harness) receiver(status int) *receiver {
	h.t.Helper()
	rec := &receiver{got: make(chan taken, 1000)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rec.got <- taken{r.Header.Clone(), string(body)}
		w.WriteHeader(status)
		fmt.Fprint(w, "answered")
	}))
	h.t.Cleanup(s.Close)
	rec.URL = s.URL
	return rec
}

// answering is the URL of a receiver that answers with a status and a header.
func (h *harness) answering(status int, name, value string) string {
	h.t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(name, value)
		w.WriteHeader(status)
	}))
	h.t.Cleanup(s.Close)
	return s.URL
}

// next is the next webhook that comes, within ten seconds.
func (r *receiver) next(t *testing.T) taken {
	t.Helper()
	select {
	case got := <-r.got:
		return got
	case <-time.After(10 * time.Second):
		t.Fatal("no webhook came")
	}
	return taken{}
}

// eventually calls f until it says yes, for ten seconds at the most.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(10 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

// key is the key inside a public id.
func (h *harness) key(kind hook.Kind, id string) hook.Key {
	h.t.Helper()
	k, err := h.server.IDs().Key(kind, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return k
}

// newRequest is a request without a token.
func newRequest(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.RemoteAddr = "@" // as a Unix socket has it
	return r
}

func record(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
