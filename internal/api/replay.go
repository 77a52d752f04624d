package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// ReplayIn asks for messages that an endpoint never had.
type ReplayIn struct {
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until,omitempty" nullable:"true"`
	JobIn
}

// RecoverIn asks for messages that failed.
type RecoverIn struct {
	Since time.Time  `json:"since" doc:"At most 14 days ago"`
	Until *time.Time `json:"until,omitempty" nullable:"true"`
	JobIn
}

// BulkReplayIn asks for messages again, also for those that were delivered.
type BulkReplayIn struct {
	Since  *time.Time `json:"since,omitempty" doc:"Needed unless there are messageIds"`
	Until  *time.Time `json:"until,omitempty" nullable:"true"`
	Status *int       `json:"status,omitempty" nullable:"true" enum:"0,1,2,3,4" doc:"0 success, 1 pending, 2 fail, 3 sending, 4 canceled"`
	DeliveryChoiceIn
	JobIn
}

// CancelPendingIn asks that an endpoint no longer gets what it still has to get.
type CancelPendingIn struct {
	Since *time.Time `json:"since,omitempty" nullable:"true" doc:"From the first message on when left out"`
	Until *time.Time `json:"until,omitempty" nullable:"true"`
	DeliveryChoiceIn
	DryRun bool `json:"dryRun,omitempty" doc:"Only count what would be canceled"`
}

// JobIn says how a task sends.
type JobIn struct {
	DryRun bool `json:"dryRun,omitempty" doc:"Only count what would be sent"`
	Pace   *int `json:"pace,omitempty" nullable:"true" minimum:"1" maximum:"1000" doc:"Deliveries a second, at the most; 100 when left out"`
}

// DeliveryChoiceIn chooses deliveries of an endpoint.
type DeliveryChoiceIn struct {
	EventTypes      []string      `json:"eventTypes,omitempty" nullable:"true" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Channel         *string       `json:"channel,omitempty" nullable:"true" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$"`
	Tag             *string       `json:"tag,omitempty" nullable:"true" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_./\\\\#]+$"`
	StatusCodeClass *int          `json:"statusCodeClass,omitempty" nullable:"true" enum:"0,100,200,300,400,500" doc:"Of the newest attempt; 0 where no answer came"`
	Subject         *SubjectInOut `json:"subject,omitempty" doc:"Only messages about this one"`
	MessageIDs      []string      `json:"messageIds,omitempty" maxItems:"1000" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"Only these: ids or eventIds"`
}

// recoverable is how far back failed messages are recovered.
const recoverable = 14 * 24 * time.Hour

func registerReplay(a *API) {
	const one = "/api/v1/app/{app_id}/endpoint/{endpoint_id}"
	register(a, recoverOperation("endpoint.recover", one, accessResend), func(ctx context.Context, in *struct {
		EndpointPath
		Body RecoverIn
	}) (*Body[TaskOut], error) {
		_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
		return a.job(ctx, e, err, hook.TaskRecover, &in.Body)
	})
	register(a, replayMissingOperation("endpoint.replay-missing", one, accessResend), func(ctx context.Context, in *struct {
		EndpointPath
		Body ReplayIn
	}) (*Body[TaskOut], error) {
		_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
		return a.job(ctx, e, err, hook.TaskReplayMissing, &in.Body)
	})
	register(a, bulkReplayOperation("endpoint.bulk-replay", one, accessResend), func(ctx context.Context, in *struct {
		EndpointPath
		Body BulkReplayIn
	}) (*Body[TaskOut], error) {
		_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
		return a.job(ctx, e, err, hook.TaskBulkReplay, &in.Body)
	})
	register(a, cancelPendingOperation("endpoint.cancel-pending", one, accessResend), func(ctx context.Context, in *struct {
		EndpointPath
		Body CancelPendingIn
	}) (*Body[BackgroundTaskOut], error) {
		_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
		return a.cancelPending(ctx, e, err, &in.Body)
	})
	register(a, operation{
		id: "endpoint.send-example", method: http.MethodPost, path: one + "/send-example", summary: "Send an endpoint an example message", access: accessResend, status: http.StatusAccepted,
	}, a.sendExample)
}

func recoverOperation(id, one string, need access) operation {
	return operation{id: id, method: http.MethodPost, path: one + "/recover", summary: "Send an endpoint its failed messages again", access: need, status: http.StatusAccepted}
}

func replayMissingOperation(id, one string, need access) operation {
	return operation{id: id, method: http.MethodPost, path: one + "/replay-missing", summary: "Send an endpoint the messages that it never had", access: need, status: http.StatusAccepted}
}

func bulkReplayOperation(id, one string, need access) operation {
	return operation{id: id, method: http.MethodPost, path: one + "/bulk-replay", summary: "Send an endpoint its messages again, delivered ones too", access: need, status: http.StatusAccepted}
}

func cancelPendingOperation(id, one string, need access) operation {
	return operation{id: id, method: http.MethodPost, path: one + "/cancel-pending", summary: "Cancel what an endpoint still has to get", access: need, status: http.StatusAccepted}
}

// jobIn is the body of a request for a task about an endpoint.
type jobIn interface {
	// task is what is asked for, without the endpoint.
	task(ctx context.Context, a *API, app hook.Key) (hook.EndpointTask, error)
}

func (in *RecoverIn) task(context.Context, *API, hook.Key) (t hook.EndpointTask, err error) {
	r, err := span(in.Since, in.Until)
	if err != nil {
		return t, err
	}
	if time.Since(r.Since) > recoverable+time.Minute { // who asks for exactly 14 days gets them
		return t, invalid("is more than 14 days ago; replay what is older with bulk-replay", "body", "since")
	}
	t = in.sending(r)
	t.States = []hook.DeliveryState{hook.Failed}
	return t, nil
}

func (in *ReplayIn) task(context.Context, *API, hook.Key) (hook.EndpointTask, error) {
	r, err := span(in.Since, in.Until)
	return in.sending(r), err
}

func (in *BulkReplayIn) task(ctx context.Context, a *API, app hook.Key) (t hook.EndpointTask, err error) {
	if in.Since == nil && len(in.MessageIDs) == 0 {
		return t, invalid("field required, unless there are messageIds", "body", "since")
	}
	r, err := span(value(in.Since), in.Until)
	if err != nil {
		return t, err
	}
	t = in.sending(r)
	if t.Choice, err = in.choice(ctx, a, app); err != nil {
		return t, err
	}
	if in.Status != nil {
		t.States = statesOf(*in.Status)
	}
	return t, nil
}

func (in *CancelPendingIn) task(ctx context.Context, a *API, app hook.Key) (t hook.EndpointTask, err error) {
	r, err := span(value(in.Since), in.Until)
	if err != nil {
		return t, err
	}
	t.Since, t.Until, t.DryRun = r.Since, r.Until, in.DryRun
	t.Choice, err = in.choice(ctx, a, app)
	t.States = []hook.DeliveryState{hook.Pending, hook.Held, hook.Waiting}
	return t, err
}

func (in *JobIn) sending(r hook.Range) hook.EndpointTask {
	return hook.EndpointTask{Since: r.Since, Until: r.Until, DryRun: in.DryRun, Pace: value(in.Pace)}
}

// choice is what was chosen, in the one form in which equal choices are equal.
func (in *DeliveryChoiceIn) choice(ctx context.Context, a *API, app hook.Key) (c hook.Choice, err error) {
	if err := distinctAll(map[string][]string{"eventTypes": in.EventTypes, "messageIds": in.MessageIDs}); err != nil {
		return c, err
	}
	c = hook.Choice{Types: slices.Sorted(slices.Values(in.EventTypes)), Channel: value(in.Channel), Tag: value(in.Tag), Class: in.StatusCodeClass}
	if in.Subject != nil {
		c.Subject = &hook.Subject{Kind: in.Subject.Kind, ID: in.Subject.ID}
	}
	for _, ref := range in.MessageIDs {
		k, err := a.messageKey(ctx, app, ref)
		if err != nil {
			return c, err
		}
		c.Messages = append(c.Messages, k)
	}
	slices.Sort(c.Messages)
	c.Messages = slices.Compact(c.Messages) // an id and an eventId may be of one message
	return c, nil
}

// job begins a task that sends, about an endpoint that was found unless err says otherwise.
func (a *API) job(ctx context.Context, e hook.Endpoint, err error, kind hook.TaskKind, in jobIn) (*Body[TaskOut], error) {
	if err != nil {
		return nil, err
	}
	t, err := a.beginJob(ctx, &e, kind, in)
	return answerWith(http.StatusAccepted, a.taskOut(t)), err
}

// cancelPending answers with the data, too: only that has a word for such a task.
func (a *API) cancelPending(ctx context.Context, e hook.Endpoint, err error, in *CancelPendingIn) (*Body[BackgroundTaskOut], error) {
	if err != nil {
		return nil, err
	}
	t, err := a.beginJob(ctx, &e, hook.TaskCancelPending, in)
	return answerWith(http.StatusAccepted, a.backgroundTaskOut(t)), err
}

// beginJob begins a task about an endpoint, unless one that does the same is under
// way: who asks twice by mistake must not have everything sent twice.
func (a *API) beginJob(ctx context.Context, e *hook.Endpoint, kind hook.TaskKind, in jobIn) (hook.Task, error) {
	input, err := in.task(ctx, a, e.App)
	if err != nil {
		return hook.Task{}, err
	}
	input.App, input.Endpoint = e.App, e.ID
	return a.beginUnless(ctx, kind, input, func(other *hook.Task) error {
		var theirs hook.EndpointTask
		if other.Kind != kind || json.Unmarshal(other.Input, &theirs) != nil || !input.Alike(&theirs) {
			return nil
		}
		return hook.Errorf(hook.CodeConflict, "task %s does the same for this endpoint and is %s; wait for its end, or cancel it", a.IDs.Public(hook.KindTask, other.ID), other.Status)
	})
}
