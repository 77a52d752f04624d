package api

import (
	"context"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// attemptStore is what became of messages, and what is done about it by hand.
type attemptStore interface {
	ListAttempts(ctx context.Context, q hook.AttemptQuery) (list []hook.AttemptRow, next hook.Key, err error)
	ListDeliveries(ctx context.Context, q hook.DeliveryQuery) (list []hook.DeliveryRow, next hook.Key, err error)
	Attempt(ctx context.Context, k hook.Key) (a hook.Attempt, d hook.Delivery, err error)
	// Canceled says which of some deliveries were canceled.
	Canceled(ctx context.Context, deliveries []hook.Key) (map[hook.Key]bool, error)
	// Resend makes a delivery due now; CodeConflict while an attempt is under way.
	Resend(ctx context.Context, delivery hook.Key, now time.Time) error
	// LaneHead is the delivery for which those that wait in a lane wait; CodeNotFound
	// when there is none.
	LaneHead(ctx context.Context, endpoint hook.Key, lane int64) (hook.Delivery, error)
	// Deliver adds a delivery of a message that was kept before.
	Deliver(ctx context.Context, d hook.Delivery) (hook.Key, error)
	// Cancel ends a delivery; CodeConflict when it is over, or an attempt is under way.
	Cancel(ctx context.Context, app, delivery hook.Key) error
}

// timelineStore has the messages of an organization, whoever received them.
type timelineStore interface {
	ListBySubject(ctx context.Context, org hook.Key, kind, id string, page hook.Page) (list []hook.Message, next hook.Key, err error)
	// After reads what came after a key, in order; upTo is how far it looked,
	// more that it did not reach the end. after 0 reads nothing but the end.
	After(ctx context.Context, org, app, after hook.Key) (messages []hook.Message, attempts []hook.AttemptRow, upTo hook.Key, more bool, err error)
}

type rejectedStore interface {
	// ListRejected lists those of one source, or of all, the newest first.
	ListRejected(ctx context.Context, source, before hook.Key, limit int) ([]hook.Rejected, error)
	Rejected(ctx context.Context, k hook.Key) (*hook.Rejected, error)
	Source(ctx context.Context, org, id hook.Key) (hook.Source, error)
	SourceByUID(ctx context.Context, org hook.Key, uid string) (hook.Source, error)
	SourceByApp(ctx context.Context, org, app hook.Key) (hook.Source, error)
	ListSources(ctx context.Context, org hook.Key, page hook.Page) ([]hook.Source, error)
}
