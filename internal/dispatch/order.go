package dispatch

import (
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// unblock decides about the head of a lane that failed and would be tried again: whether it
// stays where it is, has failed for good, or is tried again outside of its lane. d is as
// it was before the attempt. why is what people are told.
func unblock(e *hook.Endpoint, d *hook.Delivery, what decision) (then decision, poison hook.Poison, why string) {
	tries := e.Order.Tries()
	if d.Lane == 0 || what.state != hook.Pending || tries == 0 || d.Failures+1 < tries {
		return what, hook.NotPoisoned, ""
	}
	failures := fmt.Sprintf("%d failures", d.Failures+1)
	if d.Failures == 0 {
		failures = "1 failure"
	}
	if e.Order.OnPoison == hook.PoisonPark {
		return what, hook.Parked, "parked after " + failures + ": it is tried again by itself, and its lane goes on"
	}
	what.state, what.nextAt = hook.Failed, d.NextAt
	return what, hook.Skipped, "skipped after " + failures + ": its lane goes on"
}

// goOn sends what comes next in the lane of a delivery that was recorded. This incarnation
// has it already, in the place of the one before. When the dispatcher is about to end, it is left
// to whoever claims it then.
func (d *Dispatcher) goOn(e *endpoint, next *hook.Delivery) {
	d.mu.RLock()
	if d.draining {
		d.mu.RUnlock()
		return
	}
	e.readmit()
	run, at := e.take(&job{delivery: *next}, time.Now())
	d.start(e, run)
	d.mu.RUnlock() // which later takes
	d.later(e, at)
}
