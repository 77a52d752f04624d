package store

import (
	"context"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// OldTokens are the rotated tokens of a source that are still valid at now, and
// when the first of them ends; zero when there is none.
func (s *Store) OldTokens(ctx context.Context, source hook.Key, now time.Time) (tokens []string, end time.Time, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT token, expires_at FROM source_tokens WHERE source_id = ? AND expires_at > ? ORDER BY expires_at", source, ms(now))
	if err != nil {
		return nil, end, fmt.Errorf("read rotated tokens: %w", err)
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
	return tokens, end, rows.Err()
}
