package api

import (
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// A cache spares a look-up for each request. What this process changes it
// forgets at once; what another node changed is old after a second.
const (
	cacheAge  = time.Second
	cacheSize = 10_000
)

// cache keeps values for a moment. The zero cache is ready.
type cache[K comparable, V any] struct {
	mu   sync.RWMutex
	rows map[K]cached[V]
}

type cached[V any] struct {
	value V
	until time.Time
}

func (c *cache[K, V]) find(k K, now time.Time) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.rows[k]
	return e.value, ok && now.Before(e.until)
}

// add keeps v until it is old, or until end when that is set and sooner.
func (c *cache[K, V]) add(k K, v V, now, end time.Time) {
	until := now.Add(cacheAge)
	if !end.IsZero() && end.Before(until) {
		until = end
	}
	c.addUntil(k, v, until)
}

// addUntil keeps v for as long as that.
func (c *cache[K, V]) addUntil(k K, v V, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows == nil || len(c.rows) >= cacheSize {
		c.rows = map[K]cached[V]{}
	}
	c.rows[k] = cached[V]{v, until}
}

// clear forgets everything.
func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows = nil
}

// appRef is how a caller names an application.
type appRef struct {
	org hook.Key
	ref string
}
