package api

import (
	"context"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// attemptEvent is what an operational webhook says of a message's attempts.
type attemptEvent struct {
	AppID       string      `json:"appId"`
	AppUID      string      `json:"appUid,omitempty"`
	MsgID       string      `json:"msgId"`
	EndpointID  string      `json:"endpointId"`
	EndpointUID string      `json:"endpointUid,omitempty"`
	LastAttempt lastAttempt `json:"lastAttempt"`
}

type lastAttempt struct {
	ID                 string    `json:"id"`
	ResponseStatusCode int       `json:"responseStatusCode"`
	Timestamp          time.Time `json:"timestamp"`
}

const (
	attemptFailing   = "message.attempt.failing"
	attemptExhausted = "message.attempt.exhausted"
	attemptRecovered = "message.attempt.recovered"
)

// failingAfter is the failure that makes a message a failing one: with the usual
// schedule, half an hour after the first.
const failingAfter = 4

// attemptType is the event type of an operational webhook about an attempt, empty
// for most.
func attemptType(r *hook.Record) string {
	failed := r.Attempt.Outcome != hook.OutcomeDelivered
	switch {
	case failed && r.State == hook.Failed:
		return attemptExhausted
	case failed && r.State == hook.Pending && r.Delivery.Failures+1 == failingAfter:
		return attemptFailing
	case !failed && r.Delivery.Failures >= failingAfter:
		return attemptRecovered
	}
	return ""
}

// TellAttempt tells an organization that a message fails, was given up, or
// recovered.
func (a *API) TellAttempt(ctx context.Context, e hook.Endpoint, r *hook.Record) {
	eventType := attemptType(r)
	if eventType == "" {
		return
	}
	app, err := a.Store.Application(ctx, e.Org, e.App)
	if err != nil || app.Kind == hook.AppOperational {
		return // it was deleted meanwhile, or this would never end
	}
	a.operational(ctx, e.Org, eventType, attemptEvent{
		AppID: a.IDs.Public(hook.KindApplication, app.ID), AppUID: app.UID, MsgID: a.IDs.Public(hook.KindMessage, r.Attempt.Message),
		EndpointID: a.IDs.Public(hook.KindEndpoint, e.ID), EndpointUID: e.UID,
		LastAttempt: lastAttempt{a.IDs.Public(hook.KindAttempt, r.Attempt.ID), r.Attempt.Status, when(r.Attempt.At)},
	})
}

// TellDisabled tells an organization that an endpoint was disabled by rule.
func (a *API) TellDisabled(ctx context.Context, e hook.Endpoint) {
	a.tellEndpoint(ctx, endpointDisabled, e)
}
