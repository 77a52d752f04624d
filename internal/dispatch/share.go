package dispatch

import "github.com/sigpost/sigpost/internal/hook"

// Processes that share a store share the endpoints as well: an endpoint's bound on
// attempts under way is divided by their number, rounded up, so that it holds
// over all of them, but for the rest of the division. Rates are divided exactly.

// Share says how many processes share the endpoints from now on. Attempts under way
// are not cut: where there are too many, none follows the next that end.
func (d *Dispatcher) Share(nodes int) {
	nodes = max(1, nodes)
	if d.nodes.Swap(int32(nodes)) == int32(nodes) {
		return
	}
	d.mu.RLock()
	all := make([]*endpoint, 0, len(d.endpoints))
	for _, e := range d.endpoints {
		all = append(all, e)
	}
	d.mu.RUnlock()
	for _, e := range all {
		e.share(nodes)
		d.turn(e)
	}
}

// share changes the part of an endpoint's bounds that is this process's. One
// that was slowed down stays so.
func (e *endpoint) share(nodes int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.target.Load()
	full := e.limit.now() >= bound(t, e.nodes)
	e.nodes = nodes
	e.limit.setMost(bound(t, nodes))
	if full {
		e.limit.places = float64(bound(t, nodes))
	}
	if e.rate != nil {
		e.rate.set(t.Throttle, nodes)
	}
	if e.app != nil && t.AppThrottle > 0 {
		e.app.set(t.AppThrottle, nodes)
	}
}

// bound is how many attempts an endpoint may have under way in one of so many processes.
func bound(t *Target, nodes int) int {
	c := t.Concurrency
	if c <= 0 {
		c = hook.DefaultConcurrency
	}
	return (c + nodes - 1) / nodes
}
