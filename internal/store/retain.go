package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// retainStep bounds one transaction that deletes messages: some milliseconds of the
// writer's time.
const retainStep = 50

// Retain deletes what of an application is older than the cutoffs say: whole messages,
// payloads, attempts. It works in small steps between other writes, waits while there is
// load, and goes on another time where ctx ended. What is still to be delivered of a
// payload that goes is canceled; one with an end of its own goes with its message at the
// latest. Dedupe and idempotency keys stay for as long as they count.
func (s *Store) Retain(ctx context.Context, org, app hook.Key, c hook.Cutoffs) (n hook.Retained, err error) {
	if n.Messages, err = s.retainMessages(ctx, app, c.Messages); err != nil {
		return n, fmt.Errorf("delete old messages: %w", err)
	}
	if c.Payloads > c.Messages {
		if n.Payloads, err = s.retainPayloads(ctx, org, app, c.Payloads); err != nil {
			return n, fmt.Errorf("delete old payloads: %w", err)
		}
	}
	if c.Attempts > c.Messages {
		if n.Attempts, err = s.retainAttempts(ctx, app, c.Attempts); err != nil {
			return n, fmt.Errorf("delete old attempts: %w", err)
		}
	}
	return n, nil
}

// oldOf are the first keys under a term that are between two others.
func (s *Store) oldOf(ctx context.Context, owner hook.Key, term int64, after, before hook.Key, limit int) ([]hook.Key, error) {
	return queryKeys(ctx, ready{s}, sqlOldOf, owner, term, after, before, limit)
}

const sqlOldOf = "SELECT id FROM postings WHERE owner_id = ? AND term = ? AND id > ? AND id < ? ORDER BY id LIMIT ?"

func (s *Store) retainMessages(ctx context.Context, app, before hook.Key) (n int, err error) {
	all := term(termAll)
	for {
		keys, err := s.oldOf(ctx, app, all, 0, before, retainStep)
		if err != nil || len(keys) == 0 {
			return n, err
		}
		if err := s.calm(ctx); err != nil {
			return n, err
		}
		err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			return s.securely(ctx, tx, func() error { return s.deleteMessages(ctx, tx, app, keys) })
		})
		if err != nil {
			return n, err
		}
		n += len(keys)
		if len(keys) < retainStep {
			return n, nil
		}
	}
}

// calm waits until the writer has nothing queued: what is old can wait longer.
func (s *Store) calm(ctx context.Context) error {
	const look, most = 20 * time.Millisecond, 50 // a second at the most, or it would never be done
	for range most {
		if len(s.writer.queue) == 0 {
			return ctx.Err()
		}
		pause := time.NewTimer(look)
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
	}
	return ctx.Err()
}

// deleteMessages deletes messages of an application with all that belongs to them, the
// postings too. Keys of which there is no message lose their posting.
func (s *Store) deleteMessages(ctx context.Context, tx *sql.Conn, app hook.Key, keys []hook.Key) error {
	found, err := readRows(ctx, tx, func(row scanner) (hook.Message, error) { return scanMessage(row) },
		"messages", "SELECT "+messageColumns+" FROM "+messageTables+" WHERE "+anyOf("m.id", len(keys)), anys(keys)...)
	if err != nil {
		return err
	}
	var gone []posting
	for _, k := range keys {
		gone = append(gone, posting{app, term(termAll), k})
	}
	all := make([]fanned, len(found))
	for i := range found {
		m := &found[i]
		all[i] = fanned{m.ID, m.Fanout}
		gone = messagePostings(gone, m)
		if gone, err = deliveryPostings(ctx, tx, gone, m); err != nil {
			return err
		}
	}
	ordered, err := openOf(ctx, tx, all)
	if err != nil {
		return err
	}
	if err := s.leaving(ctx, tx, ordered, func() error { return purgeAll(ctx, tx, all) }); err != nil {
		return err
	}
	return deletePostings(ctx, tx, gone)
}

// deliveryPostings adds those of a message's deliveries and of their attempts.
func deliveryPostings(ctx context.Context, tx *sql.Conn, list []posting, m *hook.Message) ([]posting, error) {
	const q = "SELECT " + deliveryColumns + " FROM deliveries WHERE id > ?1 AND id <= ?2 UNION ALL SELECT " + deliveryColumns + " FROM deliveries WHERE late = 1 AND message_id = ?1"
	deliveries, err := readRows(ctx, tx, func(row scanner) (hook.Delivery, error) { return scanDelivery(row) }, "deliveries", q, m.ID, m.ID+hook.Key(m.Fanout))
	if err != nil {
		return list, err
	}
	for _, d := range deliveries {
		list = append(list, posting{d.Endpoint, term(termDelivery), d.ID})
		for k := d.LastAttempt; k != 0; {
			var outcome hook.Outcome
			var status int
			var previous hook.Key
			err := tx.QueryRowContext(ctx, "SELECT outcome, status, previous FROM attempts WHERE id = ?", k).Scan(&outcome, &status, &previous)
			if err == sql.ErrNoRows {
				break // older ones were deleted
			}
			if err != nil {
				return list, err
			}
			list = append(list, posting{d.Endpoint, attemptTerm(outcome == hook.OutcomeDelivered, statusClass(status)), k})
			k = previous
		}
	}
	return list, nil
}

// deletePostings deletes rows by their keys.
func deletePostings(ctx context.Context, tx *sql.Conn, list []posting) error {
	for len(list) > 0 {
		step := list[:min(postingRows, len(list))]
		list = list[len(step):]
		args := make([]any, 0, 3*len(step))
		for _, p := range step {
			args = append(args, int64(p.owner), p.term, int64(p.id))
		}
		const row = "(?/*pg ::bigint*/, ?/*pg ::bigint*/, ?/*pg ::bigint*/)"
		q := "DELETE FROM postings WHERE (owner_id, term, id) IN (VALUES " + strings.Repeat(row+", ", len(step)-1) + row + ")"
		if _, err := tx.ExecContext(ctx, q, args...); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) retainPayloads(ctx context.Context, org, app, before hook.Key) (n int, err error) {
	var done hook.Key
	err = s.read.QueryRowContext(ctx, "SELECT payloads FROM retained WHERE app_id = ?", app).Scan(&done)
	if err != nil && err != sql.ErrNoRows {
		return 0, err
	}
	for {
		keys, err := s.oldOf(ctx, app, term(termAll), done, before, expungeStep)
		if err != nil || len(keys) == 0 {
			return n, err
		}
		if err := s.calm(ctx); err != nil {
			return n, err
		}
		// A payload that has an end of its own is kept until then, however far that is.
		old, err := queryKeys(ctx, s.read, "SELECT id FROM messages WHERE expires_at IS NULL AND "+anyOf("id", len(keys)), anys(keys)...)
		if err != nil {
			return n, err
		}
		gone, err := s.ExpungeBodies(ctx, app, old)
		n += len(gone)
		if err != nil {
			return n, err
		}
		done = keys[len(keys)-1]
		const q = "INSERT INTO retained (app_id, org_id, payloads) VALUES (?, ?, ?) ON CONFLICT (app_id) DO UPDATE SET payloads = excluded.payloads"
		if _, err := s.changeState(ctx, q, app, org, done); err != nil {
			return n, err
		}
	}
}

// retainAttempts deletes those of an application's endpoints. The chain of a delivery
// ends where they are gone.
func (s *Store) retainAttempts(ctx context.Context, app, before hook.Key) (n int, err error) {
	endpoints, err := queryKeys(ctx, s.read, "SELECT id FROM endpoints WHERE app_id = ? ORDER BY id", app)
	if err != nil {
		return 0, err
	}
	terms := attemptTerms(&hook.AttemptQuery{Class: -1})
	for _, e := range endpoints {
		for _, t := range terms {
			gone, err := s.retainAttemptsOf(ctx, e, t, before)
			n += gone
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (s *Store) retainAttemptsOf(ctx context.Context, endpoint hook.Key, term int64, before hook.Key) (n int, err error) {
	for {
		keys, err := s.oldOf(ctx, endpoint, term, 0, before, postingRows)
		if err != nil || len(keys) == 0 {
			return n, err
		}
		if err := s.calm(ctx); err != nil {
			return n, err
		}
		err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			return s.securely(ctx, tx, func() error {
				if _, err := tx.ExecContext(ctx, "DELETE FROM attempts WHERE "+anyOf("id", len(keys)), anys(keys)...); err != nil {
					return err
				}
				list := make([]posting, len(keys))
				for i, k := range keys {
					list[i] = posting{endpoint, term, k}
				}
				return deletePostings(ctx, tx, list)
			})
		})
		if err != nil {
			return n, err
		}
		n += len(keys)
	}
}
