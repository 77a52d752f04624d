package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/sigpost/sigpost/internal/hook"
)

// The schema has a number: that of the newest migration which was run. A binary knows
// one number, and brings older data up to it. So that nodes can be upgraded one after
// another, and so that one can go back, a migration may say which is the oldest schema
// whose binary works with what it makes:
//
//	-- sigpost: works with 3
//
// A migration that does not say so works with its own binary only. The store keeps the
// highest of these numbers (metaOldest): a binary whose schema is older than the data's
// starts when it is not older than that. And a migration that nodes which live could not
// work with is not run. How one writes migrations under this rule stands in
// docs/ARCHITECTURE.md, "Upgrading".

// directive and worksWith begin that line, which stands before the SQL.
const (
	directive = "-- sigpost:"
	worksWith = " works with "
)

// metaOldest is where the store says which is the oldest schema whose binary works
// with it.
const metaOldest = "works_with"

// schema is what a binary knows of the schema of one engine.
type schema struct {
	*goose.Provider
	newest int64
	// oldest has for each migration the first schema whose binary works with it.
	oldest map[int64]int64
}

func newSchema(dialect goose.Dialect, db *sql.DB, files fs.FS) (*schema, error) {
	p, err := goose.NewProvider(dialect, db, files, goose.WithTableName("schema_versions"))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	x := &schema{Provider: p, oldest: map[int64]int64{}}
	for _, m := range p.ListSources() {
		if x.oldest[m.Version], err = oldestOf(files, m); err != nil {
			return nil, fmt.Errorf("read migration %s: %w", path.Base(m.Path), err)
		}
		x.newest = max(x.newest, m.Version)
	}
	return x, nil
}

// oldestAt is the first schema whose binary works with all migrations up to one.
func (x *schema) oldestAt(version int64) (oldest int64) {
	for v, o := range x.oldest {
		if v <= version {
			oldest = max(oldest, o)
		}
	}
	return oldest
}

// oldestOf reads from the head of a migration which binaries it works with.
func oldestOf(files fs.FS, m *goose.Source) (int64, error) {
	raw, err := fs.ReadFile(files, m.Path)
	if err != nil {
		return 0, err
	}
	head, _, _ := strings.Cut(string(raw), "-- +goose Up")
	for line := range strings.Lines(head) {
		text, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), directive)
		if !ok {
			continue
		}
		number, ok := strings.CutPrefix(text, worksWith)
		n, err := strconv.ParseInt(number, 10, 64)
		if !ok || err != nil || n < 1 || n > m.Version {
			return 0, fmt.Errorf("%q does not say%sN, a schema from 1 to its own, %d", text, worksWith, m.Version)
		}
		return n, nil
	}
	return m.Version, nil
}

// migrate brings the schema up to date, or sees that this binary works with one that is
// newer. Nothing is changed when it refuses. On PostgreSQL the caller has openLock.
func (s *Store) migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, files fs.FS) error {
	x, err := newSchema(dialect, db, files)
	if err != nil {
		return err
	}
	have, _, err := x.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	s.schema, s.newer = x.newest, have > x.newest
	if have == 0 { // there is no place yet to say anything
		if err := s.raise(ctx, x, have); err != nil {
			return err
		}
		return s.keepOldest(ctx, x.oldestAt(x.newest))
	}
	oldest, err := s.oldestSchema(ctx, s.write, have)
	switch {
	case err != nil:
		return err
	case s.newer && oldest > x.newest:
		return hook.Errorf(hook.CodeConflict, "the data was written by a newer sigpost (schema %d, which works with binaries of %d and newer; this one is of %d); start the newer version again, or restore a backup from before it", have, oldest, x.newest)
	case s.newer:
		return nil
	}
	return s.upgrade(ctx, x, have, oldest)
}

// upgrade brings a schema up to date that is not newer. What it will work with is said
// before it is true: whoever finds the schema half way must not think that he does.
func (s *Store) upgrade(ctx context.Context, x *schema, have, oldest int64) error {
	if have < x.newest {
		if err := s.admitMigration(ctx, have, x.newest, x.oldestAt(x.newest)); err != nil {
			return err
		}
	}
	if err := s.keepOldest(ctx, max(oldest, x.oldestAt(x.newest))); err != nil {
		return err
	}
	failed := s.raise(ctx, x, have)
	if failed == nil {
		return nil
	}
	// The way back is for those who work with what is there now.
	now, _, err := x.GetVersions(ctx)
	if err == nil {
		err = s.keepOldest(ctx, max(oldest, x.oldestAt(now)))
	}
	return errors.Join(failed, err)
}

const (
	// raises is how often a migration is tried that others were in the way of, and
	// raisePause how long after each time: it locks tables that they write.
	raises     = 5
	raisePause = 250 * time.Millisecond
)

// raise runs what is to be run. A migration that failed has changed nothing.
func (s *Store) raise(ctx context.Context, x *schema, have int64) error {
	begun := time.Now()
	done, err := x.Up(ctx)
	for try := 1; try < raises && inTheWay(err); try++ {
		s.pg.log.Warn("migration tried again, others were in the way", "error", err)
		pause := time.NewTimer(raisePause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
		done, err = x.Up(ctx)
	}
	if err != nil {
		return fmt.Errorf("migrate schema: %w", err)
	}
	if len(done) > 0 && s.pg != nil {
		s.pg.log.Info("schema migrated", "from", have, "to", x.newest, "took", time.Since(begun))
	}
	return nil
}

// oldestSchema is the oldest schema whose binary works with the data. What was written
// before stores said so works with its own only.
func (s *Store) oldestSchema(ctx context.Context, db querier, have int64) (int64, error) {
	var raw []byte
	err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", metaOldest).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return have, nil
	}
	var oldest int64
	if err == nil {
		oldest, err = strconv.ParseInt(string(raw), 10, 64)
	}
	if err != nil {
		return 0, fmt.Errorf("read which binaries the schema works with: %w", err)
	}
	return oldest, nil
}

func (s *Store) keepOldest(ctx context.Context, oldest int64) error {
	const q = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
	if _, err := s.write.ExecContext(ctx, q, metaOldest, s.fact(oldest)); err != nil {
		return fmt.Errorf("keep which binaries the schema works with: %w", err)
	}
	return nil
}
