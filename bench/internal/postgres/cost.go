package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cost is what the server has taken so far, or between two looks at it.
type Cost struct {
	CPU     time.Duration // of all its processes, those that ended included
	Log     int64         // bytes of write-ahead log
	Images  int64         // whole pages in it
	Commits int64         // of the database
	// Updates are those of rows of the table that was asked for, Hot those of them that
	// changed no index.
	Updates, Hot int64
}

// Since is the difference to an earlier look.
func (c Cost) Since(before Cost) Cost {
	return Cost{
		CPU: c.CPU - before.CPU, Log: c.Log - before.Log, Images: c.Images - before.Images, Commits: c.Commits - before.Commits,
		Updates: c.Updates - before.Updates, Hot: c.Hot - before.Hot,
	}
}

// quietLimit is how long those who have left a database may take to be gone.
const quietLimit = 10 * time.Second

// Look says what the server has taken so far, and what was done in a database and to a
// table of it with all its partitions. Nobody may be using the database: who works there
// tells the statistics late, and for certain only when it leaves.
func (s *Server) Look(ctx context.Context, database, table string) (c Cost, err error) {
	if err := s.quiet(ctx, database); err != nil {
		return c, err
	}
	err = s.in(ctx, database, func(conn *pgx.Conn) error {
		const q = `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint, (SELECT wal_fpi FROM pg_stat_wal),
			(SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
			coalesce(sum(n_tup_upd), 0)::bigint, coalesce(sum(n_tup_hot_upd), 0)::bigint FROM pg_stat_user_tables
			WHERE relid = to_regclass($1) OR relid IN (SELECT relid FROM pg_partition_tree(to_regclass($1)))`
		return conn.QueryRow(ctx, q, table).Scan(&c.Log, &c.Images, &c.Commits, &c.Updates, &c.Hot)
	})
	if err != nil {
		return c, fmt.Errorf("read the statistics of %s: %w", database, err)
	}
	c.CPU, err = s.CPU()
	return c, err
}

// Now is what the server has taken so far, without what is only known when nobody works.
func (s *Server) Now(ctx context.Context) (c Cost, err error) {
	if err := s.admin.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&c.Log); err != nil {
		return c, fmt.Errorf("read the position in the write-ahead log: %w", err)
	}
	c.CPU, err = s.CPU()
	return c, err
}

// CPU is what all processes of the server have taken so far.
func (s *Server) CPU() (time.Duration, error) {
	pid, err := s.server.Process()
	if err != nil {
		return 0, err
	}
	return cpuOf(pid)
}

// quiet waits until nobody is connected to a database.
func (s *Server) quiet(ctx context.Context, database string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, quietLimit, errors.New("somebody is still connected to "+database))
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		var n int
		const q = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'"
		if err := s.admin.QueryRow(ctx, q, database).Scan(&n); err != nil {
			return fmt.Errorf("see who is connected: %w", err)
		}
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-poll.C:
		}
	}
}

// Kind is the write-ahead log of one part of PostgreSQL.
type Kind struct {
	Name   string // Heap, Btree, …
	Bytes  int64  // without the whole pages
	Images int64  // bytes of whole pages
}

// Kinds divides the log between two positions (Cost.Log), the largest part first. The very
// end may not be on disk yet, and is then left out.
func (s *Server) Kinds(ctx context.Context, from, to int64) ([]Kind, error) {
	if _, err := s.admin.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_walinspect"); err != nil {
		return nil, fmt.Errorf("look into the write-ahead log: %w", err)
	}
	const q = `SELECT "resource_manager/record_type", record_size::bigint, fpi_size::bigint
		FROM pg_get_wal_stats('0/0'::pg_lsn + $1::numeric, least('0/0'::pg_lsn + $2::numeric, pg_current_wal_flush_lsn())) WHERE combined_size > 0 ORDER BY combined_size DESC`
	rows, err := s.admin.Query(ctx, q, from, to)
	if err != nil {
		return nil, fmt.Errorf("look into the write-ahead log: %w", err)
	}
	kinds, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Kind])
	if err != nil {
		return nil, fmt.Errorf("look into the write-ahead log: %w", err)
	}
	return kinds, nil
}
