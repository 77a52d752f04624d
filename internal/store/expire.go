package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// ExpireBodies deletes the payloads whose own time has come, in small steps
// between other writes, and cancels what was still to be delivered of them. It
// says how many there were.
func (s *Store) ExpireBodies(ctx context.Context, now time.Time) (int64, error) {
	var total int64
	for {
		n, err := s.expireSome(ctx, now)
		total += int64(n)
		if err != nil {
			return total, fmt.Errorf("expire payloads: %w", err)
		}
		if n < expungeStep {
			return total, nil
		}
	}
}

func (s *Store) expireSome(ctx context.Context, now time.Time) (n int, err error) {
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		const q = "SELECT id, fanout FROM messages WHERE expires_at IS NOT NULL AND expires_at <= ? LIMIT ?"
		due, err := readRows(ctx, tx, scanFanned, "messages", q, ms(now), expungeStep)
		if n = len(due); err != nil || n == 0 {
			return err
		}
		return s.securely(ctx, tx, func() error {
			if _, err := s.expunge(ctx, tx, due); err != nil {
				return err
			}
			for _, m := range due {
				if _, err := tx.ExecContext(ctx, "UPDATE messages SET expires_at = NULL WHERE id = ?", m.id); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return n, err
}

// Once says whether something is done for the first time in the life of the
// store, and notes that it was.
func (s *Store) Once(ctx context.Context, what string) (first bool, err error) {
	n, err := s.changeState(ctx, "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", "once "+what, s.fact(ms(time.Now())))
	if err != nil {
		return false, fmt.Errorf("note %s: %w", what, err)
	}
	return n == 1, nil
}
