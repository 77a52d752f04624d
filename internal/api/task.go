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
	Data Object `json:"data" doc:"The result, also while it grows, with progress: how many were looked at and sent, and total where it is known; state: running, paused, canceled, finished or failed; kind; of a failed task the error"`
}

func (a *API) taskOut(t hook.Task) TaskOut {
	return TaskOut{ID: a.IDs.Public(hook.KindTask, t.ID), Status: string(t.Status.Wire()), Task: string(t.Kind.Wire()), UpdatedAt: when(t.UpdatedAt)}
}

func (a *API) backgroundTaskOut(t hook.Task) BackgroundTaskOut {
	return BackgroundTaskOut{a.taskOut(t), a.taskData(&t)}
}

// taskData is the result of a task, with what the wire API has no words for beside it.
func (a *API) taskData(t *hook.Task) Object {
	data := map[string]any{}
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(t.Data, &fields) == nil {
		for name, value := range fields {
			data[name] = value
		}
	}
	data["state"], data["kind"] = t.Status, t.Kind
	var job hook.EndpointTask
	if json.Unmarshal(t.Input, &job) == nil && job.Endpoint != 0 {
		data["appId"], data["endpointId"] = a.IDs.Public(hook.KindApplication, job.App), a.IDs.Public(hook.KindEndpoint, job.Endpoint)
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return Object(t.Data) // it is not JSON, which only this program writes
	}
	return raw
}

func registerTasks(a *API) {
	const all, one = "/api/v1/background-task", "/api/v1/background-task/{task_id}"
	register(a, operation{id: "background-task.list", method: http.MethodGet, path: all, summary: "List background tasks", access: accessOrgRead}, a.listTasks)
	register(a, operation{id: "background-task.get", method: http.MethodGet, path: one, summary: "Read a background task", access: accessRead}, a.readTask)
	register(a, operation{id: "background-task.pause", method: http.MethodPost, path: one + "/pause", summary: "Pause a background task", access: accessResend}, a.moveTask(hook.TaskPaused))
	register(a, operation{id: "background-task.resume", method: http.MethodPost, path: one + "/resume", summary: "Let a paused background task go on", access: accessResend}, a.moveTask(hook.TaskRunning))
	register(a, operation{id: "background-task.cancel", method: http.MethodPost, path: one + "/cancel", summary: "Cancel a background task; what it has done stays done", access: accessResend}, a.moveTask(hook.TaskCanceled))
}

// TaskPath names a task in a path.
type TaskPath struct {
	TaskID string `path:"task_id" minLength:"1" maxLength:"256" doc:"The task's id"`
}

// TaskChoiceIn chooses tasks.
type TaskChoiceIn struct {
	Status string `query:"status" enum:"running,finished,failed"`
	State  string `query:"state" enum:"running,paused,canceled,finished,failed" doc:"As the tasks' data has it: paused ones have the status running, canceled ones finished"`
	Task   string `query:"task" enum:"endpoint.replay,endpoint.recover,application.stats,message.broadcast,sdk.generate,event-type.aggregate,application.purge_content,endpoint.bulk-replay,endpoint.cancel-pending" doc:"The kind, as the tasks' data has it"`
}

// filter is what is chosen; ok is false when no task can be so.
func (in *TaskChoiceIn) filter() (f hook.TaskFilter, ok bool) {
	if in.Task != "" {
		f.Kinds = []hook.TaskKind{hook.TaskKind(in.Task)}
	}
	for _, s := range []hook.TaskStatus{hook.TaskRunning, hook.TaskPaused, hook.TaskCanceled, hook.TaskFinished, hook.TaskFailed} {
		if (in.Status == "" || string(s.Wire()) == in.Status) && (in.State == "" || string(s) == in.State) {
			f.Statuses = append(f.Statuses, s)
		}
	}
	if in.Status == "" && in.State == "" {
		f.Statuses = nil
		return f, true
	}
	return f, len(f.Statuses) > 0
}

func (a *API) listTasks(ctx context.Context, in *struct {
	OrderedIn
	TaskChoiceIn
}) (*Body[ListOut[BackgroundTaskOut]], error) {
	p, back, err := a.page(in.ListIn, hook.KindTask, in.Order == "ascending")
	if err != nil {
		return nil, err
	}
	limit := p.Limit
	p.Limit++
	var rows []hook.Task
	if f, ok := in.filter(); ok {
		if rows, err = a.Store.Tasks(ctx, caller(ctx).Org, f, p); err != nil {
			return nil, err
		}
	}
	rows, next := cut(rows, limit, func(t *hook.Task) hook.Key { return t.ID })
	out, keys := make([]BackgroundTaskOut, len(rows)), make([]hook.Key, len(rows))
	for i, t := range rows {
		out[i], keys[i] = a.backgroundTaskOut(t), t.ID
	}
	return listOut(a, hook.KindTask, out, keys, next, in.ListIn, back), nil
}

func (a *API) readTask(ctx context.Context, in *struct{ TaskPath }) (*Body[BackgroundTaskOut], error) {
	t, err := a.task(ctx, in.TaskID)
	return answerWith(http.StatusOK, a.backgroundTaskOut(t)), err
}

// task finds a task that the caller reaches: a portal those of its application's endpoints,
// which it begins itself.
func (a *API) task(ctx context.Context, id string) (hook.Task, error) {
	k, err := a.IDs.Key(hook.KindTask, id)
	if err != nil {
		return hook.Task{}, err
	}
	c := caller(ctx)
	t, err := a.Store.Task(ctx, c.Org, k)
	if err != nil || c.App == 0 {
		return t, err
	}
	var job hook.EndpointTask
	if json.Unmarshal(t.Input, &job) != nil || job.Endpoint == 0 || job.App != c.App {
		return hook.Task{}, hook.Errorf(hook.CodeNotFound, "there is no task %s", id)
	}
	return t, nil
}

// moveTask pauses tasks, lets them go on, or cancels them.
func (a *API) moveTask(to hook.TaskStatus) func(context.Context, *struct{ TaskPath }) (*Body[BackgroundTaskOut], error) {
	return func(ctx context.Context, in *struct{ TaskPath }) (*Body[BackgroundTaskOut], error) {
		t, err := a.task(ctx, in.TaskID)
		if err != nil {
			return nil, err
		}
		t, err = a.Store.MoveTask(ctx, caller(ctx).Org, t.ID, to)
		if err != nil {
			return nil, err
		}
		if to == hook.TaskRunning {
			a.Runtime.TaskAdded()
		}
		return answer(a.backgroundTaskOut(t)), nil
	}
}

// runningTasks is how many tasks of an organization may be under way.
const runningTasks = 20

// begin keeps a task of the caller's organization and wakes who works on it. The
// very same one that is under way is as good.
func (a *API) begin(ctx context.Context, kind hook.TaskKind, input any) (TaskOut, error) {
	raw, err := json.Marshal(input)
	if err != nil {
		return TaskOut{}, err
	}
	var same *hook.Task
	t, err := a.beginUnless(ctx, kind, input, func(other *hook.Task) error {
		if other.Kind == kind && string(other.Input) == string(raw) {
			same = other
			return hook.Errorf(hook.CodeConflict, "the same is under way")
		}
		return nil
	})
	if same != nil {
		return a.taskOut(*same), nil
	}
	return a.taskOut(t), err
}

// beginUnless keeps a task unless against has something against it beside another
// that is under way, or there are too many.
func (a *API) beginUnless(ctx context.Context, kind hook.TaskKind, input any, against func(other *hook.Task) error) (hook.Task, error) {
	raw, err := json.Marshal(input)
	if err != nil {
		return hook.Task{}, err
	}
	t, err := a.Store.BeginTask(ctx, hook.Task{Org: caller(ctx).Org, Kind: kind, Status: hook.TaskRunning, Input: raw}, func(underWay []hook.Task) error {
		for i := range underWay {
			if err := against(&underWay[i]); err != nil {
				return err
			}
		}
		if len(underWay) >= runningTasks {
			return hook.Errorf(hook.CodeConflict, "%d tasks are under way already; wait for one to end, or cancel one", runningTasks)
		}
		return nil
	})
	if err == nil {
		a.Runtime.TaskAdded()
	}
	return t, err
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
