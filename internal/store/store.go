// Package store keeps everything that Sigpost must not lose, in one SQLite
// file or in a PostgreSQL that many nodes share, and is the queue as well: what is
// due is a row, and a process that holds a delivery in memory is named in it. All
// SQL stands here: one text for both engines, and what only one of them does in
// dialect_sqlite.go and the files postgres_….go. SQL that only PostgreSQL takes has
// names in the files dialect_postgres….go.
//
// One goroutine of a process writes. What queued while the last transaction ran becomes the
// next one, so the cost of reaching the disk is shared without a timer.
// Readers have connections of their own and never wait for the writer.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"github.com/sigpost/sigpost/internal/hook"
)

//go:embed migrations/*.sql
var sqliteMigrations embed.FS

// DefaultOrg is the organization of everything that the configuration file makes.
const DefaultOrg hook.Key = 1

// Options say where the store is.
type Options struct {
	// URL is that of a PostgreSQL database (postgres://…), which many nodes may
	// share. Empty means SQLite in Dir.
	URL string
	// Dir is the data directory of SQLite; it is made when it is missing.
	Dir string
	// Node is this process among those that share a store (0–255). On PostgreSQL
	// it is not looked at: each node takes a number that is free.
	Node uint8
	// Poll has nodes tell each other through a table, and wants nothing of a session:
	// for PostgreSQL behind a pooler that gives a connection for one transaction.
	Poll bool
	// copying opens a database whose copy is not complete.
	copying bool
	// bound is that of a statement on PostgreSQL; 0 is statementTime.
	bound time.Duration
	// migrations are others than the binary's own.
	migrations fs.FS
	// generation is how many hashes become one run; 0: generationSize. Tests make it small.
	generation int
	Log        *slog.Logger
	// Committed is told of each commit: how many rows of work it had and how
	// long it took. May be nil.
	Committed func(rows int, took time.Duration)
	// Due is told, after the commit, of a delivery whose turn it is in its lane and that
	// nobody has in memory: its endpoint, and when it is due. It must not wait for the
	// store. May be nil; whoever claims finds it a little later then.
	Due func(endpoint hook.Key, at time.Time)
	// Kept is told how many bytes of memory the store keeps for what it has seen, when
	// that changes. Unlike what else is in memory they make no garbage. May be nil.
	Kept func(bytes int64)
	// Seal encrypts secrets, endpoint headers and kept answers. Nil keeps them
	// in clear, which is for tests.
	Seal Sealer
}

// files are the migrations of an engine.
func (o *Options) files(own embed.FS, dir string) (fs.FS, error) {
	if o.migrations != nil {
		return o.migrations, nil
	}
	return fs.Sub(own, dir)
}

// Sealer encrypts what must stay secret at rest. context binds a value to its
// place: what was sealed for one does not open in another.
type Sealer interface {
	Seal(plain []byte, context string) ([]byte, error)
	Open(sealed []byte, context string) ([]byte, error)
}

// Store is an open data directory, locked against other processes, or this node's
// part in a PostgreSQL database. Safe for concurrent use. Close it.
type Store struct {
	read        *sql.DB
	write       *sql.DB
	lock        *flock.Flock // of the directory
	writer      *writer
	checkpoints *checkpointer
	pg          *postgres // nil on SQLite
	ids         *hook.IDs
	prepared    prepared     // of read
	seal        Sealer       // nil: values are kept in clear
	schema      int64        // that this binary was built for
	newer       bool         // the data has a newer one
	incarnation atomic.Int64 // a hook.Key
	indexedTo   atomic.Int64 // the hook.Key up to which messages are indexed, on SQLite
	unindexed   [3]unindexed // messages, deliveries and attempts, as RunIndexer found them
	// claimable are the holders whose deliveries this process may take on SQLite:
	// nobody, and every incarnation before this one.
	claimable []hook.Key
	// On SQLite, where tables dedupe and idempotency have no index of hashes.
	memories []*memory
	block    *sql.Stmt // sqlBlock, for readers
	kept     func(bytes int64)
	keptLast int64 // MiB, as told

	closing sync.Once
	closed  error // what closing gave
}

// Open locks the directory or connects to the database, brings the schema up to
// date and begins a new incarnation. The error is an *hook.Error with the way out
// when another process has the directory, the file is damaged, the database does not
// answer, or a newer version made it.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.URL != "" {
		return openPostgres(ctx, o)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "make data directory %s: %w; name a directory that this user can write to with --data", o.Dir, err)
	}
	lock := flock.New(filepath.Join(o.Dir, "lock"))
	held, err := lock.TryLock()
	if err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "lock data directory %s: %w; see that this user can write to it", o.Dir, err)
	}
	if !held {
		return nil, hook.Errorf(hook.CodeConflict, "data directory %s is in use by another sigpost process; stop it, or set another directory with --data", o.Dir)
	}
	s := &Store{lock: lock, seal: o.Seal, kept: o.Kept}
	if err := s.open(ctx, o); err != nil {
		s.closeFiles()
		return nil, explainOpen(o.Dir, err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, o Options) (err error) {
	if err := checkFiles(o.Dir); err != nil {
		return err
	}
	if err := ownFiles(o.Dir); err != nil {
		return err
	}
	path := filepath.Join(o.Dir, databaseName)
	if s.write, err = openSQLite(path, true); err != nil {
		return err
	}
	if err := checkSQLite(ctx, s.write, path); err != nil {
		return err
	}
	if err := s.migrateSecretly(ctx, o); err != nil {
		return err
	}
	if s.read, err = openSQLite(path, false); err != nil {
		return err
	}
	if s.ids, err = s.loadIDs(ctx); err != nil {
		return err
	}
	if err := s.begin(ctx, o); err != nil {
		return err
	}
	if err := bringHome(ctx, s.write); err != nil {
		return err
	}
	s.checkpoints, err = newCheckpointer(path, o.Log)
	if err != nil {
		return err
	}
	if err := s.startWriter(ctx, o); err != nil {
		return err
	}
	s.checkpoints.start(s.writer)
	return mark(o.Dir)
}

// explainOpen says what a person can do about a store that does not open.
func explainOpen(dir string, err error) error {
	if _, ok := errors.AsType[*hook.Error](err); ok {
		return err
	}
	if damaged(err) {
		return hook.Errorf(hook.CodeConflict, "the database in %s is damaged and was left as it is: restore a backup of the directory, or save what can be read with `sqlite3 sigpost.db .recover`, or move the directory away to begin anew (%w)", dir, err)
	}
	return hook.Errorf(hook.CodeUnavailable, "open data directory %s: %w; see that it is a directory which this user can read and write, with room on its disk", dir, err)
}

// loadIDs reads the secret behind public ids, and makes it the first time.
func (s *Store) loadIDs(ctx context.Context) (*hook.IDs, error) {
	var secret [hook.IDSecretSize]byte
	rand.Read(secret[:])
	_, err := s.write.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES ('id_secret', ?) ON CONFLICT DO NOTHING", secret[:])
	if err != nil {
		return nil, fmt.Errorf("keep id secret: %w", err)
	}
	var kept []byte
	if err := s.write.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'id_secret'").Scan(&kept); err != nil {
		return nil, fmt.Errorf("read id secret: %w", err)
	}
	if len(kept) != len(secret) {
		return nil, fmt.Errorf("id secret has %d bytes, %d are right", len(kept), len(secret))
	}
	return hook.NewIDs([hook.IDSecretSize]byte(kept)), nil
}

// begin records this incarnation. On SQLite every other one is dead, for the
// directory is locked: those that still hold something stay listed until their
// work is claimed, the others are forgotten.
func (s *Store) begin(ctx context.Context, o Options) error {
	now := time.Now()
	last, err := s.lastKey(ctx)
	if err != nil {
		return err
	}
	s.incarnation.Store(int64(hook.NewKeySequence(o.Node, last).Take(now, 1)))
	const forget = `DELETE FROM incarnations WHERE id NOT IN (SELECT holder FROM deliveries WHERE state = 1)`
	if _, err := s.write.ExecContext(ctx, forget); err != nil {
		return fmt.Errorf("forget incarnations: %w", err)
	}
	s.claimable, err = queryKeys(ctx, s.write, "SELECT id FROM incarnations ORDER BY id")
	if err != nil {
		return fmt.Errorf("read incarnations: %w", err)
	}
	s.claimable = append(s.claimable, 0)
	_, err = s.write.ExecContext(ctx, "INSERT INTO incarnations (id, node, started_at) VALUES (?, ?, ?)", s.Incarnation(), o.Node, ms(now))
	if err != nil {
		return fmt.Errorf("begin incarnation: %w", err)
	}
	return s.addDefaultOrg(ctx, now)
}

func (s *Store) addDefaultOrg(ctx context.Context, now time.Time) error {
	_, err := s.write.ExecContext(ctx, "INSERT INTO organizations (id, name, created_at) VALUES (?, 'default', ?) ON CONFLICT DO NOTHING", DefaultOrg, ms(now))
	if err != nil {
		return fmt.Errorf("make default organization: %w", err)
	}
	return nil
}

// lastKey is the highest key in use, so that new ones come after it even when
// the clock went back while the process was down.
func (s *Store) lastKey(ctx context.Context) (hook.Key, error) {
	var last hook.Key
	q := `SELECT coalesce(max(id), 0) FROM (SELECT max(id) AS id FROM incarnations UNION ALL SELECT max(id) FROM endpoints
		UNION ALL SELECT max(id) FROM sources     UNION ALL SELECT max(id) FROM applications
		UNION ALL SELECT max(id) FROM secrets     UNION ALL SELECT max(id) FROM rejected
		UNION ALL SELECT max(id) FROM messages    UNION ALL SELECT max(message_id) FROM dedupe
		UNION ALL SELECT max(id) FROM deliveries  UNION ALL SELECT max(id) FROM attempts
		UNION ALL SELECT max(id) FROM tokens      UNION ALL SELECT max(id) FROM tasks
		UNION ALL SELECT max(id) FROM idempotency UNION ALL SELECT max(id) FROM organizations
		UNION ALL SELECT max(id) FROM users       UNION ALL SELECT max(id) FROM sessions
		UNION ALL SELECT max(id) FROM sign_in_links UNION ALL SELECT max(id) FROM audit`
	if s.pg == nil { // where the marks of the indexer are those of rows, and rows of dedupe leave it
		q += " UNION ALL SELECT max(last) FROM runs UNION ALL SELECT max(value) FROM meta WHERE name IN ('indexed_messages', 'indexed_deliveries', 'indexed_attempts')"
	}
	q += ") AS highest"
	if err := s.write.QueryRowContext(ctx, q).Scan(&last); err != nil {
		return 0, fmt.Errorf("read highest key: %w", err)
	}
	return last, nil
}

// IDs turns this store's keys into public ids and back.
func (s *Store) IDs() *hook.IDs { return s.ids }

// Incarnation is the holder under which this process has deliveries in memory. On
// PostgreSQL it changes when the process was taken for dead (see Beat), so ask each time.
func (s *Store) Incarnation() hook.Key { return hook.Key(s.incarnation.Load()) }

// Close writes what is queued, brings the write-ahead log home and unlocks the
// directory, or hands over what this node holds to others. Closing again does nothing.
func (s *Store) Close() error {
	s.closing.Do(func() {
		if s.checkpoints != nil {
			s.checkpoints.stop()
		}
		s.writer.stop()
		s.closed = s.closeFiles()
	})
	return s.closed
}

func (s *Store) closeFiles() error {
	if s.pg != nil {
		return s.closePostgres()
	}
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.checkpoints != nil {
		errs = append(errs, s.checkpoints.close())
	}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		if s.writer != nil { // else it did not open, and is left as it is
			_, err := s.write.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
			errs = append(errs, err)
		}
		errs = append(errs, s.write.Close())
	}
	return errors.Join(append(errs, s.lock.Unlock())...)
}

// ms is the store's form of a time.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMS is the time that ms stored; 0 is the zero time.
func fromMS(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v).UTC()
}

func queryKeys(ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string, args ...any) ([]hook.Key, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return scanKeys(rows)
}

func scanKeys(rows *sql.Rows) (keys []hook.Key, err error) {
	defer rows.Close()
	for rows.Next() {
		var k hook.Key
		if err := rows.Scan(&k); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// checkedAt is the row, or begins that of a node, that Ping writes.
const checkedAt = "checked_at"

// Ping says whether the store can be read and written: it does both.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.read.QueryRowContext(ctx, "SELECT 1").Scan(new(int)); err != nil {
		return fmt.Errorf("read store: %w", err)
	}
	row := checkedAt
	if s.pg != nil { // each its own, so that no node waits for another's
		row = fmt.Sprint(checkedAt, " ", s.pg.node.Load())
	}
	return s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", row, s.fact(ms(time.Now())))
		return err
	})
}

// fact is a number as table meta keeps it, whose column has bytes.
func (s *Store) fact(n int64) any {
	if s.pg != nil {
		return strconv.AppendInt(nil, n, 10)
	}
	return n
}
