package api

import (
	"context"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// orderOf says what the order of an endpoint means for a delivery of m.
func (a *API) orderOf(ctx context.Context, m *hook.Message, d *hook.Delivery, e *hook.Endpoint, now time.Time, out *DeliveryOut) error {
	switch d.Poison {
	case hook.Skipped:
		out.Poison = pointer("skipped")
	case hook.Parked:
		out.Poison = pointer("parked")
	}
	if d.Superseded != 0 {
		by := a.IDs.Public(hook.KindMessage, d.Superseded)
		out.SupersededBy = &by
		if d.State == hook.Canceled {
			out.Next = "nothing: canceled: superseded by " + by
		}
	}
	if d.State != hook.Waiting {
		return nil
	}
	head, err := a.Store.LaneHead(ctx, d.Endpoint, d.Lane)
	if isNotFound(err) { // its turn came just now
		out.Next = "about to be sent"
		return nil
	}
	if err != nil {
		return err
	}
	g, err := a.gatesOf(ctx, e)
	if err != nil {
		return err
	}
	out.WaitsFor = pointer(a.IDs.Public(hook.KindDelivery, head.ID))
	out.Next = waitingFor(&head, e, &g, now, fmt.Sprintf("%s (%s)%s", *out.WaitsFor, a.IDs.Public(hook.KindMessage, head.Message), laneName(m, d, e)))
	return nil
}

// laneName says whose lane a delivery is in: " of session 12df…"; empty when the endpoint
// is ordered in another way now.
func laneName(m *hook.Message, d *hook.Delivery, e *hook.Endpoint) string {
	s, ok := e.Order.Subject(m.Subjects)
	if !ok || e.Order.Lane(m.Subjects) != d.Lane {
		return ""
	}
	return " of " + s.Kind + " " + s.ID
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// waitingFor says for what a delivery waits whose lane has this head.
func waitingFor(head *hook.Delivery, e *hook.Endpoint, g *gates, now time.Time, name string) string {
	if head.State == hook.Pending && head.Failures > 0 {
		return fmt.Sprintf("waits for its turn: blocked by %s, which failed %s: %s", name, times(head.Failures), nextStep(head, e, g, now))
	}
	return fmt.Sprintf("waits for its turn: behind %s: %s", name, nextStep(head, e, g, now))
}
