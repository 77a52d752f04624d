// Package pipeline takes verified events in: it finds the endpoints that want
// an event, keeps the event with its deliveries in one transaction, and hands
// the deliveries on. Both front doors, received webhooks and the API, enter here.
package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"
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

// Routes are the endpoints of each application.
type Routes map[hook.Key][]hook.Endpoint

// Pipeline accepts events. Safe for concurrent use.
type Pipeline struct {
	store    Store
	dispatch Dispatcher
	routes   sync.Map // application → []hook.Endpoint, which never change
	observe  func(m *hook.Message)
}

// New makes a Pipeline that routes nothing until Update. observe is told of
// each message after it was kept, and must not block.
func New(store Store, dispatch Dispatcher, observe func(m *hook.Message)) *Pipeline {
	return &Pipeline{store: store, dispatch: dispatch, observe: observe}
}

// Update replaces the routes of all applications.
func (p *Pipeline) Update(r Routes) {
	for app, endpoints := range r {
		p.UpdateApp(app, endpoints)
	}
	p.routes.Range(func(app, _ any) bool {
		if _, there := r[app.(hook.Key)]; !there {
			p.routes.Delete(app)
		}
		return true
	})
}

// UpdateApp replaces the routes of one application.
func (p *Pipeline) UpdateApp(app hook.Key, endpoints []hook.Endpoint) {
	if len(endpoints) == 0 {
		p.routes.Delete(app)
		return
	}
	p.routes.Store(app, endpoints)
}

// endpoints are those of an application.
func (p *Pipeline) endpoints(app hook.Key) []hook.Endpoint {
	v, ok := p.routes.Load(app)
	if !ok {
		return nil
	}
	return v.([]hook.Endpoint)
}

// Active says whether an enabled endpoint of an application wants such a message.
func (p *Pipeline) Active(app hook.Key, eventType string, channels []string) bool {
	endpoints := p.endpoints(app)
	for i := range endpoints {
		if e := &endpoints[i]; e.State == hook.Enabled && e.Wants(eventType, channels) {
			return true
		}
	}
	return false
}

// Accept keeps an event and sends its deliveries on their way. When it returns
// without error, the event is on disk, or was before (a duplicate). After an
// error nothing was kept, and the sender should try again.
func (p *Pipeline) Accept(ctx context.Context, in hook.Incoming) (hook.Receipt, error) {
	received := in.ReceivedAt.Truncate(time.Millisecond)
	a := &hook.Append{
		Message: hook.Message{
			Org: in.Org, App: in.App, Event: in.Event, ReceivedAt: received, Headers: in.Headers, Body: in.Body,
			Channels: in.Channels, Tags: in.Tags, ExpiresAt: in.ExpiresAt,
		},
		Redeliver:   in.Redeliver,
		Idempotency: in.Idempotency,
	}
	if in.Event.DedupeKey != "" {
		a.Hash = hash(in.App, in.Event.DedupeKey)
	}
	a.Deliveries = p.route(&a.Message, in.Only, in.DeliverAt)
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
	if a.Repeated {
		return hook.Receipt{Message: a.Message.ID, Repeated: true}, nil
	}
	m := &a.Message
	if a.Duplicate {
		m = nil // what goes out again is what was kept first
	}
	p.dispatch.Dispatch(m, len(in.Body), a.Deliveries)
	if m != nil {
		p.observe(m)
	}
	return hook.Receipt{Message: a.Message.ID, Duplicate: a.Duplicate, Deliveries: len(a.Deliveries)}, nil
}

// route makes a delivery for each endpoint that wants the message, or for only
// one. What is due later is not held in memory until then, and what has a lane never is:
// its place in it comes from the store. A message that was asked to go out at a time of
// its own is in no lane, which would have to wait for that time.
func (p *Pipeline) route(m *hook.Message, only hook.Key, at time.Time) []hook.Delivery {
	endpoints := p.endpoints(m.App)
	if len(endpoints) == 0 {
		return nil
	}
	later := at.After(m.ReceivedAt)
	if !later {
		at = m.ReceivedAt
	}
	deliveries := make([]hook.Delivery, 0, len(endpoints))
	for i := range endpoints {
		e := &endpoints[i]
		if only != 0 && e.ID != only || only == 0 && !e.Wants(m.Type, m.Channels) {
			continue
		}
		d := hook.Delivery{Org: m.Org, Endpoint: e.ID, State: hook.Pending, NextAt: at, Since: at}
		if !later {
			d.Lane = e.Order.Lane(m.Subjects)
		}
		switch {
		case d.Lane != 0:
			d.State = hook.Waiting
		case e.State != hook.Enabled:
			d.State = hook.Held
		case !later:
			d.Holder = p.dispatch.Reserve(e.ID, len(m.Body))
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
