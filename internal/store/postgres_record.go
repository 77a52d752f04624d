package store

import (
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// settledBatch is what sqlSettle takes: one row a record.
type settledBatch struct {
	records map[int64]*hook.Record // by delivery

	id, holder, next, last                 []int64
	state, attempts, failures, poison      []int32
	counted                                []int32
	minute                                 int64 // in which it is counted
	node                                   int32
	attempt, org, previous, at, took, term []int64
	number, trigger, status                []int32
	outcome, reason                        []string
	response                               [][]byte
}

// gatherSettled makes columns of what came of attempts. A delivery that is there
// more than once is in a round of its own each time, as a statement changes a row
// only once.
func gatherSettled(w *writer, batch []*write, now time.Time) (rounds []*settledBatch) {
	for _, records := range recordRounds(batch) {
		b := &settledBatch{records: make(map[int64]*hook.Record, len(records)), minute: minuteOf(now), node: w.pg.store.node()}
		for _, r := range records {
			b.add(w, r, now)
		}
		rounds = append(rounds, b)
	}
	return rounds
}

func (b *settledBatch) add(w *writer, r *hook.Record, now time.Time) {
	r.Refused, r.Next = true, nil // until the answer names it
	d := &r.Delivery
	b.records[int64(d.ID)] = r
	attempts, failures, last := d.Attempts, d.Failures, d.LastAttempt
	a := hook.Attempt{}
	if r.Attempt != nil {
		a = *r.Attempt
		attempts = a.Number
		if a.Outcome != hook.OutcomeDelivered {
			failures++
		}
		last = w.key(now, 1)
		a.ID = last
	}
	b.id, b.holder = append(b.id, int64(d.ID)), append(b.holder, int64(d.Holder))
	b.state, b.next, b.last = append(b.state, int32(r.State)), append(b.next, ms(r.NextAt)), append(b.last, int64(last))
	b.poison, b.counted = append(b.poison, int32(r.Poison)), append(b.counted, int32(countedAs(r)))
	b.attempts, b.failures = append(b.attempts, int32(attempts)), append(b.failures, int32(failures))
	b.attempt, b.org, b.previous = append(b.attempt, int64(a.ID)), append(b.org, int64(d.Org)), append(b.previous, int64(d.LastAttempt))
	b.number, b.trigger, b.status = append(b.number, int32(a.Number)), append(b.trigger, int32(a.Trigger)), append(b.status, int32(a.Status))
	b.at, b.took = append(b.at, ms(a.At)), append(b.took, a.Duration.Microseconds())
	b.outcome, b.reason = append(b.outcome, string(a.Outcome)), append(b.reason, a.Reason)
	response := a.Response
	if len(response) == 0 {
		response = nil
	}
	b.response = append(b.response, response)
	b.term = append(b.term, attemptTerm(a.Outcome == hook.OutcomeDelivered, statusClass(a.Status)))
}

func (b *settledBatch) queue(pipe *pgx.Batch) {
	pipe.Queue(sqlSettle, b.id, b.holder, b.state, b.attempts, b.failures, b.next, b.last, b.attempt, b.org, b.previous, b.number, b.trigger, b.at, b.took,
		b.outcome, b.status, b.response, b.reason, b.term, b.poison, slices.Min(b.id), slices.Max(b.id), b.counted, b.minute, b.node).Query(b.read)
}

// read takes in which records were written; all others were refused.
func (b *settledBatch) read(rows pgx.Rows) error {
	for rows.Next() {
		var id, last int64
		if err := rows.Scan(&id, &last); err != nil {
			return err
		}
		r := b.records[id]
		r.Refused = false
		if r.Attempt != nil {
			r.Attempt.ID = hook.Key(last)
		}
	}
	return rows.Err()
}
