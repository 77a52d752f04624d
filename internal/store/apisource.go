package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	// oldTokenValid is how long the token of a source stays valid after it was rotated.
	oldTokenValid = 48 * time.Hour
	// mostOldTokens is how many rotated tokens of a source may be valid at once.
	mostOldTokens = 3
)

const sourceColumns = `id, org_id, app_id, coalesce(uid, ''), name, type, provider, token, settings, metadata, managed_by = 'file', disabled,
	created_at, updated_at`

func scanSource(row scanner) (hook.Source, error) {
	var x hook.Source
	var settings, metadata []byte
	var created, updated int64
	err := row.Scan(&x.ID, &x.Org, &x.App, &x.UID, &x.Name, &x.Type, &x.Provider, (*string)(&x.Token), &settings, &metadata, &x.ManagedByFile, &x.Disabled, &created, &updated)
	if err != nil {
		return x, err
	}
	x.CreatedAt, x.UpdatedAt = fromMS(created), fromMS(updated)
	if err := json.Unmarshal(settings, &x.Settings); err != nil {
		return x, fmt.Errorf("read settings of source %d: %w", x.ID, err)
	}
	x.Metadata, err = decodeMap(metadata)
	return x, err
}

// Source reads a source; CodeNotFound when the organization has none with this key.
func (s *Store) Source(ctx context.Context, org, id hook.Key) (hook.Source, error) {
	return s.source(ctx, s.read, org, id, "")
}

// source reads a source with or without forUpdate.
func (s *Store) source(ctx context.Context, db querier, org, id hook.Key, lock string) (hook.Source, error) {
	row := db.QueryRowContext(ctx, "SELECT "+sourceColumns+" FROM sources WHERE id = ? AND org_id = ?"+lock, id, org)
	return readRow(row, scanSource, "source", s.missing("source", hook.KindSource, id))
}

// SourceByUID reads the source to which its owner gave this uid.
func (s *Store) SourceByUID(ctx context.Context, org hook.Key, uid string) (hook.Source, error) {
	row := s.read.QueryRowContext(ctx, "SELECT "+sourceColumns+" FROM sources WHERE org_id = ? AND uid = ?", org, uid)
	return readRow(row, scanSource, "source", hook.Errorf(hook.CodeNotFound, "there is no source with the uid %q", uid))
}

// SourceByApp reads the source whose hidden application this is.
func (s *Store) SourceByApp(ctx context.Context, org, app hook.Key) (hook.Source, error) {
	row := s.read.QueryRowContext(ctx, "SELECT "+sourceColumns+" FROM sources WHERE app_id = ? AND org_id = ?", app, org)
	return readRow(row, scanSource, "source", s.missing("source of application", hook.KindApplication, app))
}

// ListSources reads one page of an organization's sources.
func (s *Store) ListSources(ctx context.Context, org hook.Key, page hook.Page) ([]hook.Source, error) {
	q, args := onPage("SELECT "+sourceColumns+" FROM sources WHERE org_id = ?", page, org)
	return readRows(ctx, s.read, scanSource, "sources", q, args...)
}

// CreateSource keeps a source with its hidden application and its secrets, the
// newest first, and gives it back with its keys and times, and a random token
// when it has none. CodeConflict when the uid or the token is taken.
func (s *Store) CreateSource(ctx context.Context, x hook.Source, secrets []hook.Secret) (hook.Source, error) {
	x.ManagedByFile = false
	if x.Token == "" {
		x.Token = hook.Secret(newToken())
	}
	row, err := sourceRow(&x)
	if err != nil {
		return x, fmt.Errorf("create source: %w", err)
	}
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := s.organization(ctx, tx, x.Org, ""); err != nil {
			return err
		}
		if err := uidFree(ctx, tx, "sources", "org_id", x.Org, x.UID, 0); err != nil {
			return err
		}
		const taken = "SELECT 1 FROM sources WHERE token = ?1 UNION ALL SELECT 1 FROM source_tokens WHERE token = ?1"
		if found, err := exists(ctx, tx, taken, x.Token.Reveal()); err != nil {
			return err
		} else if found {
			return hook.Errorf(hook.CodeConflict, "the token is that of another source; choose another, or leave it out to have one made")
		}
		now := time.Now()
		app, err := s.addApp(ctx, tx, hook.Application{Org: x.Org, Name: x.Name, Kind: hook.AppOfSource}, now)
		if err != nil {
			return err
		}
		x.ID, x.App, x.CreatedAt, x.UpdatedAt = s.writer.key(now, 1), app.ID, inMS(now), inMS(now)
		const q = `INSERT INTO sources (id, org_id, app_id, token, managed_by, created_at, updated_at, uid, name, type, provider, settings, metadata, disabled)
			VALUES (?, ?, ?, ?, 'api', ?, ?, ?, ?, ?, ?, ?, ?, ?)`
		args := append([]any{x.ID, x.Org, x.App, x.Token.Reveal(), ms(now), ms(now)}, row...)
		if err := one(tx.ExecContext(ctx, q, args...)); err != nil {
			return err
		}
		return s.addSecrets(ctx, tx, x.Org, x.ID, secrets, now)
	})
	if err != nil {
		return hook.Source{}, fmt.Errorf("create source: %w", err)
	}
	return x, nil
}

// sourceRow is what may change of a source, in the order: uid, name, type,
// provider, settings, metadata, disabled.
func sourceRow(x *hook.Source) ([]any, error) {
	settings, err := json.Marshal(x.Settings)
	if err != nil {
		return nil, err
	}
	metadata, err := encodeMap(x.Metadata)
	if err != nil {
		return nil, err
	}
	return []any{text(x.UID), x.Name, x.Type, x.Provider, string(settings), metadata, x.Disabled}, nil
}

// UpdateSource makes the source x.ID of x.Org what x says, and changes its secrets with
// it; its token, application and creation stay. CodeStale when it was changed since
// x was read. Those of the configuration file are refused with CodeConflict.
func (s *Store) UpdateSource(ctx context.Context, x hook.Source, secrets hook.SecretChange) (hook.Source, error) {
	row, err := sourceRow(&x)
	if err != nil {
		return x, fmt.Errorf("update source: %w", err)
	}
	made := x
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		old, err := s.ownSource(ctx, tx, x.Org, x.ID)
		if err != nil {
			return err
		}
		if err := notStale("source", old.UpdatedAt, x.UpdatedAt); err != nil {
			return err
		}
		if err := uidFree(ctx, tx, "sources", "org_id", x.Org, x.UID, x.ID); err != nil {
			return err
		}
		if err := s.changeSecrets(ctx, tx, x.Org, x.ID, &secrets); err != nil {
			return err
		}
		made.App, made.Token, made.ManagedByFile, made.CreatedAt, made.UpdatedAt = old.App, old.Token, false, old.CreatedAt, changedAt(old.UpdatedAt)
		const q = "UPDATE sources SET updated_at = ?, uid = ?, name = ?, type = ?, provider = ?, settings = ?, metadata = ?, disabled = ? WHERE id = ?"
		args := append([]any{ms(made.UpdatedAt)}, row...)
		return one(tx.ExecContext(ctx, q, append(args, x.ID)...))
	})
	if err != nil {
		return hook.Source{}, fmt.Errorf("update source: %w", err)
	}
	return made, nil
}

// ownSource reads a source that the API may change and is about to.
func (s *Store) ownSource(ctx context.Context, tx *sql.Conn, org, id hook.Key) (hook.Source, error) {
	x, err := s.source(ctx, tx, org, id, forUpdate)
	if err == nil && x.ManagedByFile {
		err = hook.Errorf(hook.CodeConflict, "source %s (%s) is managed by the configuration file; change it there", s.ids.Public(hook.KindSource, id), x.Name)
	}
	return x, err
}

// DeleteSource deletes a source with its tokens and secrets, and its application
// as DeleteApplication does.
func (s *Store) DeleteSource(ctx context.Context, org, id hook.Key, now time.Time) error {
	var endpoints []hook.Key
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		x, err := s.ownSource(ctx, tx, org, id)
		if err != nil {
			return err
		}
		for _, q := range []string{"DELETE FROM source_tokens WHERE source_id = ?", "DELETE FROM secrets WHERE owner_id = ?"} {
			if _, err := tx.ExecContext(ctx, q, id); err != nil {
				return err
			}
		}
		if err := one(tx.ExecContext(ctx, "DELETE FROM sources WHERE id = ?", id)); err != nil {
			return err
		}
		endpoints, err = s.removeApp(ctx, tx, x.App, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete source: %w", err)
	}
	return s.cancelAll(ctx, endpoints)
}

// RotateSourceToken gives a source a new token. The old one stays valid for 48
// hours; at most three may be at once, else CodeConflict.
func (s *Store) RotateSourceToken(ctx context.Context, org, id hook.Key, now time.Time) (hook.Source, error) {
	fresh := newToken()
	var x hook.Source
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) (err error) {
		if x, err = s.ownSource(ctx, tx, org, id); err != nil {
			return err
		}
		var old int
		const count = "SELECT count(*) FROM source_tokens WHERE source_id = ? AND expires_at > ?"
		if err := tx.QueryRowContext(ctx, count, id, ms(now)).Scan(&old); err != nil {
			return err
		}
		if old >= mostOldTokens {
			return hook.Errorf(hook.CodeConflict, "the token of source %s was rotated %d times within 48 hours, the most there may be; wait until the oldest expires", s.ids.Public(hook.KindSource, id), old)
		}
		const keep = "INSERT INTO source_tokens (token, source_id, org_id, expires_at) VALUES (?, ?, ?, ?)"
		if err := one(tx.ExecContext(ctx, keep, x.Token.Reveal(), id, org, ms(now.Add(oldTokenValid)))); err != nil {
			return err
		}
		x.Token, x.UpdatedAt = hook.Secret(fresh), changedAt(x.UpdatedAt)
		return one(tx.ExecContext(ctx, "UPDATE sources SET token = ?, updated_at = ? WHERE id = ?", fresh, ms(x.UpdatedAt), id))
	})
	if err != nil {
		return hook.Source{}, fmt.Errorf("rotate token: %w", err)
	}
	return x, nil
}

// SourceTokens are the rotated tokens that are still valid at now, and whose they are.
func (s *Store) SourceTokens(ctx context.Context, now time.Time) (map[string]hook.Key, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT token, source_id FROM source_tokens WHERE expires_at > ?", ms(now))
	if err != nil {
		return nil, fmt.Errorf("read rotated tokens: %w", err)
	}
	defer rows.Close()
	owners := map[string]hook.Key{}
	for rows.Next() {
		var token string
		var source hook.Key
		if err := rows.Scan(&token, &source); err != nil {
			return nil, fmt.Errorf("read rotated tokens: %w", err)
		}
		owners[token] = source
	}
	return owners, rows.Err()
}
