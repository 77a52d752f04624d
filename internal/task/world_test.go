package task

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// world is a real store with one application, and what the runner told of it.
type world struct {
	t   *testing.T
	dir string
	*store.Store
	app hook.Application

	mu  sync.Mutex
	due map[hook.Key]int
	// ended has each task that is no longer running, told those that the runner told of.
	ended, told chan hook.Task
	// step is asked before a task's step is kept; nil lets all pass.
	step func(hook.Task) error
	// read is asked before deliveries are listed; nil lets all pass.
	read func() error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), due: map[hook.Key]int{}, ended: make(chan hook.Task, 100), told: make(chan hook.Task, 100)}
	w.open()
	t.Cleanup(func() { w.Close() })
	w.app = w.addApp("customer")
	return w
}

func (w *world) open() {
	w.t.Helper()
	s, err := store.Open(w.t.Context(), store.Options{Dir: w.dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Store = s
}

func (w *world) StepTask(ctx context.Context, t hook.Task) error {
	if w.step != nil {
		if err := w.step(t); err != nil {
			return err
		}
	}
	err := w.Store.StepTask(ctx, t)
	if t.Status != hook.TaskRunning {
		w.ended <- t
	}
	return err
}

func (w *world) ListDeliveries(ctx context.Context, q hook.DeliveryQuery) ([]hook.DeliveryRow, hook.Key, error) {
	if w.read != nil {
		if err := w.read(); err != nil {
			return nil, 0, err
		}
	}
	return w.Store.ListDeliveries(ctx, q)
}

func (w *world) addApp(uid string) hook.Application {
	w.t.Helper()
	a, err := w.CreateApplication(w.t.Context(), hook.Application{Org: store.DefaultOrg, Name: "An application", UID: uid})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) endpoint(app hook.Application, types ...string) hook.Endpoint {
	w.t.Helper()
	e, err := w.CreateEndpoint(w.t.Context(), hook.Endpoint{Org: app.Org, App: app.ID, URL: "https://example.com/", EventTypes: types}, "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0")
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// message keeps a message that went to endpoints, with each delivery in a state.
func (w *world) message(app hook.Application, m hook.Message, state hook.DeliveryState, endpoints ...hook.Endpoint) hook.Message {
	w.t.Helper()
	now := time.Now().Add(-time.Second)
	m.Org, m.App, m.ReceivedAt, m.Body = app.Org, app.ID, now, []byte(`{"a":1}`)
	if m.Type == "" {
		m.Type = "user.signup"
	}
	a := &hook.Append{Message: m}
	for _, e := range endpoints {
		a.Deliveries = append(a.Deliveries, hook.Delivery{Org: app.Org, Endpoint: e.ID, State: state, NextAt: now, Since: now})
	}
	if err := w.Append(w.t.Context(), a); err != nil {
		w.t.Fatal(err)
	}
	return a.Message
}

// states are the states of the deliveries of a message to an endpoint.
func (w *world) states(m hook.Message, e hook.Endpoint) (list []hook.DeliveryState) {
	w.t.Helper()
	all, err := w.Deliveries(w.t.Context(), &m)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range all {
		if d.Endpoint == e.ID {
			list = append(list, d.State)
		}
	}
	return list
}

// ask keeps a task, as the API does.
func (w *world) ask(kind hook.TaskKind, input any) hook.Task {
	w.t.Helper()
	raw, err := json.Marshal(input)
	if err != nil {
		w.t.Fatal(err)
	}
	t, err := w.CreateTask(w.t.Context(), hook.Task{Org: store.DefaultOrg, Kind: kind, Status: hook.TaskRunning, Input: raw})
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

func (w *world) runner() *Runner {
	r := New(Options{Store: w, Log: slog.New(slog.DiscardHandler), Due: func(e hook.Key, _ time.Time) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.due[e]++
	}, Ended: func(t hook.Task) { w.told <- t }})
	r.pause = time.Millisecond
	return r
}

// start runs a runner; stop waits for its end.
func (w *world) start() (r *Runner, stop func()) {
	r = w.runner()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

// end waits for a task to end.
func (w *world) end() hook.Task {
	w.t.Helper()
	select {
	case t := <-w.ended:
		return t
	case <-time.After(20 * time.Second):
		w.t.Fatal("no task ended")
	}
	return hook.Task{}
}

// finish has a task done by a runner of its own and returns its result.
func (w *world) finish(kind hook.TaskKind, input any) string {
	w.t.Helper()
	w.ask(kind, input)
	_, stop := w.start()
	defer stop()
	t := w.end()
	if t.Status != hook.TaskFinished {
		w.t.Errorf("the task is %s: %s", t.Status, t.Data)
	}
	w.isTold(t)
	return string(t.Data)
}

// isTold waits until the runner has told of a task that ended.
func (w *world) isTold(want hook.Task) {
	w.t.Helper()
	select {
	case t := <-w.told:
		if t.ID != want.ID || t.Status != want.Status || string(t.Data) != string(want.Data) {
			w.t.Errorf("told of %+v, not of %+v", t, want)
		}
	case <-time.After(20 * time.Second):
		w.t.Error("nobody was told")
	}
}

// lately is a range that has every message of a test.
func lately(e hook.Endpoint) hook.EndpointTask {
	return hook.EndpointTask{App: e.App, Endpoint: e.ID, Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}
}

// attempt records a failed attempt of a message's only delivery.
func (w *world) attempt(m hook.Message, e hook.Endpoint, status int) {
	w.t.Helper()
	claimed, _, err := w.Claim(w.t.Context(), e.ID, time.Now(), 10)
	if err != nil || len(claimed) != 1 || claimed[0].Message != m.ID {
		w.t.Fatalf("claimed %v, %v", claimed, err)
	}
	r := &hook.Record{Delivery: claimed[0], State: hook.Failed, NextAt: time.Now(), Attempt: &hook.Attempt{
		Delivery: claimed[0].ID, Message: m.ID, Endpoint: e.ID, Number: 1, At: time.Now(), Outcome: hook.OutcomeStatus, Status: status, Reason: "it said so",
	}}
	if err := w.Record(w.t.Context(), []*hook.Record{r}); err != nil || r.Refused {
		w.t.Fatal(err, r.Refused)
	}
}
