package api

import (
	"context"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// OrderExtension says how an endpoint's messages are ordered.
type OrderExtension struct {
	Order              *string `json:"order,omitempty" maxLength:"72" pattern:"^(none|subject(:[a-z][a-z0-9_\\-]*)?)$" doc:"none; subject: messages about one subject are delivered one after another; subject: and a kind names the kind of subject"`
	OrderBy            *string `json:"orderBy,omitempty" enum:"acceptance,occurrence" doc:"What the order is; occurrence goes by when things happened, as far as they come in within the window"`
	OrderWindowSeconds *int    `json:"orderWindowSeconds,omitempty" minimum:"1" maximum:"3600" doc:"How long a message waits for those that happened before it; 5 when left out"`
	LatestOnly         *bool   `json:"latestOnly,omitempty" doc:"Cancel what has not gone out of a subject and family when a newer state comes in"`
	OnPoison           *string `json:"onPoison,omitempty" enum:"block,skip,park" doc:"What becomes of messages behind one that fails: they wait, it is skipped, or it leaves the order and is tried again by itself"`
	PoisonAfter        *int    `json:"poisonAfter,omitempty" minimum:"1" maximum:"100" doc:"After how many failures it is skipped or parked; 5 when left out"`
}

// OrderPatch changes how an endpoint's messages are ordered.
type OrderPatch struct {
	Order              Maybe[string] `json:"order,omitzero" maxLength:"72" pattern:"^(none|subject(:[a-z][a-z0-9_\\-]*)?)$"`
	OrderBy            Maybe[string] `json:"orderBy,omitzero" enum:"acceptance,occurrence"`
	OrderWindowSeconds Maybe[int]    `json:"orderWindowSeconds,omitzero" minimum:"1" maximum:"3600"`
	LatestOnly         Maybe[bool]   `json:"latestOnly,omitzero"`
	OnPoison           Maybe[string] `json:"onPoison,omitzero" enum:"block,skip,park"`
	PoisonAfter        Maybe[int]    `json:"poisonAfter,omitzero" minimum:"1" maximum:"100"`
}

// OrderOut says how an endpoint's messages are ordered. Without order there is nothing else.
type OrderOut struct {
	Order              string  `json:"order" doc:"none, subject, or subject: and a kind"`
	OrderBy            *string `json:"orderBy,omitempty" enum:"acceptance,occurrence"`
	OrderWindowSeconds *int    `json:"orderWindowSeconds,omitempty"`
	LatestOnly         *bool   `json:"latestOnly,omitempty"`
	OnPoison           *string `json:"onPoison,omitempty" enum:"block,skip,park"`
	PoisonAfter        *int    `json:"poisonAfter,omitempty"`
}

const (
	orderNone         = "none"
	orderByAcceptance = "acceptance"
	orderByOccurrence = "occurrence"
)

func orderOut(o *hook.Order) OrderOut {
	if o.By == "" {
		return OrderOut{Order: orderNone}
	}
	by, poison := orderByAcceptance, string(hook.PoisonBlock)
	if o.ByOccurrence {
		by = orderByOccurrence
	}
	if o.OnPoison != "" {
		poison = string(o.OnPoison)
	}
	return OrderOut{
		Order: o.By, OrderBy: &by, OrderWindowSeconds: pointer(int(o.Wait() / time.Second)), LatestOnly: &o.LatestOnly, OnPoison: &poison, PoisonAfter: pointer(o.Tries()),
	}
}

func maybe[T any](v *T) Maybe[T] {
	if v == nil {
		return Maybe[T]{}
	}
	return Maybe[T]{Set: true, Value: *v}
}

// into puts what a caller sent into an order; what was left out stays as it is.
func (in *OrderExtension) into(o *hook.Order) {
	p := OrderPatch{maybe(in.Order), maybe(in.OrderBy), maybe(in.OrderWindowSeconds), maybe(in.LatestOnly), maybe(in.OnPoison), maybe(in.PoisonAfter)}
	p.into(o)
}

// into changes an order. What counts only together with something else goes with that.
func (in *OrderPatch) into(o *hook.Order) {
	in.Order.into(&o.By)
	if in.Order.Set && (o.By == orderNone || o.By == "") {
		*o = hook.Order{}
	}
	if in.OrderBy.Set {
		if o.ByOccurrence = in.OrderBy.Value == orderByOccurrence; !o.ByOccurrence {
			o.Window = 0
		}
	}
	if in.OrderWindowSeconds.Set {
		o.Window = time.Duration(in.OrderWindowSeconds.Value) * time.Second
	}
	in.LatestOnly.into(&o.LatestOnly)
	if in.OnPoison.Set {
		o.OnPoison = hook.PoisonPolicy(in.OnPoison.Value)
		if o.Tries() == 0 {
			o.OnPoison, o.PoisonAfter = "", 0 // as it is without
		}
	}
	in.PoisonAfter.into(&o.PoisonAfter)
}

// checkOrder says whether an endpoint may be ordered as it is. At a source, only subjects
// that its provider's events name make lanes.
func (a *API) checkOrder(ctx context.Context, e *hook.Endpoint) error {
	if part, err := e.Order.Check(); err != nil {
		field := map[string]string{
			"order": "order", "order_by": "orderBy", "order_window": "orderWindowSeconds", "latest_only": "latestOnly", "on_poison": "onPoison", "poison_after": "poisonAfter",
		}[part]
		return invalid(err.Error(), "body", field)
	}
	if e.Order.By == "" || !e.OfSource {
		return nil
	}
	x, err := a.Store.SourceByApp(ctx, e.Org, e.App)
	if err != nil {
		return err
	}
	if err := a.Runtime.CheckSubject(x.Provider, e.Order.Kind()); err != nil {
		return invalid(err.Error(), "body", "order")
	}
	return nil
}
