package api

import (
	"context"

	"github.com/sigpost/sigpost/internal/hook"
)

// orgMessageStore has the messages of an organization, whichever application
// they are of.
type orgMessageStore interface {
	ListMessages(ctx context.Context, f hook.MessageFilter) (list []hook.Message, next hook.Key, err error)
	// OrgMessage reads one with its body, which is nil when it was deleted.
	OrgMessage(ctx context.Context, org, id hook.Key) (hook.Message, error)
	// Attempts are those of a delivery, the first one first.
	Attempts(ctx context.Context, d *hook.Delivery) ([]hook.Attempt, error)
}
