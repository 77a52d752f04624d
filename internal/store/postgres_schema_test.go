package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

// openNode opens one node of the database at url.
func openNode(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// columns are those of all tables: "table.column" to kind and whether it may be null.
func columns(t *testing.T, db *sql.DB, query string) map[string]string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var table, column, kind string
		var required, key bool
		if err := rows.Scan(&table, &column, &kind, &required, &key); err != nil {
			t.Fatal(err)
		}
		if kind = strings.ToLower(kind); kind == "bigint" {
			kind = "integer"
		}
		if kind == "bytea" {
			kind = "blob"
		}
		all[table+"."+column] = fmt.Sprintf("%s, required %v", kind, required || key)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBothEnginesHaveTheSameTablesAndColumns(t *testing.T) {
	t.Parallel()
	lite := columns(t, open(t).read, `SELECT m.name, c.name, c.type, c."notnull", c.pk > 0 FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name <> 'schema_versions'`)
	s := openNode(t, server.Database(t))
	pg := columns(t, s.read, `SELECT c.relname, a.attname, format_type(a.atttypid, NULL), a.attnotnull, false FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND c.relname <> 'schema_versions'`)
	for _, own := range []string{"nodes.id", "nodes.incarnation", "nodes.seen_at", "nodes.behind", "nodes.schema", "nodes.session", "incarnations.seen_at", "requests.hash", "requests.id",
		"requests.holder", "duties.name", "duties.holder", "notices.at", "notices.id", "notices.kind", "notices.key"} {
		if pg[own] == "" {
			t.Errorf("PostgreSQL has no column %s", own)
		}
		delete(pg, own)
	}
	// What is packed there has its rows in tables dedupe and idempotency here, which know hashes.
	for _, own := range []string{"runs.id", "runs.kind", "runs.last", "runs.keys", "run_blocks.id", "run_blocks.entries", "run_filters.id", "run_filters.filter"} {
		if lite[own] == "" {
			t.Errorf("SQLite has no column %s", own)
		}
		delete(lite, own)
	}
	// The one difference in keys: on PostgreSQL the hash is the key.
	if d := cmp.Diff(lite, pg); d != "" || len(lite) < 100 {
		t.Errorf("%d columns (-SQLite +PostgreSQL):\n%s", len(lite), d)
	}
}

// counted is a log that counts how often something is said.
type counted struct {
	slog.Handler
	what string
	n    atomic.Int32
}

func (c *counted) Enabled(context.Context, slog.Level) bool { return true }

func (c *counted) Handle(_ context.Context, r slog.Record) error {
	if r.Message == c.what {
		c.n.Add(1)
	}
	return nil
}

func TestTenNodesMayStartAtOnceAndOneOfThemMigrates(t *testing.T) {
	t.Parallel()
	newest := newestSchema(t)
	for name, c := range map[string]struct {
		url      string
		schema   int
		migrates int32
	}{
		"an empty database":             {server.Empty(t), newest, 1},
		"one that is up to date":        {server.Database(t), newest, 0},
		"one that has to be brought up": {server.Database(t), newest + 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &counted{what: "schema migrated"}
			o := Options{URL: c.url, Log: slog.New(log)}
			if c.schema > newest {
				o.migrations = later(t, postgresMigrations, "migrations_postgres", expands)
			}
			stores := make([]*Store, 10)
			var wg sync.WaitGroup
			for i := range stores {
				wg.Go(func() {
					s, err := Open(context.Background(), o)
					if err != nil {
						t.Errorf("node %d: %v", i, err)
					}
					stores[i] = s
				})
			}
			wg.Wait()
			numbers := map[int32]bool{}
			for _, s := range stores {
				if s == nil {
					continue
				}
				defer s.Close()
				numbers[s.pg.node.Load()] = true
				if s.ids.Public(hook.KindMessage, 5) != stores[0].ids.Public(hook.KindMessage, 5) {
					t.Error("two nodes have different secrets of ids")
				}
			}
			if len(numbers) != len(stores) {
				t.Errorf("%d numbers for %d nodes", len(numbers), len(stores))
			}
			if n := log.n.Load(); n != c.migrates {
				t.Errorf("the schema was migrated %d times, %d is right", n, c.migrates)
			}
		})
	}
}

func TestOpenSaysWhatIsWrongWithADatabase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url, says string
	}{
		"no URL":         {"postgres://[", "write it as postgres://"},
		"nobody answers": {"postgres://u:hidden@127.0.0.1:1/d?connect_timeout=1", "see that it is there"},
	} {
		_, err := Open(context.Background(), Options{URL: c.url, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What was kept before its day had a partition moves into it.
func TestRowsOfTheDefaultPartitionMoveToTheirDay(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := openNode(t, server.Database(t))
	day := time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC)
	id := hook.KeyAt(day)
	inWriter(t, s, func(ctx context.Context, tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO bodies (message_id, org_id, body) VALUES (?, 1, ?)", id, []byte("x"))
		return err
	})
	where := func() (table string) {
		if err := s.read.QueryRow("SELECT CAST(tableoid::regclass AS text) FROM bodies WHERE message_id = ?", id).Scan(&table); err != nil {
			t.Fatal(err)
		}
		return table
	}
	if got := where(); got != "bodies_default" {
		t.Fatalf("without a partition the row is in %s", got)
	}
	for range 2 { // again changes nothing
		if err := s.EnsurePartitions(ctx, day.Add(-24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if got := where(); got != "bodies_20300506" {
		t.Errorf("with a partition the row is in %s", got)
	}
	if _, m := s.Message(ctx, id); hook.CodeOf(m) != hook.CodeNotFound {
		t.Errorf("a body without a message was read: %v", m)
	}
}

// newestSchema is the number of the last migration.
func newestSchema(t *testing.T) (n int) {
	t.Helper()
	files, err := postgresMigrations.ReadDir("migrations_postgres")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		number, err := strconv.Atoi(f.Name()[:4])
		if err != nil {
			t.Fatal(err)
		}
		n = max(n, number)
	}
	return n
}
