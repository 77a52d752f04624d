package alert

import (
	"context"
	"time"
)

// sweepStep is how many endpoints one sweep tells of.
const sweepStep = 100

// Sweep tells of endpoints that are disabled and of which nobody was told: the
// queue was full, the process ended in between, or the store failed. It is called
// now and then, by one node at a time.
//
// Warnings have no sweep of their own: who looks at the health of endpoints calls
// EndpointWarned whenever he looks, and what was told is not told again.
func (a *Alerts) Sweep(ctx context.Context) error {
	if _, err := a.Store.ForgetAlerts(ctx); err != nil {
		return err
	}
	untold, err := a.Store.DisabledUntold(ctx, time.Now(), sweepStep)
	if err != nil {
		return err
	}
	for _, e := range untold {
		a.tellDisabled(ctx, e, time.Time{})
	}
	return ctx.Err()
}
