package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const healthColumns = "endpoint_id, org_id, failing_since, failures, last_failure_at, last_success_at, warned, trips, open_until, recover_from"

func scanHealth(row scanner) (h hook.Health, err error) {
	var since, failed, succeeded, open, recovered int64
	err = row.Scan(&h.Endpoint, &h.Org, &since, &h.Failures, &failed, &succeeded, &h.Warned, &h.Trips, &open, &recovered)
	h.FailingSince, h.LastFailureAt, h.LastSuccessAt = fromMS(since), fromMS(failed), fromMS(succeeded)
	h.OpenUntil, h.RecoverFrom = fromMS(open), fromMS(recovered)
	return h, err
}

// SaveHealth adds to the health of endpoints, in one transaction. Failures of several
// nodes add up; a success of one ends what all of them counted.
func (s *Store) SaveHealth(ctx context.Context, changes []hook.HealthChange) error {
	changes = slices.Clone(changes)
	// In one order, so that nodes do not wait for each other crosswise.
	slices.SortFunc(changes, func(a, b hook.HealthChange) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		for i := range changes {
			if err := saveHealth(ctx, tx, &changes[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep health: %w", err)
	}
	return nil
}

func saveHealth(ctx context.Context, tx *sql.Conn, c *hook.HealthChange) error {
	const row = `INSERT INTO health (endpoint_id, org_id, failing_since, failures, last_failure_at, last_success_at, warned, trips, open_until,
			healthy_until, recover_since, recover_from, recover_at)
		VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, 0, ?, 0) ON CONFLICT (endpoint_id) DO UPDATE SET trips = excluded.trips, open_until = excluded.open_until, `
	const failed = row + `failing_since = CASE WHEN health.failing_since = 0 THEN excluded.failing_since ELSE health.failing_since END,
		healthy_until = CASE WHEN health.failing_since = 0 THEN excluded.healthy_until ELSE health.healthy_until END,
		failures = health.failures + excluded.failures, last_failure_at = excluded.last_failure_at`
	// What is being brought forward already is finished first.
	const succeeded = row + `failing_since = excluded.failing_since, failures = excluded.failures, warned = 0,
		last_failure_at = CASE WHEN excluded.failures > 0 THEN excluded.last_failure_at ELSE health.last_failure_at END,
		last_success_at = excluded.last_success_at, healthy_until = excluded.healthy_until,
		recover_since = CASE WHEN health.recover_from = 0 THEN health.healthy_until ELSE health.recover_since END,
		recover_from = CASE WHEN health.recover_from = 0 THEN excluded.recover_from ELSE health.recover_from END,
		recover_at = CASE WHEN health.recover_from = 0 THEN 0 ELSE health.recover_at END`
	q, healthy := failed, c.HealthyUntil
	if !c.SucceededAt.IsZero() {
		q, healthy = succeeded, c.SucceededAt
	}
	return one(tx.ExecContext(ctx, q, c.Endpoint, c.Org, ms(c.FirstFailed), c.Failures, ms(c.LastFailed), ms(c.SucceededAt), c.Trips, ms(c.OpenUntil),
		ms(healthy), ms(c.SucceededAt)))
}

// Failing reads the health of the endpoints that fail, or have retries to be brought forward.
func (s *Store) Failing(ctx context.Context) ([]hook.Health, error) {
	const q = "SELECT " + healthColumns + " FROM health WHERE failing_since <> 0 UNION ALL SELECT " + healthColumns + " FROM health WHERE recover_from <> 0 AND failing_since = 0"
	return readRows(ctx, ready{s}, scanHealth, "health", q)
}

// Health reads that of one endpoint. One that never failed has the zero Health but
// for its key.
func (s *Store) Health(ctx context.Context, endpoint hook.Key) (hook.Health, error) {
	list, err := readRows(ctx, ready{s}, scanHealth, "health", "SELECT "+healthColumns+" FROM health WHERE endpoint_id = ?", endpoint)
	if err != nil || len(list) == 0 {
		return hook.Health{Endpoint: endpoint}, err
	}
	return list[0], nil
}

// FailingSince says of some endpoints since when every attempt has failed; those that
// work are left out.
func (s *Store) FailingSince(ctx context.Context, endpoints []hook.Key) (map[hook.Key]time.Time, error) {
	since := make(map[hook.Key]time.Time)
	if len(endpoints) == 0 {
		return since, nil
	}
	rows, err := s.read.QueryContext(ctx, sqlFailingSince+anyOf("endpoint_id", len(endpoints)), anys(endpoints)...)
	if err != nil {
		return nil, fmt.Errorf("read health: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var endpoint hook.Key
		var at int64
		if err := rows.Scan(&endpoint, &at); err != nil {
			return nil, fmt.Errorf("read health: %w", err)
		}
		since[endpoint] = fromMS(at)
	}
	return since, wrap("read health", rows.Err())
}

const sqlFailingSince = "SELECT endpoint_id, failing_since FROM health WHERE failing_since <> 0 AND "

// ClearHealth forgets how an endpoint did.
func (s *Store) ClearHealth(ctx context.Context, endpoint hook.Key) error {
	if _, err := s.changeState(ctx, "DELETE FROM health WHERE endpoint_id = ?", endpoint); err != nil {
		return fmt.Errorf("clear health: %w", err)
	}
	return nil
}

// Warn notes that it was warned about an endpoint that has been failing since a
// time, and says whether this was the first to: of several nodes, or twice at once, only
// one is. When it has succeeded meanwhile, nothing is noted.
func (s *Store) Warn(ctx context.Context, endpoint hook.Key, failingSince time.Time, percent int) (first bool, err error) {
	n, err := s.changeState(ctx, "UPDATE health SET warned = ? WHERE endpoint_id = ? AND failing_since = ? AND warned < ?", percent, endpoint, ms(failingSince), percent)
	if err != nil {
		return false, fmt.Errorf("note warning: %w", err)
	}
	return n == 1, nil
}

// forwardRest is how long after a step of BringForward there is no other.
const forwardRest = 25 * time.Second

// BringForward makes up to limit of the retries of an endpoint that waited when it
// recovered due one every pace from now on, those that were due first at the front. These
// are of deliveries whose retry window began after the last success before it failed:
// the ones that failed while it was well keep their time, so none is brought forward twice. It
// says how many there were. The next step is half a minute later, made by whichever node asks.
func (s *Store) BringForward(ctx context.Context, endpoint hook.Key, now time.Time, pace time.Duration, limit int) (total int64, err error) {
	since, from, err := s.recovering(ctx, endpoint, now)
	if err != nil || from == 0 {
		return 0, wrap("bring retries forward", err)
	}
	end := now.Add(time.Duration(limit) * pace) // what is due before that is left alone, and so not found twice
	for total < int64(limit) {
		step := min(int64(stateStep), int64(limit)-total)
		start := now.Add(time.Duration(total) * pace)
		n, err := s.changeState(ctx, sqlForward, ms(start), pace.Milliseconds(), endpoint, ms(end), since, hook.KeyAt(s.keyTime(fromMS(from))), step)
		total += n
		if err != nil {
			return total, wrap("bring retries forward", err)
		}
		if n < step {
			_, err := s.changeState(ctx, "UPDATE health SET recover_from = 0 WHERE endpoint_id = ? AND recover_from = ?", endpoint, from)
			return total, wrap("bring retries forward", err)
		}
	}
	return total, nil
}

const sqlForward = `UPDATE deliveries SET next_at = x.due FROM (
		SELECT id, ?1 + (row_number() OVER (ORDER BY next_at, id) - 1) * ?2 AS due FROM (
			SELECT id, next_at FROM deliveries WHERE state = 1 AND endpoint_id = ?3 AND holder = 0 AND next_at > ?4 AND since > ?5
				AND last_attempt > 0 AND last_attempt < ?6 ORDER BY next_at LIMIT ?7
		) AS waiting) AS x
	WHERE deliveries.id = x.id AND deliveries.state = 1 AND deliveries.holder = 0`

// recovering begins a step of bringing forward; from is 0 when there is nothing to do, or
// another node has just done it.
func (s *Store) recovering(ctx context.Context, endpoint hook.Key, now time.Time) (since, from int64, err error) {
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		const q = "UPDATE health SET recover_at = ? WHERE endpoint_id = ? AND recover_from <> 0 AND recover_at <= ? RETURNING recover_since, recover_from"
		err := tx.QueryRowContext(ctx, q, ms(now), endpoint, ms(now.Add(-forwardRest))).Scan(&since, &from)
		if errors.Is(err, sql.ErrNoRows) {
			since, from = 0, 0
			return nil
		}
		return err
	})
	return since, from, err
}

// wrap says what failed; nil stays nil.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
