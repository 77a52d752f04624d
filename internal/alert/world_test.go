package alert

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// world is a real store with an application, a source and somebody who listens to
// operational webhooks.
type world struct {
	t *testing.T
	*store.Store
	app    hook.Application
	source hook.Source
	opApp  hook.Application
	log    lines
	mails  mailbox
	hooks  *hooks
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, Store: s}
	if w.app, err = s.CreateApplication(t.Context(), hook.Application{Org: store.DefaultOrg, Name: "Acme", UID: "acme"}); err != nil {
		t.Fatal(err)
	}
	if w.source, err = s.CreateSource(t.Context(), hook.Source{Org: store.DefaultOrg, Name: "veriff-prod", UID: "vp", Provider: "veriff"}, nil); err != nil {
		t.Fatal(err)
	}
	if w.opApp, err = s.OperationalApp(t.Context(), store.DefaultOrg); err != nil {
		t.Fatal(err)
	}
	w.hooks = &hooks{app: w.opApp.ID, wants: "*"}
	return w
}

func (w *world) alerts() *Alerts {
	return New(Options{
		Store: w.Store, Pipeline: w.hooks, IDs: w.IDs(), Log: slog.New(slog.NewTextHandler(&w.log, nil)), Mail: &w.mails,
		Rate: Rate{Failures: 10, Percent: 20, Window: 10 * time.Minute}, Silence: 15 * time.Minute,
	})
}

func (w *world) endpoint(app hook.Application, e hook.Endpoint) hook.Endpoint {
	w.t.Helper()
	e.Org, e.App, e.OfSource = app.Org, app.ID, app.Kind == hook.AppOfSource
	if e.URL == "" {
		e.URL = "https://acme.example/hook?key=hidden"
	}
	e, err := w.CreateEndpoint(w.t.Context(), e, "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0")
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *world) disable(e hook.Endpoint) {
	w.t.Helper()
	if err := w.DisableEndpoint(w.t.Context(), e.ID, "it answered 410 Gone"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sourceApp() hook.Application {
	w.t.Helper()
	a, err := w.Application(w.t.Context(), w.source.Org, w.source.App)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// message keeps a message of the source, now.
func (w *world) message() hook.Message {
	w.t.Helper()
	a := &hook.Append{Message: hook.Message{Org: w.source.Org, App: w.source.App, ReceivedAt: time.Now(), Event: hook.Event{Type: "a.b", ID: "evt-1"}, Body: []byte("{}")}}
	rand.Read(a.Hash[:])
	if err := w.Append(w.t.Context(), a); err != nil {
		w.t.Fatal(err)
	}
	return a.Message
}

// told are the kinds of the webhooks sent since the last call.
func (w *world) told() []string {
	sent := w.hooks.take()
	kinds := make([]string, len(sent))
	for i, s := range sent {
		kinds[i] = s.Type
	}
	return kinds
}

func (w *world) expect(what string, want ...string) {
	w.t.Helper()
	if got := w.told(); !slices.Equal(got, want) {
		w.t.Errorf("%s: told %v, %v is right", what, got, want)
	}
}

// webhook is an operational webhook that was sent.
type webhook struct {
	Type string
	Data map[string]any
}

// hooks takes operational webhooks.
type hooks struct {
	app   hook.Key
	wants string // a pattern

	mu   sync.Mutex
	sent []webhook
	err  error
}

func (h *hooks) Active(app hook.Key, eventType string, _ []string) bool {
	return app == h.app && hook.MatchEventType(h.wants, eventType)
}

func (h *hooks) Accept(_ context.Context, in hook.Incoming) (hook.Receipt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return hook.Receipt{}, h.err
	}
	var w webhook
	if err := json.Unmarshal(in.Body, &w); err != nil || in.App != h.app || w.Type != in.Event.Type {
		return hook.Receipt{}, err
	}
	h.sent = append(h.sent, w)
	return hook.Receipt{Message: 1, Deliveries: 1}, nil
}

func (h *hooks) take() []webhook {
	h.mu.Lock()
	defer h.mu.Unlock()
	sent := h.sent
	h.sent = nil
	return sent
}

func (h *hooks) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

// mailbox takes e-mail.
type mailbox struct {
	mu  sync.Mutex
	got []hook.Alert
	err error
}

func (m *mailbox) Add(x hook.Alert) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, x)
}
func (m *mailbox) Try(context.Context, hook.Alert) error { return m.err }
func (m *mailbox) To() string                            { return "ops@example.com" }

func (m *mailbox) take() []hook.Alert {
	m.mu.Lock()
	defer m.mu.Unlock()
	got := m.got
	m.got = nil
	return got
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take are the lines since the last call that have a text.
func (l *lines) take(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	l.b.Reset()
	return found
}

// set makes an endpoint what it is to be, whatever was changed of it before.
func (w *world) set(t *testing.T, e hook.Endpoint) {
	t.Helper()
	now, err := w.Endpoint(t.Context(), e.App, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	e.UpdatedAt = now.UpdatedAt
	if _, err := w.UpdateEndpoint(t.Context(), e, hook.SecretChange{}); err != nil {
		t.Fatal(err)
	}
}
