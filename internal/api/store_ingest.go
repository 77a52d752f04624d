package api

import (
	"context"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// ingestStore keeps sources and the application of operational webhooks.
type ingestStore interface {
	// CreateSource keeps a source with its hidden application and its secrets, the
	// one in force first; it makes the token.
	CreateSource(ctx context.Context, x hook.Source, secrets []hook.Secret) (hook.Source, error)
	Source(ctx context.Context, org, id hook.Key) (hook.Source, error)
	SourceByUID(ctx context.Context, org hook.Key, uid string) (hook.Source, error)
	ListSources(ctx context.Context, org hook.Key, page hook.Page) ([]hook.Source, error)
	UpdateSource(ctx context.Context, x hook.Source, secrets hook.SecretChange) (hook.Source, error)
	// ExpireSecret refuses, with CodeConflict, to let the last one end.
	ExpireSecret(ctx context.Context, org, source, id hook.Key, now, at time.Time) error
	DeleteSource(ctx context.Context, org, id hook.Key, now time.Time) error
	// RotateSourceToken gives a source another URL; the old one stays valid for a while.
	RotateSourceToken(ctx context.Context, org, id hook.Key, now time.Time) (hook.Source, error)
	// OperationalApp makes it on first use.
	OperationalApp(ctx context.Context, org hook.Key) (hook.Application, error)
}
