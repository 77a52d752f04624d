package dispatch

import (
	"net/http"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// A breaker keeps requests away from an endpoint that takes none (M. Nygard, Release
// It!, "Circuit Breaker"). It opens after so many failures in a row; while it is
// open nothing is attempted, and nothing that waits loses a retry. When its time is over it
// is half open: one attempt at a time, which closes it or opens it for longer. It
// is closed when it has never tripped since the last success. The zero breaker is closed.
type breaker struct {
	failures int       // in a row, while it is closed
	trips    int       // in a row; 0 is closed
	until    time.Time // open until then, half open afterwards
}

const (
	// tripAfter is how many failures in a row open a closed breaker.
	tripAfter = 5
	// shortestOpen doubles with each trip. longestOpen bounds how long an endpoint that
	// was mended waits, and what the schedule of a retry may be off by.
	shortestOpen = 5 * time.Second
	longestOpen  = time.Minute
	// longestAsked bounds what a receiver may ask for with Retry-After for all of its
	// deliveries; the one that it answered waits as long as it said.
	longestAsked = 5 * time.Minute
)

// closed says whether attempts may run side by side.
func (b *breaker) closed() bool { return b.trips == 0 }

// ready is when the next attempt may begin, given how many are under way; the zero
// time is now. While one probes, the answer is the far future: what comes of it decides.
func (b *breaker) ready(now time.Time, running int) time.Time {
	switch {
	case b.closed():
		return time.Time{}
	case b.until.After(now):
		return b.until
	case running > 0:
		return never
	}
	return time.Time{}
}

// never is later than anything is due.
var never = time.Unix(1<<40, 0)

// succeeded closes the breaker.
func (b *breaker) succeeded() { *b = breaker{} }

// failed notes a failed attempt and says whether it opened the breaker. What was
// under way when it opened does not open it again.
func (b *breaker) failed(a *hook.Attempt, now time.Time) (tripped bool) {
	asked := a.NotBefore.After(now) && (a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable)
	switch {
	case b.until.After(now):
		return false
	case asked:
	case b.closed():
		if ofMessage(a.Status) {
			return false
		}
		if b.failures++; b.failures < tripAfter {
			return false
		}
	}
	b.failures = 0
	b.trips++
	b.until = now.Add(min(longestOpen, shortestOpen<<min(b.trips-1, 10)))
	if asked && a.NotBefore.After(b.until) {
		b.until = a.NotBefore
		if end := now.Add(longestAsked); b.until.After(end) {
			b.until = end
		}
	}
	return true
}

// ofMessage says whether a status speaks of the message rather than of the endpoint:
// others may fare better.
func ofMessage(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge, http.StatusUnavailableForLegalReasons:
		return true
	}
	return false
}
