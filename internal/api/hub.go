package api

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sigpost/sigpost/internal/hook"
)

// Event says that the store has something new. What it is, a stream reads
// there: keys are given at commit, so reading by key gives each event once and
// in order, in whatever order it was told.
type Event struct {
	Key hook.Key // of the message or attempt
	Org hook.Key
	App hook.Key
	// Kind is EventMessage or EventAttempt.
	Kind string
	Type string // the event type
}

// The kinds of events.
const (
	EventMessage = "message"
	EventAttempt = "attempt"
)

// streamsPerOrg is how many streams an organization may have open.
const streamsPerOrg = 100

// streamsPerApp is how many of them may be of one application: its portal must
// not use up those of others.
const streamsPerApp = 10

// Hub wakes the streams that an event is for. It keeps nothing: who is slow
// falls behind and reads on from where it is. Safe for concurrent use.
type Hub struct {
	mu      sync.RWMutex
	streams map[hook.Key]map[*subscription]struct{} // by organization
	closed  bool
}

// NewHub makes a Hub.
func NewHub() *Hub { return &Hub{streams: map[hook.Key]map[*subscription]struct{}{}} }

// subscription is what one stream waits for.
type subscription struct {
	streamFilter
	seen atomic.Int64  // the key up to which it has read
	wake chan struct{} // holds one: that there is something new, not what
	done chan struct{} // closed when the server stops
}

// streamFilter chooses events. Empty fields choose all.
type streamFilter struct {
	org, app hook.Key
	kinds    []string
	types    []string
}

func (f *streamFilter) wants(kind, eventType string) bool {
	return (len(f.kinds) == 0 || slices.Contains(f.kinds, kind)) && (len(f.types) == 0 || slices.Contains(f.types, eventType))
}

// Publish tells of an event that is in the store by now. It never blocks.
func (h *Hub) Publish(e Event) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for s := range h.streams[e.Org] {
		if s.app != 0 && s.app != e.App || !s.wants(e.Kind, e.Type) || int64(e.Key) <= s.seen.Load() {
			continue
		}
		select {
		case s.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// Wake has all streams look: other nodes may have kept something.
func (h *Hub) Wake() {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, all := range h.streams {
		for s := range all {
			select {
			case s.wake <- struct{}{}:
			default: // it is awake
			}
		}
	}
}

// Close ends all streams, which would keep a server from stopping.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for _, all := range h.streams {
		for s := range all {
			close(s.done)
		}
	}
}

func (h *Hub) subscribe(f streamFilter) (*subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, hook.Errorf(hook.CodeUnavailable, "the server is stopping; try again")
	case f.app != 0 && h.ofApp(f.org, f.app) >= streamsPerApp:
		return nil, newFault(http.StatusTooManyRequests, "there are 10 streams of this application open already; close one first")
	case len(h.streams[f.org]) >= streamsPerOrg:
		return nil, newFault(http.StatusTooManyRequests, "there are 100 streams open already; close one first")
	}
	s := &subscription{streamFilter: f, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if h.streams[f.org] == nil {
		h.streams[f.org] = map[*subscription]struct{}{}
	}
	h.streams[f.org][s] = struct{}{}
	return s, nil
}

func (h *Hub) ofApp(org, app hook.Key) (n int) {
	for s := range h.streams[org] {
		if s.app == app {
			n++
		}
	}
	return n
}

func (h *Hub) unsubscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams[s.org], s)
	if len(h.streams[s.org]) == 0 {
		delete(h.streams, s.org)
	}
}
