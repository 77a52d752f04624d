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
}

// endpoint is the queue of one endpoint and the bound on its attempts.
type endpoint struct {
	id     hook.Key
	target atomic.Pointer[Target]
	place  int // in the agenda; -1 when it is not there
	at     time.Time

	mu       sync.Mutex
	queue    []*job
	head     int
	running  int
	nodes    int // that share its bound
	reserved int // jobs promised, queued or running
	bytes    int64
	// limit is how many attempts may be under way: the endpoint's bound, less
	// when it asked for fewer (429, 502, 503, 504 halve it, a success adds one).
	limit int
	// starved is set when a claim found no room; the next free place asks again.
	starved bool
	// claiming: a claim is under way; again: something became due meanwhile.
	claiming, again bool
}

func newEndpoint(t *Target, nodes int) *endpoint {
	e := &endpoint{id: t.ID, place: -1, nodes: nodes, limit: bound(t, nodes)}
	e.target.Store(t)
	return e
}

func (e *endpoint) name() string { return e.target.Load().Label() }

func (e *endpoint) setTarget(t *Target) {
	e.target.Store(t)
	e.mu.Lock()
	e.limit = bound(t, e.nodes)
	e.mu.Unlock()
}

// retire makes an endpoint that was deleted hold what it still has.
func (e *endpoint) retire() {
	t := *e.target.Load()
	t.State, t.Reason = hook.Disabled, "it was deleted"
	e.setTarget(&t)
}

// reserve counts one delivery as in memory, if there is room and nothing older
// waits in the store.
func (e *endpoint) reserve(size int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.starved || e.reserved >= queueJobs || e.bytes+int64(size) > queueBytes {
		return false
	}
	e.reserved++
	e.bytes += int64(size)
	return true
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

// take queues a reserved job, or returns it when it may run at once.
func (e *endpoint) take(j *job) *job {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running < e.limit && e.length() == 0 {
		e.running++
		return j
	}
	if e.head > len(e.queue)/2 { // a queue that is never empty must not grow by what has left it
		n := copy(e.queue, e.queue[e.head:])
		clear(e.queue[n:])
		e.queue, e.head = e.queue[:n], 0
	}
	e.queue = append(e.queue, j)
	return nil
}

// finish ends one attempt and returns the job that may run in its place.
func (e *endpoint) finish(delivered, slower bool) *job {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case slower:
		e.limit = max(1, e.limit/2)
	case delivered && e.limit < bound(e.target.Load(), e.nodes):
		e.limit++
	}
	if e.running > e.limit || e.length() == 0 {
		e.running--
		return nil
	}
	return e.pop()
}

// spare is a queued job for which there is a free place, or nil. After an
// endpoint was slowed down its places come back one by one, and each needs a
// worker of its own.
func (e *endpoint) spare() *job {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running >= e.limit || e.length() == 0 {
		return nil
	}
	e.running++
	return e.pop()
}

// leave ends one attempt without another.
func (e *endpoint) leave() {
	e.mu.Lock()
	e.running--
	e.mu.Unlock()
}

func (e *endpoint) length() int { return len(e.queue) - e.head }

func (e *endpoint) pop() *job {
	j := e.queue[e.head]
	e.queue[e.head] = nil
	e.head++
	if e.head == len(e.queue) {
		e.queue, e.head = e.queue[:0], 0
	}
	return j
}

// beginClaim reserves room for a claim and says for how many deliveries; 0 when
// there is none now, or a claim is under way.
func (e *endpoint) beginClaim() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.claiming {
		e.again = true
		return 0
	}
	n := min(claimStep, queueJobs/2-e.reserved)
	if n <= 0 {
		e.starved = true
		return 0
	}
	e.claiming, e.again, e.starved = true, false, false
	e.reserved += n
	return n
}

// endClaim gives back the room that a claim did not need, and says whether
// another claim was asked for meanwhile.
func (e *endpoint) endClaim(unused int) (again bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.claiming = false
	e.reserved -= unused
	return e.again
}

// wantsClaim is now, when a claim was put off and there is room again.
func (e *endpoint) wantsClaim() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.starved || e.reserved > queueJobs/2-claimStep {
		return time.Time{}
	}
	return time.Now()
}
