package api

import (
	"context"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

type userStore interface {
	CreateUser(ctx context.Context, u hook.User, link hook.Link) (hook.User, error)
	User(ctx context.Context, org, id hook.Key) (hook.User, error)
	UserByName(ctx context.Context, name string) (hook.User, error)
	Users(ctx context.Context, org hook.Key, page hook.Page) ([]hook.User, error)
	UpdateUser(ctx context.Context, u hook.User) (hook.User, error)
	DeleteUser(ctx context.Context, org, id hook.Key) error
	AddLink(ctx context.Context, org hook.Key, link hook.Link) error
	SetPassword(ctx context.Context, x hook.Session, was, password hook.Secret, fresh [32]byte) error
}

type sessionStore interface {
	// CreateSession refuses, with CodeUnknown, when the person's password is not the one
	// that was looked at any more, or he is disabled.
	CreateSession(ctx context.Context, x hook.Session, known hook.Secret) (hook.Session, error)
	// Redeem uses a link up; CodeUnknown when it is not good.
	Redeem(ctx context.Context, link [32]byte, x hook.Session) (hook.User, hook.Session, error)
	SessionByHash(ctx context.Context, hash [32]byte) (hook.Session, hook.User, error)
	TouchSession(ctx context.Context, x hook.Session, at time.Time) error
	EndSession(ctx context.Context, org, id hook.Key) error
}
