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
	// disable: the receiver said that the endpoint is gone for good, in these words.
	disable bool
	reason  string
	// slower: the receiver asked for fewer requests.
	slower bool
}

// decide says what follows from an attempt at a message of an event type that ended at now.
// random is in [0,1). A source's endpoints are the operator's own: of them nobody but he
// decides, so an answer may neither disable them nor give a message up.
func decide(e *hook.Endpoint, d *hook.Delivery, a *hook.Attempt, eventType string, now time.Time, random float64) decision {
	obeyed := !e.OfSource
	switch {
	case a.Outcome == hook.OutcomeDelivered && obeyed && a.Asked == hook.DisableEndpoint:
		return decision{state: hook.Delivered, nextAt: d.NextAt, disable: true, reason: "it asked for it: webhook-delivery: disable"}
	case a.Outcome == hook.OutcomeDelivered:
		return decision{state: hook.Delivered, nextAt: d.NextAt}
	case a.Outcome == hook.OutcomeLoop:
		return decision{state: hook.Failed, nextAt: d.NextAt}
	case a.Status == http.StatusGone && obeyed:
		return decision{state: hook.Failed, nextAt: d.NextAt, disable: true, reason: "it answered 410 Gone"}
	case a.Asked == hook.DisableEndpoint && obeyed:
		return decision{state: hook.Failed, nextAt: d.NextAt, disable: true, reason: "it asked for it: webhook-delivery: disable"}
	case a.Asked == hook.AbortMessage && obeyed:
		return decision{state: hook.Failed, nextAt: d.NextAt}
	}
	slower := a.Status == 429 || a.Status == 502 || a.Status == 503 || a.Status == 504
	at, ok := next(e, eventType, d.Since, now, d.Failures+1, a.NotBefore, random)
	if !ok {
		return decision{state: hook.Failed, nextAt: d.NextAt, slower: slower}
	}
	return decision{state: hook.Pending, nextAt: at, slower: slower}
}

// overdueAfter is how long after its retry window a delivery that was attempted and
// could not be since – a breaker or a rate held it back – is given up without another attempt.
const overdueAfter = 10 * time.Minute

// overdue says whether a delivery is given up without another attempt. Each has at least one.
func overdue(e *hook.Endpoint, d *hook.Delivery, now time.Time) bool {
	return d.Attempts > 0 && d.Failures > 0 && now.After(windowEnd(e, d.Since).Add(overdueAfter))
}

// windowEnd is when the last attempt of a delivery is made whose clock started at since.
func windowEnd(e *hook.Endpoint, since time.Time) time.Time {
	if e.Window > 0 {
		return since.Add(e.Window)
	}
	return since.Add(hook.RetryWindow)
}

// next is when a delivery is tried again after its failures-th failure, or
// false when the retry window is over. The last try falls exactly on the
// window's end; notBefore only delays, and within the window.
func next(e *hook.Endpoint, eventType string, since, now time.Time, failures int, notBefore time.Time, random float64) (time.Time, bool) {
	waits := e.ScheduleFor(eventType)
	if len(waits) == 0 {
		waits = schedule
	}
	end := windowEnd(e, since)
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
