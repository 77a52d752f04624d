package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// news is what became of an endpoint and is not in the store yet. Attempts of healthy
// endpoints make none, so what usually happens costs nothing; of the others at most
// one row a second is written. What a crash loses of it is a second of counting.
type news struct {
	at          time.Time // of a success that ended failures
	failures    int       // after it
	first, last time.Time
	healthy     time.Time // the last success before the first
}

func (n *news) succeeded(now time.Time) { *n = news{at: now} }

func (n *news) failed(now, healthy time.Time) {
	if n.failures == 0 {
		n.first, n.healthy = now, healthy
	}
	n.failures++
	n.last = now
}

// tellEvery is how often the store is told of the health of endpoints.
const tellEvery = time.Second

// takeNews takes what is to be told of the endpoint; ok is false when there is nothing.
func (e *endpoint) takeNews() (c hook.HealthChange, ok bool) {
	t := e.target.Load()
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.news
	if n == (news{}) {
		return c, false
	}
	e.news = news{}
	return hook.HealthChange{
		Endpoint: e.id, Org: t.Org, SucceededAt: n.at, Failures: n.failures, FirstFailed: n.first, LastFailed: n.last, HealthyUntil: n.healthy,
		Trips: e.breaker.trips, OpenUntil: e.breaker.until,
	}, true
}

// putBack returns news that could not be told.
func (e *endpoint) putBack(c hook.HealthChange) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := news{at: c.SucceededAt, failures: c.Failures, first: c.FirstFailed, last: c.LastFailed, healthy: c.HealthyUntil}
	switch {
	case !e.news.at.IsZero(): // what was before a success does not count any more
	case e.news.failures == 0:
		e.news = old
	default:
		e.news.at, e.news.failures, e.news.first, e.news.healthy = old.at, e.news.failures+old.failures, old.first, old.healthy
	}
}

// noteNews has the store told of an endpoint soon.
func (d *Dispatcher) noteNews(e *endpoint) {
	d.newsMu.Lock()
	d.fresh[e] = true
	d.newsMu.Unlock()
	select {
	case d.newsWake <- struct{}{}:
	default:
	}
}

// tellNews tells the store of the health of endpoints, at most once a second, until ctx
// ends, and once more then.
func (d *Dispatcher) tellNews(ctx context.Context) {
	for {
		select {
		case <-d.newsWake:
			pause := time.NewTimer(tellEvery)
			select {
			case <-pause.C:
				d.tell(ctx)
				continue
			case <-ctx.Done():
				pause.Stop()
			}
		case <-ctx.Done():
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellEvery)
		defer cancel()
		d.tell(end)
		return
	}
}

func (d *Dispatcher) tell(ctx context.Context) {
	d.newsMu.Lock()
	fresh := d.fresh
	d.fresh = map[*endpoint]bool{}
	d.newsMu.Unlock()
	var changes []hook.HealthChange
	told := make([]*endpoint, 0, len(fresh))
	for e := range fresh {
		if c, ok := e.takeNews(); ok {
			changes, told = append(changes, c), append(told, e)
		}
	}
	if len(changes) == 0 {
		return
	}
	if err := d.store.SaveHealth(ctx, changes); err != nil {
		d.log.Warn("health not kept", "endpoints", len(changes), "error", err)
		for i, e := range told {
			e.putBack(changes[i])
			d.noteNews(e)
		}
		return
	}
	for i := range changes {
		c := &changes[i]
		if told[i].nowTold(c.Trips) && d.switched != nil {
			d.switched(c.Endpoint)
		}
		if !c.SucceededAt.IsZero() && c.Trips == 0 {
			d.bringForward(ctx, c.Endpoint)
		}
	}
}

// bringForward makes retries that waited while an endpoint failed due at a gentle
// pace: who was mended at three does not wait until noon. One call makes a step; the
// sweep makes the others.
func (d *Dispatcher) bringForward(ctx context.Context, id hook.Key) {
	now := time.Now()
	d.ill.Store(true) // until a sweep finds nothing left to bring forward
	n, err := d.store.BringForward(ctx, id, now, releasePace, releaseStep)
	if err != nil {
		d.log.Warn("retries not brought forward", "error", err)
		return
	}
	if n > 0 {
		d.Due(id, now)
	}
}

// followHealth takes over what the store knows of the health of endpoints: what was
// before a start, and what other nodes found.
func (d *Dispatcher) followHealth(ctx context.Context) error {
	if d.watch == 0 && !d.ill.Swap(false) {
		return nil // who is alone knows
	}
	list, err := d.store.Failing(ctx)
	if err != nil {
		d.ill.Store(true)
		return err
	}
	failing := make(map[hook.Key]*hook.Health, len(list))
	for i := range list {
		h := &list[i]
		if !h.FailingSince.IsZero() {
			failing[h.Endpoint] = h
		}
		if !h.RecoverFrom.IsZero() && h.Trips == 0 {
			d.bringForward(ctx, h.Endpoint)
		}
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for id, e := range d.endpoints {
		e.follow(failing[id])
	}
	return nil
}

// FollowHealth takes over what the store knows of one endpoint: another node has told
// that its breaker opened or closed.
func (d *Dispatcher) FollowHealth(ctx context.Context, id hook.Key) error {
	e := d.endpoint(id)
	if e == nil {
		return nil
	}
	h, err := d.store.Health(ctx, id)
	if err != nil {
		return fmt.Errorf("follow health: %w", err)
	}
	if !h.FailingSince.IsZero() {
		e.follow(&h)
		return nil
	}
	e.follow(nil)
	d.Due(id, time.Now())
	return nil
}

// nowTold notes that the store knows of so many trips of the breaker, and says whether
// that is news for others.
func (e *endpoint) nowTold(trips int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.told
	e.told = trips
	return was != trips
}

// follow takes over what the store knows; nil is that the endpoint is healthy. What is not told
// yet is newer.
func (e *endpoint) follow(h *hook.Health) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.news != news{}:
	case h == nil && e.failing:
		e.failing, e.told = false, 0
		e.breaker.succeeded()
	case h != nil:
		e.failing, e.told = true, h.Trips
		if h.Trips > 0 && h.OpenUntil.After(e.breaker.until) {
			e.breaker.trips, e.breaker.until, e.breaker.failures = h.Trips, h.OpenUntil, 0
		}
	}
}

// Judge warns about endpoints that have been failing for long, and disables those that
// the rule says. One node calls it now and then for all.
func (d *Dispatcher) Judge(ctx context.Context) error {
	list, err := d.store.Failing(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		h := &list[i]
		e := d.endpoint(h.Endpoint)
		if e == nil {
			continue
		}
		t := e.target.Load()
		if t.State != hook.Enabled {
			continue
		}
		v := judge(h, t.OfSource, time.Now())
		switch {
		case v.disable:
			d.disable(t, failedSince(h), h.FailingSince)
		case v.warn > 0:
			first, err := d.store.Warn(ctx, h.Endpoint, h.FailingSince, v.warn)
			if err != nil {
				return err
			}
			if first && d.warned != nil {
				d.warned(t, *h, v.warn, v.at)
			}
		}
	}
	return nil
}
