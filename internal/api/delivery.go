package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// DeliveryOut says where a message is on its way to one endpoint, and what
// happens next.
type DeliveryOut struct {
	ID          string              `json:"id"`
	EndpointID  string              `json:"endpointId"`
	State       string              `json:"state" enum:"delivered,pending,failed,canceled,held"`
	Attempts    int                 `json:"attempts" doc:"How many were made"`
	NextAttempt *time.Time          `json:"nextAttempt,omitempty" nullable:"true"`
	LastAttempt *DeliveryAttemptOut `json:"lastAttempt,omitempty"`
	Until       *time.Time          `json:"until,omitempty" nullable:"true" doc:"When a pending delivery is given up"`
	Next        string              `json:"next" doc:"What happens next, in words"`
	// Of an endpoint whose messages are ordered.
	WaitsFor     *string `json:"waitsFor,omitempty" doc:"The delivery after which it is its turn"`
	SupersededBy *string `json:"supersededBy,omitempty" doc:"The message whose newer state took its place"`
	Poison       *string `json:"poison,omitempty" enum:"skipped,parked" doc:"It left the order after too many failures"`
}

// DeliveryAttemptOut is the newest attempt of a delivery.
type DeliveryAttemptOut struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Status  int       `json:"status" doc:"The HTTP status; 0 when no answer came"`
	Outcome string    `json:"outcome"`
	Reason  *string   `json:"reason,omitempty"`
}

func registerDeliveries(a *API) {
	const all = "/api/v1/app/{app_id}/msg/{msg_id}/delivery"
	register(a, operation{id: "delivery.list", method: http.MethodGet, path: all, summary: "Say where a message is and what happens next", access: accessRead}, a.listDeliveries)
	register(a, operation{id: "delivery.cancel", method: http.MethodPost, path: all + "/{delivery_id}/cancel", summary: "Cancel a delivery that is pending or held", access: accessResend, status: http.StatusNoContent}, a.cancelDelivery)
}

func (a *API) listDeliveries(ctx context.Context, in *struct {
	MessagePath
	ListIn
}) (*Body[ListOut[DeliveryOut]], error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	m, err := a.message(ctx, app.ID, in.MsgID)
	if err != nil {
		return nil, err
	}
	p, back, err := a.page(in.ListIn, hook.KindDelivery, true)
	if err != nil {
		return nil, err
	}
	deliveries, err := a.Store.Deliveries(ctx, &m)
	if err != nil {
		return nil, err
	}
	_, payload, err := a.Store.MessageInfo(ctx, app.ID, m.ID)
	if err != nil {
		return nil, err
	}
	found, keys, among := make(map[hook.Key]*hook.Delivery, len(deliveries)), make([]hook.Key, len(deliveries)), []hook.Key(nil)
	for i := range deliveries {
		found[deliveries[i].ID], keys[i] = &deliveries[i], deliveries[i].ID
	}
	keys, next := pageOf(keys, p)
	for _, k := range keys {
		among = append(among, found[k].Endpoint)
	}
	endpoints, err := a.endpointsAmong(ctx, app.ID, among)
	if err != nil {
		return nil, err
	}
	out, now := make([]DeliveryOut, len(keys)), time.Now()
	for i, k := range keys {
		if out[i], err = a.deliveryOut(ctx, &m, payload, found[k], endpoints, now); err != nil {
			return nil, err
		}
	}
	return listOut(a, hook.KindDelivery, out, keys, next, in.ListIn, back), nil
}

// deliveryOut shows a delivery of a message whose payload is there, or was deleted.
func (a *API) deliveryOut(ctx context.Context, m *hook.Message, payload bool, d *hook.Delivery, endpoints map[hook.Key]hook.Endpoint, now time.Time) (DeliveryOut, error) {
	e, there := endpoints[d.Endpoint]
	if !there {
		e = hook.Endpoint{State: hook.Disabled, Reason: "it was deleted"}
	}
	out := DeliveryOut{
		ID: a.IDs.Public(hook.KindDelivery, d.ID), EndpointID: a.IDs.Public(hook.KindEndpoint, d.Endpoint), State: d.State.String(), Attempts: d.Attempts,
		NextAttempt: nextAttempt(d),
	}
	var g gates
	if d.State == hook.Pending && there {
		var err error
		if g, err = a.gatesOf(ctx, &e); err != nil {
			return out, err
		}
	}
	out.Next = nextStep(d, &e, &g, now)
	if err := a.orderOf(ctx, m, d, &e, now, &out); err != nil {
		return out, err
	}
	if d.State == hook.Failed || d.State == hook.Canceled {
		out.Next += "; " + whetherAgain(d, payload, there)
	}
	if d.State == hook.Pending {
		window := hook.RetryWindow
		if e.Window > 0 {
			window = e.Window
		}
		until := when(d.Since.Add(window))
		out.Until = &until
	}
	if d.LastAttempt == 0 {
		return out, nil
	}
	t, _, err := a.Store.Attempt(ctx, d.LastAttempt)
	if isNotFound(err) {
		return out, nil // old ones are deleted
	}
	out.LastAttempt = &DeliveryAttemptOut{a.IDs.Public(hook.KindAttempt, t.ID), when(t.At), t.Status, string(t.Outcome), pointer(t.Reason)}
	return out, err
}

// nextStep says what happens next with a delivery, and why.
func nextStep(d *hook.Delivery, e *hook.Endpoint, g *gates, now time.Time) string {
	switch d.State {
	case hook.Delivered:
		return "nothing: delivered"
	case hook.Failed:
		if d.Poison == hook.Skipped {
			return fmt.Sprintf("nothing: skipped after %s, so that those behind it go out", counted(d.Attempts))
		}
		return fmt.Sprintf("nothing: given up after %s", counted(d.Attempts))
	case hook.Canceled:
		return "nothing: canceled"
	case hook.Held:
		return "held: the endpoint is " + standing(e)
	}
	switch {
	case e.State != hook.Enabled:
		return "about to be held: the endpoint is " + standing(e)
	case !d.NextAt.After(now) && waiting(d, e, g, now) != "":
		return waiting(d, e, g, now)
	case sending(d, now):
		return fmt.Sprintf("attempt %d is under way, or waits for its turn", d.Attempts+1)
	case !d.NextAt.After(now):
		return fmt.Sprintf("attempt %d is due now", d.Attempts+1)
	}
	at := fmt.Sprintf("attempt %d at %s", d.Attempts+1, when(d.NextAt).Format(time.RFC3339))
	switch {
	case d.Poison == hook.Parked:
		return "parked after " + counted(d.Attempts) + ", so that those behind it go out: " + at
	case d.Lane != 0 && d.Attempts == 0 && e.Order.ByOccurrence:
		return at + ", for what happened before it may still come"
	}
	return at
}

// whetherAgain says of a delivery that is over whether it can be sent again.
func whetherAgain(d *hook.Delivery, payload, endpoint bool) string {
	switch {
	case !payload:
		return "its payload was deleted, so it cannot be sent again"
	case !endpoint:
		return "its endpoint was deleted, so it cannot be sent again"
	case d.State == hook.Canceled && d.Superseded != 0:
		return "resend to send it all the same"
	}
	return "resend to try again"
}

func counted(attempts int) string {
	if attempts == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", attempts)
}

// standing is the state of an endpoint with its reason, which may begin with it.
func standing(e *hook.Endpoint) string {
	switch {
	case e.State == hook.Enabled:
		return "enabled again, and its turn comes soon"
	case e.Reason == "":
		return e.State.String()
	case strings.HasPrefix(e.Reason, e.State.String()):
		return e.Reason
	}
	return e.State.String() + ": " + e.Reason
}

func (a *API) cancelDelivery(ctx context.Context, in *struct {
	MessagePath
	DeliveryID string `path:"delivery_id" minLength:"1" maxLength:"64" doc:"The delivery's id"`
}) (*None, error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	m, err := a.message(ctx, app.ID, in.MsgID)
	if err != nil {
		return nil, err
	}
	k, err := a.IDs.Key(hook.KindDelivery, in.DeliveryID)
	if err != nil {
		return nil, err
	}
	deliveries, err := a.Store.Deliveries(ctx, &m)
	if err != nil {
		return nil, err
	}
	for i := range deliveries {
		if deliveries[i].ID == k {
			return nil, a.Store.Cancel(ctx, app.ID, k)
		}
	}
	return nil, hook.Errorf(hook.CodeNotFound, "there is no delivery %s of this message", in.DeliveryID)
}
