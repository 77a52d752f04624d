package intake

import (
	"sync"
	"time"
)

// longestToken bounds what is looked up.
const longestToken = 256

// unknown remembers for a moment which tokens the store does not know, so that
// who tries tokens does not keep it busy.
type unknown struct {
	mu    sync.Mutex
	since map[string]time.Time
}

const (
	unknownAge  = time.Second
	unknownMost = 10_000
)

// ask says whether the store is to be asked for a token now.
func (u *unknown) ask(token string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at, ok := u.since[token]; ok && now.Sub(at) < unknownAge {
		return false
	}
	if u.since == nil || len(u.since) >= unknownMost {
		u.since = map[string]time.Time{}
	}
	u.since[token] = now
	return true
}
