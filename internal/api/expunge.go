package api

import (
	"context"
	"net/http"

	"github.com/sigpost/sigpost/internal/hook"
)

// BulkExpungeContentsIn names messages whose payloads are to be deleted.
type BulkExpungeContentsIn struct {
	IDs []string `json:"ids,omitempty" maxItems:"1000" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"Ids or eventIds"`
}

// BulkExpungeContentsOut says what became of each.
type BulkExpungeContentsOut struct {
	Results map[string]ExpungeStatus `json:"results" doc:"expunged or not-found, by the id that was given"`
}

// ExpungeStatus is what became of one message.
type ExpungeStatus string

const (
	messageExpunged ExpungeStatus = "expunged"
	messageNotFound ExpungeStatus = "not-found"
)

func registerExpunge(a *API) {
	const all = "/api/v1/app/{app_id}/msg"
	register(a, operation{
		id: "message.expunge-content", method: http.MethodDelete, path: all + "/{msg_id}/content", summary: "Delete a message's payload, and send it no more",
		access: accessOrg, status: http.StatusNoContent,
	}, a.expungeMessage)
	register(a, operation{
		id: "message.bulk-expunge-content", method: http.MethodPost, path: all + "/bulk-expunge", summary: "Delete the payloads of messages, and send them no more", access: accessOrg,
	}, a.expungeMessages)
	register(a, operation{
		id: "message.expunge-all-contents", method: http.MethodPost, path: all + "/expunge-all-contents", summary: "Delete the payloads of all of an application's messages",
		access: accessOrg, status: http.StatusAccepted,
	}, a.expungeAll)
	register(a, operation{
		id: "message-attempt.expunge-content", method: http.MethodDelete, path: all + "/{msg_id}/attempt/{attempt_id}/content", summary: "Delete the response of an attempt",
		access: accessOrg, status: http.StatusNoContent,
	}, a.expungeAttempt)
}

func (a *API) expungeMessage(ctx context.Context, in *struct{ MessagePath }) (*None, error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	k, err := a.messageKey(ctx, app.ID, in.MsgID)
	if err != nil {
		return nil, err
	}
	return nil, a.Store.ExpungeBody(ctx, app.ID, k)
}

func (a *API) expungeMessages(ctx context.Context, in *struct {
	AppPath
	Body BulkExpungeContentsIn
}) (*Body[BulkExpungeContentsOut], error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	if err := distinct("ids", in.Body.IDs); err != nil {
		return nil, err
	}
	of, keys := map[string]hook.Key{}, []hook.Key{}
	for _, ref := range in.Body.IDs {
		k, err := a.messageKey(ctx, app.ID, ref)
		switch {
		case isNotFound(err):
		case err != nil:
			return nil, err
		default:
			of[ref], keys = k, append(keys, k)
		}
	}
	gone, err := a.Store.ExpungeBodies(ctx, app.ID, keys)
	if err != nil {
		return nil, err
	}
	out := BulkExpungeContentsOut{Results: map[string]ExpungeStatus{}}
	for _, ref := range in.Body.IDs {
		out.Results[ref] = messageNotFound
		if gone[of[ref]] {
			out.Results[ref] = messageExpunged
		}
	}
	return answer(out), nil
}

func (a *API) expungeAll(ctx context.Context, in *struct{ AppPath }) (*Body[TaskOut], error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	out, err := a.begin(ctx, hook.TaskPurgeContent, hook.AppTask{App: app.ID})
	return answerWith(http.StatusAccepted, out), err
}

func (a *API) expungeAttempt(ctx context.Context, in *struct {
	MessagePath
	AttemptID string `path:"attempt_id" minLength:"1" maxLength:"256" doc:"The attempt's id"`
}) (*None, error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	m, err := a.message(ctx, app.ID, in.MsgID)
	if err != nil {
		return nil, err
	}
	id, err := a.IDs.Key(hook.KindAttempt, in.AttemptID)
	if err != nil {
		return nil, err
	}
	t, _, err := a.Store.Attempt(ctx, id)
	if err == nil && t.Message != m.ID {
		err = hook.Errorf(hook.CodeNotFound, "there is no attempt %s of this message", in.AttemptID)
	}
	if err != nil {
		return nil, err
	}
	return nil, a.Store.ExpungeResponse(ctx, id)
}
