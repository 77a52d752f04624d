package dispatch_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/pipeline"
	"github.com/sigpost/sigpost/internal/store"
)

var (
	ctx   = context.Background()
	quiet = slog.New(slog.DiscardHandler)
)

const app hook.Key = 7

// rig is a store, a dispatcher and a pipeline in a bubble, with endpoints that
// are functions.
type rig struct {
	t        *testing.T
	store    *store.Store
	dispatch *dispatch.Dispatcher
	pipeline *pipeline.Pipeline
	app      hook.Key // whose messages they are
	stop     func()
	ended    chan struct{}
}

type attemptFunc = func(ctx context.Context, m *hook.Message, d *hook.Delivery) *hook.Attempt

func status(code int) *hook.Attempt {
	a := &hook.Attempt{At: time.Now(), Status: code, Outcome: hook.OutcomeStatus, Reason: fmt.Sprint("answered ", code)}
	if code/100 == 2 {
		a.Outcome, a.Reason = hook.OutcomeDelivered, ""
	}
	return a
}

func start(t *testing.T, dir string, wrap func(dispatch.Store) dispatch.Store) *rig {
	t.Helper()
	return startOn(t, dir, wrap, dispatch.Options{})
}

func startWith(t *testing.T, dir string, o dispatch.Options) *rig {
	t.Helper()
	return startOn(t, dir, nil, o)
}

func startOn(t *testing.T, dir string, wrap func(dispatch.Store) dispatch.Store, o dispatch.Options) *rig {
	t.Helper()
	r := &rig{t: t, app: app, ended: make(chan struct{})}
	s, err := store.Open(ctx, store.Options{Dir: dir, Log: quiet, Due: func(e hook.Key, at time.Time) { r.dispatch.Due(e, at) }})
	if err != nil {
		t.Fatal(err)
	}
	r.store = s
	var seen dispatch.Store = s
	if wrap != nil {
		seen = wrap(s)
	}
	o.Store, o.Log, o.Observe = seen, quiet, func(*dispatch.Target, *hook.Message, *hook.Record) {}
	r.dispatch = dispatch.New(o)
	r.pipeline = pipeline.New(s, r.dispatch, func(*hook.Message) {})
	run, stop := context.WithCancel(ctx)
	r.stop = stop
	go func() {
		defer close(r.ended)
		if err := r.dispatch.Run(run); err != nil {
			t.Error(err)
		}
	}()
	return r
}

// end stops without waiting for what is queued, as a crash would.
func (r *rig) end() {
	r.t.Helper()
	r.stop()
	<-r.ended
	now, cancel := context.WithCancel(ctx)
	cancel()
	r.dispatch.Drain(now)
	if err := r.store.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) endpoints(targets ...dispatch.Target) {
	r.t.Helper()
	if err := r.dispatch.Update(ctx, targets); err != nil {
		r.t.Fatal(err)
	}
	routes := pipeline.Routes{}
	for _, t := range targets {
		routes[t.App] = append(routes[t.App], t.Endpoint)
	}
	r.pipeline.Update(routes)
}

func target(id hook.Key, f attemptFunc) dispatch.Target {
	return dispatch.Target{Endpoint: hook.Endpoint{ID: id, App: app, Name: fmt.Sprint("e", id), OfSource: true}, Attempt: f}
}

func (r *rig) accept() *hook.Message {
	r.t.Helper()
	m, err := r.store.Message(ctx, r.acceptType("t"))
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func (r *rig) acceptType(eventType string) hook.Key {
	r.t.Helper()
	receipt, err := r.pipeline.Accept(ctx, hook.Incoming{Org: store.DefaultOrg, App: r.app, Event: hook.Event{Type: eventType, DedupeKey: "id:" + rand.Text()}, ReceivedAt: time.Now(), Body: []byte("{}")})
	if err != nil {
		r.t.Fatal(err)
	}
	return receipt.Message
}

func (r *rig) delivery(m *hook.Message) hook.Delivery {
	r.t.Helper()
	list, err := r.store.Deliveries(ctx, m)
	if err != nil || len(list) != 1 {
		r.t.Fatalf("deliveries: %+v, %v", list, err)
	}
	return list[0]
}
