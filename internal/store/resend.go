package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Resend makes a delivery due now, whatever its state, with a new retry window. The head
// of a lane stays that; what was over goes out beside its lane. It is refused with
// CodeConflict while an attempt may be under way, and for what waits for its turn.
func (s *Store) Resend(ctx context.Context, delivery hook.Key, now time.Time) error {
	return s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		held, args := s.held()
		q := `UPDATE deliveries SET state = 1, next_at = ?, since = ?, failures = 0, holder = 0, trigger = ?, superseded = 0, poison = 0,
			lane = CASE WHEN state IN (1, 5) THEN lane ELSE 0 END
			WHERE id = ? AND state <> 6 AND NOT (state = 1 AND ` + held + `)`
		res, err := tx.ExecContext(ctx, q, append([]any{ms(now), ms(now), int(hook.Manual), delivery}, args...)...)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		id := s.ids.Public(hook.KindDelivery, delivery)
		waits, err := exists(ctx, tx, "SELECT 1 FROM deliveries WHERE id = ? AND state = 6", delivery)
		switch {
		case err != nil:
			return err
		case waits:
			return hook.Errorf(hook.CodeConflict, "delivery %s waits for its turn behind others about the same subject and goes out after them; cancel what it waits for if it is to go sooner", id)
		}
		return hook.Errorf(hook.CodeConflict, "delivery %s is about to be attempted, or just being attempted; ask again when that has ended", id)
	})
}

// Deliver adds a delivery of a message that was kept before, due now; one with a lane
// takes the last place in it.
func (s *Store) Deliver(ctx context.Context, d hook.Delivery) (hook.Key, error) {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		d.ID = s.writer.key(time.Now(), 1)
		if d.Lane == 0 {
			return s.addDelivery(ctx, tx, &d)
		}
		d.State = hook.Waiting
		return s.addToLane(ctx, tx, &d)
	})
	return d.ID, err
}

func (s *Store) addDelivery(ctx context.Context, tx *sql.Conn, d *hook.Delivery) error {
	const q = `INSERT INTO deliveries (id, org_id, message_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, trigger, late, lane)
		VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?, 0, 0, ?, 1, ?)`
	_, err := tx.ExecContext(ctx, q, d.ID, d.Org, d.Message, d.Endpoint, int(d.State), ms(d.NextAt), ms(d.Since), int(d.Trigger), d.Lane)
	if err != nil || s.pg == nil {
		return err
	}
	return insertPostings(ctx, tx, []posting{{d.Endpoint, term(termDelivery), d.ID}}) // there is no indexer
}

func (s *Store) addToLane(ctx context.Context, tx *sql.Conn, d *hook.Delivery) error {
	m := hook.Message{ID: d.Message}
	var occurred int64
	const q = "SELECT coalesce(family, ''), coalesce(occurred_at, 0), rank, final FROM messages WHERE id = ?"
	if err := tx.QueryRowContext(ctx, q, d.Message).Scan(&m.Family, &occurred, &m.Rank, &m.Final); err != nil {
		return err
	}
	m.OccurredAt = fromMS(occurred)
	var b laneBatch
	b.arrive(d, &m)
	e := s.lanesOf()
	if err := e.lock(ctx, b.list); err != nil {
		return err
	}
	if err := s.addDelivery(ctx, tx, d); err != nil {
		return err
	}
	if err := e.read(ctx, b.list); err != nil {
		return err
	}
	return s.writer.advance(ctx, e, b.list, time.Now())
}
