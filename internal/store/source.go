package store

import (
	"context"
	"database/sql"
	"encoding/json"
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
		a := applying{tx: tx, keys: s.writer.keys, now: time.Now()}
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
	tx   *sql.Conn
	keys *hook.KeySequence
	now  time.Time
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
	err = a.tx.QueryRowContext(ctx, "SELECT id, app_id, token FROM sources WHERE org_id = ? AND name = ?", DefaultOrg, f.Name).Scan(&id, &app, &token)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	if f.Token != "" {
		token = f.Token.Reveal()
	} else if len(token) < leastToken || token == f.Name || strings.HasPrefix(token, freed) {
		token = newToken()
	}
	// Sources that left the file, or that come later in it, give the token up.
	const free = "UPDATE sources SET token = '" + freed + "' || id WHERE token = ? AND name <> ? AND disabled = 1"
	if _, err := a.tx.ExecContext(ctx, free, token, f.Name); err != nil {
		return 0, err
	}
	if id != 0 {
		_, err = a.tx.ExecContext(ctx, "UPDATE sources SET provider = ?, token = ?, managed_by = 'file', disabled = 0 WHERE id = ?", f.Provider, token, id)
		return app, err
	}
	app = a.keys.Take(a.now, 1)
	_, err = a.tx.ExecContext(ctx, "INSERT INTO applications (id, org_id, name, hidden, created_at) VALUES (?, ?, ?, 1, ?)", app, DefaultOrg, f.Name, ms(a.now))
	if err != nil {
		return 0, err
	}
	_, err = a.tx.ExecContext(ctx, "INSERT INTO sources (id, org_id, app_id, name, provider, token, managed_by, created_at) VALUES (?, ?, ?, ?, ?, ?, 'file', ?)",
		a.keys.Take(a.now, 1), DefaultOrg, app, f.Name, f.Provider, token, ms(a.now))
	return app, err
}

// endpointSettings is the JSON in endpoints.settings: what is read whole and
// never searched.
type endpointSettings struct {
	EventTypes   []string        `json:"event_types,omitempty"`
	Headers      []hook.Header   `json:"headers,omitempty"`
	Timeout      time.Duration   `json:"timeout,omitempty"`
	Concurrency  int             `json:"concurrency,omitempty"`
	Schedule     []time.Duration `json:"schedule,omitempty"`
	Window       time.Duration   `json:"window,omitempty"`
	SuccessCodes []int           `json:"success_codes,omitempty"`
	SchemeName   string          `json:"scheme,omitempty"`
	OfSource     bool            `json:"of_source,omitempty"`
}

func (a *applying) endpoint(ctx context.Context, app hook.Key, e hook.Endpoint) error {
	settings, err := json.Marshal(endpointSettings{e.EventTypes, e.Headers, e.Timeout, e.Concurrency, e.Schedule, e.Window, e.SuccessCodes, e.SchemeName, true})
	if err != nil {
		return err
	}
	var id hook.Key
	err = a.tx.QueryRowContext(ctx, "SELECT id FROM endpoints WHERE app_id = ? AND name = ?", app, e.Name).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		_, err = a.tx.ExecContext(ctx, "INSERT INTO endpoints (id, org_id, app_id, name, url, settings, managed_by, state, reason, created_at) VALUES (?, ?, ?, ?, ?, ?, 'file', ?, ?, ?)",
			a.keys.Take(a.now, 1), DefaultOrg, app, e.Name, e.URL, string(settings), int(e.State), e.Reason, ms(a.now))
	case err == nil:
		_, err = a.tx.ExecContext(ctx, "UPDATE endpoints SET url = ?, settings = ?, managed_by = 'file', state = ?, reason = ? WHERE id = ?",
			e.URL, string(settings), int(e.State), e.Reason, id)
	}
	return err
}

// prune deletes what the file no longer has. Messages stay: they were accepted.
func (a *applying) prune(ctx context.Context) error {
	for _, q := range []string{
		`UPDATE deliveries SET state = 4, holder = 0 WHERE state = 1 AND endpoint_id IN (SELECT id FROM endpoints WHERE managed_by = 'file' AND state = 2)`,
		`UPDATE deliveries SET state = 4 WHERE state = 5 AND endpoint_id IN (SELECT id FROM endpoints WHERE managed_by = 'file' AND state = 2)`,
		`DELETE FROM secrets WHERE owner_id IN (SELECT id FROM endpoints WHERE managed_by = 'file' AND state = 2)`,
		`DELETE FROM endpoints WHERE managed_by = 'file' AND state = 2`,
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
	rows, err := s.read.QueryContext(ctx, "SELECT id, org_id, app_id, name, provider, token, managed_by = 'file', disabled, created_at FROM sources ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("read sources: %w", err)
	}
	defer rows.Close()
	var list []hook.Source
	for rows.Next() {
		var x hook.Source
		var created int64
		if err := rows.Scan(&x.ID, &x.Org, &x.App, &x.Name, &x.Provider, (*string)(&x.Token), &x.ManagedByFile, &x.Disabled, &created); err != nil {
			return nil, fmt.Errorf("read sources: %w", err)
		}
		x.CreatedAt = fromMS(created)
		list = append(list, x)
	}
	return list, rows.Err()
}

// Endpoints reads all endpoints, in the order in which they were made.
func (s *Store) Endpoints(ctx context.Context) ([]hook.Endpoint, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, org_id, app_id, name, url, settings, managed_by = 'file', state, reason, created_at FROM endpoints ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read endpoints: %w", err)
	}
	defer rows.Close()
	var list []hook.Endpoint
	for rows.Next() {
		var e hook.Endpoint
		var settings []byte
		var created int64
		if err := rows.Scan(&e.ID, &e.Org, &e.App, &e.Name, &e.URL, &settings, &e.ManagedByFile, &e.State, &e.Reason, &created); err != nil {
			return nil, fmt.Errorf("read endpoints: %w", err)
		}
		var x endpointSettings
		if err := json.Unmarshal(settings, &x); err != nil {
			return nil, fmt.Errorf("read settings of endpoint %d: %w", e.ID, err)
		}
		e.EventTypes, e.Headers, e.Timeout, e.Concurrency, e.Schedule = x.EventTypes, x.Headers, x.Timeout, x.Concurrency, x.Schedule
		e.Window, e.SuccessCodes, e.SchemeName, e.OfSource = x.Window, x.SuccessCodes, x.SchemeName, x.OfSource
		e.CreatedAt = fromMS(created)
		list = append(list, e)
	}
	return list, rows.Err()
}

// OwnSecret is the secret that Sigpost made for an owner – an endpoint without
// one of its own – and makes it with generate the first time.
func (s *Store) OwnSecret(ctx context.Context, org, owner hook.Key, generate func() (string, error)) (hook.Secret, error) {
	var value string
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		err := tx.QueryRowContext(ctx, "SELECT value FROM secrets WHERE owner_id = ? ORDER BY id DESC LIMIT 1", owner).Scan(&value)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if value, err = generate(); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO secrets (id, org_id, owner_id, value) VALUES (?, ?, ?, ?)", s.writer.keys.Take(time.Now(), 1), org, owner, value)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read own secret: %w", err)
	}
	return hook.Secret(value), nil
}
