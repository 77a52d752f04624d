package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const tokenColumns = "id, org_id, app_id, scope, name, session, settings, hash, created_at, coalesce(expires_at, 0)"

func scanToken(row scanner) (hook.Token, error) {
	var t hook.Token
	var portal, hash []byte
	var created, expires int64
	err := row.Scan(&t.ID, &t.Org, &t.App, &t.Scope, &t.Name, &t.Session, &portal, &hash, &created, &expires)
	if err != nil {
		return t, err
	}
	if len(hash) != len(t.Hash) {
		return t, fmt.Errorf("hash of token %d has %d bytes", t.ID, len(hash))
	}
	t.Hash, t.CreatedAt, t.ExpiresAt = [32]byte(hash), fromMS(created), fromMS(expires)
	if err := json.Unmarshal(portal, &t.Portal); err != nil {
		return t, fmt.Errorf("settings of token %d: %w", t.ID, err)
	}
	return t, nil
}

// CreateToken keeps a key of the API and gives it back with its key and time.
// CodeConflict when its hash is known: random tokens never meet.
func (s *Store) CreateToken(ctx context.Context, t hook.Token) (hook.Token, error) {
	portal, err := json.Marshal(t.Portal)
	if err != nil {
		return t, fmt.Errorf("create token: %w", err)
	}
	t.ExpiresAt = inMS(t.ExpiresAt)
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if err := s.tokenFits(ctx, tx, &t); err != nil {
			return err
		}
		now := time.Now()
		t.ID, t.CreatedAt = s.writer.key(now, 1), inMS(now)
		const q = "INSERT INTO tokens (id, org_id, app_id, scope, name, session, settings, hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		return one(tx.ExecContext(ctx, q, t.ID, t.Org, t.App, string(t.Scope), t.Name, t.Session, string(portal), t.Hash[:], ms(now), number(ms(t.ExpiresAt))))
	})
	if err != nil {
		return hook.Token{}, fmt.Errorf("create token: %w", err)
	}
	return t, nil
}

// tokenFits is an error unless the organization and application of t are there
// and its hash is new.
func (s *Store) tokenFits(ctx context.Context, tx *sql.Conn, t *hook.Token) error {
	if _, err := s.organization(ctx, tx, t.Org, ""); err != nil {
		return err
	}
	if t.App != 0 {
		if _, err := s.application(ctx, tx, t.Org, t.App, ""); err != nil {
			return err
		}
	}
	found, err := exists(ctx, tx, "SELECT 1 FROM tokens WHERE hash = ?", t.Hash[:])
	if err == nil && found {
		err = hook.Errorf(hook.CodeConflict, "this token exists already; make another")
	}
	return err
}

// TokenByHash reads the token with this SHA-256, also when it has expired:
// whoever asks compares ExpiresAt with the time. CodeNotFound when there is none.
func (s *Store) TokenByHash(ctx context.Context, hash [32]byte) (hook.Token, error) {
	row := s.read.QueryRowContext(ctx, "SELECT "+tokenColumns+" FROM tokens WHERE hash = ?", hash[:])
	return readRow(row, scanToken, "token", hook.Errorf(hook.CodeNotFound, "there is no such token"))
}

// Tokens reads one page of an organization's tokens, without those of portals,
// which have no name.
func (s *Store) Tokens(ctx context.Context, org hook.Key, page hook.Page) ([]hook.Token, error) {
	q, args := onPage("SELECT "+tokenColumns+" FROM tokens WHERE org_id = ? AND (scope <> ? OR name <> '')", page, org, string(hook.ScopeApp))
	return readRows(ctx, s.read, scanToken, "tokens", q, args...)
}

// RevokeToken deletes a token; CodeNotFound when the organization has none with
// this key.
func (s *Store) RevokeToken(ctx context.Context, org, id hook.Key) error {
	n, err := s.changeState(ctx, "DELETE FROM tokens WHERE id = ? AND org_id = ?", id, org)
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	if n == 0 {
		return s.missing("token", hook.KindToken, id)
	}
	return nil
}

// ExpireTokens lets the portal tokens of an application end at a time, unless
// they end earlier; only those of these sessions when there are any. It says how
// many it changed.
func (s *Store) ExpireTokens(ctx context.Context, org, app hook.Key, sessions []string, at time.Time) (int64, error) {
	q := "UPDATE tokens SET expires_at = ? WHERE org_id = ? AND app_id = ? AND scope = ? AND (expires_at IS NULL OR expires_at > ?)"
	args := []any{ms(at), org, app, string(hook.ScopeApp), ms(at)}
	if len(sessions) > 0 {
		q += " AND session IN " + placeholders(1, len(sessions))
		for _, x := range sessions {
			args = append(args, x)
		}
	}
	n, err := s.changeState(ctx, q, args...)
	if err != nil {
		return 0, fmt.Errorf("expire tokens: %w", err)
	}
	return n, nil
}

// ForgetTokens deletes what expired before now, in small steps: tokens of
// portals and rotated tokens of sources. Other tokens stay listed until they are
// revoked. It says how many it deleted.
func (s *Store) ForgetTokens(ctx context.Context, now time.Time) (int64, error) {
	portals, err := s.inSteps(ctx, "forget tokens", "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE scope = ? AND expires_at <= ? LIMIT ?)", string(hook.ScopeApp), ms(now))
	if err != nil {
		return portals, err
	}
	rotated, err := s.inSteps(ctx, "forget tokens", "DELETE FROM source_tokens WHERE token IN (SELECT token FROM source_tokens WHERE expires_at <= ? LIMIT ?)", ms(now))
	return portals + rotated, err
}
