package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/sigpost/sigpost/internal/hook"
)

// ListDeliveries lists the deliveries of one endpoint, with their messages, in
// the order of delivery keys. That is the order of their messages, but for
// deliveries that were made later than with their message. q.Range is about
// when deliveries were made. next and the bounds of a call are as in
// ListMessagesOf, with the keys of deliveries. Deliveries whose message was
// deleted are left out.
func (s *Store) ListDeliveries(ctx context.Context, q hook.DeliveryQuery) (list []hook.DeliveryRow, next hook.Key, err error) {
	f := newMessageFilter(q.Types, q.Channel, q.Tag)
	err = s.view(ctx, func(tx *sql.Tx) error {
		old, tail, err := bounds(ctx, tx, spanOf(q.Range, q.Page), indexedDeliveries, sqlOldestDelivery)
		if err != nil {
			return err
		}
		few, err := fewPending(ctx, tx, q.Endpoint, q.States)
		if err != nil {
			return err
		}
		w := newWalk(tx, q.Page.Ascending, deliveryLegs(&q, &f, few, old, tail)...)
		key := func(r *hook.DeliveryRow) hook.Key { return r.ID }
		list, next, err = collect(ctx, w, q.Page.Limit, 0, key, func(keys []hook.Key) ([]hook.DeliveryRow, hook.Key, error) {
			rows, err := fetchDeliveries(ctx, tx, keys, q.Bodies)
			return slices.DeleteFunc(rows, func(r hook.DeliveryRow) bool {
				return r.Endpoint != q.Endpoint || r.Of == nil || !f.matches(r.Of) || len(q.States) > 0 && !slices.Contains(q.States, r.State)
			}), 0, err
		})
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list deliveries: %w", err)
	}
	return list, next, nil
}

// pendingSorted is how many pending deliveries are put in order by key when
// only they are asked for, or they and other states that are few: their own
// index has them in the order in which they are due. With more of them pending,
// walking over all deliveries finds them soon enough.
const pendingSorted = 2000

// fewPending says whether those that are pending, and those that wait for their turn, are
// to be found by their indexes.
func fewPending(ctx context.Context, tx *sql.Tx, endpoint hook.Key, states []hook.DeliveryState) (bool, error) {
	all := 0
	for state, q := range map[hook.DeliveryState]string{hook.Pending: sqlCountSomePending, hook.Waiting: sqlCountSomeWaiting} {
		if !slices.Contains(states, state) {
			continue
		}
		var n int
		if err := tx.QueryRowContext(ctx, q, endpoint, pendingSorted+1).Scan(&n); err != nil {
			return false, err
		}
		all += n
	}
	return all <= pendingSorted, nil
}

const (
	sqlCountSomePending = "SELECT count(*) FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_pending WHERE state = 1 AND endpoint_id = ? LIMIT ?) AS few"
	sqlCountSomeWaiting = "SELECT count(*) FROM (SELECT 1 FROM turns WHERE endpoint_id = ? LIMIT ?) AS few"
)

// fromStates are the queries of deliveries in states that have indexes of their
// own, which are up to date with every commit; ok is false when a state has none.
func fromStates(endpoint hook.Key, states []hook.DeliveryState, fewPending bool) (list []query, ok bool) {
	for _, s := range states {
		var text string
		switch {
		case s == hook.Pending && fewPending:
			text = "SELECT id, message_id FROM deliveries INDEXED BY deliveries_pending WHERE state = 1 AND endpoint_id = ?"
		case s == hook.Waiting && fewPending:
			text = "SELECT id, message_id FROM turns WHERE endpoint_id = ?"
		case s == hook.Failed:
			text = "SELECT id, message_id FROM deliveries INDEXED BY deliveries_failed WHERE state = 2 AND endpoint_id = ?"
		case s == hook.Canceled:
			text = "SELECT id, message_id FROM deliveries INDEXED BY deliveries_canceled WHERE state = 4 AND endpoint_id = ?"
		case s == hook.Held:
			text = "SELECT id, message_id FROM deliveries INDEXED BY deliveries_held WHERE state = 5 AND endpoint_id = ?"
		default:
			return nil, false
		}
		list = append(list, query{text, []any{endpoint}})
	}
	return list, len(list) > 0
}

func deliveryLegs(q *hook.DeliveryQuery, f *messageFilter, fewPending bool, old, tail span) []leg {
	states := slices.Clone(q.States)
	slices.Sort(states)
	states = slices.Compact(states)
	if from, ok := fromStates(q.Endpoint, states, fewPending); ok {
		l := leg{span: span{min(old.low, tail.low), max(old.high, tail.high)}, from: from, most: rowsLooked}
		if !f.empty() {
			l.keep.add("CROSS JOIN messages m ON m.id = c.message_id WHERE true")
			f.where(&l.keep, "m")
		}
		return []leg{l}
	}
	indexed := leg{span: old, from: fromPostings(q.Endpoint, term(termDelivery)), most: postingsLooked}
	fresh := leg{span: tail, from: []query{{text: "SELECT id, message_id, endpoint_id, state FROM deliveries WHERE true"}}, most: tailRows}
	if !f.empty() || len(states) > 0 {
		indexed.most = rowsLooked
		indexed.keep.add("CROSS JOIN deliveries d ON d.id = c.id ")
	}
	if !f.empty() {
		fresh.most = tailJoined
		indexed.keep.add("CROSS JOIN messages m ON m.id = d.message_id ")
		fresh.keep.add("CROSS JOIN messages m ON m.id = c.message_id ")
	}
	indexed.keep.add("WHERE true")
	fresh.keep.add("WHERE c.endpoint_id = ?", q.Endpoint)
	if len(states) > 0 {
		indexed.keep.add(" AND "+anyOf("d.state", len(states)), anys(states)...)
		fresh.keep.add(" AND "+anyOf("c.state", len(states)), anys(states)...)
	}
	f.where(&indexed.keep, "m")
	f.where(&fresh.keep, "m")
	return []leg{indexed, fresh}
}

// fetchDeliveries reads deliveries with their messages in the order of keys.
// Those that are gone are left out; Of is nil where the message is gone.
func fetchDeliveries(ctx context.Context, tx *sql.Tx, keys []hook.Key, bodies bool) ([]hook.DeliveryRow, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	rows, err := tx.QueryContext(ctx, sqlDeliveries+anyOf("id", len(keys)), anys(keys)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[hook.Key]hook.Delivery, len(keys))
	var messages []hook.Key
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, err
		}
		found[d.ID] = d
		messages = append(messages, d.Message)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	of, err := messagesByKey(ctx, tx, messages, bodies)
	if err != nil {
		return nil, err
	}
	list := make([]hook.DeliveryRow, 0, len(found))
	for _, k := range keys {
		if d, ok := found[k]; ok {
			list = append(list, hook.DeliveryRow{Delivery: d, Of: of[d.Message]})
		}
	}
	return list, nil
}

const sqlDeliveries = "SELECT " + deliveryColumns + " FROM deliveries WHERE "

// messagesByKey reads each of the messages once.
func messagesByKey(ctx context.Context, tx *sql.Tx, keys []hook.Key, bodies bool) (map[hook.Key]*hook.Message, error) {
	slices.Sort(keys)
	list, err := fetchMessages(ctx, tx, slices.Compact(keys), bodies)
	found := make(map[hook.Key]*hook.Message, len(list))
	for i := range list {
		found[list[i].ID] = &list[i]
	}
	return found, err
}
