package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// mostSecrets is how many secrets of one owner may be live at once: each makes
// every signature header longer.
const mostSecrets = 10

// OwnSecret is the secret that Sigpost made for an owner – an endpoint without
// one of its own – and makes it with generate the first time.
func (s *Store) OwnSecret(ctx context.Context, org, owner hook.Key, generate func() (string, error)) (hook.Secret, error) {
	var secret hook.Secret
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		var value []byte
		var sealed bool
		err := tx.QueryRowContext(ctx, "SELECT value, sealed FROM secrets WHERE owner_id = ? ORDER BY id DESC LIMIT 1", owner).Scan(&value, &sealed)
		if err == nil {
			secret, err = s.openSecret(value, sealed)
			return err
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		made, err := generate()
		if err != nil {
			return err
		}
		secret = hook.Secret(made)
		return s.addSecret(ctx, tx, org, owner, secret, time.Now())
	})
	if err != nil {
		return "", fmt.Errorf("read own secret: %w", err)
	}
	return secret, nil
}

func (s *Store) addSecret(ctx context.Context, tx *sql.Conn, org, owner hook.Key, secret hook.Secret, now time.Time) error {
	value, sealed, err := s.sealSecret(secret)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO secrets (id, org_id, owner_id, value, sealed) VALUES (?, ?, ?, ?, ?)",
		s.writer.key(now, 1), org, owner, value, sealed)
	return err
}

// Secrets are the live secrets of an endpoint or source, the newest first: those
// that have no end, or one after now. None is no error.
func (s *Store) Secrets(ctx context.Context, owner hook.Key, now time.Time) ([]hook.LiveSecret, error) {
	byOwner, err := s.liveSecrets(ctx, "owner_id = ?", owner, ms(now))
	return byOwner[owner], err
}

// AllSecrets are the live secrets of all owners, each owner's newest first.
func (s *Store) AllSecrets(ctx context.Context, now time.Time) (map[hook.Key][]hook.LiveSecret, error) {
	return s.liveSecrets(ctx, "1 = 1", ms(now))
}

func (s *Store) liveSecrets(ctx context.Context, where string, args ...any) (map[hook.Key][]hook.LiveSecret, error) {
	q := "SELECT owner_id, id, value, sealed, coalesce(expires_at, 0) FROM secrets WHERE " + where + " AND (expires_at IS NULL OR expires_at > ?) ORDER BY id DESC"
	rows, err := s.read.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, storeError("read secrets", err)
	}
	defer rows.Close()
	byOwner := map[hook.Key][]hook.LiveSecret{}
	for rows.Next() {
		var x hook.LiveSecret
		var owner hook.Key
		var value []byte
		var sealed bool
		var expires int64
		if err := rows.Scan(&owner, &x.ID, &value, &sealed, &expires); err != nil {
			return nil, fmt.Errorf("read secrets: %w", err)
		}
		if x.Value, err = s.openSecret(value, sealed); err != nil {
			return nil, fmt.Errorf("read secrets: %w", err)
		}
		x.ExpiresAt = fromMS(expires)
		byOwner[owner] = append(byOwner[owner], x)
	}
	if err := rows.Err(); err != nil {
		return nil, storeError("read secrets", err)
	}
	return byOwner, nil
}

// changeSecrets does with the secrets of an owner what a change asks for. It refuses,
// before it writes, more than ten that are live with CodeInvalid.
func (s *Store) changeSecrets(ctx context.Context, tx *sql.Conn, org, owner hook.Key, c *hook.SecretChange) error {
	if c.Replace {
		if len(c.List) > mostSecrets {
			return hook.Errorf(hook.CodeInvalid, "%d secrets were given, at most %d may be valid at once; leave the oldest out", len(c.List), mostSecrets)
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM secrets WHERE owner_id = ?", owner); err != nil {
			return err
		}
		return s.addSecrets(ctx, tx, org, owner, c.List, time.Now())
	}
	if c.Fresh == "" {
		return nil
	}
	var live int
	const count = "SELECT count(*) FROM secrets WHERE owner_id = ? AND (expires_at IS NULL OR expires_at > ?)"
	if err := tx.QueryRowContext(ctx, count, owner, ms(c.At)).Scan(&live); err != nil {
		return err
	}
	if (c.Keep || c.Grace > 0) && live >= mostSecrets {
		return hook.Errorf(hook.CodeInvalid, "%d secrets are valid at once already, the most there may be; wait until one expires, or rotate without a grace period", live)
	}
	const expire = "UPDATE secrets SET expires_at = ?1 WHERE owner_id = ?2 AND (expires_at IS NULL OR expires_at > ?1)"
	if !c.Keep {
		if _, err := tx.ExecContext(ctx, expire, ms(c.At.Add(c.Grace)), owner); err != nil {
			return err
		}
	}
	return s.addSecret(ctx, tx, org, owner, c.Fresh, c.At)
}

// ExpireSecret lets one of the secrets of a source end at a time, unless it ends before.
// CodeConflict when no other would be valid then: nothing could be verified any more.
func (s *Store) ExpireSecret(ctx context.Context, org, source, id hook.Key, now, at time.Time) error {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := s.ownSource(ctx, tx, org, source); err != nil {
			return err
		}
		const live = "SELECT 1 FROM secrets WHERE owner_id = ? AND (expires_at IS NULL OR expires_at > ?) AND id "
		there, err := exists(ctx, tx, live+"= ?", source, ms(now), id)
		if err != nil {
			return err
		}
		if !there {
			return s.missing("valid secret", hook.KindSecret, id)
		}
		others, err := exists(ctx, tx, live+"<> ?", source, ms(at), id)
		if err != nil {
			return err
		}
		if !others {
			return hook.Errorf(hook.CodeConflict, "no other secret would be valid then, so nothing could be verified; add one first")
		}
		_, err = tx.ExecContext(ctx, "UPDATE secrets SET expires_at = ? WHERE id = ? AND (expires_at IS NULL OR expires_at > ?)", ms(at), id, ms(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("expire secret: %w", err)
	}
	return nil
}

// addSecrets adds secrets of which the first is the newest.
func (s *Store) addSecrets(ctx context.Context, tx *sql.Conn, org, owner hook.Key, list []hook.Secret, now time.Time) error {
	for _, secret := range slices.Backward(list) {
		if err := s.addSecret(ctx, tx, org, owner, secret, now); err != nil {
			return err
		}
	}
	return nil
}

// ForgetSecrets deletes secrets that expired before now, in small steps between
// other writes. It says how many it deleted.
func (s *Store) ForgetSecrets(ctx context.Context, now time.Time) (int64, error) {
	return s.inSteps(ctx, "forget secrets", `DELETE FROM secrets WHERE id IN (SELECT id FROM secrets WHERE expires_at <= ? LIMIT ?)`, ms(now))
}

// inSteps runs a statement whose last argument is a limit until it finds less
// than that, in small steps between other writes. It says how many rows it changed.
func (s *Store) inSteps(ctx context.Context, verb, query string, args ...any) (int64, error) {
	var total int64
	args = append(slices.Clone(args), stateStep)
	for {
		n, err := s.changeState(ctx, query, args...)
		if err != nil {
			return total, fmt.Errorf("%s: %w", verb, err)
		}
		total += n
		if n < stateStep {
			return total, nil
		}
	}
}
