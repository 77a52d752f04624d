package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// TaskOut is a task that was begun. What came of it is read with
// GET /api/v1/background-task/{task_id}.
type TaskOut struct {
	ID        string    `json:"id"`
	Status    string    `json:"status" enum:"running,finished,failed"`
	Task      string    `json:"task"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// BackgroundTaskOut is a task with its result.
type BackgroundTaskOut struct {
	TaskOut
	Data Object `json:"data" doc:"The result, also while it grows; of a failed task the error"`
}

func (a *API) taskOut(t hook.Task) TaskOut {
	return TaskOut{ID: a.IDs.Public(hook.KindTask, t.ID), Status: string(t.Status), Task: string(t.Kind), UpdatedAt: when(t.UpdatedAt)}
}

func (a *API) backgroundTaskOut(t hook.Task) BackgroundTaskOut {
	return BackgroundTaskOut{a.taskOut(t), Object(t.Data)}
}

func registerTasks(a *API) {
	const all = "/api/v1/background-task"
	register(a, operation{id: "background-task.list", method: http.MethodGet, path: all, summary: "List background tasks", access: accessOrgRead}, a.listTasks)
	register(a, operation{id: "background-task.get", method: http.MethodGet, path: all + "/{task_id}", summary: "Read a background task", access: accessOrgRead}, a.readTask)
}

func (a *API) listTasks(ctx context.Context, in *struct {
	OrderedIn
	Status string `query:"status" enum:"running,finished,failed"`
	Task   string `query:"task" enum:"endpoint.replay,endpoint.recover,application.stats,message.broadcast,sdk.generate,event-type.aggregate,application.purge_content,endpoint.bulk-replay"`
}) (*Body[ListOut[BackgroundTaskOut]], error) {
	p, back, err := a.page(in.ListIn, hook.KindTask, in.Order == "ascending")
	if err != nil {
		return nil, err
	}
	limit := p.Limit
	p.Limit++
	rows, err := a.Store.Tasks(ctx, caller(ctx).Org, hook.TaskKind(in.Task), hook.TaskStatus(in.Status), p)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, limit, func(t *hook.Task) hook.Key { return t.ID })
	out, keys := make([]BackgroundTaskOut, len(rows)), make([]hook.Key, len(rows))
	for i, t := range rows {
		out[i], keys[i] = a.backgroundTaskOut(t), t.ID
	}
	return listOut(a, hook.KindTask, out, keys, next, in.ListIn, back), nil
}

func (a *API) readTask(ctx context.Context, in *struct {
	TaskID string `path:"task_id" minLength:"1" maxLength:"256" doc:"The task's id"`
}) (*Body[BackgroundTaskOut], error) {
	id, err := a.IDs.Key(hook.KindTask, in.TaskID)
	if err != nil {
		return nil, err
	}
	t, err := a.Store.Task(ctx, caller(ctx).Org, id)
	return answerWith(http.StatusOK, a.backgroundTaskOut(t)), err
}

// runningTasks is how many tasks of an organization may be under way.
const runningTasks = 20

// begin keeps a task of the caller's organization and wakes who works on it.
func (a *API) begin(ctx context.Context, kind hook.TaskKind, input any) (TaskOut, error) {
	raw, err := json.Marshal(input)
	if err != nil {
		return TaskOut{}, err
	}
	under, err := a.Store.Tasks(ctx, caller(ctx).Org, "", hook.TaskRunning, hook.Page{Limit: runningTasks})
	if err != nil {
		return TaskOut{}, err
	}
	for i := range under {
		if under[i].Kind == kind && string(under[i].Input) == string(raw) {
			return a.taskOut(under[i]), nil // the same is under way
		}
	}
	if len(under) == runningTasks {
		return TaskOut{}, hook.Errorf(hook.CodeConflict, "%d tasks are running already; wait for one to end", runningTasks)
	}
	t, err := a.Store.CreateTask(ctx, hook.Task{Org: caller(ctx).Org, Kind: kind, Status: hook.TaskRunning, Input: raw})
	if err != nil {
		return TaskOut{}, err
	}
	a.Runtime.TaskAdded()
	return a.taskOut(t), nil
}

// span checks a range of time that ends now when it has no other end. what lies in
// the future is cut off.
func span(since time.Time, until *time.Time) (hook.Range, error) {
	r := hook.Range{Since: since, Until: time.Now().Add(time.Millisecond)} // keys have whole milliseconds
	if until != nil && until.Before(r.Until) {
		r.Until = *until
	}
	if r.Until.After(r.Since) {
		return r, nil
	}
	if until == nil || until.After(since) {
		return r, invalid("lies in the future", "body", "since")
	}
	return r, invalid("is not after since", "body", "until")
}
