// Package pipeline takes verified events in: it finds the endpoints that want
// an event, keeps the event with its deliveries in one transaction, and hands
// the deliveries on. Both front doors, received webhooks and the API, enter here.
package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Store is what the pipeline needs of the store.
type Store interface {
	Append(ctx context.Context, a *hook.Append) error
}

// Dispatcher takes deliveries after they were kept.
type Dispatcher interface {
	// Reserve returns the holder for one delivery: this process when it has
	// room in memory, else 0.
	Reserve(endpoint hook.Key, size int) hook.Key
	Unreserve(endpoint hook.Key, size int)
	// Dispatch takes what was reserved, each with size bytes. A nil message is
	// read from the store.
	Dispatch(m *hook.Message, size int, deliveries []hook.Delivery)
}

// Routes are the endpoints of each application. It never changes; Update puts
// another in its place.
type Routes map[hook.Key][]hook.Endpoint

// Pipeline accepts events. Safe for concurrent use.
type Pipeline struct {
	store    Store
	dispatch Dispatcher
	routes   atomic.Pointer[Routes]
}

// New makes a Pipeline that routes nothing until Update.
func New(store Store, dispatch Dispatcher) *Pipeline {
	p := &Pipeline{store: store, dispatch: dispatch}
	p.Update(Routes{})
	return p
}

// Update replaces the routes.
func (p *Pipeline) Update(r Routes) { p.routes.Store(&r) }

// Accept keeps an event and sends its deliveries on their way. When it returns
// without error, the event is on disk, or was before (a duplicate). After an
// error nothing was kept, and the sender should try again.
func (p *Pipeline) Accept(ctx context.Context, in hook.Incoming) (hook.Receipt, error) {
	received := in.ReceivedAt.Truncate(time.Millisecond)
	a := &hook.Append{
		Message:   hook.Message{Org: in.Org, App: in.App, Event: in.Event, ReceivedAt: received, Headers: in.Headers, Body: in.Body},
		Hash:      hash(in.App, in.Event.DedupeKey),
		Redeliver: in.Redeliver,
	}
	a.Deliveries = p.route(&a.Message)
	reserved := a.Deliveries
	err := p.store.Append(ctx, a)
	if err != nil || len(a.Deliveries) == 0 {
		for i := range reserved {
			if reserved[i].Holder != 0 {
				p.dispatch.Unreserve(reserved[i].Endpoint, len(in.Body))
			}
		}
	}
	if err != nil {
		return hook.Receipt{}, err
	}
	m := &a.Message
	if a.Duplicate {
		m = nil // what goes out again is what was kept first
	}
	p.dispatch.Dispatch(m, len(in.Body), a.Deliveries)
	return hook.Receipt{Message: a.Message.ID, Duplicate: a.Duplicate, Deliveries: len(a.Deliveries)}, nil
}

// route makes a delivery for each endpoint that wants the message.
func (p *Pipeline) route(m *hook.Message) []hook.Delivery {
	endpoints := (*p.routes.Load())[m.App]
	if len(endpoints) == 0 {
		return nil
	}
	deliveries := make([]hook.Delivery, 0, len(endpoints))
	for i := range endpoints {
		e := &endpoints[i]
		if !e.Wants(m.Type) {
			continue
		}
		d := hook.Delivery{Org: m.Org, Endpoint: e.ID, State: hook.Pending, NextAt: m.ReceivedAt, Since: m.ReceivedAt}
		if e.State == hook.Enabled {
			d.Holder = p.dispatch.Reserve(e.ID, len(m.Body))
		} else {
			d.State = hook.Held
		}
		deliveries = append(deliveries, d)
	}
	return deliveries
}

// hash is the dedupe key as the store keeps it. The application is part of it:
// two sources never share a duplicate.
func hash(app hook.Key, dedupeKey string) hook.Hash {
	var buf [8 + 96]byte
	binary.BigEndian.PutUint64(buf[:8], uint64(app))
	sum := sha256.Sum256(append(buf[:8], dedupeKey...))
	return hook.Hash(sum[:16])
}
