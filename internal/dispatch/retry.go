package dispatch

import (
	"net/http"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// schedule are the waits after each failure, unless the endpoint has its own.
var schedule = hook.RetryWaits()

// maxJitter spreads retries over a tenth of their wait, so that what failed
// together does not come back together. It only ever adds.
const maxJitter = 0.10

// decision is what follows from an attempt.
type decision struct {
	state  hook.DeliveryState
	nextAt time.Time
	// disable: the receiver said that the endpoint is gone for good.
	disable bool
	// slower: the receiver asked for fewer requests.
	slower bool
}

// decide says what follows from an attempt that ended at now. random is in [0,1).
func decide(e *hook.Endpoint, d *hook.Delivery, a *hook.Attempt, now time.Time, random float64) decision {
	switch {
	case a.Outcome == hook.OutcomeDelivered:
		return decision{state: hook.Delivered, nextAt: d.NextAt}
	case a.Outcome == hook.OutcomeLoop:
		return decision{state: hook.Failed, nextAt: d.NextAt}
	case a.Status == http.StatusGone && !e.OfSource:
		return decision{state: hook.Failed, nextAt: d.NextAt, disable: true}
	}
	slower := a.Status == 429 || a.Status == 502 || a.Status == 503 || a.Status == 504
	at, ok := next(e, d.Since, now, d.Failures+1, a.NotBefore, random)
	if !ok {
		return decision{state: hook.Failed, nextAt: d.NextAt, slower: slower}
	}
	return decision{state: hook.Pending, nextAt: at, slower: slower}
}

// next is when a delivery is tried again after its failures-th failure, or
// false when the retry window is over. The last try falls exactly on the
// window's end; notBefore only delays, and within the window.
func next(e *hook.Endpoint, since, now time.Time, failures int, notBefore time.Time, random float64) (time.Time, bool) {
	waits, span := schedule, hook.RetryWindow
	if len(e.Schedule) > 0 {
		waits = e.Schedule
	}
	if e.Window > 0 {
		span = e.Window
	}
	end := since.Add(span)
	if !now.Before(end) {
		return time.Time{}, false
	}
	wait := waits[min(max(failures, 1), len(waits))-1]
	at := now.Add(wait + time.Duration(random*maxJitter*float64(wait)))
	if notBefore.After(at) {
		at = notBefore
	}
	if at.After(end) {
		at = end
	}
	return at, true
}
