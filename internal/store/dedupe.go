package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// seen is the memory of accepted events: hash to first message, for the dedupe
// window. It is kept a day at a time, so that forgetting is dropping a map.
// The rows of table dedupe are the truth; this is all of them.
type seen struct {
	days []day // oldest first
}

type day struct {
	number int64 // days since hook.Epoch
	first  map[hook.Hash]hook.Key
}

const dayLength = 24 * time.Hour

func dayOf(k hook.Key) int64 { return int64(k.Time().Sub(hook.Epoch) / dayLength) }

// find is the message that was first with this hash, if it is still in the
// window at now. It is exact: the same instant after a restart gives the same answer.
func (s *seen) find(hash hook.Hash, now time.Time) (hook.Key, bool) {
	oldest := hook.KeyAt(now.Add(-hook.DedupeWindow))
	for i := len(s.days) - 1; i >= 0; i-- {
		if k, ok := s.days[i].first[hash]; ok && k >= oldest {
			return k, true
		}
	}
	return 0, false
}

func (s *seen) add(hash hook.Hash, k hook.Key) {
	number := dayOf(k)
	for i := len(s.days) - 1; i >= 0; i-- {
		if s.days[i].number == number {
			s.days[i].first[hash] = k
			return
		}
	}
	s.days = append(s.days, day{number, map[hook.Hash]hook.Key{hash: k}})
	gone := number - int64(hook.DedupeWindow/dayLength) - 1
	for len(s.days) > 0 && s.days[0].number <= gone {
		s.days = s.days[1:]
	}
}

// loadSeen reads the window once, at the start.
func loadSeen(ctx context.Context, db *sql.DB, now time.Time) (*seen, error) {
	rows, err := db.QueryContext(ctx, "SELECT message_id, hash FROM dedupe WHERE message_id >= ? ORDER BY message_id", hook.KeyAt(now.Add(-hook.DedupeWindow)))
	if err != nil {
		return nil, fmt.Errorf("read dedupe keys: %w", err)
	}
	defer rows.Close()
	s := &seen{}
	var k hook.Key
	var raw sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&k, &raw); err != nil {
			return nil, fmt.Errorf("read dedupe keys: %w", err)
		}
		if len(raw) != len(hook.Hash{}) {
			return nil, fmt.Errorf("read dedupe keys: the key of message %d has %d bytes", k, len(raw))
		}
		s.add(hook.Hash(raw), k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read dedupe keys: %w", err)
	}
	return s, nil
}

// forgetStep bounds one transaction of ForgetDedupe.
const forgetStep = 5000

// ForgetDedupe deletes dedupe keys that left the window before now, in small
// steps between other writes. It says how many it deleted.
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
