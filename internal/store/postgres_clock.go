package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Keys are made of time, and much stands on their order: lists, the live stream,
// windows, partitions. So nodes make them of one clock, that of the database. A node
// knows what it says from when it last asked, which is at each beat, and counts on from
// there by its own monotonic clock: what its wall clock says, or how it is set
// meanwhile, does not matter.

// clockReading is what the database's clock said when this machine's said here.
type clockReading struct{ here, database time.Time }

// sure is how long an answer may take that still says what time it is.
const sure = time.Second

// read takes the database's clock in, from the one row of an answer to what was asked
// at a time; what else is in it goes into more.
func (p *postgres) read(row *sql.Row, asked time.Time, more ...any) error {
	var micros int64
	if err := row.Scan(append([]any{&micros}, more...)...); err != nil {
		return err
	}
	took := time.Since(asked)
	if took > sure && p.clock.Load() != nil {
		return nil
	}
	p.clock.Store(&clockReading{asked.Add(took / 2), time.UnixMicro(micros)})
	return nil
}

// readClock asks for the time.
func (s *Store) readClock(ctx context.Context) error {
	if err := s.pg.read(s.write.QueryRowContext(ctx, "SELECT "+sqlClock), time.Now()); err != nil {
		return fmt.Errorf("read the database's clock: %w", err)
	}
	return nil
}

// keyTime is the time that keys are made of when it is now here: on SQLite the same.
func (s *Store) keyTime(now time.Time) time.Time {
	if s.pg == nil {
		return now
	}
	r := s.pg.clock.Load()
	return r.database.Add(now.Sub(r.here))
}
