package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// dedupeTable has the newest keys. What is packed leaves it, so that it stays small.
var dedupeTable = hashTable{kind: 1, name: "dedupe", key: "message_id", window: hook.DedupeWindow, moves: true}

const dayLength = 24 * time.Hour

// forgetStep bounds one transaction of ForgetDedupe.
const forgetStep = 5000

// ForgetDedupe deletes dedupe keys that left the window before now, in small
// steps between other writes. It says how many it deleted. Those that are in runs are not
// counted: the packer deletes a run when all of it is out of the window.
func (s *Store) ForgetDedupe(ctx context.Context, now time.Time) (int64, error) {
	var total int64
	for {
		var n int64
		err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			const q = `DELETE FROM dedupe WHERE message_id IN (SELECT message_id FROM dedupe WHERE message_id < ? ORDER BY message_id LIMIT ?)`
			res, err := tx.ExecContext(ctx, q, hook.KeyAt(s.keyTime(now).Add(-hook.DedupeWindow)), forgetStep)
			if err != nil {
				return err
			}
			n, err = res.RowsAffected()
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
		if n < forgetStep {
			return total, nil
		}
	}
}
