package api

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigpost/sigpost/internal/hook"
)

// Optional is a number in a query of which zero is a value like others.
type Optional struct {
	Value int
	Set   bool
}

// Receiver is where the value is put.
func (o *Optional) Receiver() reflect.Value { return reflect.ValueOf(&o.Value).Elem() }

// OnParamSet notes whether the parameter was there.
func (o *Optional) OnParamSet(set bool, _ any) { o.Set = set }

// oneOf is the schema of a number that is one of those.
func oneOf(values ...int64) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeInteger}
	for _, v := range values {
		s.Enum = append(s.Enum, v)
	}
	s.PrecomputeMessages()
	return s
}

// StatusParam is a status of messages and attempts.
type StatusParam struct{ Optional }

// Schema of a status.
func (StatusParam) Schema(huma.Registry) *huma.Schema { return oneOf(0, 1, 2, 3, 4) }

// StatusClassParam is a class of HTTP statuses.
type StatusClassParam struct{ Optional }

// Schema of a class.
func (StatusClassParam) Schema(huma.Registry) *huma.Schema { return oneOf(0, 100, 200, 300, 400, 500) }

// AttemptPath names an attempt in a path.
type AttemptPath struct {
	MessagePath
	AttemptID string `path:"attempt_id" minLength:"1" maxLength:"64" doc:"The attempt's id"`
}

// MessageAttemptOut is one HTTP request and what came of it.
type MessageAttemptOut struct {
	ID                 string      `json:"id"`
	MsgID              string      `json:"msgId"`
	EndpointID         string      `json:"endpointId"`
	URL                string      `json:"url" doc:"The endpoint's URL as it is now"`
	Timestamp          time.Time   `json:"timestamp"`
	Status             int         `json:"status" enum:"0,1,2,3,4" doc:"0 success, 2 fail, 4 canceled"`
	StatusText         string      `json:"statusText" enum:"success,pending,fail,sending,canceled"`
	TriggerType        int         `json:"triggerType" enum:"0,1" doc:"0 scheduled, 1 by hand; see trigger"`
	Trigger            string      `json:"trigger" enum:"scheduled,manual,duplicate,replay" doc:"Why it was made: by its schedule, because one message was sent again, because a duplicate came in, or because a task sent it again"`
	Response           string      `json:"response" doc:"The beginning of the body that was answered"`
	ResponseStatusCode int         `json:"responseStatusCode" doc:"0 when no answer came"`
	ResponseDurationMs int64       `json:"responseDurationMs"`
	Msg                *MessageOut `json:"msg,omitempty" doc:"The message, without its payload"`
	Outcome            string      `json:"outcome" doc:"What came of it: delivered, status, redirect, timeout, connect, dns, tls, forbidden, protocol or loop"`
	Reason             *string     `json:"reason,omitempty" doc:"What went wrong, in words"`
}

// The statuses of messages and attempts.
const (
	statusSuccess  = 0
	statusPending  = 1
	statusFail     = 2
	statusSending  = 3
	statusCanceled = 4
)

func statusText(status int) string {
	return [...]string{"success", "pending", "fail", "sending", "canceled"}[status]
}

// deliveryStatus is the status of a delivery. Clients that do not ask for
// expanded statuses know neither sending nor canceled.
func deliveryStatus(d *hook.Delivery, expanded bool, now time.Time) int {
	switch {
	case d.State == hook.Failed:
		return statusFail
	case d.State == hook.Canceled && expanded:
		return statusCanceled
	case d.State == hook.Delivered || d.State == hook.Canceled:
		return statusSuccess
	case expanded && sending(d, now):
		return statusSending
	}
	return statusPending // held ones and those that wait for their turn as well
}

// sending says that a process has a delivery, for an attempt that is due.
func sending(d *hook.Delivery, now time.Time) bool {
	return d.State == hook.Pending && d.Holder != 0 && !d.NextAt.After(now)
}

// nextAttempt is when a delivery is tried next; nil when that is not known.
func nextAttempt(d *hook.Delivery) *time.Time {
	if d.State != hook.Pending {
		return nil
	}
	at := when(d.NextAt)
	return &at
}

// deletedURL stands for the URL of an endpoint that was deleted.
const deletedURL = "https://deleted.invalid/"

// attemptOut shows an attempt. endpoints are those there are; body says that
// what was answered should be shown.
func (a *API) attemptOut(t *hook.Attempt, endpoints map[hook.Key]hook.Endpoint, body bool) MessageAttemptOut {
	out := MessageAttemptOut{
		ID: a.IDs.Public(hook.KindAttempt, t.ID), MsgID: a.IDs.Public(hook.KindMessage, t.Message), EndpointID: a.IDs.Public(hook.KindEndpoint, t.Endpoint),
		URL: deletedURL, Timestamp: when(t.At), Status: statusFail, ResponseStatusCode: t.Status, ResponseDurationMs: t.Duration.Milliseconds(),
		Trigger: t.Trigger.String(), Outcome: string(t.Outcome), Reason: pointer(t.Reason),
	}
	if e, ok := endpoints[t.Endpoint]; ok {
		out.URL = e.URL
	}
	if t.Outcome == hook.OutcomeDelivered {
		out.Status = statusSuccess
	}
	if t.Trigger == hook.Manual || t.Trigger == hook.Replay {
		out.TriggerType = 1
	}
	if body {
		out.Response = strings.ToValidUTF8(string(t.Response), "\uFFFD")
	}
	out.StatusText = statusText(out.Status)
	return out
}

// endpointsAmong reads endpoints of an application. Those that were deleted are left out.
func (a *API) endpointsAmong(ctx context.Context, app hook.Key, keys []hook.Key) (map[hook.Key]hook.Endpoint, error) {
	const few = 16 // with more, one query for all of the application's is quicker
	slices.Sort(keys)
	keys = slices.Compact(keys)
	found := make(map[hook.Key]hook.Endpoint, len(keys))
	if len(keys) > few {
		all, err := a.Store.EndpointsOf(ctx, app)
		for _, e := range all {
			found[e.ID] = e
		}
		return found, err
	}
	for _, k := range keys {
		e, err := a.Store.Endpoint(ctx, app, k)
		switch {
		case err == nil:
			found[k] = e
		case !isNotFound(err):
			return nil, err
		}
	}
	return found, nil
}

func registerAttempts(a *API) {
	const app = "/api/v1/app/{app_id}"
	register(a, operation{id: "message-attempt.list-by-endpoint", method: http.MethodGet, path: app + "/attempt/endpoint/{endpoint_id}", summary: "List the attempts to an endpoint", access: accessRead}, a.listAttemptsOfEndpoint)
	register(a, operation{id: "message-attempt.list-by-msg", method: http.MethodGet, path: app + "/attempt/msg/{msg_id}", summary: "List the attempts of a message", access: accessRead}, a.listAttemptsOfMessage)
	register(a, operation{id: "message-attempt.list-attempted-messages", method: http.MethodGet, path: app + "/endpoint/{endpoint_id}/msg", summary: "List the messages that go to an endpoint", access: accessRead}, a.listAttemptedMessages)
	register(a, operation{id: "message-attempt.list-attempted-destinations", method: http.MethodGet, path: app + "/msg/{msg_id}/endpoint", summary: "List the endpoints that a message goes to", access: accessRead}, a.listAttemptedDestinations)
	register(a, operation{id: "message-attempt.get", method: http.MethodGet, path: app + "/msg/{msg_id}/attempt/{attempt_id}", summary: "Read an attempt", access: accessRead}, a.readAttempt)
	register(a, operation{id: "message-attempt.resend", method: http.MethodPost, path: app + "/msg/{msg_id}/endpoint/{endpoint_id}/resend", summary: "Send a message to an endpoint again", access: accessResend, status: http.StatusAccepted}, a.resend)
}

func (a *API) readAttempt(ctx context.Context, in *struct {
	AttemptPath
	ExpandedStatuses bool `query:"expanded_statuses" doc:"Changes nothing here: an attempt succeeded or failed"`
}) (*Body[MessageAttemptOut], error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	m, err := a.message(ctx, app.ID, in.MsgID)
	if err != nil {
		return nil, err
	}
	k, err := a.IDs.Key(hook.KindAttempt, in.AttemptID)
	if err != nil {
		return nil, err
	}
	t, _, err := a.Store.Attempt(ctx, k)
	if err == nil && t.Message != m.ID {
		err = hook.Errorf(hook.CodeNotFound, "there is no attempt %s of this message", in.AttemptID)
	}
	if err != nil {
		return nil, err
	}
	endpoints, err := a.endpointsAmong(ctx, app.ID, []hook.Key{t.Endpoint})
	if err != nil {
		return nil, err
	}
	return answer(a.attemptOut(&t, endpoints, true)), nil
}

// resend has a message sent to an endpoint again, also to one that never had it.
func (a *API) resend(ctx context.Context, in *struct {
	MessagePath
	EndpointID string `path:"endpoint_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The endpoint's id or uid"`
}) (*Body[Empty], error) {
	app, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
	if err != nil {
		return nil, err
	}
	k, err := a.messageKey(ctx, app.ID, in.MsgID)
	if err != nil {
		return nil, err
	}
	m, has, err := a.Store.MessageInfo(ctx, app.ID, k)
	if err != nil {
		return nil, err
	}
	if !has {
		return nil, hook.Errorf(hook.CodeConflict, "the payload was deleted; there is nothing left to send")
	}
	deliveries, err := a.Store.Deliveries(ctx, &m)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if d := newestTo(deliveries, e.ID); d != nil {
		err = a.Store.Resend(ctx, d.ID, now)
	} else {
		_, err = a.Store.Deliver(ctx, hook.Delivery{Org: m.Org, Message: m.ID, Endpoint: e.ID, State: hook.Pending, NextAt: now, Since: now, Trigger: hook.Manual})
	}
	if err != nil {
		return nil, err
	}
	a.Runtime.Due(e.ID, now)
	return answerWith(http.StatusAccepted, Empty{}), nil
}

// newestTo is the newest of a message's deliveries to an endpoint, which are in
// the order of their keys; nil when there is none.
func newestTo(deliveries []hook.Delivery, endpoint hook.Key) *hook.Delivery {
	for i := len(deliveries) - 1; i >= 0; i-- {
		if deliveries[i].Endpoint == endpoint {
			return &deliveries[i]
		}
	}
	return nil
}
