package server

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
)

// FirstKey makes the key of the first administrator, once in the life of a store.
// It is empty when it was made before, and when an administrator has a key
// already: another would lie in a file that nobody looks for.
func (s *Server) FirstKey(ctx context.Context) (hook.Secret, error) {
	first, err := s.store.Once(ctx, "first key")
	if err != nil || !first {
		return "", err
	}
	known, err := s.store.Tokens(ctx, store.DefaultOrg, hook.Page{Limit: 250})
	if err != nil {
		return "", err
	}
	now := time.Now()
	works := func(t hook.Token) bool {
		return t.Scope == hook.ScopeAdmin && (t.ExpiresAt.IsZero() || t.ExpiresAt.After(now))
	}
	if slices.ContainsFunc(known, works) {
		return "", nil
	}
	token, hash := api.NewToken()
	_, err = s.store.CreateToken(ctx, hook.Token{Org: store.DefaultOrg, Scope: hook.ScopeAdmin, Name: "first key", Hash: hash})
	return token, err
}

// FirstUser is the name of the first administrator.
const FirstUser = "admin"

// FirstLink makes the first administrator, once in the life of a store, and the link with which
// he signs in. It is empty when that was done before, and when there are people already.
func (s *Server) FirstLink(ctx context.Context) (hook.Secret, error) {
	first, err := s.store.Once(ctx, "first user")
	if err != nil || !first {
		return "", err
	}
	if known, err := s.store.AnyUser(ctx); err != nil || known {
		return "", err
	}
	token, link := api.NewLink(time.Now())
	if _, err := s.store.CreateUser(ctx, hook.User{Org: store.DefaultOrg, Name: FirstUser, Role: hook.ScopeAdmin}, link); err != nil {
		return "", err
	}
	return hook.Secret(s.api.WelcomeURL(token)), nil
}

// RotateMasterKey puts a new master key in force and seals everything under it
// anew. The data directory must not be in use. A key that stands in the
// configuration is the operator's to change: with the new one in front of the
// old, everything is sealed under it, and the old one can be taken away. It
// says how many values were sealed.
func RotateMasterKey(ctx context.Context, cfg *config.Config, log *slog.Logger) (int, error) {
	ring, err := masterKey(ctx, cfg)
	if err != nil {
		return 0, err
	}
	s, err := store.Open(ctx, store.Options{Dir: cfg.Data, URL: cfg.DatabaseURL.Reveal(), Poll: cfg.DatabaseNotify == config.NotifyPoll, Log: log, Seal: ring})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if cfg.MasterKey != "" {
		return s.Reseal(ctx)
	}
	// The file changes only while the directory is locked, so nobody else rotates.
	if err := seal.AddToFile(cfg.Data); err != nil {
		return 0, err
	}
	if ring, err = seal.FromFile(cfg.Data); err != nil {
		return 0, err
	}
	s.SealWith(ring)
	n, err := s.Reseal(ctx)
	if err != nil {
		return n, err
	}
	return n, seal.KeepFirst(cfg.Data)
}
