package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Claim takes up to limit due deliveries of one endpoint whose holder is nobody
// or dead, and holds them for this incarnation. What a dead one held is due: it was
// when it was taken, whatever its clock said. Whoever claims must Record or
// Release each of them. next is when the endpoint's next unclaimed delivery is
// due: in the past when limit was reached and more wait, zero when none is left.
func (s *Store) Claim(ctx context.Context, endpoint hook.Key, now time.Time, limit int) (claimed []hook.Delivery, next time.Time, err error) {
	if s.pg != nil {
		return s.claimShared(ctx, endpoint, now, limit)
	}
	err = s.writer.exec(ctx, func(ctx context.Context, _ *sql.Conn) error {
		claimed, next = nil, time.Time{}
		for _, holder := range s.claimable {
			until := now
			if holder != 0 {
				until = time.UnixMilli(math.MaxInt64)
			}
			found, after, err := s.due(ctx, endpoint, holder, until, limit-len(claimed))
			if holder != 0 && after.After(now) {
				after = now
			}
			if err != nil {
				return err
			}
			claimed = append(claimed, found...)
			if !after.IsZero() && (next.IsZero() || after.Before(next)) {
				next = after
			}
		}
		return s.hold(ctx, claimed)
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("claim deliveries: %w", err)
	}
	return claimed, next, nil
}

// SQLite's own, each planned once.
const (
	sqlDue  = "SELECT " + deliveryColumns + " FROM deliveries WHERE state = 1 AND endpoint_id = ? AND holder = ? ORDER BY next_at LIMIT ?"
	sqlHold = "UPDATE deliveries SET holder = ? WHERE state = 1 AND id IN (SELECT value FROM json_each(?))"
)

// due reads the first limit due deliveries under one holder, in the order of
// the index, and when the one after them is due.
func (s *Store) due(ctx context.Context, endpoint, holder hook.Key, now time.Time, limit int) (found []hook.Delivery, after time.Time, err error) {
	stmt, err := s.writer.prepared(ctx, sqlDue)
	if err != nil {
		return nil, after, err
	}
	rows, err := stmt.QueryContext(ctx, endpoint, holder, limit+1)
	if err != nil {
		return nil, after, err
	}
	defer rows.Close()
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, after, err
		}
		if len(found) == limit || d.NextAt.After(now) {
			return found, d.NextAt, nil
		}
		found = append(found, d)
	}
	return found, after, rows.Err()
}

// hold makes this incarnation the holder of what was just read, in one statement: after an
// outage of ours a million rows may be claimed within a minute.
func (s *Store) hold(ctx context.Context, claimed []hook.Delivery) error {
	if len(claimed) == 0 {
		return nil
	}
	keys := []byte{'['}
	for i := range claimed {
		if i > 0 {
			keys = append(keys, ',')
		}
		keys = strconv.AppendInt(keys, int64(claimed[i].ID), 10)
	}
	stmt, err := s.writer.prepared(ctx, sqlHold)
	if err != nil {
		return err
	}
	res, err := stmt.ExecContext(ctx, s.Incarnation(), string(append(keys, ']')))
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n != int64(len(claimed)) {
		return fmt.Errorf("hold %d deliveries: %d rows changed", len(claimed), n)
	}
	for i := range claimed {
		claimed[i].Holder = s.Incarnation()
	}
	return nil
}

// DueByEndpoint says for each endpoint with unclaimed deliveries when the first is due.
func (s *Store) DueByEndpoint(ctx context.Context) (map[hook.Key]time.Time, error) {
	free, args := s.free()
	// What a dead node held was due when it was taken.
	q := "SELECT endpoint_id, min(CASE holder WHEN 0 THEN next_at ELSE 1 END) FROM " + s.sqlFirstDue() + " WHERE " + free + " GROUP BY endpoint_id"
	rows, err := s.query(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("read due deliveries: %w", err)
	}
	defer rows.Close()
	due := map[hook.Key]time.Time{}
	for rows.Next() {
		var endpoint hook.Key
		var at int64
		if err := rows.Scan(&endpoint, &at); err != nil {
			return nil, fmt.Errorf("read due deliveries: %w", err)
		}
		due[endpoint] = time.UnixMilli(at).UTC()
	}
	return due, rows.Err()
}

// OldestDue is when the delivery that has been due the longest became due;
// zero when nothing pending is due.
func (s *Store) OldestDue(ctx context.Context, now time.Time) (time.Time, error) {
	var at sql.NullInt64
	if err := s.read.QueryRowContext(ctx, "SELECT min(next_at) FROM "+s.sqlFirstDue()+" WHERE next_at <= ?", ms(now)).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("read oldest due delivery: %w", err)
	}
	return fromMS(at.Int64), nil
}

// HeldEndpoints are the endpoints that have held deliveries.
func (s *Store) HeldEndpoints(ctx context.Context) ([]hook.Key, error) {
	keys, err := queryKeys(ctx, ready{s}, s.sqlHolding())
	if err != nil {
		return nil, fmt.Errorf("read held deliveries: %w", err)
	}
	return keys, nil
}

// DeadHolders are the incarnations that are dead and may still hold something; on SQLite,
// where none dies while another lives, there are none.
func (s *Store) DeadHolders(ctx context.Context) ([]hook.Key, error) {
	if s.pg == nil {
		return nil, nil
	}
	keys, err := queryKeys(ctx, s.read, s.pg.sqlDead())
	if err != nil {
		return nil, fmt.Errorf("read dead incarnations: %w", err)
	}
	return keys, nil
}

// HoldPending makes an endpoint's pending deliveries held: those that nobody has
// in memory. Those in memory are held one by one, as their turn comes.
func (s *Store) HoldPending(ctx context.Context, endpoint hook.Key) (int64, error) {
	var total int64
	free, args := s.free()
	args = append(append(append(slices.Clone(args), endpoint), args...), stateStep)
	for {
		// The condition stands twice: a row may be claimed between the two.
		n, err := s.changeState(ctx, `UPDATE deliveries SET state = 5, holder = 0 WHERE state = 1 AND `+free+` AND id IN (
			SELECT id FROM deliveries WHERE state = 1 AND endpoint_id = ? AND `+free+` LIMIT ?)`, args...)
		total += n
		if err != nil || n < stateStep {
			return total, err
		}
	}
}

// DisableEndpoint makes an endpoint disabled for a reason, and what it still had
// to get held.
func (s *Store) DisableEndpoint(ctx context.Context, endpoint hook.Key, reason string) error {
	now := ms(time.Now())
	n, err := s.changeState(ctx, "UPDATE endpoints SET state = 2, reason = ?, "+sqlTouch+" WHERE id = ?", reason, now, now, endpoint)
	if err != nil {
		return fmt.Errorf("disable endpoint: %w", err)
	}
	if n == 0 {
		return hook.Errorf(hook.CodeNotFound, "there is no endpoint %s", s.ids.Public(hook.KindEndpoint, endpoint))
	}
	_, err = s.HoldPending(ctx, endpoint)
	return err
}

func (s *Store) changeState(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// stateStep bounds one transaction of those that change the state of many.
const stateStep = 500

// ReleaseHeld makes up to limit of an endpoint's held deliveries pending again,
// the oldest first, due one every pace from now on, each with a retry window of
// its own from the moment it is due: who was paused for a month still gets
// each at least once.
func (s *Store) ReleaseHeld(ctx context.Context, endpoint hook.Key, now time.Time, pace time.Duration, limit int) (int64, error) {
	released := 0
	for released < limit {
		step, n := min(stateStep, limit-released), 0
		err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			n = 0
			keys, err := queryKeys(ctx, tx, "SELECT id FROM deliveries WHERE state = 5 AND endpoint_id = ? ORDER BY id LIMIT ?", endpoint, step)
			if err != nil {
				return err
			}
			for _, k := range keys {
				at := ms(now.Add(time.Duration(released+n) * pace))
				const q = "UPDATE deliveries SET state = 1, next_at = ?, since = ?, failures = 0, holder = 0 WHERE id = ? AND state = 5"
				if _, err := tx.ExecContext(ctx, q, at, at, k); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil {
			return int64(released), fmt.Errorf("release held deliveries: %w", err)
		}
		released += n
		if n < step {
			break
		}
	}
	return int64(released), nil
}
