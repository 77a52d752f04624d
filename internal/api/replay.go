package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// ReplayIn asks for messages that an endpoint never had.
type ReplayIn struct {
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until,omitempty" nullable:"true"`
}

// RecoverIn asks for messages that failed.
type RecoverIn struct {
	Since time.Time  `json:"since" doc:"At most 14 days ago"`
	Until *time.Time `json:"until,omitempty" nullable:"true"`
}

// BulkReplayIn asks for messages again, also for those that were delivered.
type BulkReplayIn struct {
	Since           time.Time  `json:"since"`
	Until           *time.Time `json:"until,omitempty" nullable:"true"`
	EventTypes      []string   `json:"eventTypes,omitempty" nullable:"true" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Channel         *string    `json:"channel,omitempty" nullable:"true" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$"`
	Tag             *string    `json:"tag,omitempty" nullable:"true" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_./\\\\#]+$"`
	Status          *int       `json:"status,omitempty" nullable:"true" enum:"0,1,2,3,4" doc:"0 success, 1 pending, 2 fail, 3 sending, 4 canceled"`
	StatusCodeClass *int       `json:"statusCodeClass,omitempty" nullable:"true" enum:"0,100,200,300,400,500" doc:"Of the newest attempt; 0 where no answer came"`
}

// recoverable is how far back failed messages are recovered.
const recoverable = 14 * 24 * time.Hour

func registerReplay(a *API) {
	const one = "/api/v1/app/{app_id}/endpoint/{endpoint_id}"
	register(a, operation{
		id: "endpoint.recover", method: http.MethodPost, path: one + "/recover", summary: "Send an endpoint its failed messages again", access: accessResend, status: http.StatusAccepted,
	}, a.recoverEndpoint)
	register(a, operation{
		id: "endpoint.replay-missing", method: http.MethodPost, path: one + "/replay-missing", summary: "Send an endpoint the messages that it never had", access: accessResend, status: http.StatusAccepted,
	}, a.replayMissing)
	register(a, operation{
		id: "endpoint.bulk-replay", method: http.MethodPost, path: one + "/bulk-replay", summary: "Send an endpoint its messages again, delivered ones too", access: accessResend, status: http.StatusAccepted,
	}, a.bulkReplay)
	register(a, operation{
		id: "endpoint.send-example", method: http.MethodPost, path: one + "/send-example", summary: "Send an endpoint an example message", access: accessResend, status: http.StatusAccepted,
	}, a.sendExample)
}

// sendTask begins a task that sends messages to the endpoint of a path.
func (a *API) sendTask(ctx context.Context, path EndpointPath, kind hook.TaskKind, t hook.EndpointTask) (*Body[TaskOut], error) {
	app, e, err := a.endpoint(ctx, path.AppID, path.EndpointID)
	if err != nil {
		return nil, err
	}
	t.App, t.Endpoint = app.ID, e.ID
	out, err := a.begin(ctx, kind, t)
	return answerWith(http.StatusAccepted, out), err
}

func (a *API) recoverEndpoint(ctx context.Context, in *struct {
	EndpointPath
	Body RecoverIn
}) (*Body[TaskOut], error) {
	r, err := span(in.Body.Since, in.Body.Until)
	if err != nil {
		return nil, err
	}
	if time.Since(r.Since) > recoverable+time.Minute { // who asks for exactly 14 days gets them
		return nil, invalid("is more than 14 days ago; replay what is older with bulk-replay", "body", "since")
	}
	return a.sendTask(ctx, in.EndpointPath, hook.TaskRecover, hook.EndpointTask{Since: r.Since, Until: r.Until, States: []hook.DeliveryState{hook.Failed}})
}

func (a *API) replayMissing(ctx context.Context, in *struct {
	EndpointPath
	Body ReplayIn
}) (*Body[TaskOut], error) {
	r, err := span(in.Body.Since, in.Body.Until)
	if err != nil {
		return nil, err
	}
	return a.sendTask(ctx, in.EndpointPath, hook.TaskReplayMissing, hook.EndpointTask{Since: r.Since, Until: r.Until})
}

func (a *API) bulkReplay(ctx context.Context, in *struct {
	EndpointPath
	Body BulkReplayIn
}) (*Body[TaskOut], error) {
	r, err := span(in.Body.Since, in.Body.Until)
	if err != nil {
		return nil, err
	}
	if err := distinct("eventTypes", in.Body.EventTypes); err != nil {
		return nil, err
	}
	t := hook.EndpointTask{
		Since: r.Since, Until: r.Until, Types: in.Body.EventTypes, Channel: value(in.Body.Channel), Tag: value(in.Body.Tag), Class: in.Body.StatusCodeClass,
	}
	if in.Body.Status != nil {
		t.States = statesOf(*in.Body.Status)
	}
	return a.sendTask(ctx, in.EndpointPath, hook.TaskBulkReplay, t)
}
