package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// wantsAttempt decides. What the index and SQL leave out before is only to save work.
func wantsAttempt(q *hook.AttemptQuery, f *messageFilter, r *hook.AttemptRow) bool {
	return (q.Endpoint == 0 || r.Endpoint == q.Endpoint) && (q.Message == 0 || r.Message == q.Message) &&
		(q.Delivered == nil || *q.Delivered == (r.Outcome == hook.OutcomeDelivered)) &&
		(q.Class < 0 || q.Class == statusClass(r.Status)) &&
		r.Of != nil && f.matches(r.Of)
}

// ListAttempts lists attempts in the order of their keys: of one endpoint, of
// one message, or of both; the error has hook.CodeInvalid when neither is
// named. next and the bounds of a call are as in ListMessagesOf, with the keys of
// attempts; of a message all attempts are looked at, and that many exist is
// bounded by its endpoints and their schedules. Attempts whose message was deleted are left out.
func (s *Store) ListAttempts(ctx context.Context, q hook.AttemptQuery) (list []hook.AttemptRow, next hook.Key, err error) {
	if q.Endpoint == 0 && q.Message == 0 {
		return nil, 0, hook.Errorf(hook.CodeInvalid, "neither an endpoint nor a message was named; name one of them")
	}
	f := newMessageFilter(q.Types, q.Channel, q.Tag)
	err = s.view(ctx, func(tx *sql.Tx) error {
		if q.Message != 0 {
			list, next, err = attemptsOfMessage(ctx, tx, &q, &f)
		} else {
			list, next, err = attemptsOfEndpoint(ctx, tx, &q, &f)
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list attempts: %w", err)
	}
	return list, next, nil
}

func attemptsOfEndpoint(ctx context.Context, tx *sql.Tx, q *hook.AttemptQuery, f *messageFilter) (list []hook.AttemptRow, next hook.Key, err error) {
	old, tail, err := bounds(ctx, tx, spanOf(q.Range, q.Page), indexedAttempts, sqlOldestAttempt)
	if err != nil {
		return nil, 0, err
	}
	w := newWalk(tx, q.Page.Ascending, attemptLegs(q, f, old, tail)...)
	key := func(r *hook.AttemptRow) hook.Key { return r.ID }
	return collect(ctx, w, q.Page.Limit, 0, key, func(keys []hook.Key) ([]hook.AttemptRow, hook.Key, error) {
		rows, err := fetchAttempts(ctx, tx, keys)
		return slices.DeleteFunc(rows, func(r hook.AttemptRow) bool { return !wantsAttempt(q, f, &r) }), 0, err
	})
}

func attemptLegs(q *hook.AttemptQuery, f *messageFilter, old, tail span) []leg {
	indexed := leg{span: old, from: fromPostings(q.Endpoint, attemptTerms(q)...), most: postingsLooked}
	fresh := leg{span: tail, from: []query{{text: "SELECT id, delivery_id, outcome, status FROM attempts WHERE true"}}, most: tailJoined}
	fresh.keep.add("CROSS JOIN deliveries d ON d.id = c.delivery_id ")
	if !f.empty() {
		indexed.most, fresh.most = rowsLooked, tailJoined/2 // two rows are looked at for each
		indexed.keep.add("CROSS JOIN attempts a ON a.id = c.id CROSS JOIN deliveries d ON d.id = a.delivery_id CROSS JOIN messages m ON m.id = d.message_id WHERE true")
		f.where(&indexed.keep, "m")
		fresh.keep.add("CROSS JOIN messages m ON m.id = d.message_id ")
	}
	fresh.keep.add("WHERE d.endpoint_id = ?", q.Endpoint)
	f.where(&fresh.keep, "m")
	if q.Delivered != nil {
		fresh.keep.add(" AND CASE WHEN c.outcome = ? THEN 1 ELSE 0 END = ?", hook.OutcomeDelivered, *q.Delivered)
	}
	switch {
	case q.Class < 0:
	case q.Class == 0:
		fresh.keep.add(" AND c.status < 100")
	case q.Class == 500:
		fresh.keep.add(" AND c.status >= 500")
	default:
		fresh.keep.add(" AND c.status >= ? AND c.status < ?", q.Class, q.Class+100)
	}
	return []leg{indexed, fresh}
}

// attemptsOfMessage follows the chains of a message's deliveries.
func attemptsOfMessage(ctx context.Context, tx *sql.Tx, q *hook.AttemptQuery, f *messageFilter) (list []hook.AttemptRow, next hook.Key, err error) {
	of, err := fetchMessages(ctx, tx, []hook.Key{q.Message}, false)
	if err != nil || len(of) == 0 || !f.matches(&of[0]) {
		return nil, 0, err
	}
	m := &of[0]
	chains, err := queryKeys(ctx, tx, sqlChains, m.ID, m.ID+hook.Key(m.Fanout), q.Endpoint, q.Endpoint, m.ID, q.Endpoint, q.Endpoint)
	if err != nil {
		return nil, 0, err
	}
	within := spanOf(q.Range, q.Page)
	for len(chains) > 0 { // each round is the next link of every chain
		links, err := scanAttempts(ctx, tx, chains)
		if err != nil {
			return nil, 0, err
		}
		chains = chains[:0]
		for _, a := range links {
			if a.Previous != 0 {
				chains = append(chains, a.Previous)
			}
			r := hook.AttemptRow{Attempt: a, Of: m}
			if a.ID > within.low && a.ID < within.high && wantsAttempt(q, f, &r) {
				list = append(list, r)
			}
		}
	}
	slices.SortFunc(list, func(a, b hook.AttemptRow) int {
		if q.Page.Ascending {
			return cmp.Compare(a.ID, b.ID)
		}
		return cmp.Compare(b.ID, a.ID)
	})
	if limit := max(1, q.Page.Limit); len(list) > limit {
		return list[:limit], list[limit-1].ID, nil
	}
	return list, 0, nil
}

// sqlChains gives the newest attempt of each delivery of a message, or of its
// deliveries to one endpoint.
const sqlChains = `SELECT last_attempt FROM deliveries WHERE id > ? AND id <= ? AND (CAST(? AS BIGINT) = 0 OR endpoint_id = ?) AND last_attempt <> 0
	UNION ALL SELECT last_attempt FROM deliveries WHERE late = 1 AND message_id = ? AND (CAST(? AS BIGINT) = 0 OR endpoint_id = ?) AND last_attempt <> 0`

const sqlAttempts = `SELECT a.id, a.delivery_id, d.message_id, d.endpoint_id, a.previous, a.number, a.trigger, a.at, a.duration, a.outcome, a.status, a.response,
	coalesce(a.reason, '') FROM attempts a CROSS JOIN deliveries d ON d.id = a.delivery_id WHERE `

// scanAttempts reads attempts in any order, without those that are gone or
// whose delivery is.
func scanAttempts(ctx context.Context, tx *sql.Tx, keys []hook.Key) (list []hook.Attempt, err error) {
	rows, err := tx.QueryContext(ctx, sqlAttempts+anyOf("a.id", len(keys)), anys(keys)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a hook.Attempt
		var at, duration int64
		err := rows.Scan(&a.ID, &a.Delivery, &a.Message, &a.Endpoint, &a.Previous, &a.Number, &a.Trigger, &at, &duration, &a.Outcome, &a.Status, &a.Response, &a.Reason)
		if err != nil {
			return nil, err
		}
		a.At, a.Duration = fromMS(at), time.Duration(duration)*time.Microsecond
		list = append(list, a)
	}
	return list, rows.Err()
}

// fetchAttempts reads attempts with their messages in the order of keys.
func fetchAttempts(ctx context.Context, tx *sql.Tx, keys []hook.Key) ([]hook.AttemptRow, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	attempts, err := scanAttempts(ctx, tx, keys)
	if err != nil {
		return nil, err
	}
	found := make(map[hook.Key]hook.Attempt, len(attempts))
	var messages []hook.Key
	for _, a := range attempts {
		found[a.ID] = a
		messages = append(messages, a.Message)
	}
	of, err := messagesByKey(ctx, tx, messages, false)
	if err != nil {
		return nil, err
	}
	list := make([]hook.AttemptRow, 0, len(found))
	for _, k := range keys {
		if a, ok := found[k]; ok {
			list = append(list, hook.AttemptRow{Attempt: a, Of: of[a.Message]})
		}
	}
	return list, nil
}

// Attempt reads one attempt and its delivery. The error has hook.CodeNotFound
// when there is no such attempt.
func (s *Store) Attempt(ctx context.Context, k hook.Key) (a hook.Attempt, d hook.Delivery, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		list, err := scanAttempts(ctx, tx, []hook.Key{k})
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return sql.ErrNoRows
		}
		a = list[0]
		d, err = scanDelivery(tx.QueryRowContext(ctx, sqlDeliveries+"id = ?", a.Delivery))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return a, d, hook.Errorf(hook.CodeNotFound, "there is no attempt %s", s.ids.Public(hook.KindAttempt, k))
	}
	if err != nil {
		return a, d, fmt.Errorf("read attempt: %w", err)
	}
	return a, d, nil
}
