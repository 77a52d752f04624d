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
	minute int64 // in which it is counted
	node   int32

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
	at := w.keyTime(now)
	b := &eventBatch{oldest: hook.KeyAt(at.Add(-hook.DedupeWindow)), known: map[hook.Hash]int32{}, minute: minuteOf(now), node: w.pg.store.node()}
	b.keys.oldest = hook.KeyAt(at.Add(-hook.IdempotencyWindow))
	for _, u := range batch {
		if u.append == nil {
			continue
		}
		n := int32(len(b.units))
		b.units = append(b.units, u)
		a := u.append
		a.Repeated, a.Duplicate = false, false
		a.Message.ID = w.key(now, 1+len(a.Deliveries))
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
		p.n, p.owner, p.term, p.id, p.ofMessage, b.final, d.lane, b.minute, b.node).Query(b.read)
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
