package dispatch_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
)

var (
	simulations = flag.Int("simulations", 100, "how many seeds are simulated")
	simulated   = flag.Uint64("simulate", 0, "simulate this seed only, and say what happens")
)

// A seed makes one world: endpoints with outages and bounds, messages that arrive, some of
// which an endpoint never takes, pauses, endpoints that say they are gone or are deleted, deliveries that
// are canceled and sent again by hand, and crashes in between. Hours pass in it. A model says what
// must have come of each delivery at the end, and rules are watched all the time.
func TestSimulatedWorldsEndAsTheModelSays(t *testing.T) {
	t.Parallel()
	if *simulated != 0 {
		newWorld(t, *simulated).run()
		return
	}
	base := uint64(time.Now().UnixNano())
	const together = 100 // a million that wait for their turn would fill the memory
	for first := 0; first < *simulations && timeLeft(t); first += together {
		t.Run("worlds", func(t *testing.T) {
			for i := first; i < min(first+together, *simulations); i++ {
				seed := base + uint64(i)
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, seed)
					w.run()
					if t.Failed() {
						t.Logf("again: go test ./internal/dispatch -run Simulated -simulate %d", seed)
					}
				})
			}
		})
		if done := first + together; !timeLeft(t) && done < *simulations {
			t.Logf("%d of %d worlds in the time there was", done, *simulations)
		}
	}
}

// timeLeft says whether a test that goes on as long as it is let may begin another part.
func timeLeft(t *testing.T) bool {
	end, bounded := t.Deadline()
	return !bounded || time.Until(end) > 2*time.Minute
}

const (
	simWindow = 2 * time.Hour // in which the last attempt falls
	simSpan   = time.Hour     // in which everything happens but for the last retries
)

// outage is a time in which an endpoint takes nothing.
type outage struct{ from, to time.Duration }

// simEndpoint is an endpoint of a world.
type simEndpoint struct {
	hook.Endpoint
	outages []outage
	paused  outage
	hangs   bool // during outages it does not answer, instead of refusing
	took    time.Duration
	byHand  fate
}

func (e *simEndpoint) down(at time.Duration) bool {
	return slices.ContainsFunc(e.outages, func(o outage) bool { return at >= o.from && at < o.to })
}

// simMessage is a message of a world.
type simMessage struct {
	at     time.Duration
	kind   string
	poison map[*simEndpoint]bool // that never take it
	id     hook.Key              // once it was accepted
}

type world struct {
	t         *testing.T
	seed      uint64
	rng       *rand.Rand
	endpoints []*simEndpoint
	messages  []*simMessage
	crashes   []time.Duration

	mu      sync.Mutex
	begun   time.Time
	byID    map[hook.Key]*simMessage
	running map[[2]hook.Key]int // attempts under way of message and endpoint
	at      map[hook.Key]int    // attempts under way at an endpoint
	took    map[[2]hook.Key]int // successes
	calls   map[hook.Key][]time.Duration
	life    int // which run of the process it is
	app     hook.Key
	hands   []hand
	byHand  map[[2]hook.Key]*handled
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), byID: map[hook.Key]*simMessage{}, running: map[[2]hook.Key]int{}, at: map[hook.Key]int{},
		took: map[[2]hook.Key]int{}, calls: map[hook.Key][]time.Duration{}, byHand: map[[2]hook.Key]*handled{}}
	within := func(most time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(most))) }
	for range 1 + w.rng.IntN(5) {
		e := &simEndpoint{took: within(200 * time.Millisecond), hangs: w.rng.IntN(3) == 0}
		e.OfSource = w.rng.IntN(2) == 0
		e.Window, e.Schedule = simWindow, []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute}
		e.Concurrency = []int{0, 0, 1, 3}[w.rng.IntN(4)]
		e.Throttle = []int{0, 0, 0, 5}[w.rng.IntN(4)]
		if w.rng.IntN(3) == 0 {
			e.EventTypes = []string{"a.*"}
		}
		for range w.rng.IntN(3) {
			from := within(simSpan)
			e.outages = append(e.outages, outage{from, from + within(20*time.Minute)})
		}
		if w.rng.IntN(4) == 0 {
			from := within(simSpan)
			e.paused = outage{from, from + within(20*time.Minute)}
		}
		w.endpoints = append(w.endpoints, e)
	}
	burst := within(simSpan)
	for range w.rng.IntN(120) {
		at := within(simSpan)
		if w.rng.IntN(3) == 0 { // so that some have to queue
			at = burst + within(time.Second)
		}
		m := &simMessage{at: at, kind: []string{"a.x", "b.x"}[w.rng.IntN(2)], poison: map[*simEndpoint]bool{}}
		if w.rng.IntN(10) == 0 {
			m.poison[w.endpoints[w.rng.IntN(len(w.endpoints))]] = true
		}
		w.messages = append(w.messages, m)
	}
	for range w.rng.IntN(4) {
		w.crashes = append(w.crashes, within(simSpan))
	}
	w.drawHands()
	return w
}

// event is something that happens to the world at a time.
type event struct {
	at time.Duration
	do func(r *rig) *rig
}

func (w *world) run() {
	dir := w.t.TempDir()
	synctest.Test(w.t, func(t *testing.T) {
		w.t, w.begun = t, time.Now()
		r := w.start(dir)
		w.make(r)
		r.endpoints(w.targets()...)
		var events []event
		for _, m := range w.messages {
			events = append(events, event{m.at, func(r *rig) *rig { w.accept(r, m); return r }})
		}
		for _, e := range w.endpoints {
			for _, at := range []time.Duration{e.paused.from, e.paused.to} {
				events = append(events, event{at, func(r *rig) *rig { r.endpoints(w.targets()...); return r }})
			}
		}
		for _, at := range w.crashes {
			events = append(events, event{at, func(r *rig) *rig {
				w.mu.Lock()
				w.life++ // what is under way is lost, and may come again
				clear(w.running)
				clear(w.at)
				w.mu.Unlock()
				r.end()
				r = w.start(dir)
				r.endpoints(w.targets()...)
				return r
			}})
		}
		events = append(events, w.handEvents()...)
		slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
		for _, e := range events {
			time.Sleep(time.Until(w.begun.Add(e.at)))
			r = e.do(r)
		}
		time.Sleep(2*simWindow + time.Hour)
		synctest.Wait()
		if _, err := r.store.CancelOrphans(ctx); err != nil { // as upkeep does
			t.Fatal(err)
		}
		w.check(r)
		r.end()
	})
}

func (w *world) now() time.Duration { return time.Since(w.begun) }

func (w *world) targets() (list []dispatch.Target) {
	for _, e := range w.endpoints {
		x := e.Endpoint
		if e.byHand.isDeleted {
			continue
		}
		if now := w.now(); now >= e.paused.from && now < e.paused.to {
			x.State = hook.Paused
		}
		if e.byHand.disabled {
			x.State = hook.Disabled
		}
		list = append(list, dispatch.Target{Endpoint: x, Attempt: func(ctx context.Context, m *hook.Message, _ *hook.Delivery) *hook.Attempt {
			return w.attempt(ctx, e, m)
		}})
	}
	return list
}

func (w *world) accept(r *rig, m *simMessage) {
	w.mu.Lock() // its first attempt may begin before we know its id
	m.id = r.acceptType(m.kind)
	w.byID[m.id] = m
	w.mu.Unlock()
	if w.seed == *simulated {
		w.t.Logf("%v: message %d, %s", w.now(), m.id, m.kind)
	}
}

// attempt is what an endpoint does with a message, and where the rules are watched.
func (w *world) attempt(ctx context.Context, e *simEndpoint, m *hook.Message) *hook.Attempt {
	began, key := time.Now(), [2]hook.Key{m.ID, e.ID}
	w.mu.Lock()
	life := w.life
	w.running[key]++
	w.at[e.ID]++
	w.calls[e.ID] = append(w.calls[e.ID], w.now())
	bound := cmp.Or(e.Concurrency, hook.DefaultConcurrency)
	if w.running[key] > 1 || w.at[e.ID] > bound {
		w.t.Errorf("%v: %d attempts at a time of one delivery, %d of endpoint %d", w.now(), w.running[key], w.at[e.ID], e.ID)
	}
	down, known := e.down(w.now()), w.byID[m.ID]
	gone := w.refuses(e, key)
	w.mu.Unlock()
	wait, a := e.took, &hook.Attempt{At: began}
	switch {
	case gone:
		a.Outcome, a.Status = hook.OutcomeStatus, 410
	case down && e.hangs:
		wait, a.Outcome = 15*time.Second, hook.OutcomeTimeout
	case down:
		a.Outcome, a.Status = hook.OutcomeStatus, 503
	case known != nil && known.poison[e]:
		a.Outcome, a.Status = hook.OutcomeStatus, 422
	default:
		a.Outcome, a.Status = hook.OutcomeDelivered, 200
	}
	select {
	case <-ctx.Done():
		a.Outcome, a.Status = hook.OutcomeTimeout, 0
	case <-time.After(wait):
	}
	a.Duration = time.Since(began)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.life == life {
		w.running[key]--
		w.at[e.ID]--
	}
	if a.Outcome == hook.OutcomeDelivered {
		w.took[key]++
	}
	return a
}

// check compares the end with the model: each delivery was made to who wanted it, has arrived
// once – or once more for each crash – and only what an endpoint never takes has failed.
func (w *world) check(r *rig) {
	for _, m := range w.messages {
		full, err := r.store.Message(ctx, m.id)
		if err != nil {
			w.t.Fatal(err)
		}
		deliveries, err := r.store.Deliveries(ctx, full)
		if err != nil {
			w.t.Fatal(err)
		}
		to := map[hook.Key]hook.Delivery{}
		for _, d := range deliveries {
			to[d.Endpoint] = d
		}
		for _, e := range w.endpoints {
			d, made := to[e.ID]
			if wanted := e.Wants(m.kind, nil) && !e.byHand.deletedBy(m.at); made != wanted {
				w.t.Errorf("message %d has a delivery to endpoint %d: %v", m.id, e.ID, made)
			}
			if !made {
				continue
			}
			times := w.took[[2]hook.Key{m.id, e.ID}]
			if why := w.wrong(m, e, d.State, times); why != "" {
				w.t.Errorf("message %d of %v at endpoint %d is %v after %d attempts, it arrived %d times; %s", m.id, m.at, e.ID, d.State, d.Attempts, times, why)
			}
			if attempts, err := r.store.Attempts(ctx, &d); err != nil || len(attempts) != d.Attempts {
				w.t.Errorf("message %d at endpoint %d: %d attempts are kept, %d were counted, %v", m.id, e.ID, len(attempts), d.Attempts, err)
			}
		}
	}
	for _, e := range w.endpoints {
		if e.Throttle == 0 || len(w.crashes) > 0 { // a restart begins to count anew
			continue
		}
		at := w.calls[e.ID]
		for i := e.Throttle + 1; i < len(at); i++ {
			if at[i]-at[i-e.Throttle-1] < time.Second {
				w.t.Errorf("endpoint %d, %d a second: attempts %d to %d came within %v", e.ID, e.Throttle, i-e.Throttle-1, i, at[i]-at[i-e.Throttle-1])
			}
		}
	}
	if n := len(w.running); w.seed == *simulated {
		w.t.Logf("%d messages, %d endpoints, %d crashes, %d deliveries were attempted", len(w.messages), len(w.endpoints), len(w.crashes), n)
	}
}
