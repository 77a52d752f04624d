package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sigpost/sigpost/internal/hook"
)

// EndpointStats counts the deliveries of an endpoint that were made within r
// by their state, as of one instant. States without any are left out. What is
// delivered is what is left of all when those in the other states are counted,
// for only they have indexes of their own: the cost is that of counting postings.
func (s *Store) EndpointStats(ctx context.Context, endpoint hook.Key, r hook.Range) (counts hook.DeliveryCount, err error) {
	counts = hook.DeliveryCount{}
	err = s.view(ctx, func(tx *sql.Tx) error {
		delivered, err := countDeliveries(ctx, tx, endpoint, r)
		if err != nil {
			return err
		}
		of := spanOf(r, hook.Page{})
		for state, q := range stateCounts() {
			var n int64
			if err := tx.QueryRowContext(ctx, q, endpoint, of.low, of.high).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				counts[state] = n
			}
			delivered -= n
		}
		if delivered > 0 {
			counts[hook.Delivered] = delivered
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count deliveries by state: %w", err)
	}
	return counts, nil
}

func stateCounts() map[hook.DeliveryState]string {
	return map[hook.DeliveryState]string{
		hook.Pending:  "SELECT count(*) FROM deliveries INDEXED BY deliveries_pending WHERE state = 1 AND endpoint_id = ? AND id > ? AND id < ?",
		hook.Waiting:  "SELECT count(*) FROM turns WHERE endpoint_id = ? AND id > ? AND id < ?",
		hook.Failed:   "SELECT count(*) FROM deliveries INDEXED BY deliveries_failed WHERE state = 2 AND endpoint_id = ? AND id > ? AND id < ?",
		hook.Canceled: "SELECT count(*) FROM deliveries INDEXED BY deliveries_canceled WHERE state = 4 AND endpoint_id = ? AND id > ? AND id < ?",
		hook.Held:     "SELECT count(*) FROM deliveries INDEXED BY deliveries_held WHERE state = 5 AND endpoint_id = ? AND id > ? AND id < ?",
	}
}

// CountMessages counts the messages of an application that were made within r.
func (s *Store) CountMessages(ctx context.Context, app hook.Key, r hook.Range) (n int64, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		old, tail, err := bounds(ctx, tx, spanOf(r, hook.Page{}), indexedMessages, sqlOldestMessage)
		if err != nil {
			return err
		}
		n, err = countBoth(ctx, tx, old, tail, sqlCountNewMessages, app, term(termAll))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count messages: %w", err)
	}
	return n, nil
}

// CountDeliveries counts the deliveries of an endpoint that were made within r.
func (s *Store) CountDeliveries(ctx context.Context, endpoint hook.Key, r hook.Range) (n int64, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		n, err = countDeliveries(ctx, tx, endpoint, r)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count deliveries: %w", err)
	}
	return n, nil
}

func countDeliveries(ctx context.Context, tx *sql.Tx, endpoint hook.Key, r hook.Range) (int64, error) {
	old, tail, err := bounds(ctx, tx, spanOf(r, hook.Page{}), indexedDeliveries, sqlOldestDelivery)
	if err != nil {
		return 0, err
	}
	return countBoth(ctx, tx, old, tail, sqlCountNewDeliveries, endpoint, term(termDelivery))
}

// countBoth adds up what the index has and what came after it.
func countBoth(ctx context.Context, tx *sql.Tx, old, tail span, fresh string, owner hook.Key, term int64) (int64, error) {
	var indexed, rest int64
	if err := tx.QueryRowContext(ctx, sqlCountPostings, owner, term, old.low, old.high).Scan(&indexed); err != nil {
		return 0, err
	}
	err := tx.QueryRowContext(ctx, fresh, owner, tail.low, tail.high).Scan(&rest)
	return indexed + rest, err
}

const (
	sqlCountPostings      = "SELECT count(*) FROM postings WHERE owner_id = ? AND term = ? AND id > ? AND id < ?"
	sqlCountNewMessages   = "SELECT count(*) FROM messages WHERE app_id = ? AND id > ? AND id < ?"
	sqlCountNewDeliveries = "SELECT count(*) FROM deliveries WHERE endpoint_id = ? AND id > ? AND id < ?"
)
