package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// mostSessions is in how many browsers one person may be signed in; the oldest ends
// when there would be more.
const mostSessions = 20

var (
	errNoSession = hook.Errorf(hook.CodeUnknown, "you are not signed in any more; sign in again")
	errNoLink    = hook.Errorf(hook.CodeUnknown, "this link is not good any more: it was used, or is older than 15 minutes; an administrator makes another, and so does `sigpost user link`")
)

// CreateSession signs a person in whose password was found right: known is its hash as
// it was read then. CodeUnknown when it was changed since, or the person is disabled or gone.
func (s *Store) CreateSession(ctx context.Context, x hook.Session, known hook.Secret) (hook.Session, error) {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		u, err := s.user(ctx, tx, x.Org, x.User, forUpdate)
		if hook.CodeOf(err) == hook.CodeNotFound || err == nil && (u.Disabled || u.Password != known) {
			return errNoSession
		}
		if err != nil {
			return err
		}
		return s.addSession(ctx, tx, &x)
	})
	if err != nil {
		return hook.Session{}, fmt.Errorf("create session: %w", err)
	}
	return x, nil
}

// addSession keeps a session and gives it its key.
func (s *Store) addSession(ctx context.Context, tx *sql.Conn, x *hook.Session) error {
	x.ID, x.CreatedAt, x.SeenAt = s.writer.key(time.Now(), 1), inMS(x.CreatedAt), inMS(x.CreatedAt)
	const most = "DELETE FROM sessions WHERE user_id = ? AND id NOT IN (SELECT id FROM sessions WHERE user_id = ? ORDER BY id DESC LIMIT ?)"
	if _, err := tx.ExecContext(ctx, most, x.User, x.User, mostSessions-1); err != nil {
		return err
	}
	const q = "INSERT INTO sessions (id, org_id, user_id, hash, by_link, created_at, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
	if err := one(tx.ExecContext(ctx, q, x.ID, x.Org, x.User, x.Hash[:], number01(x.ByLink), ms(x.CreatedAt), ms(x.SeenAt))); err != nil {
		return err
	}
	return one(tx.ExecContext(ctx, "UPDATE users SET seen_at = ? WHERE id = ?", ms(x.SeenAt), x.User))
}

// Redeem uses a link up and signs its person in. Of many who try at once one succeeds.
// CodeUnknown when the link is not there, is too old, or its person is disabled.
func (s *Store) Redeem(ctx context.Context, link [32]byte, x hook.Session) (u hook.User, made hook.Session, err error) {
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		made = x
		var id hook.Key
		found, err := readRow(tx.QueryRowContext(ctx, "SELECT user_id, org_id, expires_at FROM sign_in_links WHERE hash = ?"+forUpdate, link[:]), scanLink, "link", errNoLink)
		if err != nil {
			return err
		}
		id, made.Org = found.user, found.org
		if !x.CreatedAt.Before(fromMS(found.expires)) {
			return errNoLink
		}
		if u, err = s.user(ctx, tx, made.Org, id, forUpdate); hook.CodeOf(err) == hook.CodeNotFound || err == nil && u.Disabled {
			return errNoLink
		}
		if err != nil {
			return err
		}
		if err := one(tx.ExecContext(ctx, "DELETE FROM sign_in_links WHERE hash = ?", link[:])); err != nil {
			return err
		}
		made.User, made.ByLink = id, true
		return s.addSession(ctx, tx, &made)
	})
	if err != nil {
		return hook.User{}, hook.Session{}, fmt.Errorf("use link: %w", err)
	}
	return u, made, nil
}

type linkRow struct {
	user, org hook.Key
	expires   int64
}

func scanLink(row scanner) (l linkRow, err error) {
	return l, row.Scan(&l.user, &l.org, &l.expires)
}

// SessionByHash reads the session with this SHA-256 and its person, also when it has
// ended by time: whoever asks compares EndsAt. CodeNotFound when there is none.
func (s *Store) SessionByHash(ctx context.Context, hash [32]byte) (x hook.Session, u hook.User, err error) {
	const q = `SELECT s.id, s.org_id, s.user_id, s.by_link, s.created_at, s.seen_at, u.name, u.role, u.password, u.disabled
		FROM sessions s JOIN users u ON u.id = s.user_id AND u.org_id = s.org_id WHERE s.hash = ?`
	var byLink, disabled int
	var created, seen int64
	var password string
	row := s.read.QueryRowContext(ctx, q, hash[:])
	_, err = readRow(row, func(row scanner) (struct{}, error) {
		return struct{}{}, row.Scan(&x.ID, &x.Org, &x.User, &byLink, &created, &seen, &u.Name, &u.Role, &password, &disabled)
	}, "session", hook.Errorf(hook.CodeNotFound, "there is no such session"))
	if err != nil {
		return hook.Session{}, hook.User{}, err
	}
	x.Hash, x.ByLink, x.CreatedAt, x.SeenAt = hash, byLink != 0, fromMS(created), fromMS(seen)
	u.ID, u.Org, u.Password, u.Disabled = x.User, x.Org, hook.Secret(password), disabled != 0
	return x, u, nil
}

// TouchSession notes that a session was used at a time, for it and for its person. One
// that ended meanwhile stays ended.
func (s *Store) TouchSession(ctx context.Context, x hook.Session, at time.Time) error {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := tx.ExecContext(ctx, "UPDATE sessions SET seen_at = ? WHERE id = ? AND seen_at < ?", ms(at), x.ID, ms(at)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE users SET seen_at = ? WHERE id = ? AND seen_at < ?", ms(at), x.User, ms(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("touch session: %w", err)
	}
	return nil
}

// EndSession signs out of one browser. Ending it again is no error.
func (s *Store) EndSession(ctx context.Context, org, id hook.Key) error {
	if _, err := s.changeState(ctx, "DELETE FROM sessions WHERE id = ? AND org_id = ?", id, org); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// ForgetSessions deletes sessions and links that ended before now, in small steps. It
// says how many it deleted.
func (s *Store) ForgetSessions(ctx context.Context, now time.Time) (int64, error) {
	const idle = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE seen_at <= ? LIMIT ?)"
	total, err := s.inSteps(ctx, "forget sessions", idle, ms(now.Add(-hook.SessionIdle)))
	if err != nil {
		return total, err
	}
	n, err := s.inSteps(ctx, "forget sessions", "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE created_at <= ? LIMIT ?)", ms(now.Add(-hook.SessionLife)))
	if total += n; err != nil {
		return total, err
	}
	n, err = s.inSteps(ctx, "forget links", "DELETE FROM sign_in_links WHERE id IN (SELECT id FROM sign_in_links WHERE expires_at <= ? LIMIT ?)", ms(now))
	return total + n, err
}
