package store

import (
	"context"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Record writes what came of attempts and lets go of their deliveries, in one
// transaction. It returns when that is on disk.
func (s *Store) Record(ctx context.Context, records []*hook.Record) error {
	size := 0
	for _, r := range records {
		size += 64
		if r.Attempt != nil {
			size += len(r.Attempt.Response)
			r.Attempt.Reason = clean(r.Attempt.Reason)
		}
	}
	return s.writer.do(ctx, &write{records: records, size: size})
}

func (w *writer) recordAll(ctx context.Context, batch []*write) error {
	rows := &w.rows
	rows.attemptArgs = rows.attemptArgs[:0]
	now := time.Now()
	for _, u := range batch {
		for _, r := range u.records {
			if err := w.settle(ctx, r, now); err != nil {
				return err
			}
		}
	}
	return rows.attempts.insert(ctx, rows.attemptArgs)
}

func (w *writer) settle(ctx context.Context, r *hook.Record, now time.Time) error {
	d := &r.Delivery
	attempts, failures, last := d.Attempts, d.Failures, d.LastAttempt
	if r.Attempt != nil {
		attempts = r.Attempt.Number
		if r.Attempt.Outcome != hook.OutcomeDelivered {
			failures++
		}
		last = w.key(now, 1)
	}
	res, err := w.rows.settle.ExecContext(ctx, int(r.State), attempts, failures, ms(r.NextAt), int64(last), int64(d.ID), int64(d.Holder))
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	r.Refused = n == 0
	if !r.Refused && d.Lane != 0 {
		if err := w.inLane(ctx, r); err != nil {
			return err
		}
	}
	if r.Refused || r.Attempt == nil {
		return nil
	}
	a := r.Attempt
	a.ID = last
	w.rows.attemptArgs = append(w.rows.attemptArgs, int64(a.ID), int64(d.Org), int64(d.ID), int64(d.LastAttempt), a.Number, int(a.Trigger), a.At.UnixMilli(),
		a.Duration.Microseconds(), string(a.Outcome), a.Status, emptyNull(a.Response), text(a.Reason))
	return nil
}

// inLane notes what a record means for the lane of its delivery.
func (w *writer) inLane(ctx context.Context, r *hook.Record) error {
	r.Next = nil
	w.lanes.record(r)
	if r.Poison == hook.NotPoisoned {
		return nil
	}
	stmt, err := w.prepared(ctx, "UPDATE deliveries SET poison = ?1, lane = CASE WHEN ?1 = 2 THEN 0 ELSE lane END WHERE id = ?2")
	if err != nil {
		return err
	}
	return one(stmt.ExecContext(ctx, int(r.Poison), int64(r.Delivery.ID)))
}

func emptyNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
