package store

import (
	"context"
	"math"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// keyLead is how long before its transaction begins a row may have got its key: the
// time that a batch takes to be sent.
const keyLead = 500 * time.Millisecond

// settledEnd is the last key before which no row appears any more. On SQLite that is
// any: keys are given by the one that commits. On PostgreSQL several nodes commit, out
// of the order of their keys, so it is the time of the oldest transaction that is
// under way, less what a key may be older than its transaction, and less what the
// clock of the slowest node is behind. It must be read before the rows are.
func (s *Store) settledEnd(ctx context.Context) (hook.Key, error) {
	if s.pg == nil {
		return math.MaxInt64, nil
	}
	q := `SELECT CAST(extract(epoch FROM least(now(), min(xact_start))) * 1000 AS BIGINT) -
			(SELECT coalesce(max(behind), 0) FROM nodes WHERE seen_at > now() - ` + interval(s.pg.age) + `)
		FROM pg_stat_activity WHERE datname = current_database() AND starts_with(application_name, ?) AND pid <> pg_backend_pid()`
	var at int64
	if err := s.read.QueryRowContext(ctx, q, applicationName).Scan(&at); err != nil {
		return 0, err
	}
	return max(1, hook.KeyAt(fromMS(at).Add(-keyLead))), nil
}
