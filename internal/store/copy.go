package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// Moving house: everything in a data directory is copied into an empty PostgreSQL
// database, table by table in the order of keys. Each batch is one transaction
// that also notes how far it is, so a copy that was cut goes on where it was.
// What is copied is everything but incarnations, which are of processes;
// dedupe and idempotency keys that have left their window, which nothing
// looks at; and postings, which are made anew from the rows (postings.go). What was
// packed into runs becomes rows again.

// CopyOptions say what is copied where to.
type CopyOptions struct {
	Dir  string // the data directory; no server may use it
	URL  string // of the PostgreSQL database
	Log  *slog.Logger
	Seal Sealer // seals what an older version left in clear; nil leaves it
	// VerifyOnly compares what was copied before and copies nothing.
	VerifyOnly bool
	// Progress is told after each batch how many rows of a table are copied in this
	// run. May be nil.
	Progress func(table string, rows int64)
}

// TableSum is what a table has: how many rows, and a sum over them that does
// not depend on their order.
type TableSum struct {
	Rows int64
	Sum  uint64
}

// TableCheck is a table on both sides.
type TableCheck struct {
	Table          string
	Source, Target TableSum
}

// Same says that both sides have the same rows.
func (c TableCheck) Same() bool { return c.Source == c.Target }

// metaCopy is where the target says what it is a copy of, and copiedPrefix begins
// the names under which it says how far each table is.
const (
	metaCopy     = "copy"
	copiedPrefix = "copied "
)

// copyState is what stands under metaCopy, as JSON.
type copyState struct {
	Source string `json:"source"` // SHA-256 of the source's secret of ids
	// Opened is the last incarnation of the source: another one says that a server
	// ran on it since.
	Opened int64 `json:"opened"`
	Began  int64 `json:"began"` // milliseconds; what is out of its window then is left behind
	Done   bool  `json:"done"`
}

// wholeCopy refuses a database into which a copy was begun and not completed: a
// node on it would miss what is not there yet.
func (s *Store) wholeCopy(ctx context.Context) error {
	var raw []byte
	err := s.write.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", metaCopy).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	var state copyState
	if err == nil {
		err = json.Unmarshal(raw, &state)
	}
	if err != nil {
		return fmt.Errorf("read what the database is a copy of: %w", err)
	}
	if !state.Done {
		return hook.Errorf(hook.CodeConflict, "the database has a copy that is not complete; run `sigpost migrate sqlite-to-postgres` again, it goes on where it was")
	}
	return nil
}

// mover copies one store into another.
type mover struct {
	o        CopyOptions
	from, to *Store
	hold     *sql.Conn // to the target
	state    copyState
	begun    bool // state was in the target
	tables   []copiedTable
}

// CopyToPostgres copies a data directory into a database that is empty, or goes
// on with a copy of the same store that was cut, and then compares both
// sides. A copy that is complete is only compared. Nodes that start on the database
// meanwhile wait. The error is an *hook.Error when the directory is in use or
// changed since the copy began, when the database is not empty, and when
// the sides differ; then the list says where.
func CopyToPostgres(ctx context.Context, o CopyOptions) (checks []TableCheck, err error) {
	ctx = unhurried(ctx)
	m := &mover{o: o}
	if m.from, err = openSource(ctx, o); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.from.closeFiles()) }()
	if m.to, err = Open(ctx, Options{URL: o.URL, Log: o.Log, Seal: o.Seal, copying: true}); errors.Is(err, errOtherKey) {
		return nil, hook.Errorf(hook.CodeConflict, "the database is not empty: its secrets are sealed under another master key than those in %s; name another, or %s", o.Dir, beginAnew)
	} else if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.to.Close()) }()
	if m.from.newer || m.to.newer {
		return nil, hook.Errorf(hook.CodeConflict, "a newer sigpost wrote the data than this one, which would leave behind what it does not know; copy with the newer version")
	}
	if m.hold, err = m.to.write.Conn(ctx); err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	defer m.hold.Close()
	if !o.VerifyOnly {
		unlock, err := m.to.lockOpening(ctx)
		if err != nil {
			return nil, fmt.Errorf("keep nodes from starting: %w", err)
		}
		defer unlock()
	}
	if err := m.readState(ctx); err != nil {
		return nil, err
	}
	if o.VerifyOnly || m.state.Done {
		return m.compare(ctx)
	}
	if err := m.copy(ctx); err != nil {
		return nil, hook.Errorf(hook.CodeUnavailable, "the copy was cut: %w; run the command again, it goes on where it was", err)
	}
	return m.compare(ctx)
}

// openSource opens a data directory for reading, once its schema is up to date and
// nothing is in clear that should be sealed. It begins no incarnation.
func openSource(ctx context.Context, o CopyOptions) (*Store, error) {
	path := filepath.Join(o.Dir, databaseName)
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil, hook.Errorf(hook.CodeInvalid, "there is no data in %s; say where it is with --data", o.Dir)
	}
	lock := flock.New(filepath.Join(o.Dir, "lock"))
	held, err := lock.TryLock()
	if err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "lock data directory %s: %w; see that this user can write to it", o.Dir, err)
	}
	if !held {
		return nil, hook.Errorf(hook.CodeConflict, "data directory %s is in use by another sigpost process; stop it, for what it takes in meanwhile would be left behind", o.Dir)
	}
	s := &Store{lock: lock, seal: o.Seal}
	if err := s.openToRead(ctx, o.Dir, path); err != nil {
		s.closeFiles()
		return nil, explainOpen(o.Dir, err)
	}
	return s, nil
}

func (s *Store) openToRead(ctx context.Context, dir, path string) (err error) {
	if err := checkFiles(dir); err != nil {
		return err
	}
	if err := ownFiles(dir); err != nil {
		return err
	}
	if s.write, err = openSQLite(path, true); err != nil {
		return err
	}
	if err := checkSQLite(ctx, s.write, path); err != nil {
		return err
	}
	if err := s.migrateSecretly(ctx, Options{}); err != nil {
		return err
	}
	s.read, err = openSQLite(path, false)
	return err
}

// readState says what the source is and what the target has of it.
func (m *mover) readState(ctx context.Context) error {
	var secret []byte
	err := m.from.read.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'id_secret'").Scan(&secret)
	if errors.Is(err, sql.ErrNoRows) {
		return hook.Errorf(hook.CodeInvalid, "there is no store in %s: no server was ever started on it", m.o.Dir)
	}
	if err != nil {
		return fmt.Errorf("read id secret: %w", err)
	}
	sum := sha256.Sum256(secret)
	own := copyState{Source: hex.EncodeToString(sum[:]), Began: ms(time.Now())}
	if err := m.from.read.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM incarnations").Scan(&own.Opened); err != nil {
		return fmt.Errorf("read incarnations: %w", err)
	}
	m.state = own
	var raw []byte
	err = m.hold.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", metaCopy).Scan(&raw)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read state of the copy: %w", err)
	}
	if m.begun = err == nil; m.begun {
		if err := json.Unmarshal(raw, &m.state); err != nil {
			return fmt.Errorf("read state of the copy: %w", err)
		}
	}
	if m.tables, err = m.columns(ctx, copiedTables(fromMS(m.state.Began))); err != nil {
		return err
	}
	return m.admit(ctx, own)
}

// beginAnew is the way out of a copy that cannot go on.
const beginAnew = "begin again with an empty database (DROP SCHEMA public CASCADE; CREATE SCHEMA public)"

// admit refuses what must not be copied or compared.
func (m *mover) admit(ctx context.Context, own copyState) error {
	switch {
	case m.begun && m.state.Source != own.Source:
		return hook.Errorf(hook.CodeConflict, "the database has the copy of another store than that in %s; name the right directory, or %s", m.o.Dir, beginAnew)
	case m.begun && !m.state.Done && m.state.Opened != own.Opened:
		return hook.Errorf(hook.CodeConflict, "sigpost ran on %s since the copy began, so what is copied is out of date; %s", m.o.Dir, beginAnew)
	case !m.begun && m.o.VerifyOnly:
		return hook.Errorf(hook.CodeConflict, "nothing was copied into the database yet, so there is nothing to compare; leave --verify-only out")
	case m.state.Done || m.o.VerifyOnly:
		return nil
	}
	alive, err := exists(ctx, m.hold, "SELECT 1 FROM incarnations WHERE id <> ? AND id IN ("+m.to.pg.living()+") LIMIT 1", m.to.Incarnation())
	if err != nil {
		return fmt.Errorf("look for nodes: %w", err)
	}
	if alive {
		return hook.Errorf(hook.CodeConflict, "a node uses the database, or did until a moment ago; stop all nodes, wait %v and try again", m.to.pg.age)
	}
	if m.begun {
		return nil
	}
	for _, t := range m.tables {
		if t.replace {
			continue // has what opening makes
		}
		full, err := exists(ctx, m.hold, "SELECT 1 FROM "+t.name+" LIMIT 1")
		if err != nil {
			return fmt.Errorf("look whether %s is empty: %w", t.name, err)
		}
		if full {
			return hook.Errorf(hook.CodeConflict, "the database is not empty: table %s has rows; name another, or %s", t.name, beginAnew)
		}
	}
	return nil
}

// copy copies what is not in the target yet.
func (m *mover) copy(ctx context.Context) error {
	// Incarnations are of nodes that served from here. This process only copies.
	if _, err := m.hold.ExecContext(ctx, "DELETE FROM incarnations"); err != nil {
		return fmt.Errorf("forget incarnations: %w", err)
	}
	if err := m.inTarget(ctx, func(tx pgx.Tx) error { return m.keepState(ctx, tx) }); err != nil {
		return err
	}
	for _, t := range m.tables {
		if err := m.makePartitions(ctx, t); err != nil {
			return err
		}
		if err := m.copyTable(ctx, t); err != nil {
			return fmt.Errorf("copy %s: %w", t.name, err)
		}
		if err := m.copyPacked(ctx, t); err != nil {
			return fmt.Errorf("copy runs of %s: %w", t.name, err)
		}
	}
	for _, p := range postingReaders() {
		if err := m.copyPostings(ctx, p); err != nil {
			return fmt.Errorf("index %s: %w", p.name, err)
		}
	}
	if _, err := m.hold.ExecContext(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("analyze the database: %w", err)
	}
	return nil
}

// keepState notes in the target what it is a copy of.
func (m *mover) keepState(ctx context.Context, tx pgx.Tx) error {
	raw, err := json.Marshal(m.state)
	if err != nil {
		return err
	}
	return keepMeta(ctx, tx, metaCopy, raw)
}

func keepMeta(ctx context.Context, tx pgx.Tx, name string, value []byte) error {
	const q = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
	if _, err := tx.Exec(ctx, q, name, value); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// inTarget runs f in a transaction on the connection that has the lock.
func (m *mover) inTarget(ctx context.Context, f func(tx pgx.Tx) error) error {
	return m.hold.Raw(func(c any) error {
		conn, ok := c.(*pgConn)
		if !ok {
			return fmt.Errorf("the driver gave a %T", c)
		}
		return pgx.BeginFunc(ctx, conn.Conn.Conn(), f)
	})
}

// compare compares all tables and, when they are the same, notes that the copy
// is complete.
func (m *mover) compare(ctx context.Context) (checks []TableCheck, err error) {
	differ := 0
	for _, t := range m.tables {
		c := TableCheck{Table: t.name}
		if c.Source, err = m.sumSource(ctx, t); err == nil {
			c.Target, err = sumTable(ctx, m.to.read, t, t.targetQuery())
		}
		if err != nil {
			return checks, fmt.Errorf("compare %s: %w", t.name, err)
		}
		checks = append(checks, c)
	}
	c, err := m.comparePostings(ctx)
	if err != nil {
		return checks, fmt.Errorf("compare postings: %w", err)
	}
	checks = append(checks, c)
	for _, c := range checks {
		if !c.Same() {
			differ++
		}
	}
	switch {
	case differ > 0 && m.state.Done:
		return checks, hook.Errorf(hook.CodeConflict, "tables that differ: %d; the copy was complete once, so one side was written to since", differ)
	case differ > 0:
		return checks, hook.Errorf(hook.CodeConflict, "tables that differ: %d; do not start a node on this database: if the copy was cut, run it again, else %s", differ, beginAnew)
	case m.state.Done:
		return checks, nil
	}
	m.state.Done = true
	return checks, m.inTarget(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM meta WHERE starts_with(name, $1)", copiedPrefix); err != nil {
			return fmt.Errorf("forget progress: %w", err)
		}
		return m.keepState(ctx, tx)
	})
}
