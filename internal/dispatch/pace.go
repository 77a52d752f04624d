package dispatch

import (
	"sync"
	"time"
)

// A pace bounds events per second. It is the token bucket in the form of ITU-T I.371's
// virtual scheduling (GCRA): instead of tokens it keeps when the next event is due if
// all came evenly, and lets as many come early as the burst allows. A nil pace
// bounds nothing.
type pace struct {
	mu    sync.Mutex
	every time.Duration // between events
	early time.Duration // how much before its time an event may come
	next  time.Time
}

// newPace bounds to rate events a second in nodes processes together, each of which has
// the same part; a tenth of it may come at once. 0 or less is no bound.
func newPace(rate, nodes int) *pace {
	if rate <= 0 {
		return nil
	}
	p := &pace{}
	p.set(rate, nodes)
	return p
}

// set changes the rate; what was spent stays spent.
func (p *pace) set(rate, nodes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every = time.Second * time.Duration(nodes) / time.Duration(rate)
	p.early = p.every * time.Duration(max(0, rate/nodes/10-1))
}

// ready is when the next event may happen: the zero time is now.
func (p *pace) ready(now time.Time) time.Time {
	if p == nil {
		return time.Time{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readyLocked(now)
}

func (p *pace) readyLocked(now time.Time) time.Time {
	if at := p.next.Add(-p.early); at.After(now) {
		return at
	}
	return time.Time{}
}

// take spends one event if it may happen now; else it says when.
func (p *pace) take(now time.Time) time.Time {
	if p == nil {
		return time.Time{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.readyLocked(now); !at.IsZero() {
		return at
	}
	if now.After(p.next) {
		p.next = now
	}
	p.next = p.next.Add(p.every)
	return time.Time{}
}
