package store

import (
	"context"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// partitionDays is for how many days ahead partitions are made: what is to be
// written must find its own also when upkeep does not run for a while.
const partitionDays = 3

// partitioned are the tables that are kept by day of their key.
type partitioned struct{ table, key, settings string }

// EnsurePartitions makes those of the day of now and of the next three that are
// missing. Rows that were kept in the default partition move. Without it
// everything works, but nothing can be dropped by the day. On SQLite it does nothing.
func (s *Store) EnsurePartitions(ctx context.Context, now time.Time) error {
	if s.pg == nil {
		return nil
	}
	ctx = unhurried(ctx) // the default partition may have many rows to move
	day := now.UTC().Truncate(24 * time.Hour)
	for range partitionDays + 1 {
		for _, p := range partitionedTables() {
			if err := s.ensurePartition(ctx, p, day); err != nil {
				return fmt.Errorf("make partition of %s for %s: %w", p.table, day.Format(time.DateOnly), err)
			}
		}
		day = day.Add(24 * time.Hour)
	}
	return nil
}

// ensurePartition makes one. The table is filled before it is attached, for
// that only takes a lock under which others write on – unless the default
// partition has rows for it.
func (s *Store) ensurePartition(ctx context.Context, p partitioned, day time.Time) error {
	name := p.table + "_" + day.Format("20060102")
	from, to := hook.KeyAt(day), hook.KeyAt(day.Add(24*time.Hour))
	if from == to {
		return nil // before the first or after the last key
	}
	if there, err := exists(ctx, s.write, sqlIsPartition, name); err != nil || there {
		return err
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing, once it is committed
	const lock = openLock + 1
	if _, err := tx.ExecContext(ctx, sqlLock, lock); err != nil {
		return err
	}
	if there, err := exists(ctx, tx, sqlIsPartition, name); err != nil || there {
		return err
	}
	for _, q := range p.sqlMake(name, from, to) {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return tx.Commit()
}
