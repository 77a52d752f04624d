package test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// harm is a server that is killed again and again, those who use it meanwhile, and what is
// then held against it.
type harm struct {
	t         *testing.T
	dir, data string
	config    string
	random    *rand.Rand
	kill      func()             // ends the process as whatever it is that happens
	logSize   func() int         // of the write-ahead log
	look      func() (db string) // where the database can be looked at
	p         *process
	took      time.Duration // of the last start
	token     string        // of the API

	ok     *ledger // every event goes there
	secret secrets
	big    bool // events are long in this round

	mu     sync.Mutex
	lost   []func(client *http.Client) error // sends again what got no answer
	byAPI  map[string]bool                   // messages that came by the API
	tasks  []string                          // that were accepted
	doomed []string                          // applications whose deletion was accepted

	sends, kept, kills, unknown, repeats, most int
}

// old is how many messages there are whose time has long been over.
const old = 2000

// begin fills the store with what is old, and makes an application with endpoints.
func (h *harm) begin(receiver string) {
	h.t.Helper()
	listen := freeAddress(h.t)
	h.config = filepath.Join(h.dir, "sigpost.yaml")
	text := fmt.Sprintf("listen: %s\ndata: %s\ncontrol_socket: %s\nallow_nets: [\"127.0.0.0/8\"]\nsources:\n  - name: veriff-prod\n    provider: veriff\n    secrets: [%q]\n%s",
		listen, h.data, filepath.Join(h.dir, "control.sock"), veriffSecret, endpointsYAML(receiver+"/ok"))
	if err := os.WriteFile(h.config, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.p = serve(h.t, h.config)
	out, code := sigpost(h.t, "", "token", "create", "--scope", "admin", "--name", "test", "--config", h.config)
	if code != 0 {
		h.t.Fatalf("token create: %d %s", code, out)
	}
	for _, word := range strings.Fields(out) {
		if strings.HasPrefix(word, "sigpost_") {
			h.token = word
		}
	}
	h.must(http.StatusCreated, "POST", "/api/v1/app", `{"name":"a","uid":"a"}`)
	h.secret.ask(h.t, webhookSecret)
	h.secret.acknowledge()
	for uid, path := range map[string]string{"ok": "/rotated", "failing": "/failing"} {
		h.must(http.StatusCreated, "POST", "/api/v1/app/a/endpoint", fmt.Sprintf(`{"uid":%q,"url":%q,"secret":%q}`, uid, receiver+path, webhookSecret))
	}
	h.p.stop()
}

// fillOld writes messages into a directory as they were written in the year 2000, with the clock of a bubble.
func (h *harm) fillOld(dir string) {
	synctest.Test(h.t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		app, err := s.CreateApplication(t.Context(), hook.Application{Org: store.DefaultOrg, Name: "old", UID: "old"})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for worker := range 50 {
			all.Go(func() {
				for range old / 50 {
					m := hook.Message{Org: store.DefaultOrg, App: app.ID, Event: hook.Event{Type: fmt.Sprint("old.", worker)}, ReceivedAt: time.Now(), Body: []byte(`{"old":true}`)}
					if worker%2 == 0 { // their payloads go by themselves
						m.ExpiresAt = time.Now().Add(time.Hour)
					}
					a := &hook.Append{Message: m}
					if err := s.Append(t.Context(), a); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// ServeHTTP is the receiver: of the source's endpoint, of one whose secret is rotated, and of one
// that takes nothing.
func (h *harm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ok":
		h.ok.ServeHTTP(w, r)
	case "/rotated":
		h.secret.verify(h.ok, w, r)
	default:
		w.Header().Set("Webhook-Delivery", "abort-message")
		w.WriteHeader(http.StatusConflict) // the message's fault: the endpoint's breaker stays closed
	}
}

// start starts the server and notes how long that took.
func (h *harm) start() {
	h.t.Helper()
	begun := time.Now()
	h.p = serve(h.t, h.config)
	h.took = time.Since(begun)
}

// must makes a request that must succeed, with what it answers.
func (h *harm) must(want int, method, path, body string) (answer map[string]any) {
	h.t.Helper()
	status, raw, err := call(http.DefaultClient, h.p.url, h.token, method, path, body)
	if err != nil || status != want {
		h.t.Fatalf("%s %s: %d %s %v; %d is right\n%s", method, path, status, raw, err, want, tail(h.p.log.String()))
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &answer); err != nil {
			h.t.Fatal(err)
		}
	}
	return answer
}

// work is everybody who uses the server, until it is dead or stop is closed.
func (h *harm) work(round int, stop chan struct{}) *sync.WaitGroup {
	fill := ""
	if h.big {
		fill = strings.Repeat("x", 200<<10)
	}
	var workers sync.WaitGroup
	each := func(n int, one func(client *http.Client, worker, n int) error) {
		for worker := range n {
			workers.Go(func() {
				client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
				defer client.CloseIdleConnections()
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					if one(client, worker, n) != nil {
						return // it is dead
					}
				}
			})
		}
	}
	each(5, func(client *http.Client, worker, n int) error {
		return h.postEvent(client, event(round, worker, n, fill))
	})
	each(3, func(client *http.Client, worker, n int) error {
		return h.postMessage(client, event(round, 100+worker, n, ""), fmt.Sprintf("%d-%d-%d", round, worker, n))
	})
	each(1, func(client *http.Client, _, n int) error { return h.change(client, round, n) })
	return &workers
}

// postEvent sends an event to the source. When its answer is lost it is sent again later, as
// providers do.
func (h *harm) postEvent(client *http.Client, body string) error {
	h.ok.send(body)
	return h.orAgain(client, func(client *http.Client) error {
		status, id, err := post(client, h.p.url, []byte(body), sign([]byte(body)))
		return h.promised(status, http.StatusOK, id, body, err)
	})
}

// postMessage sends one by the API.
func (h *harm) postMessage(client *http.Client, payload, key string) error {
	h.ok.send(payload)
	return h.orAgain(client, func(client *http.Client) error {
		status, raw, err := call(client, h.p.url, h.token, "POST", "/api/v1/app/a/msg", `{"eventType":"x","payload":`+payload+`}`, "Idempotency-Key", key)
		var m struct{ ID string }
		if err == nil {
			err = json.Unmarshal(raw, &m)
		}
		h.mu.Lock()
		h.byAPI[m.ID] = true
		h.mu.Unlock()
		return h.promised(status, http.StatusAccepted, m.ID, payload, err)
	})
}

// promised notes a success; own trouble of a server that is dying is not known to be one.
func (h *harm) promised(status, want int, id, body string, err error) error {
	switch {
	case err != nil:
		return err
	case status >= 500:
		return fmt.Errorf("answered %d", status)
	case status != want:
		h.t.Errorf("answered %d, %d is right", status, want)
		return nil
	}
	h.ok.promise(id, body)
	return nil
}

func (h *harm) orAgain(client *http.Client, f func(client *http.Client) error) error {
	err := f(client)
	if err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.lost = append(h.lost, f)
	}
	return err
}

// sendAgain sends what got no answer.
func (h *harm) sendAgain() {
	for _, f := range h.lost {
		if err := f(http.DefaultClient); err != nil {
			h.t.Errorf("sent again: %v", err)
		}
	}
	h.unknown += len(h.lost)
	h.lost = nil
}

// change rotates a secret, begins a task and deletes an application with messages.
func (h *harm) change(client *http.Client, round, n int) error {
	ask := func(method, path, body string) (status int, answer struct{ ID string }, err error) {
		status, raw, err := call(client, h.p.url, h.token, method, path, body)
		if err == nil && status >= 300 {
			err = fmt.Errorf("%s %s: %d %s", method, path, status, raw)
		}
		if err == nil && len(raw) > 0 {
			err = json.Unmarshal(raw, &answer)
		}
		return status, answer, err
	}
	key := h.secret.ask(h.t, "")
	if _, _, err := ask("POST", "/api/v1/app/a/endpoint/ok/secret/rotate", fmt.Sprintf(`{"key":%q,"gracePeriodSeconds":0}`, key)); err != nil {
		return err
	}
	h.secret.acknowledge()
	since := time.Now().Add(-5 * time.Second).Format(time.RFC3339Nano) // no two tasks choose alike
	_, task, err := ask("POST", "/api/v1/app/a/endpoint/failing/recover", fmt.Sprintf(`{"since":%q,"pace":1000}`, since))
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.tasks = append(h.tasks, task.ID)
	h.mu.Unlock()
	uid := fmt.Sprintf("doomed-%d-%d", round, n)
	if _, _, err := ask("POST", "/api/v1/app", fmt.Sprintf(`{"name":"doomed","uid":%q}`, uid)); err != nil {
		return err
	}
	for i := range 5 {
		if _, _, err := ask("POST", "/api/v1/app/"+uid+"/msg", fmt.Sprintf(`{"eventType":"x","payload":{"n":%d}}`, i)); err != nil {
			return err
		}
	}
	if _, _, err := ask("DELETE", "/api/v1/app/"+uid, ""); err != nil {
		return err
	}
	h.mu.Lock()
	h.doomed = append(h.doomed, uid)
	h.mu.Unlock()
	return nil
}
