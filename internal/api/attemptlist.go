package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// MessageChoiceIn chooses rows by their messages.
type MessageChoiceIn struct {
	Channel    string   `query:"channel" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$"`
	Tag        string   `query:"tag" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_./\\\\#]+$"`
	EventTypes []string `query:"event_types" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" maxItems:"100"`
}

// StatusIn chooses rows by their status.
type StatusIn struct {
	Status           StatusParam `query:"status" doc:"0 success, 1 pending, 2 fail, 3 sending, 4 canceled"`
	ExpandedStatuses bool        `query:"expanded_statuses" doc:"Show sending (3) and canceled (4) as what they are, not as pending and success"`
}

// AttemptChoiceIn are the parameters of lists of attempts.
type AttemptChoiceIn struct {
	ListIn
	RangeIn
	MessageChoiceIn
	StatusIn
	StatusCodeClass StatusClassParam `query:"status_code_class" doc:"0 is no answer"`
	WithContent     Shown            `query:"with_content" doc:"With what was answered"`
}

func (in *AttemptChoiceIn) query(page hook.Page) hook.AttemptQuery {
	q := hook.AttemptQuery{Class: -1, Types: in.EventTypes, Channel: in.Channel, Tag: in.Tag, Range: in.bounds(), Page: page}
	if in.StatusCodeClass.Set {
		q.Class = in.StatusCodeClass.Value
	}
	if in.Status.Set && (in.Status.Value == statusSuccess || in.Status.Value == statusFail) {
		delivered := in.Status.Value == statusSuccess
		q.Delivered = &delivered
	}
	return q
}

func (a *API) listAttemptsOfEndpoint(ctx context.Context, in *struct {
	EndpointPath
	AttemptChoiceIn
	WithMsg bool `query:"with_msg" doc:"With the messages, without their payloads"`
}) (*Body[ListOut[MessageAttemptOut]], error) {
	app, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
	if err != nil {
		return nil, err
	}
	return a.listAttempts(ctx, app.ID, hook.AttemptQuery{Endpoint: e.ID}, &in.AttemptChoiceIn, in.WithMsg)
}

func (a *API) listAttemptsOfMessage(ctx context.Context, in *struct {
	MessagePath
	AttemptChoiceIn
	EndpointID string `query:"endpoint_id" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"Only those to this endpoint: its id or uid"`
}) (*Body[ListOut[MessageAttemptOut]], error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	m, err := a.message(ctx, app.ID, in.MsgID)
	if err != nil {
		return nil, err
	}
	of := hook.AttemptQuery{Message: m.ID}
	if of.Endpoint, err = a.endpointKey(ctx, app.ID, in.EndpointID); err != nil {
		return nil, err
	}
	return a.listAttempts(ctx, app.ID, of, &in.AttemptChoiceIn, false)
}

// endpointKey is the key of an endpoint that may have been deleted: its attempts
// stay. Without a reference it is 0.
func (a *API) endpointKey(ctx context.Context, app hook.Key, ref string) (hook.Key, error) {
	switch {
	case ref == "":
		return 0, nil
	case strings.HasPrefix(ref, string(hook.KindEndpoint)):
		return a.IDs.Key(hook.KindEndpoint, ref)
	}
	e, err := a.Store.EndpointByUID(ctx, app, ref)
	return e.ID, err
}

// listAttempts lists the attempts of an endpoint or a message.
func (a *API) listAttempts(ctx context.Context, app hook.Key, of hook.AttemptQuery, in *AttemptChoiceIn, withMsg bool) (*Body[ListOut[MessageAttemptOut]], error) {
	p, back, err := a.page(in.ListIn, hook.KindAttempt, false)
	if err != nil {
		return nil, err
	}
	q := in.query(p)
	q.Endpoint, q.Message = of.Endpoint, of.Message
	var rows []hook.AttemptRow
	var next hook.Key
	canceled := in.Status.Set && in.Status.Value == statusCanceled
	switch {
	case canceled:
		rows, next, err = a.canceledAttempts(ctx, q)
	case in.Status.Set && q.Delivered == nil: // an attempt is known when it has ended, so none is pending
	default:
		rows, next, err = a.Store.ListAttempts(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	keys, among := make([]hook.Key, len(rows)), make([]hook.Key, len(rows))
	for i := range rows {
		keys[i], among[i] = rows[i].ID, rows[i].Endpoint
	}
	endpoints, err := a.endpointsAmong(ctx, app, among)
	if err != nil {
		return nil, err
	}
	out := make([]MessageAttemptOut, len(rows))
	for i := range rows {
		out[i] = a.attemptOut(&rows[i].Attempt, endpoints, in.WithContent.want())
		if canceled { // who asks for these is told so, in the words he knows
			out[i].Status = deliveryStatus(&hook.Delivery{State: hook.Canceled}, in.ExpandedStatuses, time.Time{})
			out[i].StatusText = statusText(out[i].Status)
		}
		if withMsg && rows[i].Of != nil {
			m := a.messageOut(rows[i].Of, false)
			out[i].Msg = &m
		}
	}
	return listOut(a, hook.KindAttempt, out, keys, next, in.ListIn, back), nil
}

// canceledAttempts lists the attempts of deliveries that were canceled.
func (a *API) canceledAttempts(ctx context.Context, q hook.AttemptQuery) ([]hook.AttemptRow, hook.Key, error) {
	read := func(p hook.Page) ([]hook.AttemptRow, hook.Key, error) {
		q.Page = p
		return a.Store.ListAttempts(ctx, q)
	}
	keep := func(rows []hook.AttemptRow) ([]hook.AttemptRow, error) {
		keys := make([]hook.Key, len(rows))
		for i := range rows {
			keys[i] = rows[i].Delivery
		}
		canceled, err := a.Store.Canceled(ctx, keys)
		return slices.DeleteFunc(rows, func(r hook.AttemptRow) bool { return !canceled[r.Delivery] }), err
	}
	return gather(q.Page, func(r *hook.AttemptRow) hook.Key { return r.ID }, read, keep)
}

// gather reads a list until a page is full of rows that keep wants. It looks at
// a bounded number of rows; a page may then be short and still have a next.
func gather[T any](page hook.Page, key func(*T) hook.Key, read func(hook.Page) ([]T, hook.Key, error), keep func([]T) ([]T, error)) (rows []T, next hook.Key, err error) {
	const step = 120
	limit, begun := page.Limit, time.Now()
	page.Limit = step
	for range rounds {
		got, next, err := read(page)
		if err != nil {
			return nil, 0, err
		}
		if got, err = keep(got); err != nil {
			return nil, 0, err
		}
		rows = append(rows, got...)
		if len(rows) > limit {
			return rows[:limit], key(&rows[limit-1]), nil
		}
		if next == 0 {
			return rows, 0, nil
		}
		if page.After = next; time.Since(begun) > roundsTime {
			break
		}
	}
	return rows, page.After, nil
}

// EndpointMessageOut is a message on its way to one endpoint.
type EndpointMessageOut struct {
	MessageOut
	Status      int        `json:"status" enum:"0,1,2,3,4" doc:"0 success, 1 pending, 2 fail, 3 sending, 4 canceled"`
	StatusText  string     `json:"statusText" enum:"success,pending,fail,sending,canceled"`
	NextAttempt *time.Time `json:"nextAttempt,omitempty" nullable:"true"`
}

func (a *API) listAttemptedMessages(ctx context.Context, in *struct {
	EndpointPath
	ListIn
	RangeIn
	MessageChoiceIn
	StatusIn
	WithContent Shown `query:"with_content" doc:"With the payloads"`
}) (*Body[ListOut[EndpointMessageOut]], error) {
	_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
	if err != nil {
		return nil, err
	}
	// The iterator names a delivery, in the form that clients expect.
	p, back, err := a.page(in.ListIn, hook.KindMessage, false)
	if err != nil {
		return nil, err
	}
	q := hook.DeliveryQuery{Endpoint: e.ID, Types: in.EventTypes, Channel: in.Channel, Tag: in.Tag, Range: in.bounds(), Page: p, Bodies: in.WithContent.want()}
	now := time.Now()
	rows, next, err := a.deliveriesWith(ctx, q, &in.StatusIn, now)
	if err != nil {
		return nil, err
	}
	out, keys := make([]EndpointMessageOut, len(rows)), make([]hook.Key, len(rows))
	for i := range rows {
		status := deliveryStatus(&rows[i].Delivery, in.ExpandedStatuses, now)
		out[i] = EndpointMessageOut{a.messageOut(rows[i].Of, in.WithContent.want()), status, statusText(status), nextAttempt(&rows[i].Delivery)}
		keys[i] = rows[i].ID
	}
	return listOut(a, hook.KindMessage, out, keys, next, in.ListIn, back), nil
}

// deliveriesWith lists the deliveries that have a status now.
func (a *API) deliveriesWith(ctx context.Context, q hook.DeliveryQuery, in *StatusIn, now time.Time) ([]hook.DeliveryRow, hook.Key, error) {
	if in.Status.Set {
		q.States = statesOf(in.Status.Value)
	}
	// What is being sent is pending in the store.
	apart := in.Status.Set && (in.Status.Value == statusSending || in.Status.Value == statusPending && in.ExpandedStatuses)
	if !apart {
		return a.Store.ListDeliveries(ctx, q)
	}
	bodies := q.Bodies
	q.Bodies = false // only of those that are kept
	read := func(p hook.Page) ([]hook.DeliveryRow, hook.Key, error) {
		q.Page = p
		return a.Store.ListDeliveries(ctx, q)
	}
	keep := func(rows []hook.DeliveryRow) ([]hook.DeliveryRow, error) {
		return slices.DeleteFunc(rows, func(r hook.DeliveryRow) bool { return sending(&r.Delivery, now) != (in.Status.Value == statusSending) }), nil
	}
	rows, next, err := gather(q.Page, func(r *hook.DeliveryRow) hook.Key { return r.ID }, read, keep)
	if err != nil || !bodies {
		return rows, next, err
	}
	return rows, next, a.addBodies(ctx, rows)
}

func (a *API) addBodies(ctx context.Context, rows []hook.DeliveryRow) error {
	keys := make([]hook.Key, len(rows))
	for i := range rows {
		keys[i] = rows[i].Message
	}
	found, err := a.Store.Messages(ctx, keys)
	for i := range rows {
		if m := found[rows[i].Message]; m != nil {
			rows[i].Of = m
		}
	}
	return err
}

// statesOf are the states of deliveries that may have a status.
func statesOf(status int) []hook.DeliveryState {
	switch status {
	case statusSuccess:
		return []hook.DeliveryState{hook.Delivered}
	case statusPending:
		return []hook.DeliveryState{hook.Pending, hook.Waiting, hook.Held}
	case statusSending:
		return []hook.DeliveryState{hook.Pending}
	case statusFail:
		return []hook.DeliveryState{hook.Failed}
	}
	return []hook.DeliveryState{hook.Canceled}
}

// MessageEndpointOut is an endpoint that a message goes to.
type MessageEndpointOut struct {
	EndpointOut
	Status      int        `json:"status" enum:"0,1,2,3,4" doc:"0 success, 1 pending, 2 fail, 3 sending, 4 canceled"`
	StatusText  string     `json:"statusText" enum:"success,pending,fail,sending,canceled"`
	NextAttempt *time.Time `json:"nextAttempt,omitempty" nullable:"true"`
}

func (a *API) listAttemptedDestinations(ctx context.Context, in *struct {
	MessagePath
	ListIn
	ExpandedStatuses bool `query:"expanded_statuses" doc:"Show sending (3) and canceled (4) as what they are"`
}) (*Body[ListOut[MessageEndpointOut]], error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	m, err := a.message(ctx, app.ID, in.MsgID)
	if err != nil {
		return nil, err
	}
	p, back, err := a.page(in.ListIn, hook.KindEndpoint, false)
	if err != nil {
		return nil, err
	}
	deliveries, err := a.Store.Deliveries(ctx, &m)
	if err != nil {
		return nil, err
	}
	newest := make(map[hook.Key]*hook.Delivery, len(deliveries))
	var keys []hook.Key
	for i := range deliveries {
		if newest[deliveries[i].Endpoint] == nil {
			keys = append(keys, deliveries[i].Endpoint)
		}
		newest[deliveries[i].Endpoint] = &deliveries[i]
	}
	keys, next := pageOf(keys, p)
	endpoints, err := a.endpointsAmong(ctx, app.ID, slices.Clone(keys))
	if err != nil {
		return nil, err
	}
	failing, err := a.Store.FailingSince(ctx, keys)
	if err != nil {
		return nil, err
	}
	out, now := make([]MessageEndpointOut, len(keys)), time.Now()
	for i, k := range keys {
		e, ok := endpoints[k]
		if !ok {
			e = hook.Endpoint{ID: k, URL: deletedURL, State: hook.Disabled, Reason: "it was deleted", CreatedAt: k.Time(), UpdatedAt: k.Time()}
		}
		status := deliveryStatus(newest[k], in.ExpandedStatuses, now)
		out[i] = MessageEndpointOut{a.endpointOut(e, failing[k]), status, statusText(status), nextAttempt(newest[k])}
	}
	return listOut(a, hook.KindEndpoint, out, keys, next, in.ListIn, back), nil
}

// pageOf is a page of keys that are all at hand; next is 0 at the end.
func pageOf(keys []hook.Key, p hook.Page) (page []hook.Key, next hook.Key) {
	slices.Sort(keys)
	if !p.Ascending {
		slices.Reverse(keys)
	}
	if p.After != 0 {
		keys = slices.DeleteFunc(keys, func(k hook.Key) bool { return k == p.After || (k > p.After) != p.Ascending })
	}
	if len(keys) > p.Limit {
		return keys[:p.Limit], keys[p.Limit-1]
	}
	return keys, 0
}
