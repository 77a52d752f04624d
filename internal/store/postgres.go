package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
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
	age     time.Duration // how long after its last beat an incarnation is alive
	node    atomic.Int32
	// doubt says that a connection was lost while something was being held for
	// this incarnation: it may hold deliveries that nobody has in memory.
	doubt atomic.Bool
	log   *slog.Logger
}

// openPostgres connects, brings the schema up to date and begins a new
// incarnation. Nodes do so one after another, so ten may start at once.
func openPostgres(ctx context.Context, o Options) (*Store, error) {
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "read database URL: %w; write it as postgres://user:password@host:5432/database", err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	batching, reading := config.Copy(), config.Copy()
	set(config, sessionSettings())
	set(batching, batchSettings(), sessionSettings())
	set(reading, sessionSettings())
	reading.RuntimeParams["enable_hashjoin"] = "off" // lists look rows up one by one: a join that reads a whole table first is never right
	known := &translations{}
	s := &Store{seal: o.Seal, pg: &postgres{config: config, batches: openPool(batching, known, 1), age: aliveFor, log: o.Log}}
	s.read, s.write = openPool(reading, known, readers), openPool(config, known, writers)
	if err := s.openAlone(ctx, o); err != nil {
		s.closeFiles()
		if _, ok := errors.AsType[*hook.Error](err); ok {
			return nil, err
		}
		return nil, hook.Errorf(hook.CodeUnavailable, "open database %s on %s: %w; see that it is there and that this user may connect and create tables", config.Database, config.Host, err)
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
	config.RuntimeParams["application_name"] = applicationName // settledEnd looks for it
}

// openAlone opens the store while no other node does.
func (s *Store) openAlone(ctx context.Context, o Options) error {
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var version int
	if err := conn.QueryRowContext(ctx, "SELECT CAST(current_setting('server_version_num') AS INTEGER)").Scan(&version); err != nil {
		return err
	}
	if version < oldestPostgres {
		return hook.Errorf(hook.CodeInvalid, "the database is PostgreSQL %d, %d or newer is needed", version/10_000, oldestPostgres/10_000)
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock(?)", openLock); err != nil {
		return fmt.Errorf("wait for other nodes: %w", err)
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(?)", openLock) // or with the connection
	plain := stdlib.OpenDB(*s.pg.config.Copy())                                                  // the library writes PostgreSQL's own SQL
	defer plain.Close()
	if err := migrateFrom(ctx, goose.DialectPostgres, plain, postgresMigrations, "migrations_postgres"); err != nil {
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
	if _, err := s.sealOld(ctx); err != nil {
		return err
	}
	keys, err := s.beginNode(ctx)
	if err != nil {
		return err
	}
	s.writer = newWriter(o, keys)
	s.writer.pg = &pgWriter{store: s}
	go s.writer.run()
	return nil
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

// living is the query of the incarnations that are alive.
func (p *postgres) living() string {
	return "SELECT id FROM incarnations WHERE seen_at > now() - " + interval(p.age)
}
