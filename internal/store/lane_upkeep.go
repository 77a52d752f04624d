package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// forgetLatest forgets which states came into the lanes of an endpoint, unless it wants
// the newest ones only: places in lanes are not comparable over the time between.
func forgetLatest(ctx context.Context, tx *sql.Conn, e *hook.Endpoint) error {
	if e.Order.LatestOnly {
		return nil
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM latest WHERE endpoint_id = ?", e.ID)
	return err
}

// ForgetStates forgets states that came into lanes before the dedupe window, in small
// steps between other writes: providers do not repeat themselves for longer. It
// says how many there were.
func (s *Store) ForgetStates(ctx context.Context, now time.Time) (int64, error) {
	const q = `DELETE FROM latest WHERE delivery_id IN (SELECT delivery_id FROM latest WHERE delivery_id < ? ORDER BY delivery_id LIMIT ?)`
	return s.inSteps(ctx, "forget states", q, hook.KeyAt(s.keyTime(now).Add(-hook.DedupeWindow)))
}

// MendLanes lets lanes go on whose head is over although they have not gone on: during an
// upgrade, a node with an older version settles heads and knows nothing of lanes. It says
// how many there were.
func (s *Store) MendLanes(ctx context.Context) (mended int, err error) {
	for after, more := (laneKey{}), true; more; {
		stuck, err := s.stuckLanes(ctx, after)
		if err != nil {
			return mended, fmt.Errorf("read lanes: %w", err)
		}
		if more = len(stuck) == stateStep; len(stuck) == 0 {
			break
		}
		after = stuck[len(stuck)-1].laneKey
		if err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error { return s.mend(ctx, tx, stuck) }); err != nil {
			return mended, fmt.Errorf("mend lanes: %w", err)
		}
		mended += len(stuck)
	}
	return mended, nil
}

// stuckLanes are the next lanes after a key whose head is over, with that.
func (s *Store) stuckLanes(ctx context.Context, after laneKey) ([]laned, error) {
	const q = `SELECT l.head, l.org_id, l.endpoint_id, l.lane FROM lanes l LEFT JOIN deliveries d ON d.id = l.head
		WHERE (l.endpoint_id, l.lane) > (?, ?) AND (d.id IS NULL OR d.state NOT IN (1, 5) OR d.lane <> l.lane) ORDER BY l.endpoint_id, l.lane LIMIT ?`
	scan := func(row scanner) (d laned, err error) {
		err = row.Scan(&d.id, &d.org, &d.endpoint, &d.number)
		return d, err
	}
	return readRows(ctx, s.read, scan, "lanes", q, after.endpoint, after.number, stateStep)
}

func (s *Store) mend(ctx context.Context, tx *sql.Conn, stuck []laned) error {
	var b laneBatch
	heads := make([]hook.Key, len(stuck))
	for i, d := range stuck {
		b.lane(d.laneKey, d.org)
		heads[i] = d.id
	}
	slices.SortFunc(b.list, compareLanes)
	e := s.lanesOf()
	if err := e.lock(ctx, b.list); err != nil {
		return err
	}
	open, err := stillOpen(ctx, tx, "state <> 6 AND "+anyOf("id", len(heads)), anys(heads)...)
	if err != nil {
		return err
	}
	for _, d := range stuck {
		if !slices.ContainsFunc(open, func(o laned) bool { return o.id == d.id && o.laneKey == d.laneKey }) {
			b.known[d.laneKey].gone = []hook.Key{d.id}
		}
	}
	if err := e.read(ctx, b.list); err != nil {
		return err
	}
	return s.writer.advance(ctx, e, b.list, time.Now())
}

// LaneHead is the one delivery of a lane that is pending or held, for which all others
// of it wait; CodeNotFound when the lane has nothing that is not over.
func (s *Store) LaneHead(ctx context.Context, endpoint hook.Key, number int64) (hook.Delivery, error) {
	row := s.read.QueryRowContext(ctx, "SELECT "+deliveryColumns+" FROM deliveries WHERE id = (SELECT head FROM lanes WHERE endpoint_id = ? AND lane = ?)", endpoint, number)
	return readRow(row, func(r scanner) (hook.Delivery, error) { return scanDelivery(r) }, "delivery", hook.Errorf(hook.CodeNotFound, "the lane is empty"))
}
