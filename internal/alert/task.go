package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// taskData is what an operational webhook says of a background task.
type taskData struct {
	Data   json.RawMessage `json:"data"`
	Status hook.TaskStatus `json:"status"`
	Task   hook.TaskKind   `json:"task"`
	TaskID string          `json:"taskId"`
}

// mostTaskData bounds the result that goes along, in bytes; a larger one is read
// from the task.
const mostTaskData = 64 << 10

// TaskEnded tells that a background task has finished or failed. It does not block.
func (a *Alerts) TaskEnded(t hook.Task) {
	a.later(func(ctx context.Context) {
		_ = a.Raise(ctx, a.taskAlert(&t)) // logged
	})
}

func (a *Alerts) taskAlert(t *hook.Task) hook.Alert {
	id := a.IDs.Public(hook.KindTask, t.ID)
	x := hook.Alert{
		Kind: hook.AlertTaskFinished, Org: t.Org, At: time.Now(), About: id, Name: string(t.Kind), Since: t.ID.Time(),
		Title: fmt.Sprintf("Background task %s has finished", t.Kind), Look: "GET /api/v1/background-task/" + id,
	}
	if t.Status == hook.TaskFailed {
		var failed struct{ Error string }
		_ = json.Unmarshal(t.Data, &failed) // without a reason it has failed as well
		x.Severity, x.Title, x.Why = hook.Warning, fmt.Sprintf("Background task %s has failed", t.Kind), failed.Error
		x.Next = "What it had done stays done; ask for it again."
	}
	data := t.Data
	if len(data) == 0 || len(data) > mostTaskData {
		data = json.RawMessage("{}")
	}
	x.Data = taskData{data, t.Status, t.Kind.Wire(), id}
	return x
}
