package api

import (
	"context"

	"github.com/sigpost/sigpost/internal/hook"
)

type eventTypeStore interface {
	EventType(ctx context.Context, org hook.Key, name string) (hook.EventType, error)
	EventTypes(ctx context.Context, org hook.Key, after string, ascending bool, limit int, archived bool) ([]hook.EventType, error)
	// CreateEventType revives an archived one; one that is not archived is CodeConflict.
	CreateEventType(ctx context.Context, t hook.EventType) (hook.EventType, error)
	// PutEventType refuses, with CodeStale, what was changed since it was read, if it was.
	PutEventType(ctx context.Context, t hook.EventType) (made bool, err error)
	UpdateEventType(ctx context.Context, t hook.EventType) (hook.EventType, error)
	DeleteEventType(ctx context.Context, org hook.Key, name string, expunge bool) error
}

type taskStore interface {
	eventTypeStore
	expungeStore
	// BeginTask keeps a task unless allow has something against it beside those that
	// are under way.
	BeginTask(ctx context.Context, t hook.Task, allow func(underWay []hook.Task) error) (hook.Task, error)
	// MoveTask pauses a task, lets it go on or cancels it; one that is over is CodeConflict.
	MoveTask(ctx context.Context, org, id hook.Key, to hook.TaskStatus) (hook.Task, error)
	Task(ctx context.Context, org, id hook.Key) (hook.Task, error)
	Tasks(ctx context.Context, org hook.Key, f hook.TaskFilter, page hook.Page) ([]hook.Task, error)
	EndpointStats(ctx context.Context, endpoint hook.Key, r hook.Range) (hook.DeliveryCount, error)
}

type expungeStore interface {
	Attempt(ctx context.Context, k hook.Key) (hook.Attempt, hook.Delivery, error)
	ExpungeBody(ctx context.Context, app, message hook.Key) error
	ExpungeBodies(ctx context.Context, app hook.Key, keys []hook.Key) (gone map[hook.Key]bool, err error)
	ExpungeResponse(ctx context.Context, attempt hook.Key) error
}
