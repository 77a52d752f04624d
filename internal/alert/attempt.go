package alert

import (
	"context"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// attemptFields are what an operational webhook says of a message's attempts.
type attemptFields struct {
	MsgID       string      `json:"msgId"`
	MsgEventID  string      `json:"msgEventId,omitempty"`
	LastAttempt lastAttempt `json:"lastAttempt"`
}

type lastAttempt struct {
	ID                 string    `json:"id"`
	ResponseStatusCode int       `json:"responseStatusCode"`
	Timestamp          time.Time `json:"timestamp"`
}

// failingAfter is the failure that makes a message a failing one: with the usual
// schedule, half an hour after the first.
const failingAfter = 4

// attemptKind is the kind of an alert about an attempt, empty for most.
func attemptKind(r *hook.Record) hook.AlertKind {
	failed := r.Attempt.Outcome != hook.OutcomeDelivered
	switch {
	case failed && r.State == hook.Failed:
		return hook.AlertAttemptExhausted
	case failed && r.State == hook.Pending && r.Delivery.Failures+1 == failingAfter:
		return hook.AlertAttemptFailing
	case !failed && r.Delivery.Failures >= failingAfter:
		return hook.AlertAttemptRecovered
	}
	return ""
}

// ingestKind is what a kind is called when the message was received by a source.
func ingestKind(k hook.AlertKind) hook.AlertKind { return "ingest." + k }

// Attempt is told of each attempt that was recorded, and tells when a message
// fails, was given up or recovered. It does not block, and what of it does not fit
// the queue is dropped: lists of messages and attempts have it all. m may be nil.
func (a *Alerts) Attempt(e *hook.Endpoint, m *hook.Message, r *hook.Record) {
	if r.Refused || r.Attempt == nil {
		return
	}
	kind := attemptKind(r)
	if kind == "" {
		return // nearly all
	}
	end, record, eventID := *e, *r, ""
	if m != nil {
		eventID = m.Event.ID
	}
	a.later(func(ctx context.Context) {
		if err := a.tellAttempt(ctx, kind, &end, eventID, &record); err != nil {
			a.notTold(ctx, kind, err)
		}
	})
}

func (a *Alerts) tellAttempt(ctx context.Context, kind hook.AlertKind, e *hook.Endpoint, eventID string, r *hook.Record) error {
	o, err := a.owner(ctx, e.Org, e.App)
	if err != nil {
		return err
	}
	x := a.about(kind, attemptSeverity(kind, o.source != nil), &o, e)
	message := a.IDs.Public(hook.KindMessage, r.Attempt.Message)
	x.Title, x.Next = attemptTitle(kind, message, x.Name, r)
	x.Why, x.Look = r.Attempt.Reason, "sigpost message show "+message
	if kind != hook.AlertAttemptRecovered {
		x.Since = r.Delivery.Since
	}
	f := attemptFields{message, eventID, lastAttempt{a.IDs.Public(hook.KindAttempt, r.Attempt.ID), r.Attempt.Status, *instant(r.Attempt.At)}}
	if o.source != nil {
		x.Kind = ingestKind(kind)
		_ = a.Raise(ctx, o.with(x, struct { // logged
			ingestData
			attemptFields
		}{a.ingestData(&o, e), f}))
		return nil
	}
	_ = a.Raise(ctx, o.with(x, struct {
		endpointData
		attemptFields
	}{a.endpointData(&o, e), f}))
	return nil
}

// attemptSeverity: that one of many customers does not answer for half an hour is
// his affair; that the own service does not is the operator's.
func attemptSeverity(kind hook.AlertKind, ofSource bool) hook.Severity {
	switch {
	case kind == hook.AlertAttemptExhausted && ofSource:
		return hook.Critical
	case kind == hook.AlertAttemptExhausted, kind == hook.AlertAttemptFailing && ofSource:
		return hook.Warning
	}
	return hook.Info
}

func attemptTitle(kind hook.AlertKind, message, endpoint string, r *hook.Record) (title, next string) {
	switch kind {
	case hook.AlertAttemptExhausted:
		tries := "1 attempt"
		if n := r.Attempt.Number; n != 1 {
			tries = fmt.Sprintf("%d attempts", n)
		}
		return fmt.Sprintf("Message %s was given up for endpoint %s after %s", message, endpoint, tries),
			"It is tried no more. Once the endpoint is mended, `sigpost message resend " + message + "` sends it again."
	case hook.AlertAttemptFailing:
		return fmt.Sprintf("Message %s has failed %d times at endpoint %s", message, r.Delivery.Failures+1, endpoint),
			"It is tried again at " + at(r.NextAt) + "."
	}
	return fmt.Sprintf("Message %s was delivered to endpoint %s after %d failures", message, endpoint, r.Delivery.Failures), ""
}
