package dispatch

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// job is one delivery in memory.
type job struct {
	delivery hook.Delivery
	message  *hook.Message // nil: read when its turn comes
	size     int           // bytes counted for it
	claimed  bool          // it came from the store
}

// endpoint is the queue of one endpoint and what bounds its attempts.
type endpoint struct {
	id     hook.Key
	target atomic.Pointer[Target]
	// underWay is how many attempts are, of all endpoints.
	underWay *atomic.Int64
	// Of the agenda, under the dispatcher's lock. due is when the store has something
	// for it; zero is not known. at, when it has its turn, may be earlier.
	place   int // -1 when it is not there
	at, due time.Time
	waits   bool // for a claim, in line

	mu       sync.Mutex
	queue    []*job
	head     int
	running  int
	nodes    int // that share its bound
	reserved int // jobs promised, queued or running
	bytes    int64
	limit    limit
	breaker  breaker
	rate     *pace // its own
	app      *pace // that of its application, which others share
	// failing: there was a failure since the last success. news is what of it the
	// store was not told yet.
	failing   bool
	news      news
	told      int       // trips of the breaker that the store knows of
	succeeded time.Time // the last success; zero when there was none since the start
	// starved is set when a claim found no room; the next free place asks again.
	starved bool
	// claiming: a claim is under way; again: something became due meanwhile.
	claiming, again bool
}

func newEndpoint(t *Target, nodes int, underWay *atomic.Int64) *endpoint {
	e := &endpoint{id: t.ID, place: -1, underWay: underWay, nodes: nodes, limit: newLimit(bound(t, nodes)), rate: newPace(t.Throttle, nodes)}
	e.target.Store(t)
	return e
}

func (e *endpoint) name() string { return e.target.Load().Label() }

// setTarget changes the endpoint, and says whether it was enabled by that.
func (e *endpoint) setTarget(t *Target) (enabled bool) {
	old := e.target.Swap(t)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limit.setMost(bound(t, e.nodes))
	switch {
	case e.rate != nil && t.Throttle > 0:
		e.rate.set(t.Throttle, e.nodes)
	case old.Throttle != t.Throttle:
		e.rate = newPace(t.Throttle, e.nodes)
	}
	enabled = old.State != hook.Enabled && t.State == hook.Enabled
	if enabled {
		e.failing, e.news, e.breaker = false, news{}, breaker{}
	}
	return enabled
}

// setApp gives the endpoint the pace of its application.
func (e *endpoint) setApp(p *pace) {
	e.mu.Lock()
	e.app = p
	e.mu.Unlock()
}

// retire makes an endpoint that was deleted hold what it still has.
func (e *endpoint) retire() {
	t := *e.target.Load()
	t.State, t.Reason = hook.Disabled, "it was deleted"
	e.setTarget(&t)
}

// reserve counts one delivery as in memory, if there is room within share, and nothing
// older waits in the store. What an endpoint with an open breaker is to get waits
// there too.
func (e *endpoint) reserve(size int, share int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.starved || !e.breaker.closed() || e.reserved >= e.most(queueJobs) || e.bytes+int64(size) > share {
		return false
	}
	e.reserved++
	e.bytes += int64(size)
	return true
}

// most is how many jobs may be in memory: no more than a minute brings out, and a
// few where the breaker is not closed.
func (e *endpoint) most(jobs int) int {
	if !e.breaker.closed() {
		return probeJobs
	}
	if rate := e.target.Load().Throttle; rate > 0 {
		return min(jobs, probeJobs+60*rate)
	}
	return jobs
}

// count adds bytes that were read for a job after it was queued.
func (e *endpoint) count(size int) {
	e.mu.Lock()
	e.bytes += int64(size)
	e.mu.Unlock()
}

func (e *endpoint) unreserve(size int) {
	e.mu.Lock()
	e.reserved--
	e.bytes -= int64(size)
	e.mu.Unlock()
}

// readmit counts a job that was reserved and given back.
func (e *endpoint) readmit() {
	e.mu.Lock()
	e.reserved++
	e.mu.Unlock()
}

// take queues a reserved job, or returns it when it may run at once. Otherwise at
// is when the first of the queue may, if that is a matter of time.
func (e *endpoint) take(j *job, now time.Time) (run *job, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.length() == 0 {
		ok, at := e.may(now)
		if ok {
			e.running++
			return j, at
		}
		e.push(j)
		return nil, at
	}
	e.push(j)
	return nil, time.Time{} // those before it have seen to that
}

// next is the first job of the queue when it may run, and counts as running then.
// at is as in take.
func (e *endpoint) next(now time.Time) (j *job, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.nextLocked(now)
}

func (e *endpoint) nextLocked(now time.Time) (*job, time.Time) {
	if e.length() == 0 {
		return nil, time.Time{}
	}
	ok, at := e.may(now)
	if !ok {
		return nil, at
	}
	e.running++
	return e.pop(), time.Time{}
}

// may says whether another attempt may begin, and spends what it costs. Otherwise
// at is when it may; zero when the end of one that is under way decides.
func (e *endpoint) may(now time.Time) (ok bool, at time.Time) {
	if e.running >= e.limit.now() || e.running > 0 && e.underWay.Load() >= mostAttempts {
		return false, time.Time{}
	}
	if e.target.Load().State != hook.Enabled {
		return true, time.Time{} // it is held, which is no attempt
	}
	if at := e.breaker.ready(now, e.running); !at.IsZero() {
		if at == never {
			at = time.Time{}
		}
		return false, at
	}
	if at := e.rate.ready(now); !at.IsZero() {
		return false, at
	}
	if at := e.app.take(now); !at.IsZero() {
		return false, at
	}
	e.rate.take(now)
	return true, time.Time{}
}

// finish ends one attempt, learns from it, and returns the job that may run in its
// place. a is nil when there was no attempt after all.
func (e *endpoint) finish(a *hook.Attempt, slower bool, now time.Time) (j *job, at time.Time, what learned) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a != nil {
		what = e.learn(a, slower, now)
	}
	e.running--
	j, at = e.nextLocked(now)
	return j, at, what
}

// learned is what an attempt changed.
type learned struct {
	tell  bool  // the store is to know of it
	freed int64 // bytes of bodies that were let go
}

func (e *endpoint) learn(a *hook.Attempt, slower bool, now time.Time) (what learned) {
	switch {
	case a.Outcome == hook.OutcomeDelivered:
		e.limit.succeeded(a.Duration, e.running)
		e.breaker.succeeded()
		e.succeeded = now
		if e.failing {
			e.failing = false
			e.news.succeeded(now)
			what.tell = true
		}
	case a.Outcome == hook.OutcomeLoop: // it says nothing about the endpoint
	default:
		if slower || a.Status == 0 {
			e.limit.overloaded()
		}
		e.failing = true
		e.news.failed(now, e.succeeded)
		what.tell = true
		if e.breaker.failed(a, now) {
			what.freed = e.letGo()
		}
	}
	return what
}

// letGo forgets the bodies of what is queued; they are read again when its turn comes.
func (e *endpoint) letGo() (freed int64) {
	for _, j := range e.queue[e.head:] {
		freed += int64(j.size)
		j.message, j.size = nil, 0
	}
	e.bytes -= freed
	return freed
}

// forsake takes out of the queue what is of a holder that does not hold it any more.
func (e *endpoint) forsake(holds func(hook.Key) bool) (gone []*job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := e.queue[:0]
	for _, j := range e.queue[e.head:] {
		if holds(j.delivery.Holder) {
			kept = append(kept, j)
		} else {
			gone = append(gone, j)
		}
	}
	clear(e.queue[len(kept):])
	e.queue, e.head = kept, 0
	return gone
}

// spare is a queued job for which there is a free place, or nil. After an
// endpoint was slowed down its places come back one by one, and each needs a
// worker of its own.
func (e *endpoint) spare(now time.Time) *job {
	j, _ := e.next(now) // when it may run was said by finish
	return j
}

// leave ends one attempt without another.
func (e *endpoint) leave() {
	e.mu.Lock()
	e.running--
	e.mu.Unlock()
}

func (e *endpoint) length() int { return len(e.queue) - e.head }

func (e *endpoint) push(j *job) {
	if e.head > len(e.queue)/2 { // a queue that is never empty must not grow by what has left it
		n := copy(e.queue, e.queue[e.head:])
		clear(e.queue[n:])
		e.queue, e.head = e.queue[:n], 0
	}
	e.queue = append(e.queue, j)
}

func (e *endpoint) pop() *job {
	j := e.queue[e.head]
	e.queue[e.head] = nil
	e.head++
	if e.head == len(e.queue) {
		e.queue, e.head = e.queue[:0], 0
	}
	return j
}
