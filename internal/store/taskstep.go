package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// StepTask makes one step of a task in one transaction, and gives the task as it
// then stands. The error has CodeConflict when the task is no longer as the step
// takes it to be, and CodeNotFound when there is none; nothing has happened then.
// So each step is made once, whatever ends in between and however many try.
func (s *Store) StepTask(ctx context.Context, step hook.TaskStep) (t hook.Task, err error) {
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		is, err := s.lockTask(ctx, tx, step.From.Org, step.From.ID)
		if err != nil {
			return err
		}
		if is.Status != hook.TaskRunning || is.Cursor != step.From.Cursor {
			return hook.Errorf(hook.CodeConflict, "task %s is %s, or further than was thought", s.ids.Public(hook.KindTask, is.ID), is.Status)
		}
		n, err := s.changeDeliveries(ctx, tx, &step)
		if err != nil {
			return err
		}
		t = step.Keep(n)
		t.Data, t.UpdatedAt = object(t.Data), inMS(time.Now())
		const q = "UPDATE tasks SET status = ?, cursor = ?, data = ?, next_at = ?, updated_at = ? WHERE id = ?"
		return one(tx.ExecContext(ctx, q, string(t.Status), t.Cursor, string(t.Data), ms(t.NextAt), ms(t.UpdatedAt), is.ID))
	})
	if err != nil {
		return hook.Task{}, fmt.Errorf("step task: %w", err)
	}
	return t, nil
}

// changeDeliveries does what a step does to deliveries, and counts those that it
// changed or made: one statement for each kind of change, however many they are.
func (s *Store) changeDeliveries(ctx context.Context, tx *sql.Conn, step *hook.TaskStep) (n int, err error) {
	if len(step.Again) > 0 {
		q := s.again(step)
		if n, err = changed(tx.ExecContext(ctx, q.text, q.args...)); err != nil {
			return 0, err
		}
	}
	canceled, err := s.cancelChosen(ctx, tx, step)
	if err != nil {
		return 0, err
	}
	n += canceled
	made, err := s.addLate(ctx, tx, step.Make)
	return n + made, err
}

// cancelChosen ends what a step cancels, and lets the lanes of what was at their head go on.
func (s *Store) cancelChosen(ctx context.Context, tx *sql.Conn, step *hook.TaskStep) (n int, err error) {
	if len(step.Cancel) == 0 {
		return 0, nil
	}
	ordered, err := stillOpen(ctx, tx, anyOf("id", len(step.Cancel)), anys(step.Cancel)...)
	if err != nil {
		return 0, err
	}
	err = s.leaving(ctx, tx, ordered, func() (err error) {
		q := s.cancel(step)
		n, err = changed(tx.ExecContext(ctx, q.text, q.args...))
		return err
	})
	return n, err
}

func changed(res sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// again makes deliveries due again.
func (s *Store) again(step *hook.TaskStep) query {
	var when strings.Builder
	var times []any
	keys := make([]hook.Key, len(step.Again))
	for i, r := range step.Again {
		when.WriteString(" WHEN ? THEN CAST(? AS BIGINT)")
		times = append(times, r.Delivery, ms(r.At))
		keys[i] = r.Delivery
	}
	at := "CASE id" + when.String() + " END"
	// As Resend does: a head stays that, what was over goes out beside its lane, and what waits
	// for its turn is left alone.
	const text = "UPDATE deliveries SET state = ?, failures = 0, holder = 0, trigger = ?, superseded = 0, poison = 0, lane = CASE WHEN state IN (1, 5) THEN lane ELSE 0 END"
	q := query{text: text, args: []any{int(step.State), int(hook.Replay)}}
	q.add(", next_at = "+at, times...)
	q.add(", since = "+at, times...)
	s.unlessHeld(&q, keys)
	q.add(" AND state + 0 <> 6 AND since < ?", ms(step.If.Before))
	if states := step.If.States; len(states) > 0 {
		q.add(" AND "+anyOf("state + 0", len(states)), anys(states)...) // + 0: by key, not by an index of states
	}
	return q
}

// cancel ends deliveries that are pending, held or wait for their turn.
func (s *Store) cancel(step *hook.TaskStep) query {
	q := query{text: "UPDATE deliveries SET state = 4, holder = 0"}
	s.unlessHeld(&q, step.Cancel)
	q.add(" AND state + 0 IN (1, 5, 6) AND NOT (trigger <> 0 AND since >= ?)", ms(step.If.Before))
	return q
}

// InMemory are those of some deliveries that a step leaves alone, for a process has them
// and is about to attempt them.
func (s *Store) InMemory(ctx context.Context, deliveries []hook.Key) (map[hook.Key]bool, error) {
	is := map[hook.Key]bool{}
	for step := range slices.Chunk(deliveries, postingRows) {
		held, args := s.held()
		keys, err := queryKeys(ctx, s.read, "SELECT id FROM deliveries WHERE "+anyOf("id", len(step))+" AND state = 1 AND "+held, append(anys(step), args...)...)
		if err != nil {
			return nil, fmt.Errorf("find deliveries in memory: %w", err)
		}
		for _, k := range keys {
			is[k] = true
		}
	}
	return is, nil
}

// unlessHeld bounds a change to some deliveries, without those of which an attempt
// may be under way.
func (s *Store) unlessHeld(q *query, keys []hook.Key) {
	held, args := s.held()
	q.add(" WHERE "+anyOf("id", len(keys)), anys(keys)...)
	q.add(" AND NOT (state = 1 AND "+held+")", args...)
}

// addLate adds deliveries of messages that were kept before, but where the endpoint
// has got a late one meanwhile. Those with a lane take the last places in it.
func (s *Store) addLate(ctx context.Context, tx *sql.Conn, all []hook.Delivery) (n int, err error) {
	var list []hook.Delivery
	for i := range all {
		if all[i].Lane == 0 {
			list = append(list, all[i])
			continue
		}
		made, err := s.addLateToLane(ctx, tx, all[i])
		if err != nil {
			return 0, err
		}
		n += made
	}
	made, err := s.addUnordered(ctx, tx, list)
	return n + made, err
}

func (s *Store) addLateToLane(ctx context.Context, tx *sql.Conn, d hook.Delivery) (n int, err error) {
	const q = "SELECT 1 FROM deliveries WHERE late = 1 AND message_id = ? AND endpoint_id = ?"
	if there, err := exists(ctx, tx, q, d.Message, d.Endpoint); err != nil || there {
		return 0, err
	}
	d.ID, d.State = s.writer.key(time.Now(), 1), hook.Waiting
	return 1, s.addToLane(ctx, tx, &d)
}

func (s *Store) addUnordered(ctx context.Context, tx *sql.Conn, list []hook.Delivery) (int, error) {
	if len(list) == 0 {
		return 0, nil
	}
	first := s.writer.key(time.Now(), len(list))
	q := late(list, first)
	made, err := queryKeys(ctx, tx, q.text, q.args...)
	if err != nil || s.pg == nil || len(made) == 0 {
		return len(made), err
	}
	postings := make([]posting, len(made)) // there is no indexer
	for i, k := range made {
		postings[i] = posting{list[k-first].Endpoint, term(termDelivery), k}
	}
	return len(made), insertPostings(ctx, tx, postings)
}

func late(list []hook.Delivery, first hook.Key) query {
	q := query{text: `INSERT INTO deliveries (id, org_id, message_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, trigger, late)
		SELECT v.column1, v.column2, v.column3, v.column4, v.column5, 0, 0, v.column6, v.column7, 0, 0, v.column8, 1 FROM (VALUES `}
	const row = "(CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS INTEGER), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS INTEGER))"
	for i, d := range list {
		if i > 0 {
			q.add(", ")
		}
		q.add(row, first+hook.Key(i), d.Org, d.Message, d.Endpoint, int(d.State), ms(d.NextAt), ms(d.Since), int(d.Trigger))
	}
	// A value, not EXISTS, which may be planned as one pass over all that came late.
	q.add(") AS v WHERE (SELECT d.id FROM deliveries d WHERE d.late = 1 AND d.message_id = v.column3 AND d.endpoint_id = v.column4 LIMIT 1) IS NULL RETURNING id")
	return q
}

// CountDue counts up to limit of an endpoint's pending deliveries that are due,
// whoever has them: what stands before one that becomes due now.
func (s *Store) CountDue(ctx context.Context, endpoint hook.Key, now time.Time, limit int) (n int, err error) {
	if err := s.read.QueryRowContext(ctx, sqlCountDue, endpoint, ms(now), limit).Scan(&n); err != nil {
		return 0, fmt.Errorf("count due deliveries: %w", err)
	}
	return min(n, limit), nil
}

// sqlCountDue looks at each holder by itself: within one, what is due is a range of
// the index, however many wait for later.
const sqlCountDue = `SELECT CAST(coalesce(sum((SELECT count(*) FROM (SELECT 1 FROM deliveries
		WHERE state = 1 AND endpoint_id = ?1 AND holder = h.id AND next_at <= ?2 LIMIT ?3) AS due)), 0) AS BIGINT)
	FROM (SELECT 0 AS id UNION ALL SELECT id FROM incarnations) AS h`
