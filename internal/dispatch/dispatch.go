// Package dispatch brings deliveries to their endpoints: straight from memory
// after they were kept, or from the store when they are due again. Each
// endpoint has its own queue and its own bound of attempts under way, so a slow
// one delays nobody else. What an attempt means is decided in pure functions
// (retry.go); how a request is made is not its business.
package dispatch

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Store is what the dispatcher needs of the store.
type Store interface {
	// Incarnation is the holder under which this process has deliveries now. It
	// changes when others took the process for dead.
	Incarnation() hook.Key
	Claim(ctx context.Context, endpoint hook.Key, now time.Time, limit int) (claimed []hook.Delivery, next time.Time, err error)
	Message(ctx context.Context, k hook.Key) (*hook.Message, error)
	Record(ctx context.Context, records []*hook.Record) error
	DueByEndpoint(ctx context.Context) (map[hook.Key]time.Time, error)
	HeldEndpoints(ctx context.Context) ([]hook.Key, error)
	HoldPending(ctx context.Context, endpoint hook.Key) (int64, error)
	ReleaseHeld(ctx context.Context, endpoint hook.Key, now time.Time, pace time.Duration, limit int) (int64, error)
	DisableEndpoint(ctx context.Context, endpoint hook.Key, reason string) error
}

// Target is an endpoint with the way to reach it.
type Target struct {
	hook.Endpoint
	// Attempt makes one HTTP try and says what came of it. It ends early when
	// ctx does.
	Attempt func(ctx context.Context, m *hook.Message, d *hook.Delivery) *hook.Attempt
}

// Observer is told of each attempt after it was recorded. m may be nil.
type Observer func(target *Target, m *hook.Message, r *hook.Record)

// Options of a Dispatcher.
type Options struct {
	Store   Store
	Log     *slog.Logger
	Observe Observer
	// Sweep is how often the store is asked for what nobody told of; 0 means 30 s.
	// Where nodes share a store it bounds how long the work of a dead one waits.
	Sweep time.Duration
	// Disabled is told of an endpoint that was disabled by rule; may be nil.
	Disabled func(target *Target)
}

// Bounds of what is held in memory. What does not fit stays in the store
// without a holder and is claimed later.
const (
	queueJobs  = 10_000    // per endpoint
	queueBytes = 32 << 20  // per endpoint
	totalBytes = 256 << 20 // all endpoints
)

const (
	// claimStep is how many deliveries one claim takes. Their bodies are read
	// only when their turn comes.
	claimStep = 256
	// sweepInterval is how often the store is asked what nobody told of: the
	// truth is there, everything else only makes it quicker.
	sweepInterval = 30 * time.Second
	// releasePace is the distance between deliveries that were held.
	releasePace = 10 * time.Millisecond
	// releaseStep is how many of them are made due in one sweep: what the pace
	// brings out until the next.
	releaseStep = int(sweepInterval / releasePace)
	// recordRetry is how long after a failure to record it is tried again.
	recordRetry = time.Second
	// recordBatch is how many attempts are recorded together at the most.
	recordBatch = 256
)

// Dispatcher brings deliveries to endpoints. Update gives it the endpoints; Run
// keeps it going.
type Dispatcher struct {
	store   Store
	log     *slog.Logger
	observe Observer
	gone    func(target *Target)
	every   time.Duration // between sweeps

	mu        sync.RWMutex
	endpoints map[hook.Key]*endpoint
	apps      map[hook.Key]map[hook.Key]bool // application → its endpoints
	agenda    agenda
	draining  bool // nothing new is taken

	wake  chan struct{}
	bytes atomic.Int64 // of bodies in memory
	work  sync.WaitGroup
	// attempts ends when attempts under way must stop; stopping, when no new ones may begin.
	attempts context.Context
	cut      context.CancelFunc
	running  atomic.Bool
	stopping atomic.Bool

	finished chan finished // on their way to the record
	recorded chan struct{} // closed when all of them are
}

// New makes a Dispatcher.
func New(o Options) *Dispatcher {
	d := &Dispatcher{store: o.Store, log: o.Log, observe: o.Observe, gone: o.Disabled, every: o.Sweep,
		endpoints: map[hook.Key]*endpoint{}, apps: map[hook.Key]map[hook.Key]bool{}, wake: make(chan struct{}, 1), finished: make(chan finished, recordBatch), recorded: make(chan struct{})}
	if d.every == 0 {
		d.every = sweepInterval
	}
	d.attempts, d.cut = context.WithCancel(context.Background())
	return d
}

// Update replaces the endpoints. Deliveries of one that is no longer enabled
// become held, those of one that is again become due at a gentle pace.
func (d *Dispatcher) Update(ctx context.Context, targets []Target) error {
	d.mu.Lock()
	left := d.endpoints
	d.endpoints, d.apps = make(map[hook.Key]*endpoint, len(targets)), map[hook.Key]map[hook.Key]bool{}
	for i := range targets {
		t := &targets[i]
		if d.apps[t.App] == nil {
			d.apps[t.App] = map[hook.Key]bool{}
		}
		d.apps[t.App][t.ID] = true
		e := left[t.ID]
		if e == nil {
			e = newEndpoint(t)
		} else {
			e.setTarget(t)
		}
		delete(left, t.ID)
		d.endpoints[t.ID] = e
	}
	for _, e := range left {
		e.retire()
	}
	d.mu.Unlock()
	if err := d.sweep(ctx); err != nil { // it is swept again soon
		d.log.Warn("sweep failed", "error", err)
	}
	return nil
}

// UpdateApp replaces the endpoints of one application. What Update says of
// deliveries holds for theirs.
func (d *Dispatcher) UpdateApp(ctx context.Context, app hook.Key, targets []Target) error {
	d.mu.Lock()
	stays := make(map[hook.Key]bool, len(targets))
	for i := range targets {
		t := &targets[i]
		stays[t.ID] = true
		if e := d.endpoints[t.ID]; e != nil {
			e.setTarget(t)
		} else {
			d.endpoints[t.ID] = newEndpoint(t)
		}
	}
	for id := range d.apps[app] {
		if !stays[id] {
			d.endpoints[id].retire()
			delete(d.endpoints, id)
		}
	}
	d.apps[app] = stays
	d.mu.Unlock()
	now := time.Now()
	for i := range targets {
		t := &targets[i]
		if t.State != hook.Enabled {
			if _, err := d.store.HoldPending(ctx, t.ID); err != nil {
				return err
			}
			continue
		}
		if _, err := d.store.ReleaseHeld(ctx, t.ID, now, releasePace, releaseStep); err != nil {
			return err
		}
		d.Due(t.ID, now)
	}
	return nil
}

// sweep brings held and pending deliveries in line with the state of their
// endpoints and reads from the store what is due when.
func (d *Dispatcher) sweep(ctx context.Context) error {
	held, err := d.store.HeldEndpoints(ctx)
	if err != nil {
		return err
	}
	for _, id := range held {
		if e := d.endpoint(id); e == nil || e.target.Load().State != hook.Enabled {
			continue
		}
		// One step each time: a backlog of a month must not keep the others waiting.
		if _, err := d.store.ReleaseHeld(ctx, id, time.Now(), releasePace, releaseStep); err != nil {
			return err
		}
	}
	due, err := d.store.DueByEndpoint(ctx)
	if err != nil {
		return err
	}
	for id, at := range due {
		if e := d.endpoint(id); e != nil && e.target.Load().State == hook.Enabled {
			d.Due(id, at)
		} else if _, err := d.store.HoldPending(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dispatcher) endpoint(id hook.Key) *endpoint {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.endpoints[id]
}

// Reserve asks for room in memory for one delivery of size bytes. It returns
// the holder to keep with it: this incarnation, or 0 when there is no room. What
// was reserved must be given to Dispatch, or back with Unreserve.
func (d *Dispatcher) Reserve(id hook.Key, size int) hook.Key {
	e := d.endpoint(id)
	if e == nil || !d.running.Load() || d.stopping.Load() || d.bytes.Load()+int64(size) > totalBytes || !e.reserve(size) {
		return 0
	}
	d.bytes.Add(int64(size))
	return d.store.Incarnation()
}

// Unreserve gives back what Reserve promised.
func (d *Dispatcher) Unreserve(id hook.Key, size int) {
	d.bytes.Add(-int64(size))
	if e := d.endpoint(id); e != nil {
		e.unreserve(size)
	}
}

// Dispatch sends deliveries that were just kept on their way: those that this
// incarnation holds at once, the others when there is room. size is what was
// reserved for each. m is what they carry; nil when that must be read from the
// store, as for a duplicate, whose first message is what goes out.
func (d *Dispatcher) Dispatch(m *hook.Message, size int, deliveries []hook.Delivery) {
	if d.stopping.Load() {
		return // what this incarnation holds is claimed at the next start
	}
	for i := range deliveries {
		v := &deliveries[i]
		switch {
		case v.State != hook.Pending:
		case v.Holder != 0: // reserved here
			d.dispatch(m, size, v)
		default:
			d.Due(v.Endpoint, v.NextAt)
		}
	}
}

// dispatch queues one delivery that this incarnation holds.
func (d *Dispatcher) dispatch(m *hook.Message, size int, v *hook.Delivery) {
	if m == nil { // its size is counted when it is read
		d.Unreserve(v.Endpoint, size)
		size = 0
	}
	e := d.endpoint(v.Endpoint)
	if e == nil { // it was deleted since the routes were read
		d.bytes.Add(-int64(size))
		d.finished <- finished{job: &job{}, record: &hook.Record{Delivery: *v, State: hook.Canceled, NextAt: v.NextAt}}
		return
	}
	if m == nil {
		e.readmit()
	}
	d.start(e, e.take(&job{delivery: *v, message: m, size: size}))
}

// Due says that the store has a delivery for an endpoint that is due at a time.
func (d *Dispatcher) Due(id hook.Key, at time.Time) {
	d.mu.Lock()
	e := d.endpoints[id]
	if e == nil {
		d.mu.Unlock()
		return
	}
	first := d.agenda.add(e, at)
	d.mu.Unlock()
	if first {
		d.nudge()
	}
}

func (d *Dispatcher) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run claims what becomes due until ctx ends. It then takes nothing new; Drain
// waits for what is under way. A Dispatcher runs once.
func (d *Dispatcher) Run(ctx context.Context) error {
	d.running.Store(true)
	go d.recordAll()
	sweep := time.NewTicker(d.every)
	defer sweep.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		d.mu.Lock()
		ready, next := d.agenda.due(time.Now())
		d.mu.Unlock()
		for _, e := range ready {
			d.work.Go(func() { d.claim(e) })
		}
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		case <-timer.C:
		case <-sweep.C:
			if err := d.sweep(ctx); err != nil && ctx.Err() == nil {
				d.log.Warn("sweep failed", "error", err)
			}
		}
	}
}

// claim fills an endpoint's queue from the store.
func (d *Dispatcher) claim(e *endpoint) {
	limit := e.beginClaim()
	if limit == 0 || d.stopping.Load() {
		return // e asks again when it has room
	}
	claimed, next, err := d.store.Claim(d.attempts, e.id, time.Now(), limit)
	if err != nil {
		d.log.Warn("claim failed", "endpoint", e.name(), "error", err)
		next = time.Now().Add(recordRetry)
	}
	if e.endClaim(limit - len(claimed)) {
		next = time.Now()
	}
	for _, v := range claimed {
		d.start(e, e.take(&job{delivery: v}))
	}
	if !next.IsZero() {
		d.Due(e.id, next)
	}
}

// start runs a job in a goroutine of its own, if it is one.
func (d *Dispatcher) start(e *endpoint, j *job) {
	if j != nil {
		d.work.Go(func() { d.run(e, j) })
	}
}

// run makes one attempt after another, for as long as the endpoint has jobs
// for it. What came of each is recorded by another goroutine: who waits for
// the disk would keep a place at the endpoint.
func (d *Dispatcher) run(e *endpoint, j *job) {
	for j != nil {
		t := e.target.Load()
		r, slower := d.attempt(e, t, j)
		if d.stopping.Load() {
			e.leave()
			if r.State == hook.Delivered {
				d.finished <- finished{e, t, j, r}
			}
			return // what we cut stays as it is, and the next start claims it
		}
		d.finished <- finished{e, t, j, r}
		j = e.finish(r.State == hook.Delivered, slower)
		d.start(e, e.spare())
	}
}

// attempt tries once, unless the endpoint or the message says otherwise.
func (d *Dispatcher) attempt(e *endpoint, t *Target, j *job) (r *hook.Record, slower bool) {
	v := &j.delivery
	r = &hook.Record{Delivery: *v, State: hook.Pending, NextAt: v.NextAt}
	if t.State != hook.Enabled {
		r.State = hook.Held
		return r, false
	}
	if j.message == nil {
		m, err := d.store.Message(d.attempts, v.Message)
		if hook.CodeOf(err) == hook.CodeNotFound && err != nil {
			r.State = hook.Canceled // its payload was deleted: there is nothing to send
			return r, false
		}
		if err != nil {
			r.NextAt = time.Now().Add(recordRetry)
			return r, false
		}
		j.message, j.size = m, len(m.Body)
		d.bytes.Add(int64(j.size))
		e.count(j.size)
	}
	a := t.Attempt(d.attempts, j.message, v)
	a.Delivery, a.Message, a.Endpoint = v.ID, v.Message, v.Endpoint
	a.Number, a.Trigger = v.Attempts+1, v.Trigger
	what, poison, why := unblock(&t.Endpoint, v, decide(&t.Endpoint, v, a, time.Now(), rand.Float64()))
	if r.Poison = poison; why != "" {
		a.Reason += "; " + why
	}
	r.Attempt, r.State, r.NextAt = a, what.state, what.nextAt
	if what.disable {
		d.disable(t)
	}
	return r, what.slower
}

// disable stops an endpoint whose owner said, with a 410, that it is gone.
func (d *Dispatcher) disable(t *Target) {
	gone := *t
	gone.State, gone.Reason = hook.Disabled, "it answered 410 Gone"
	if e := d.endpoint(t.ID); e != nil {
		e.setTarget(&gone)
	}
	if err := d.store.DisableEndpoint(d.attempts, t.ID, gone.Reason); err != nil {
		d.log.Error("disable endpoint failed", "endpoint", t.Label(), "error", err)
	}
	if d.gone != nil {
		d.gone(&gone)
	}
}

// Drain ends the work: nothing new is taken, what is queued is delivered until
// ctx ends, then attempts under way are cut. What is left stays in the store.
func (d *Dispatcher) Drain(ctx context.Context) {
	d.mu.Lock()
	d.draining = true
	d.mu.Unlock()
	done := make(chan struct{})
	go func() {
		d.work.Wait()
		d.stopping.Store(true) // nothing starts any more
		close(d.finished)
		<-d.recorded
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	d.stopping.Store(true)
	d.cut()
	<-done
}
