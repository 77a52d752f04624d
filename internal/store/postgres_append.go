package store

import (
	"bytes"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// eventBatch is what sqlAppend takes: columns of units, of their deliveries and of
// their postings. What belongs to a unit names it by its number.
type eventBatch struct {
	units []*write // by number
	keys  keyBatch
	// oldest is the first key within the dedupe window.
	oldest hook.Key

	n, fanout                                              []int32
	id, org, app, occurred, rank, received, size, expires  []int64
	kind, event, family, subjects, headers, channels, tags []string
	hash, body                                             [][]byte
	twin, redeliver, final                                 []bool

	deliveries deliveryColumnsOf
	postings   postingColumnsOf
	known      map[hook.Hash]int32 // the first unit of the batch with a hash
}

type deliveryColumnsOf struct {
	n, state, attempts, failures                       []int32
	id, org, endpoint, next, since, holder, last, lane []int64
}

type postingColumnsOf struct {
	n               []int32
	owner, term, id []int64
	ofMessage       []bool
}

// gatherEvents gives the events of a batch their keys and makes columns of them.
func gatherEvents(w *writer, batch []*write, now time.Time) *eventBatch {
	b := &eventBatch{oldest: hook.KeyAt(now.Add(-hook.DedupeWindow)), known: map[hook.Hash]int32{}}
	b.keys.oldest = hook.KeyAt(now.Add(-hook.IdempotencyWindow))
	for _, u := range batch {
		if u.append == nil {
			continue
		}
		n := int32(len(b.units))
		b.units = append(b.units, u)
		a := u.append
		a.Repeated, a.Duplicate = false, false
		a.Message.ID = w.keys.Take(now, 1+len(a.Deliveries))
		a.Message.Fanout, a.Message.Size = len(a.Deliveries), len(a.Message.Body)
		if a.Idempotency != nil {
			b.keys.add(w, n, a, now)
		}
	}
	return b
}

// queue adds the statement, without the units that were found to be repeated.
func (b *eventBatch) queue(pipe *pgx.Batch) {
	for n, u := range b.units {
		if u.err == nil && !u.append.Repeated {
			b.add(int32(n), u)
		}
	}
	if len(b.n) == 0 {
		return
	}
	d, p := &b.deliveries, &b.postings
	pipe.Queue(sqlAppend, b.n, b.id, b.org, b.app, b.kind, b.event, b.family, b.subjects, b.occurred, b.rank, b.received, b.headers, b.size, b.fanout,
		b.channels, b.tags, b.expires, b.hash, b.twin, b.redeliver, int64(b.oldest), b.body,
		d.n, d.id, d.org, d.endpoint, d.state, d.attempts, d.failures, d.next, d.since, d.holder, d.last,
		p.n, p.owner, p.term, p.id, p.ofMessage, b.final, d.lane).Query(b.read)
}

// read takes in which units were known: all others are new.
func (b *eventBatch) read(rows pgx.Rows) error {
	for rows.Next() {
		var n int32
		var first int64
		if err := rows.Scan(&n, &first); err != nil {
			return err
		}
		a := b.units[n].append
		a.Duplicate, a.Message.ID = true, hook.Key(first)
		for i := range a.Deliveries {
			a.Deliveries[i].Message, a.Deliveries[i].Trigger = hook.Key(first), hook.Duplicate
		}
	}
	return rows.Err()
}

func (b *eventBatch) add(n int32, u *write) {
	a, m := u.append, &u.append.Message
	b.n, b.fanout = append(b.n, n), append(b.fanout, int32(m.Fanout))
	b.id, b.org, b.app = append(b.id, int64(m.ID)), append(b.org, int64(m.Org)), append(b.app, int64(m.App))
	b.kind, b.event, b.family = append(b.kind, m.Type), append(b.event, m.Event.ID), append(b.family, m.Family)
	b.subjects, b.headers = append(b.subjects, u.subjects), append(b.headers, u.headers)
	b.channels, b.tags = append(b.channels, u.channels), append(b.tags, u.tags)
	b.occurred, b.received, b.expires = append(b.occurred, ms(m.OccurredAt)), append(b.received, ms(m.ReceivedAt)), append(b.expires, ms(m.ExpiresAt))
	b.rank, b.size = append(b.rank, int64(m.Rank)), append(b.size, int64(m.Size))
	b.body = append(b.body, blob(m.Body))
	b.redeliver, b.final = append(b.redeliver, a.Redeliver), append(b.final, m.Final)
	b.addHash(n, a.Hash)
	b.addPostings(n, m)
	delivered := term(termDelivery)
	for i := range a.Deliveries {
		x := &a.Deliveries[i]
		x.ID, x.Message, x.Trigger = m.ID+1+hook.Key(i), m.ID, hook.Scheduled
		d := &b.deliveries
		d.n, d.state = append(d.n, n), append(d.state, int32(x.State))
		d.attempts, d.failures = append(d.attempts, int32(x.Attempts)), append(d.failures, int32(x.Failures))
		d.id, d.org, d.endpoint = append(d.id, int64(x.ID)), append(d.org, int64(x.Org)), append(d.endpoint, int64(x.Endpoint))
		d.next, d.since = append(d.next, ms(x.NextAt)), append(d.since, ms(x.Since))
		d.holder, d.last = append(d.holder, int64(x.Holder)), append(d.last, int64(x.LastAttempt))
		d.lane = append(d.lane, x.Lane)
		b.postings.add(n, posting{x.Endpoint, delivered, x.ID}, false)
	}
}

// addHash notes which unit is the first of the batch with its hash: the statement
// takes each hash once.
func (b *eventBatch) addHash(n int32, hash hook.Hash) {
	if hash == (hook.Hash{}) {
		b.hash, b.twin = append(b.hash, nil), append(b.twin, false)
		return
	}
	_, twin := b.known[hash]
	if !twin {
		b.known[hash] = n
	}
	b.hash, b.twin = append(b.hash, bytes.Clone(hash[:])), append(b.twin, twin)
}

func (b *eventBatch) addPostings(n int32, m *hook.Message) {
	list := messagePostings(nil, m)
	slices.SortFunc(list, comparePostings)
	for _, p := range slices.Compact(list) {
		b.postings.add(n, p, true)
	}
}

func (c *postingColumnsOf) add(n int32, p posting, ofMessage bool) {
	c.n, c.ofMessage = append(c.n, n), append(c.ofMessage, ofMessage)
	c.owner, c.term, c.id = append(c.owner, int64(p.owner)), append(c.term, p.term), append(c.id, int64(p.id))
}

// sqlAppend keeps a batch of events and gives those that were known, with the first
// of their messages.
//
// claimed takes the dedupe hashes. A hash that is there stays with its message
// while that is within the window; the row is locked all the same, so of equal
// events at once on several nodes the later ones wait here and find the first. Hashes
// are taken in their order, so that two nodes do not wait for each other
// crosswise. A twin is not the first in this batch with its hash.
const sqlAppend = `WITH u AS (SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
		$9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::bigint[], $14::integer[], $15::text[], $16::text[], $17::bigint[], $18::bytea[],
		$19::boolean[], $20::boolean[], $39::boolean[])
	AS u (n, id, org_id, app_id, event_type, event_id, family, subjects, occurred_at, rank, received_at, headers, size, fanout, channels, tags, expires_at,
		hash, twin, redeliver, final)),
claimed AS (INSERT INTO dedupe AS o (hash, message_id, org_id) SELECT hash, id, org_id FROM u WHERE hash IS NOT NULL AND NOT twin ORDER BY hash
	ON CONFLICT (hash) DO UPDATE SET message_id = CASE WHEN o.message_id < $21 THEN excluded.message_id ELSE o.message_id END
	RETURNING hash, message_id),
known AS (SELECT u.n, u.id, u.org_id, u.received_at, u.redeliver, coalesce(c.message_id, u.id) AS first, u.twin OR coalesce(c.message_id, u.id) <> u.id AS again
	FROM u LEFT JOIN claimed c ON c.hash = u.hash),
kept AS (INSERT INTO messages (id, org_id, app_id, event_type, event_id, family, subjects, occurred_at, rank, received_at, headers, size, fanout, channels, tags, expires_at, final)
	SELECT u.id, u.org_id, app_id, event_type, nullif(event_id, ''), nullif(family, ''), nullif(subjects, ''), nullif(occurred_at, 0), rank, u.received_at, headers, size,
		fanout, nullif(channels, ''), nullif(tags, ''), nullif(expires_at, 0), CASE WHEN final THEN 1 ELSE 0 END
	FROM u JOIN known k ON k.n = u.n WHERE NOT k.again),
body AS (INSERT INTO bodies (message_id, org_id, body)
	SELECT k.id, k.org_id, b.body FROM unnest($1::integer[], $22::bytea[]) AS b (n, body) JOIN known k ON k.n = b.n WHERE NOT k.again),
delivery AS (INSERT INTO deliveries (id, org_id, message_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, trigger, late, lane)
	SELECT d.id, d.org_id, k.first, d.endpoint_id, d.state, d.attempts, d.failures, d.next_at, d.since, d.holder, d.last_attempt,
		CASE WHEN k.again THEN 2 ELSE 0 END, CASE WHEN k.again THEN 1 ELSE 0 END, d.lane
	FROM unnest($23::integer[], $24::bigint[], $25::bigint[], $26::bigint[], $27::integer[], $28::integer[], $29::integer[], $30::bigint[], $31::bigint[],
		$32::bigint[], $33::bigint[], $40::bigint[]) AS d (n, id, org_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, lane)
	JOIN known k ON k.n = d.n WHERE k.redeliver OR NOT k.again),
posting AS (INSERT INTO postings (owner_id, term, id)
	SELECT p.owner_id, p.term, p.id FROM unnest($34::integer[], $35::bigint[], $36::bigint[], $37::bigint[], $38::boolean[]) AS p (n, owner_id, term, id, of_message)
	JOIN known k ON k.n = p.n WHERE NOT k.again OR k.redeliver AND NOT p.of_message),
counted AS (INSERT INTO duplicates (message_id, org_id, count, last_at)
	SELECT first, min(org_id), count(*), max(received_at) FROM known WHERE again GROUP BY first ORDER BY first
	ON CONFLICT (message_id) DO UPDATE SET count = duplicates.count + excluded.count, last_at = greatest(duplicates.last_at, excluded.last_at))
SELECT n, first FROM known WHERE again`

// correctKeys gives the idempotency keys of events that were known to the message
// that was the first.
func (b *eventBatch) correctKeys() *pgx.Batch {
	var pipe pgx.Batch
	for _, n := range b.keys.fresh {
		if a := b.units[n].append; a.Duplicate {
			pipe.Queue("UPDATE idempotency SET message_id = $1 WHERE hash = $2", int64(a.Message.ID), a.Idempotency.Hash[:])
		}
	}
	// Those of the batch that came again have what the first of them made.
	for n, first := range b.keys.followers {
		b.units[n].append.Message.ID = b.units[first].append.Message.ID
	}
	return &pipe
}
