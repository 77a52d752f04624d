package dispatch

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// turn gives an endpoint its turn: what is queued and may run now begins.
func (d *Dispatcher) turn(e *endpoint) {
	for {
		j, at := e.next(time.Now())
		if j == nil {
			d.later(e, at)
			return
		}
		d.start(e, j)
	}
}

// later gives an endpoint another turn at a time; the zero time is none.
func (d *Dispatcher) later(e *endpoint, at time.Time) {
	if at.IsZero() {
		return
	}
	d.mu.Lock()
	first := d.agenda.add(e, at)
	d.mu.Unlock()
	if first {
		d.nudge()
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
	d.underWay.Add(1)
	defer d.underWay.Add(-1)
	for j != nil {
		if !d.store.Holds(j.delivery.Holder) {
			j = d.forsake(e, j)
			continue
		}
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
		next, at, what := e.finish(r.Attempt, slower, time.Now())
		d.bytes.Add(-what.freed)
		if what.tell {
			d.noteNews(e)
		}
		d.later(e, at)
		if j = next; j != nil {
			d.start(e, e.spare(time.Now()))
		}
	}
}

// forsake forgets j and what else was queued under an incarnation that others have for
// dead, and returns the job that may run in its place. Others may have them by now: sent
// from here too they would only come twice. What nobody has is claimed again.
func (d *Dispatcher) forsake(e *endpoint, j *job) (next *job) {
	for _, gone := range append(e.forsake(d.store.Holds), j) {
		d.release(e, gone)
	}
	next, at, _ := e.finish(nil, false, time.Now())
	d.later(e, at)
	d.Due(e.id, time.Now())
	return next
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
	what, poison, why := unblock(&t.Endpoint, v, decide(&t.Endpoint, v, a, j.message.Type, time.Now(), rand.Float64()))
	if r.Poison = poison; why != "" {
		a.Reason += "; " + why
	}
	if what.state == hook.Failed && a.Asked != "" && !t.OfSource {
		a.Reason += "; it asked for no more: webhook-delivery: " + string(a.Asked)
	}
	r.Attempt, r.State, r.NextAt = a, what.state, what.nextAt
	if what.disable {
		d.disable(t, what.reason, time.Time{})
	}
	return r, what.slower
}

// disable stops an endpoint by rule; since when it failed, if that is why.
func (d *Dispatcher) disable(t *Target, reason string, since time.Time) {
	gone := *t
	gone.State, gone.Reason = hook.Disabled, reason
	if e := d.endpoint(t.ID); e != nil {
		e.setTarget(&gone)
		d.giveBack(t.ID)
	}
	if err := d.store.DisableEndpoint(d.attempts, t.ID, gone.Reason); err != nil {
		d.log.Error("disable endpoint failed", "endpoint", t.Label(), "error", err)
	}
	if d.gone != nil {
		d.gone(&gone, since)
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
