package dispatch

import (
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	// claimStep is how many deliveries one claim takes. Their bodies are read
	// only when their turn comes.
	claimStep = 256
	// mostClaims are under way at once. The store makes them one after another; more of
	// them would only stand before everything else that it has to write, and after
	// an outage of ours every endpoint has something due.
	mostClaims = 16
	// mostClaimed jobs from the store are in memory; beyond them each endpoint has a few.
	mostClaimed = 1 << 16
)

// lineUp has what is due of an endpoint claimed when its turn comes.
func (d *Dispatcher) lineUp(e *endpoint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.waits { // that claim will find everything
		return
	}
	if d.claims == mostClaims {
		e.waits = true
		d.line = append(d.line, e)
		return
	}
	d.claims++
	d.work.Go(func() {
		for e != nil {
			d.claim(e)
			e = d.nextInLine()
		}
	})
}

// nextInLine is the endpoint whose claim is next; nil when there is none, and then a
// claim is under way no more.
func (d *Dispatcher) nextInLine() *endpoint {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.line) == 0 || d.draining {
		d.claims--
		return nil
	}
	e := d.line[0]
	d.line[0] = nil
	if d.line = d.line[1:]; len(d.line) == 0 {
		d.line = nil
	}
	e.waits = false
	return e
}

// room is how many jobs from the store fit into memory.
func (d *Dispatcher) room() int { return mostClaimed - int(d.claimed.Load()) }

// claim fills an endpoint's queue from the store.
func (d *Dispatcher) claim(e *endpoint) {
	limit := e.beginClaim(d.room())
	if limit == 0 || d.stopping.Load() {
		return // e asks again when it has room
	}
	d.claimed.Add(int64(limit))
	claimed, next, err := d.store.Claim(d.attempts, e.id, time.Now(), limit)
	if err != nil {
		d.log.Warn("claim failed", "endpoint", e.name(), "error", err)
		next = time.Now().Add(recordRetry)
	}
	d.claimed.Add(int64(len(claimed) - limit))
	if e.endClaim(limit - len(claimed)) {
		next = time.Now()
	}
	t, now := e.target.Load(), time.Now()
	for _, v := range claimed {
		j := &job{delivery: v, claimed: true}
		if overdue(&t.Endpoint, &v, now) {
			d.finished <- finished{e, t, j, &hook.Record{Delivery: v, State: hook.Failed, NextAt: v.NextAt}}
			continue
		}
		run, at := e.take(j, now)
		d.start(e, run)
		d.later(e, at)
	}
	if !next.IsZero() {
		d.Due(e.id, next)
	}
}

// beginClaim reserves room for a claim and says for how many deliveries; 0 when
// there is none now, or a claim is under way. room is that of all endpoints.
func (e *endpoint) beginClaim(room int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.claiming {
		e.again = true
		return 0
	}
	n := e.claimable(room)
	if n <= 0 {
		e.starved = true
		return 0
	}
	e.claiming, e.again, e.starved = true, false, false
	e.reserved += n
	return n
}

// claimable is how many deliveries a claim may take: none where that would be so few that
// it is not worth one. What all endpoints have in memory keeps none from its few.
func (e *endpoint) claimable(room int) int {
	own := min(claimStep, e.most(queueJobs/2)-e.reserved)
	if few := probeJobs - e.reserved; room < few {
		room = few
	}
	if room < min(own, probeJobs/2) {
		return 0
	}
	return min(own, room)
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

// wantsClaim says that a claim was put off and there is room again, for half a
// claim at least, or for what is worth one where all endpoints have little room.
func (e *endpoint) wantsClaim(room int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	most := e.most(queueJobs / 2)
	return e.starved && e.reserved <= most-min(claimStep, most)/2 && e.claimable(room) > 0
}
