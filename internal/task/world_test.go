package task

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
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
	// wake says that something became due.
	wake chan struct{}
	// ended has each task that is over.
	ended chan hook.Task
	// told has each task that the runner told of.
	told chan hook.Task
	// attempts is how often each delivery went out because it was replayed.
	attempts map[hook.Key]int
	sentAt   []time.Time
	// troubles are asked before a task's step is kept, after it was, and before
	// deliveries are listed; the runner is told their errors. Nil lets all pass.
	step, kept, read func() error
}

// fail makes f the trouble of all kinds.
func (w *world) fail(f func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.step, w.kept, w.read = f, f, f
}

// trouble asks one of them.
func (w *world) trouble(of *func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if *of == nil {
		return nil
	}
	return (*of)()
}

// bubble runs a test in a world whose clock moves when all wait.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, dir: dir, due: map[hook.Key]int{}, ended: make(chan hook.Task, 100), told: make(chan hook.Task, 1000), attempts: map[hook.Key]int{}, wake: make(chan struct{}, 1)}
		w.open()
		t.Cleanup(func() { w.Close() })
		time.Sleep(time.Hour) // what is older than a task has a time of its own
		w.app = w.addApp("customer")
		f(t, w)
	})
}

func (w *world) open() {
	w.t.Helper()
	s, err := store.Open(w.t.Context(), store.Options{Dir: w.dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Store = s
}

func (w *world) StepTask(ctx context.Context, step hook.TaskStep) (t hook.Task, err error) {
	if err := w.trouble(&w.step); err != nil {
		return t, err
	}
	t, err = w.Store.StepTask(ctx, step)
	if err == nil && t.Status.Over() {
		w.ended <- t
	}
	if err == nil {
		err = w.trouble(&w.kept)
	}
	return t, err
}

func (w *world) ListDeliveries(ctx context.Context, q hook.DeliveryQuery) ([]hook.DeliveryRow, hook.Key, error) {
	if err := w.trouble(&w.read); err != nil {
		return nil, 0, err
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
	return w.keep(app, m, state, time.Now().Add(-time.Second), endpoints...)
}

// messages keeps n messages of the first application, many in one commit.
func (w *world) messages(n int, state hook.DeliveryState, e hook.Endpoint) []hook.Message {
	w.t.Helper()
	all := make([]hook.Message, n)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = w.message(w.app, hook.Message{}, state, e) })
	}
	wg.Wait()
	return all
}

// later is a message of the first application of which nothing is due for long.
func (w *world) later(m hook.Message, state hook.DeliveryState, endpoints ...hook.Endpoint) hook.Message {
	w.t.Helper()
	return w.keep(w.app, m, state, time.Now().Add(1000*time.Hour), endpoints...)
}

func (w *world) keep(app hook.Application, m hook.Message, state hook.DeliveryState, due time.Time, endpoints ...hook.Endpoint) hook.Message {
	w.t.Helper()
	now := time.Now().Add(-time.Second)
	m.Org, m.App, m.ReceivedAt, m.Body = app.Org, app.ID, now, []byte(`{"a":1}`)
	if m.Type == "" {
		m.Type = "user.signup"
	}
	a := &hook.Append{Message: m}
	for _, e := range endpoints {
		a.Deliveries = append(a.Deliveries, hook.Delivery{Org: app.Org, Endpoint: e.ID, State: state, NextAt: due, Since: now})
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
		w.due[e]++
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}:
		default:
		}
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

// deliver takes what is due to an endpoint, each delivery for some time, until the
// test stops it: it stands for the dispatcher.
func (w *world) deliver(takes time.Duration, e hook.Endpoint) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			next := w.deliverDue(e, takes)
			if sweep := time.Now().Add(30 * time.Second); next.IsZero() || next.After(sweep) {
				next = sweep
			}
			select {
			case <-ctx.Done():
			case <-w.wake:
			case <-time.After(time.Until(next)):
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// deliverDue has the deliveries that are due succeed, as many at once as an endpoint
// takes, and says when the next one is due.
func (w *world) deliverDue(e hook.Endpoint, takes time.Duration) (next time.Time) {
	claimed, next, err := w.Claim(context.Background(), e.ID, time.Now(), hook.DefaultConcurrency)
	if err != nil {
		w.t.Error(err)
	}
	if len(claimed) == 0 {
		return next
	}
	began := time.Now()
	time.Sleep(takes)
	var records []*hook.Record
	for _, d := range claimed {
		records = append(records, &hook.Record{Delivery: d, State: hook.Delivered, NextAt: began, Attempt: &hook.Attempt{
			Number: d.Attempts + 1, Trigger: d.Trigger, At: began, Outcome: hook.OutcomeDelivered, Status: 200,
		}})
	}
	if err := w.Record(context.Background(), records); err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range records {
		if !r.Refused && r.Attempt.Trigger == hook.Replay {
			w.attempts[r.Delivery.ID]++
			w.sentAt = append(w.sentAt, began)
		}
	}
	return next
}

// sent is how many deliveries went out because they were replayed.
func (w *world) sent() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sentAt)
}

// end waits for a task to end.
func (w *world) end() hook.Task {
	w.t.Helper()
	select {
	case t := <-w.ended:
		return t
	case <-time.After(24 * time.Hour):
		w.t.Fatal("no task ended")
	}
	return hook.Task{}
}

// finish has a task done by a runner of its own and returns its result.
func (w *world) finish(kind hook.TaskKind, input any) string {
	w.t.Helper()
	return string(w.done(kind, input).Data)
}

// job has a task about an endpoint done and returns its result.
func (w *world) job(kind hook.TaskKind, input hook.EndpointTask) (data hook.JobData) {
	w.t.Helper()
	if err := json.Unmarshal(w.done(kind, input).Data, &data); err != nil {
		w.t.Fatal(err)
	}
	return data
}

func (w *world) done(kind hook.TaskKind, input any) hook.Task {
	w.t.Helper()
	w.ask(kind, input)
	_, stop := w.start()
	defer stop()
	t := w.end()
	if t.Status != hook.TaskFinished {
		w.t.Errorf("the task is %s: %s", t.Status, t.Data)
	}
	synctest.Wait()
	for { // others may have ended before
		select {
		case told := <-w.told:
			if told.ID != t.ID {
				continue
			}
			if told.Status != t.Status {
				w.t.Errorf("told of %+v, not of %+v", told, t)
			}
		default:
			w.t.Error("nobody was told")
		}
		break
	}
	return t
}

// move pauses, resumes or cancels a task.
func (w *world) move(id hook.Key, to hook.TaskStatus) {
	w.t.Helper()
	if _, err := w.MoveTask(w.t.Context(), store.DefaultOrg, id, to); err != nil {
		w.t.Fatal(err)
	}
}

// now is how a task stands.
func (w *world) now(id hook.Key) (t hook.Task, data hook.JobData) {
	w.t.Helper()
	t, err := w.Task(w.t.Context(), store.DefaultOrg, id)
	if err == nil {
		err = json.Unmarshal(t.Data, &data)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return t, data
}

// restart closes the store and opens it again.
func (w *world) restart() {
	w.t.Helper()
	if err := w.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// set puts an endpoint into a state.
func (w *world) set(e hook.Endpoint, state hook.EndpointState) hook.Endpoint {
	w.t.Helper()
	e.State = state
	e, err := w.UpdateEndpoint(w.t.Context(), e, hook.SecretChange{})
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// lately is a range that has every message of a test.
func lately(e hook.Endpoint) hook.EndpointTask {
	return hook.EndpointTask{App: e.App, Endpoint: e.ID, Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}
}

// attempt records a failed attempt of a message's only delivery.
func (w *world) attempt(m hook.Message, e hook.Endpoint, status int) {
	w.t.Helper()
	w.attemptTo(m, e, status, hook.Failed)
}

// attemptTo records a failed attempt, after which the delivery is in a state.
func (w *world) attemptTo(m hook.Message, e hook.Endpoint, status int, state hook.DeliveryState) {
	w.t.Helper()
	claimed, _, err := w.Claim(w.t.Context(), e.ID, time.Now(), 10)
	if err != nil || len(claimed) != 1 || claimed[0].Message != m.ID {
		w.t.Fatalf("claimed %v, %v", claimed, err)
	}
	r := &hook.Record{Delivery: claimed[0], State: state, NextAt: time.Now(), Attempt: &hook.Attempt{
		Delivery: claimed[0].ID, Message: m.ID, Endpoint: e.ID, Number: 1, At: time.Now(), Outcome: hook.OutcomeStatus, Status: status, Reason: "it said so",
	}}
	if err := w.Record(w.t.Context(), []*hook.Record{r}); err != nil || r.Refused {
		w.t.Fatal(err, r.Refused)
	}
}
