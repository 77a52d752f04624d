package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sigpost/sigpost/internal/hook"
)

// Migrations of times to come. {now} is the last schema that there is, {next} the one after it.
const (
	expands   = "-- sigpost: works with {now}\n-- +goose Up\nALTER TABLE endpoints ADD COLUMN colour TEXT NOT NULL DEFAULT 'red';\nCREATE INDEX endpoints_colour ON endpoints (colour);\n"
	contracts = "-- The column is not used any more.\n\n-- +goose Up\nDROP INDEX endpoints_colour;\nALTER TABLE endpoints DROP COLUMN colour;\n"
	adds      = "-- sigpost: works with {next}\n-- +goose Up\nALTER TABLE endpoints ADD COLUMN shape TEXT;\n"
	broken    = "-- +goose Up\nALTER TABLE endpoints ADD COLUMN size TEXT;\nALTER TABLE nothing ADD COLUMN colour TEXT;\n"
)

// later are the migrations of an engine, and some more: those of a binary to come.
func later(t *testing.T, own embed.FS, dir string, more ...string) fs.FS {
	t.Helper()
	files, err := fs.Sub(own, dir)
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	all, now := fstest.MapFS{}, 0
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: raw}
		n, err := strconv.Atoi(name[:4])
		if err != nil {
			t.Fatal(err)
		}
		now = max(now, n)
	}
	fill := strings.NewReplacer("{now}", strconv.Itoa(now), "{next}", strconv.Itoa(now+1), "{over}", strconv.Itoa(now+2))
	for i, text := range more {
		all[fmt.Sprintf("%04d_later.sql", now+1+i)] = &fstest.MapFile{Data: []byte(fill.Replace(text))}
	}
	return all
}

// engine is a place for one store, and how it is opened with more migrations.
type engine struct {
	name string
	open func(t *testing.T, more ...string) (*Store, error)
}

func engines(t *testing.T) []engine {
	dir, url := filepath.Join(t.TempDir(), "data"), server.Database(t)
	quiet := slog.New(slog.DiscardHandler)
	return []engine{
		{"SQLite", func(t *testing.T, more ...string) (*Store, error) {
			return Open(context.Background(), Options{Dir: dir, Log: quiet, migrations: later(t, sqliteMigrations, "migrations", more...)})
		}},
		{"PostgreSQL", func(t *testing.T, more ...string) (*Store, error) {
			return Open(context.Background(), Options{URL: url, Log: quiet, migrations: later(t, postgresMigrations, "migrations_postgres", more...)})
		}},
	}
}

// A binary starts on a newer schema when that says that it may, and else refuses and
// leaves everything as it is.
func TestABinaryWorksWithANewerSchemaThatSaysSo(t *testing.T) {
	t.Parallel()
	for _, e := range engines(t) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			use := func(whose string, more ...string) {
				t.Helper()
				s, err := e.open(t, more...)
				if err != nil {
					t.Fatalf("%s: %v", whose, err)
				}
				keep(t, s, unit(0))
				if got := take(t, s); len(got) == 0 {
					t.Errorf("%s claims nothing", whose)
				}
				if _, err := s.Endpoints(context.Background()); err != nil {
					t.Errorf("%s: %v", whose, err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("%s: %v", whose, err)
				}
			}
			refused := func(whose string, more ...string) {
				t.Helper()
				s, err := e.open(t, more...)
				if err == nil {
					s.Close()
				}
				if hook.CodeOf(err) != hook.CodeConflict || !strings.Contains(err.Error(), "newer sigpost") {
					t.Errorf("%s: %v", whose, err)
				}
			}
			use("the first")
			use("one that expands", expands)
			use("the first, on what was expanded")
			if _, err := e.open(t, expands, broken); err == nil || hook.CodeOf(err) == hook.CodeConflict {
				t.Fatalf("a migration that fails: %v", err)
			}
			use("the first, after a migration that failed")
			use("one that contracts", expands, contracts)
			refused("the first, on what was contracted")
			refused("the second, on what was contracted", expands)
			use("one that expands once more", expands, contracts, adds)
			use("the one before it", expands, contracts)
			refused("the second, though the last migration works with it", expands)
		})
	}
}

func TestAMigrationSaysWhatItWorksWithInOneWay(t *testing.T) {
	t.Parallel()
	for _, e := range engines(t) {
		for _, line := range []string{"works with 0", "works with {over}", "works with the last", "works with {now}, mostly", "works with ", "work with {now}"} {
			s, err := e.open(t, "-- sigpost: "+line+"\n"+expands)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "_later.sql") {
				t.Errorf("%s: %q: %v", e.name, line, err)
			}
		}
	}
}

// lost makes a node one that nobody was told of for long.
func lost(t *testing.T, by, of *Store) {
	t.Helper()
	silent(t, by, of.Incarnation(), 2*aliveFor)
	if _, err := by.write.Exec("UPDATE nodes SET seen_at = now() - "+interval(2*aliveFor)+" WHERE id = ?", of.pg.node.Load()); err != nil {
		t.Fatal(err)
	}
}

// While nodes live, only what they work with is migrated. Who was silent meanwhile ends.
func TestAMigrationIsRefusedThatALivingNodeCannotWorkWith(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	pg := engines(t)[1]
	open := func(more ...string) *Store {
		t.Helper()
		s, err := pg.open(t, more...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old := open()
	facts := func() (all string) {
		t.Helper()
		const q = "SELECT concat((SELECT max(version_id) FROM schema_versions), ' ', (SELECT encode(value, 'escape') FROM meta WHERE name = ?))"
		if err := old.write.QueryRow(q, metaOldest).Scan(&all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := facts()
	refused := func(whose string, more ...string) {
		t.Helper()
		_, err := pg.open(t, more...)
		if hook.CodeOf(err) != hook.CodeConflict || !strings.Contains(err.Error(), fmt.Sprint("older nodes run on this database: ", old.pg.node.Load())) || !strings.Contains(err.Error(), "stop them") {
			t.Errorf("%s: %v", whose, err)
		}
		if now := facts(); now != before {
			t.Errorf("%s: %q became %q", whose, before, now)
		}
	}
	refused("contracting under a node that lives", expands, contracts)
	young := open(expands)
	before = facts()
	for _, s := range []*Store{old, young} { // both go on
		keep(t, s, unit(0))
		if got := take(t, s); len(got) != 1 {
			t.Errorf("claimed: %+v", got)
		}
		if err := s.Beat(ctx); err != nil {
			t.Error(err)
		}
		s.pg.doubt.Store(true)
		if err := s.Beat(ctx); err != nil {
			t.Errorf("another incarnation: %v", err)
		}
	}
	refused("contracting under an older node", expands, contracts)
	if err := young.Close(); err != nil {
		t.Error(err)
	}
	lost(t, old, old)
	newest := open(expands, contracts)
	defer newest.Close()
	if err := old.Beat(ctx); !errors.Is(err, errOutdated) || hook.CodeOf(err) != hook.CodeConflict {
		t.Errorf("a beat of the node that was silent: %v", err)
	}
	if got := take(t, old); len(got) != 0 {
		t.Errorf("it claimed %+v", got)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
}

// A migration locks tables that others write. Where both wait for each other, it is tried
// again.
func TestAMigrationThatOthersAreInTheWayOfIsTriedAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := server.Database(t)
	a := openNode(t, url)
	const crosswise = "-- sigpost: works with {now}\n-- +goose Up\nALTER TABLE deliveries ADD COLUMN colour TEXT;\nSELECT pg_sleep(0.4);\nALTER TABLE messages ADD COLUMN colour TEXT;\n"
	tx, err := a.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("LOCK TABLE messages IN ROW EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	log := &counted{what: "migration tried again, others were in the way"}
	opened := make(chan error, 1)
	go func() {
		b, err := Open(ctx, Options{URL: url, Log: slog.New(log), migrations: later(t, postgresMigrations, "migrations_postgres", crosswise)})
		if err == nil {
			err = b.Close()
		}
		opened <- err
	}()
	const locked = "SELECT 1 FROM pg_locks WHERE relation = 'deliveries'::regclass AND mode = 'AccessExclusiveLock' AND granted"
	for there := false; !there; {
		if there, err = exists(ctx, a.read, locked); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec("LOCK TABLE deliveries IN ROW EXCLUSIVE MODE"); err != nil {
		t.Errorf("those who write give way: %v", err)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	if err := within(t, "open", func() error { return <-opened }); err != nil {
		t.Errorf("the migration: %v", err)
	}
	if log.n.Load() == 0 {
		t.Error("nobody was in the way, so nothing is shown") // the test has to be mended
	}
}

// What a binary does not know it would not copy.
func TestDataOfANewerVersionIsNotCopied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	quiet := slog.New(slog.DiscardHandler)
	s, err := Open(context.Background(), Options{Dir: dir, Log: quiet, migrations: later(t, sqliteMigrations, "migrations", expands)})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err = CopyToPostgres(context.Background(), CopyOptions{Dir: dir, URL: server.Database(t), Log: quiet})
	if hook.CodeOf(err) != hook.CodeConflict || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("copying what a newer version wrote: %v", err)
	}
}
