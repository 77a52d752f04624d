package dispatch

import (
	"context"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Update replaces the endpoints. Deliveries of one that is no longer enabled
// become held, those of one that is again become due at a gentle pace.
func (d *Dispatcher) Update(ctx context.Context, targets []Target) error {
	var enabled []hook.Key
	d.mu.Lock()
	left := d.endpoints
	d.endpoints, d.apps = make(map[hook.Key]*endpoint, len(targets)), map[hook.Key]map[hook.Key]bool{}
	paces := map[hook.Key]*pace{}
	for i := range targets {
		t := &targets[i]
		if d.apps[t.App] == nil {
			d.apps[t.App] = map[hook.Key]bool{}
			paces[t.App] = d.paceOf(t)
		}
		d.apps[t.App][t.ID] = true
		e, new := left[t.ID], false
		if e == nil {
			e, new = newEndpoint(t, int(d.nodes.Load()), &d.underWay), true
		}
		if !new && e.setTarget(t) {
			enabled = append(enabled, t.ID)
		}
		e.setApp(paces[t.App])
		delete(left, t.ID)
		d.endpoints[t.ID] = e
	}
	d.paces = paces
	for _, e := range left {
		e.retire()
	}
	d.mu.Unlock()
	for i := range targets {
		if targets[i].State != hook.Enabled {
			d.giveBack(targets[i].ID)
		}
	}
	if err := d.clearHealth(ctx, enabled); err != nil {
		return err
	}
	if err := d.sweep(ctx); err != nil { // it is swept again soon
		d.log.Warn("sweep failed", "error", err)
	}
	return nil
}

// UpdateApp replaces the endpoints of one application. What Update says of
// deliveries holds for theirs.
func (d *Dispatcher) UpdateApp(ctx context.Context, app hook.Key, targets []Target) error {
	if err := d.clearHealth(ctx, d.setApp(app, targets)); err != nil {
		return err
	}
	now := time.Now()
	for i := range targets {
		t := &targets[i]
		if t.State != hook.Enabled {
			d.giveBack(t.ID)
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

// giveBack has what is in memory of an endpoint that was paused or disabled held soon,
// whatever its breaker and its rate say.
func (d *Dispatcher) giveBack(id hook.Key) {
	if e := d.endpoint(id); e != nil {
		d.later(e, time.Now())
	}
}

// setApp puts the endpoints of an application in place, and says which were enabled by that.
func (d *Dispatcher) setApp(app hook.Key, targets []Target) (enabled []hook.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	stays := make(map[hook.Key]bool, len(targets))
	var p *pace
	for i := range targets {
		t := &targets[i]
		if i == 0 {
			p = d.paceOf(t)
		}
		stays[t.ID] = true
		e := d.endpoints[t.ID]
		switch {
		case e == nil:
			e = newEndpoint(t, int(d.nodes.Load()), &d.underWay)
			d.endpoints[t.ID] = e
		case e.setTarget(t):
			enabled = append(enabled, t.ID)
		}
		e.setApp(p)
	}
	for id := range d.apps[app] {
		if !stays[id] {
			d.endpoints[id].retire()
			delete(d.endpoints, id)
		}
	}
	d.apps[app], d.paces[app] = stays, p
	if len(stays) == 0 {
		delete(d.apps, app)
		delete(d.paces, app)
	}
	return enabled
}

// paceOf is the pace of the application of a target; what it has spent stays spent. The caller
// holds the lock.
func (d *Dispatcher) paceOf(t *Target) *pace {
	if p := d.paces[t.App]; p != nil && t.AppThrottle > 0 {
		p.set(t.AppThrottle, int(d.nodes.Load()))
		return p
	}
	return newPace(t.AppThrottle, int(d.nodes.Load()))
}

// clearHealth forgets how endpoints did that were enabled anew.
func (d *Dispatcher) clearHealth(ctx context.Context, enabled []hook.Key) error {
	for _, id := range enabled {
		if err := d.store.ClearHealth(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// sweepAll asks the store what nobody told of, until ctx ends.
func (d *Dispatcher) sweepAll(ctx context.Context) {
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	var watch <-chan time.Time
	if d.watch > 0 {
		look := time.NewTicker(d.watch)
		defer look.Stop()
		watch = look.C
	}
	var known []hook.Key
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-watch:
			dead, err := d.store.DeadHolders(ctx)
			if err == nil && !someNew(dead, known) {
				continue
			}
			known = dead // or else the sweep says what is wrong
		}
		if err := d.sweep(ctx); err != nil && ctx.Err() == nil {
			known = nil // their work is still to be taken over
			d.log.Warn("sweep failed", "error", err)
		}
	}
}

func someNew(list, known []hook.Key) bool {
	return slices.ContainsFunc(list, func(k hook.Key) bool { return !slices.Contains(known, k) })
}

// sweep brings held and pending deliveries in line with the state of their
// endpoints and reads from the store what is due when, and how endpoints do.
func (d *Dispatcher) sweep(ctx context.Context) error {
	if err := d.followHealth(ctx); err != nil {
		return err
	}
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
