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

// partitionedTables are always worked on in this order, so nodes do not wait for each
// other crosswise. Rows of deliveries change once or more after they were made,
// and what changes should find room in its own page.
func partitionedTables() []partitioned {
	const written = "autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_analyze_scale_factor = 0.1"
	return []partitioned{
		{"messages", "id", written},
		{"bodies", "message_id", written},
		{"deliveries", "id", "fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05"},
		{"attempts", "id", written},
	}
}

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
	const lookup = "SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass(?)"
	if there, err := exists(ctx, s.write, lookup, name); err != nil || there {
		return err
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing, once it is committed
	const lock = openLock + 1
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", lock); err != nil {
		return err
	}
	if there, err := exists(ctx, tx, lookup, name); err != nil || there {
		return err
	}
	for _, q := range []string{
		"SET LOCAL lock_timeout = '10s'", // rather later than everybody waiting behind us
		fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL) WITH (%s)", name, p.table, p.settings),
		fmt.Sprintf("LOCK TABLE %s_default IN ACCESS EXCLUSIVE MODE", p.table),
		fmt.Sprintf("WITH moved AS (DELETE FROM %[1]s_default WHERE %[2]s >= %[3]d AND %[2]s < %[4]d RETURNING *) INSERT INTO %[5]s SELECT * FROM moved", p.table, p.key, from, to, name),
		fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)", p.table, name, from, to),
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return tx.Commit()
}
