package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sigpost/sigpost/internal/hook"
)

// Cancel ends a delivery of an application that is pending, held or waits for its turn. The error
// has CodeNotFound when the application has no such delivery, and CodeConflict
// when it is over already, or a process that lives has it in memory: an attempt may
// be under way.
func (s *Store) Cancel(ctx context.Context, app, delivery hook.Key) error {
	return s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		rows, err := tx.QueryContext(ctx, "SELECT "+deliveryColumns+" FROM deliveries WHERE id = ? AND EXISTS (SELECT 1 FROM messages m WHERE m.id = message_id AND m.app_id = ?)", delivery, app)
		if err != nil {
			return err
		}
		defer rows.Close()
		if !rows.Next() {
			if err := rows.Err(); err != nil {
				return err
			}
			return s.missing("delivery", hook.KindDelivery, delivery)
		}
		d, err := scanDelivery(rows)
		if err != nil {
			return err
		}
		rows.Close()
		held, args := s.held()
		busy, err := exists(ctx, tx, "SELECT 1 FROM deliveries WHERE id = ? AND state = 1 AND "+held, append([]any{delivery}, args...)...)
		if err != nil {
			return err
		}
		id := s.ids.Public(hook.KindDelivery, delivery)
		switch {
		case d.State != hook.Pending && d.State != hook.Held && d.State != hook.Waiting:
			return hook.Errorf(hook.CodeConflict, "delivery %s is %s already; only what is pending or held can be canceled", id, d.State)
		case busy:
			return hook.Errorf(hook.CodeConflict, "delivery %s is about to be attempted, or just being attempted; ask again when that has ended, or pause the endpoint first", id)
		}
		var lanes []laned
		if d.Lane != 0 {
			lanes = append(lanes, laned{d.ID, d.Org, laneKey{d.Endpoint, d.Lane}})
		}
		return s.leaving(ctx, tx, lanes, func() error {
			return one(tx.ExecContext(ctx, "UPDATE deliveries SET state = 4, holder = 0 WHERE id = ? AND state = ?", delivery, int(d.State)))
		})
	})
}

// Canceled says which of some deliveries were canceled.
func (s *Store) Canceled(ctx context.Context, keys []hook.Key) (map[hook.Key]bool, error) {
	canceled := make(map[hook.Key]bool)
	if len(keys) == 0 {
		return canceled, nil
	}
	found, err := queryKeys(ctx, s.read, "SELECT id FROM deliveries WHERE state = 4 AND "+anyOf("id", len(keys)), anys(keys)...)
	if err != nil {
		return nil, fmt.Errorf("read canceled deliveries: %w", err)
	}
	for _, k := range found {
		canceled[k] = true
	}
	return canceled, nil
}
