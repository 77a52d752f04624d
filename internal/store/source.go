package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// FileSource is a source as the configuration file has it, with its endpoints.
type FileSource struct {
	Name      string
	Provider  string
	Token     hook.Secret // empty: keep the one there is, or make one
	Endpoints []hook.Endpoint
}

// ApplyFile makes the store's sources and endpoints those of the file: new ones
// are made, known ones (a source by its name, an endpoint by its name within
// the source) changed, and those that left the file are disabled, or deleted
// with what they still had to get when prune is set. It is one transaction.
func (s *Store) ApplyFile(ctx context.Context, file []FileSource, prune bool) error {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if err := s.oneByOne(ctx, tx); err != nil {
			return err
		}
		a := applying{store: s, tx: tx, now: time.Now()}
		if err := a.check(ctx, file); err != nil {
			return err
		}
		return a.apply(ctx, file, prune)
	})
	if err != nil {
		return fmt.Errorf("apply configuration: %w", err)
	}
	return nil
}

// freed begins the token of a source that had to give its own up.
const freed = "gone-"

type applying struct {
	store *Store
	tx    *sql.Conn
	now   time.Time
}

// check decides, before anything is written, whether the file can be applied: a
// token that the API gave to another source cannot be taken from it.
func (a *applying) check(ctx context.Context, file []FileSource) error {
	for _, f := range file {
		if f.Token == "" {
			continue
		}
		var taken hook.Key
		const q = "SELECT id FROM sources WHERE token = ?1 AND managed_by <> 'file' UNION ALL SELECT source_id FROM source_tokens WHERE token = ?1"
		err := a.tx.QueryRowContext(ctx, q, f.Token.Reveal()).Scan(&taken)
		if err == nil {
			return hook.Errorf(hook.CodeConflict, "source %s: its token is, or was a short time ago, that of source %s, which was made over the API; choose another token", f.Name, a.store.ids.Public(hook.KindSource, taken))
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	return nil
}

func (a *applying) apply(ctx context.Context, file []FileSource, prune bool) error {
	const leave = `UPDATE sources SET disabled = 1 WHERE managed_by = 'file'`
	if _, err := a.tx.ExecContext(ctx, leave); err != nil {
		return err
	}
	const leaveEndpoints = `UPDATE endpoints SET state = 2, reason = 'not in the configuration file any more' WHERE managed_by = 'file' AND state <> 2`
	if _, err := a.tx.ExecContext(ctx, leaveEndpoints); err != nil {
		return err
	}
	for _, f := range file {
		app, err := a.source(ctx, f)
		if err != nil {
			return fmt.Errorf("source %s: %w", f.Name, err)
		}
		for _, e := range f.Endpoints {
			if err := a.endpoint(ctx, app, e); err != nil {
				return fmt.Errorf("source %s: endpoint %s: %w", f.Name, e.Name, err)
			}
		}
	}
	if prune {
		return a.prune(ctx)
	}
	return nil
}

func (a *applying) source(ctx context.Context, f FileSource) (app hook.Key, err error) {
	var id hook.Key
	var token string
	err = a.tx.QueryRowContext(ctx, "SELECT id, app_id, token FROM sources WHERE org_id = ? AND name = ? AND managed_by = 'file'", DefaultOrg, f.Name).Scan(&id, &app, &token)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	if f.Token != "" {
		token = f.Token.Reveal()
	} else if len(token) < leastToken || token == f.Name || strings.HasPrefix(token, freed) {
		token = newToken()
	}
	// Sources that left the file, or that come later in it, give the token up.
	const free = "UPDATE sources SET token = '" + freed + "' || id WHERE token = ? AND id <> ? AND managed_by = 'file' AND disabled = 1"
	if _, err := a.tx.ExecContext(ctx, free, token, id); err != nil {
		return 0, err
	}
	if id != 0 {
		return app, one(a.tx.ExecContext(ctx, "UPDATE sources SET provider = ?, token = ?, disabled = 0, updated_at = ? WHERE id = ?", f.Provider, token, ms(a.now), id))
	}
	app = a.store.writer.key(a.now, 1)
	_, err = a.tx.ExecContext(ctx, "INSERT INTO applications (id, org_id, name, hidden, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)", app, DefaultOrg, f.Name, int(hook.AppOfSource), ms(a.now), ms(a.now))
	if err != nil {
		return 0, err
	}
	_, err = a.tx.ExecContext(ctx, "INSERT INTO sources (id, org_id, app_id, name, provider, token, managed_by, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, 'file', ?, ?)",
		a.store.writer.key(a.now, 1), DefaultOrg, app, f.Name, f.Provider, token, ms(a.now), ms(a.now))
	return app, err
}

func (a *applying) endpoint(ctx context.Context, app hook.Key, e hook.Endpoint) error {
	e.OfSource = true
	settings, err := encodeSettings(&e)
	if err != nil {
		return err
	}
	headers, err := a.store.sealHeaders(e.Headers)
	if err != nil {
		return err
	}
	var id hook.Key
	err = a.tx.QueryRowContext(ctx, "SELECT id FROM endpoints WHERE app_id = ? AND name = ? AND managed_by = 'file'", app, e.Name).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		_, err = a.tx.ExecContext(ctx, "INSERT INTO endpoints (id, org_id, app_id, name, url, settings, headers, managed_by, state, reason, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'file', ?, ?, ?, ?)",
			a.store.writer.key(a.now, 1), DefaultOrg, app, e.Name, e.URL, settings, headers, int(e.State), e.Reason, ms(a.now), ms(a.now))
	case err == nil:
		err = one(a.tx.ExecContext(ctx, "UPDATE endpoints SET url = ?, settings = ?, headers = ?, state = ?, reason = ?, updated_at = ? WHERE id = ?",
			e.URL, settings, headers, int(e.State), e.Reason, ms(a.now), id))
		if e.ID = id; err == nil {
			err = forgetLatest(ctx, a.tx, &e)
		}
	}
	return err
}

// prune deletes what the file no longer has. Messages stay: they were accepted.
func (a *applying) prune(ctx context.Context) error {
	for _, q := range []string{
		`UPDATE deliveries SET state = 4 WHERE state = 6 AND id IN (SELECT id FROM turns WHERE endpoint_id IN (SELECT id FROM endpoints WHERE managed_by = 'file' AND state = 2))`,
		`DELETE FROM turns WHERE endpoint_id IN (SELECT id FROM endpoints WHERE managed_by = 'file' AND state = 2)`,
		`DELETE FROM lanes WHERE endpoint_id IN (SELECT id FROM endpoints WHERE managed_by = 'file' AND state = 2)`,
		`DELETE FROM latest WHERE endpoint_id IN (SELECT id FROM endpoints WHERE managed_by = 'file' AND state = 2)`,
		`UPDATE deliveries SET state = 4, holder = 0 WHERE state = 1 AND endpoint_id IN (SELECT id FROM endpoints WHERE managed_by = 'file' AND state = 2)`,
		`UPDATE deliveries SET state = 4 WHERE state = 5 AND endpoint_id IN (SELECT id FROM endpoints WHERE managed_by = 'file' AND state = 2)`,
		`DELETE FROM secrets WHERE owner_id IN (SELECT id FROM endpoints WHERE managed_by = 'file' AND state = 2)`,
		`DELETE FROM health WHERE endpoint_id IN (SELECT id FROM endpoints WHERE managed_by = 'file' AND state = 2)`,
		`DELETE FROM endpoints WHERE managed_by = 'file' AND state = 2`,
		`DELETE FROM source_tokens WHERE source_id IN (SELECT id FROM sources WHERE managed_by = 'file' AND disabled = 1)`,
		`DELETE FROM sources WHERE managed_by = 'file' AND disabled = 1`,
	} {
		if _, err := a.tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// Sources reads all sources, by name.
func (s *Store) Sources(ctx context.Context) ([]hook.Source, error) {
	return readRows(ctx, s.read, scanSource, "sources", "SELECT "+sourceColumns+" FROM sources ORDER BY name, id")
}
