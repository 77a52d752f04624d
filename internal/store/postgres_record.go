package store

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// settledBatch is what sqlSettle takes: one row a record.
type settledBatch struct {
	records map[int64]*hook.Record // by delivery

	id, holder, next, last                 []int64
	state, attempts, failures, poison      []int32
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
		b := &settledBatch{records: make(map[int64]*hook.Record, len(records))}
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
		last = w.keys.Take(now, 1)
		a.ID = last
	}
	b.id, b.holder = append(b.id, int64(d.ID)), append(b.holder, int64(d.Holder))
	b.state, b.next, b.last = append(b.state, int32(r.State)), append(b.next, ms(r.NextAt)), append(b.last, int64(last))
	b.poison = append(b.poison, int32(r.Poison))
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
		b.outcome, b.status, b.response, b.reason, b.term, b.poison).Query(b.read)
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

// sqlSettle writes what came of attempts and gives the deliveries of which it did:
// those that are pending and still of the holder that is named. The list of keys
// says again what the join says: it leaves partitions out of the plan, and however the
// rows are joined, these are looked up and no others. (+ 0 keeps the planner from
// the index of all that is pending, which looks small while there are no statistics.)
const sqlSettle = `WITH r AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::bigint[], $7::bigint[], $8::bigint[],
		$9::bigint[], $10::bigint[], $11::integer[], $12::integer[], $13::bigint[], $14::bigint[], $15::text[], $16::integer[], $17::bytea[], $18::text[], $19::bigint[], $20::integer[])
	AS r (id, holder, state, attempts, failures, next_at, last_attempt, attempt, org_id, previous, number, trigger, at, duration, outcome, status, response, reason, term, poison)),
settled AS (UPDATE deliveries d SET state = r.state, attempts = r.attempts, failures = r.failures, next_at = r.next_at, holder = 0, last_attempt = r.last_attempt, trigger = 0,
		poison = greatest(d.poison, r.poison), lane = CASE WHEN r.poison = 2 THEN 0 ELSE d.lane END
	FROM r WHERE d.id = r.id AND d.holder = r.holder AND d.state + 0 = 1 AND d.id = ANY ($1::bigint[]) RETURNING d.id, d.endpoint_id, d.last_attempt),
attempt AS (INSERT INTO attempts (id, org_id, delivery_id, previous, number, trigger, at, duration, outcome, status, response, reason)
	SELECT r.attempt, r.org_id, r.id, r.previous, r.number, r.trigger, r.at, r.duration, r.outcome, r.status, r.response, nullif(r.reason, '')
	FROM r JOIN settled s ON s.id = r.id WHERE r.attempt <> 0),
posting AS (INSERT INTO postings (owner_id, term, id)
	SELECT s.endpoint_id, r.term, r.attempt FROM r JOIN settled s ON s.id = r.id WHERE r.attempt <> 0)
SELECT id, last_attempt FROM settled`
