// Package dispatch brings deliveries to their endpoints: straight from memory
// after they were kept, or from the store when they are due again. Each
// endpoint has its own queue and its own bound of attempts under way, so a slow
// one delays nobody else. What an attempt means is decided in pure functions
// (retry.go); how a request is made is not its business.
package dispatch

import (
	"context"
	"log/slog"
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
	// Holds says whether a holder is still that of this process.
	Holds(holder hook.Key) bool
	Claim(ctx context.Context, endpoint hook.Key, now time.Time, limit int) (claimed []hook.Delivery, next time.Time, err error)
	Message(ctx context.Context, k hook.Key) (*hook.Message, error)
	Record(ctx context.Context, records []*hook.Record) error
	DueByEndpoint(ctx context.Context) (map[hook.Key]time.Time, error)
	HeldEndpoints(ctx context.Context) ([]hook.Key, error)
	// DeadHolders are other processes that died and may still hold something.
	DeadHolders(ctx context.Context) ([]hook.Key, error)
	HoldPending(ctx context.Context, endpoint hook.Key) (int64, error)
	ReleaseHeld(ctx context.Context, endpoint hook.Key, now time.Time, pace time.Duration, limit int) (int64, error)
	DisableEndpoint(ctx context.Context, endpoint hook.Key, reason string) error
	// SaveHealth adds to the health of endpoints, and Failing reads that of those that
	// fail or have retries to bring forward.
	SaveHealth(ctx context.Context, changes []hook.HealthChange) error
	Failing(ctx context.Context) ([]hook.Health, error)
	// Health reads that of one; of one that never failed it is empty.
	Health(ctx context.Context, endpoint hook.Key) (hook.Health, error)
	// ClearHealth forgets it, for an endpoint that is enabled anew.
	ClearHealth(ctx context.Context, endpoint hook.Key) error
	// Warn notes a warning; it says whether it was the first to.
	Warn(ctx context.Context, endpoint hook.Key, failingSince time.Time, percent int) (first bool, err error)
	// BringForward makes retries of an endpoint that recovered due at a pace.
	BringForward(ctx context.Context, endpoint hook.Key, now time.Time, pace time.Duration, limit int) (int64, error)
}

// Target is an endpoint with the way to reach it.
type Target struct {
	hook.Endpoint
	// AppThrottle bounds the attempts a second of all endpoints of its application; 0 is no bound.
	AppThrottle int
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
	Sweep time.Duration
	// Watch is how often is looked for nodes that died, whose work is then taken over;
	// 0 is never, for who is alone.
	Watch time.Duration
	// Switched is told of an endpoint whose breaker opened or closed, once the store has
	// it so: other nodes may follow. May be nil.
	Switched func(endpoint hook.Key)
	// Disabled is told of an endpoint that was disabled by rule, and since when it
	// failed, if that is why; may be nil.
	Disabled func(target *Target, since time.Time)
	// Warned is told of an endpoint that will be disabled at a time if it goes on
	// failing; may be nil.
	Warned func(target *Target, h hook.Health, percent int, at time.Time)
}

// Bounds of what is held in memory. What does not fit stays in the store
// without a holder and is claimed later.
const (
	queueJobs  = 10_000    // per endpoint
	queueBytes = 32 << 20  // per endpoint
	totalBytes = 256 << 20 // all endpoints
	// mostAttempts are under way at once over all endpoints; beyond them each endpoint
	// has one. It keeps sockets within what systems give.
	mostAttempts = 4096
	// probeJobs are in memory of an endpoint that takes none now.
	probeJobs = 16
)

const (
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
	store    Store
	log      *slog.Logger
	observe  Observer
	gone     func(target *Target, since time.Time)
	warned   func(target *Target, h hook.Health, percent int, at time.Time)
	switched func(endpoint hook.Key)
	every    time.Duration // between sweeps
	watch    time.Duration // between looks for the dead

	mu        sync.RWMutex
	endpoints map[hook.Key]*endpoint
	apps      map[hook.Key]map[hook.Key]bool // application → its endpoints
	paces     map[hook.Key]*pace             // of applications
	agenda    agenda
	draining  bool        // nothing new is taken
	line      []*endpoint // wait for a claim
	claims    int         // under way

	wake     chan struct{}
	bytes    atomic.Int64 // of bodies in memory
	claimed  atomic.Int64 // jobs in memory that came from the store
	underWay atomic.Int64 // goroutines that make attempts
	nodes    atomic.Int32 // that share the endpoints
	work     sync.WaitGroup

	newsMu   sync.Mutex
	fresh    map[*endpoint]bool // have news
	newsWake chan struct{}
	ill      atomic.Bool // the store may know of endpoints that recover

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
	d := &Dispatcher{store: o.Store, log: o.Log, observe: o.Observe, gone: o.Disabled, warned: o.Warned, switched: o.Switched, every: o.Sweep, watch: o.Watch,
		endpoints: map[hook.Key]*endpoint{}, apps: map[hook.Key]map[hook.Key]bool{}, paces: map[hook.Key]*pace{}, fresh: map[*endpoint]bool{}, newsWake: make(chan struct{}, 1),
		wake: make(chan struct{}, 1), finished: make(chan finished, recordBatch), recorded: make(chan struct{})}
	if d.every == 0 {
		d.every = sweepInterval
	}
	d.ill.Store(true)
	d.nodes.Store(1)
	d.attempts, d.cut = context.WithCancel(context.Background())
	return d
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
	if e == nil || !d.running.Load() || d.stopping.Load() {
		return 0
	}
	// Of what is free an endpoint may have half besides what it has: so many may want
	// all of it at once, and each gets the same, and the next still finds some
	// (A. Choudhury and E. Hahne, Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, 1998).
	free := totalBytes - d.bytes.Load()
	if int64(size) > free || !e.reserve(size, min(queueBytes, free/2)) {
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
	run, at := e.take(&job{delivery: *v, message: m, size: size}, time.Now())
	d.start(e, run)
	d.later(e, at)
}

// Due says that the store has a delivery for an endpoint that is due at a time.
func (d *Dispatcher) Due(id hook.Key, at time.Time) {
	d.mu.Lock()
	e := d.endpoints[id]
	if e == nil {
		d.mu.Unlock()
		return
	}
	if e.due.IsZero() || at.Before(e.due) {
		e.due = at
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
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { d.tellNews(ctx) })
	beside.Go(func() { d.sweepAll(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		turns, next := d.ready(time.Now())
		for _, t := range turns {
			d.work.Go(func() { d.turn(t.endpoint) })
			if t.claim {
				d.lineUp(t.endpoint)
			}
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
		}
	}
}

// turn is an endpoint whose time has come; claim says that the store has something for it.
type turn struct {
	endpoint *endpoint
	claim    bool
}

// ready takes the endpoints whose time has come from the agenda, and says when the
// next one's will.
func (d *Dispatcher) ready(now time.Time) (turns []turn, next time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.agenda.due(now) {
		t := turn{endpoint: e}
		switch {
		case e.due.IsZero():
		case e.due.After(now): // it came for what is queued
			d.agenda.add(e, e.due)
		default:
			t.claim, e.due = true, time.Time{}
		}
		turns = append(turns, t)
	}
	return turns, d.agenda.next()
}
