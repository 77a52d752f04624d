package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// OldTokens are the rotated tokens of a source that are still valid at now, and
// when the first of them ends; zero when there is none.
func (s *Store) OldTokens(ctx context.Context, source hook.Key, now time.Time) (tokens []string, end time.Time, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT token, expires_at FROM source_tokens WHERE source_id = ? AND expires_at > ? ORDER BY expires_at", source, ms(now))
	if err != nil {
		return nil, end, storeError("read rotated tokens", err)
	}
	defer rows.Close()
	for rows.Next() {
		var token string
		var at int64
		if err := rows.Scan(&token, &at); err != nil {
			return nil, end, fmt.Errorf("read rotated tokens: %w", err)
		}
		if len(tokens) == 0 {
			end = fromMS(at)
		}
		tokens = append(tokens, token)
	}
	if err := rows.Err(); err != nil {
		return nil, end, storeError("read rotated tokens", err)
	}
	return tokens, end, nil
}

// SourceByToken reads the source whose URL has a token, or had it until it was
// rotated a while ago. CodeNotFound when there is none.
func (s *Store) SourceByToken(ctx context.Context, token string, now time.Time) (hook.Source, error) {
	const q = "SELECT org_id, id FROM sources WHERE token = ? UNION ALL SELECT org_id, source_id FROM source_tokens WHERE token = ? AND expires_at > ? LIMIT 1"
	var org, id hook.Key
	err := s.read.QueryRowContext(ctx, q, token, token, ms(now)).Scan(&org, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return hook.Source{}, hook.Errorf(hook.CodeNotFound, "no source has this token")
	}
	if err != nil {
		return hook.Source{}, fmt.Errorf("read source: %w", err)
	}
	return s.Source(ctx, org, id)
}
