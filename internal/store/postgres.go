package store

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/sigpost/sigpost/internal/hook"
)

//go:embed migrations_postgres/*.sql
var postgresMigrations embed.FS

const (
	// oldestPostgres is the first version with all that the statements need.
	oldestPostgres = 150_000
	// readers and writers bound the connections of one node, besides the one that
	// writes batches: readers are for lists, writers claim, beat and make partitions.
	readers = 8
	writers = 3
	// nodeConnections is all that one node has: those, the writer's and the listener's.
	nodeConnections = readers + writers + 2
	// openLock is the advisory lock under which nodes open the store one after
	// another: "sigpost" in ASCII.
	openLock = 0x73_69_67_70_6f_73_74
	// aliveFor is how long after its last beat an incarnation is alive, by the
	// database's clock, and beatEvery how often it beats.
	aliveFor  = 20 * time.Second
	beatEvery = 5 * time.Second
)

// postgres is what a store has only on PostgreSQL.
type postgres struct {
	config *pgx.ConnConfig
	// batches has the one connection of the writer.
	batches *sql.DB
	log     *slog.Logger
	// session is the name of all sessions of this process; empty behind a pooler, whose
	// sessions are everybody's.
	session string
	age     time.Duration // how long after its last beat an incarnation is alive
	young   time.Duration // how long a session may be there before its node beats again
	// bound is that of a statement, batch that of a batch of the writer, and lock that of its
	// wait for a row that another node is writing: longer than any transaction that gets on
	// takes, and one that the network has cut must not keep more from being
	// written than what wants the same row.
	bound, batch, lock time.Duration

	node  atomic.Int32
	nodes atomic.Int32                 // that lived at the last beat
	clock atomic.Pointer[clockReading] // of the last beat
	// doubt says that a connection was lost while something was being held for
	// this incarnation: it may hold deliveries that nobody has in memory.
	doubt  atomic.Bool
	former former
	left   leftovers
	// polls says that nodes tell each other through a table; else they listen, by sqlListen.
	polls     atomic.Bool
	sqlListen string
}

// openPostgres connects, brings the schema up to date and begins a new
// incarnation. Nodes do so one after another, so ten may start at once.
func openPostgres(ctx context.Context, o Options) (*Store, error) {
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "read database URL: %w; write it as postgres://user:password@host:5432/database", err)
	}
	session := newSession()
	config.RuntimeParams["application_name"] = session // also when the URL says something else: others look for it
	config.DialFunc = dial
	bound := cmp.Or(o.bound, statementTime)
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = min(bound, answerTime)
	}
	batching, reading := config.Copy(), config.Copy()
	if o.Poll {
		session = ""
		for _, c := range []*pgx.ConnConfig{config, batching, reading} {
			withoutSession(c, o.URL)
		}
	} else {
		set(config, sessionSettings())
		set(batching, batchSettings(), sessionSettings())
		set(reading, sessionSettings())
		reading.RuntimeParams["enable_hashjoin"] = "off" // lists look rows up one by one: a join that reads a whole table first is never right
	}
	known := &translations{}
	s := &Store{seal: o.Seal, pg: &postgres{
		config: config, batches: openPool(batching, known, bound, 1), session: session, age: aliveFor, young: aliveFor / 2, bound: bound, batch: min(bound, writeTime), lock: bound / 10, sqlListen: sqlListen, log: o.Log,
	}}
	s.pg.polls.Store(o.Poll)
	s.read, s.write = openPool(reading, known, bound, readers), openPool(config, known, bound, writers)
	if err := s.openAlone(ctx, o); err != nil {
		s.closeFiles()
		if _, ok := errors.AsType[*hook.Error](err); ok {
			return nil, err
		}
		wayOut := "see that it is there and that this user may connect and create tables"
		switch {
		case pooled(err) && o.copying:
			wayOut = "it seems to be behind a pooler such as PgBouncer, through which nothing is copied: give the address of the database itself"
		case pooled(err):
			wayOut = "it seems to be behind a pooler such as PgBouncer: set database_notify: poll (docs/scaling.md)"
		case tooMany(err):
			wayOut = "each node has up to " + strconv.Itoa(nodeConnections) + " connections: raise max_connections, or the limit of this user or database"
		}
		return nil, hook.Errorf(hook.CodeUnavailable, "open database %s on %s: %w; %s", config.Database, config.Host, err, wayOut)
	}
	return s, nil
}

// set gives the sessions of config what they do not have yet: what stands in the URL, or
// in earlier settings, counts.
func set(config *pgx.ConnConfig, settings ...map[string]string) {
	for _, s := range settings {
		for name, value := range s {
			if _, there := config.RuntimeParams[name]; !there {
				config.RuntimeParams[name] = value
			}
		}
	}
}

// openAlone opens the store while no other node does.
func (s *Store) openAlone(ctx context.Context, o Options) error {
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var version int
	if err := conn.QueryRowContext(ctx, sqlVersion).Scan(&version); err != nil {
		return err
	}
	if version < oldestPostgres {
		return hook.Errorf(hook.CodeInvalid, "the database is PostgreSQL %d, %d or newer is needed", version/10_000, oldestPostgres/10_000)
	}
	if o.Poll {
		if text, err := settingsToGive(ctx, conn); err != nil {
			return err
		} else if text != "" {
			o.Log.Warn("statements may be planned badly, for a session's settings cannot be asked for behind a pooler; give them to the user", "sql", text)
		}
	}
	unlock, err := s.lockOpening(ctx)
	if err != nil {
		return fmt.Errorf("wait for other nodes: %w", err)
	}
	defer unlock()
	if err := s.migrateShared(ctx, o); err != nil {
		return err
	}
	if !o.copying {
		if err := s.wholeCopy(ctx); err != nil {
			return err
		}
	}
	if err := s.EnsurePartitions(ctx, time.Now()); err != nil {
		return err
	}
	if s.ids, err = s.loadIDs(ctx); err != nil {
		return err
	}
	if _, err := s.sealOld(unhurried(ctx)); err != nil {
		return err
	}
	keys, err := s.beginNode(ctx)
	if err != nil {
		return err
	}
	s.writer = s.newWriter(o, keys)
	s.writer.pg, s.writer.recent = &pgWriter{store: s}, newRecent(0, recentShared)
	go s.writer.run()
	if err := s.beatAs(ctx, ""); err != nil { // and see who else is there
		s.writer.stop()
		return err
	}
	return nil
}

// lockOpening waits until no other node opens the store, and keeps others from it until
// unlock is called. The lock is a transaction's, which stays on one connection also
// behind a pooler; it has a connection of its own, and waits for as long as it takes.
func (s *Store) lockOpening(ctx context.Context) (unlock func(), err error) {
	config := s.pg.config.Copy()
	config.RuntimeParams["application_name"] = "opening " + applicationName // not one of those that settledEnd waits for
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	unlock = func() { conn.Close(context.WithoutCancel(ctx)) }
	for _, q := range []string{"BEGIN", sqlNoIdleEnd, strings.ReplaceAll(sqlLock, "?", strconv.Itoa(openLock))} {
		if _, err := conn.Exec(ctx, q); err != nil {
			unlock()
			return nil, err
		}
	}
	return unlock, nil
}

// migrateShared brings the schema up to date while no other node does, but under those
// that run. The library writes PostgreSQL's own SQL, and takes its time. A lock on a
// table that is not had soon is given up, rather than that everybody waits behind it.
func (s *Store) migrateShared(ctx context.Context, o Options) error {
	files, err := o.files(postgresMigrations, "migrations_postgres")
	if err != nil {
		return err
	}
	config := s.pg.config.Copy()
	if !o.Poll { // a pooler takes no such settings
		config.RuntimeParams[sqlLockSetting] = "10s"
	}
	plain := stdlib.OpenDB(*config)
	defer plain.Close()
	return s.migrate(ctx, goose.DialectPostgres, plain, files)
}

// closePostgres hands over at once: what this incarnation holds may be claimed, and
// its number is free.
func (s *Store) closePostgres() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.leave(ctx), s.writer.pg.close())
	}
	return errors.Join(append(errs, s.read.Close(), s.write.Close(), s.pg.batches.Close())...)
}

// snapshot are the options of a transaction that sees one state of the store.
func (s *Store) snapshot() *sql.TxOptions {
	if s.pg != nil {
		return &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
	}
	return &sql.TxOptions{ReadOnly: true}
}

// held is the condition that a delivery is in the memory of a process that
// lives, and its arguments.
func (s *Store) held() (string, []any) {
	if s.pg != nil {
		return "holder IN (" + s.pg.living() + ")", nil
	}
	return "holder = ?", []any{s.Incarnation()}
}

// free is the opposite of held.
func (s *Store) free() (string, []any) {
	if s.pg != nil {
		return "holder NOT IN (" + s.pg.living() + ")", nil
	}
	return "holder <> ?", []any{s.Incarnation()}
}
