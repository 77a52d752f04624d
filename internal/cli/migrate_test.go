package cli

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
	"github.com/sigpost/sigpost/internal/store/storetest/pgtest"
)

// emptyDatabase is a database of a PostgreSQL that ends with the test.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	server := &pgtest.Server{}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.Empty(t)
}

func TestDataMovesToPostgreSQLAndOpensWithTheKeyThatIsNamed(t *testing.T) {
	t.Parallel()
	url, d := emptyDatabase(t), newStopped(t)
	id := d.keep("{\"a\":1}", false)
	move := func(more ...string) ran {
		t.Helper()
		return d.run(append([]string{"migrate", "sqlite-to-postgres", "--database-url", url}, more...)...)
	}
	move("--verify-only").expect(t, ExitInvalid, "nothing was copied")
	d.open(func(*store.Store) { // as a server has it
		move().expect(t, ExitInvalid, "in use by another sigpost process")
	})
	move().expect(t, ExitOK, "copying messages: 1\n", "TABLE", "POSTGRESQL", "both sides are the same",
		"SIGPOST_MASTER_KEY=\"$(paste -sd, '"+filepath.Join(d.dir, "master.key")+"')\"")
	again := move("--verify-only", "--json")
	again.expect(t, ExitOK)
	var checks []struct {
		Table  string
		Sqlite struct{ Rows int }
		Same   bool
	}
	if err := json.Unmarshal([]byte(again.out), &checks); err != nil || len(checks) != 28 {
		t.Fatalf("%d tables, %v", len(checks), err)
	}
	for _, c := range checks {
		if !c.Same || c.Table == "attempts" && c.Sqlite.Rows != 1 {
			t.Errorf("%+v", c)
		}
	}
	d.opensAt(t, url, id)

	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "UPDATE attempts SET status = status + 1"); err != nil {
		t.Fatal(err)
	}
	move("--verify-only").expect(t, ExitInvalid, "DIFFERENT", "tables that differ: 1")
}

// opensAt checks that a node on the database has the message and the secrets.
func (d *stopped) opensAt(t *testing.T, url, id string) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(d.dir, seal.FileName))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewRing(strings.TrimSpace(string(key)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{URL: url, Seal: ring, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k, err := s.IDs().Key(hook.KindMessage, id)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.Message(t.Context(), k); err != nil || string(m.Body) != "{\"a\":1}" {
		t.Errorf("message %s: %+v, %v", id, m, err)
	}
	secrets, err := s.AllSecrets(t.Context(), time.Now())
	if err != nil || len(secrets) != 3 || secrets[d.ends[0].ID][0].Value.Reveal() != "secret of "+d.ends[0].URL {
		t.Errorf("%d secrets, %v", len(secrets), err)
	}
}

// A database that is named in the environment alone is found there, as serve finds it.
func TestCommandsFindTheDatabaseOfTheEnvironment(t *testing.T) {
	t.Parallel()
	url, d, none := emptyDatabase(t), newStopped(t), t.TempDir()
	id := d.keep("{\"a\":1}", false)
	d.run("migrate", "sqlite-to-postgres", "--database-url", url).expect(t, ExitOK, "both sides are the same")
	key, err := os.ReadFile(filepath.Join(d.dir, seal.FileName))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SIGPOST_DATABASE_URL": url, "SIGPOST_MASTER_KEY": strings.TrimSpace(string(key))}
	in := func(dir string, args ...string) ran {
		return invocation{args: append(args, "--data", dir), env: env}.run(t)
	}
	in(none, "message", "show", id).expect(t, ExitOK, "{\"a\":1}")
	in(none, "source", "list").expect(t, ExitOK, "veriff") // without a configuration nothing is taken for gone from it
	in(none, "backup", filepath.Join(none, "b")).expect(t, ExitUsage, "pg_dump")
	in(d.dir, "backup", filepath.Join(none, "b")).expect(t, ExitOK, "backed up") // the directory has data of its own
	delete(env, "SIGPOST_MASTER_KEY")
	in(none, "message", "list").expect(t, ExitInvalid, "master_key is missing")
	sigpost(t, "message", "list", "--data", none).expect(t, ExitInvalid, "there is no data in "+none)

	newStopped(t).run("migrate", "sqlite-to-postgres", "--database-url", url).expect(t, ExitInvalid, "the database is not empty: its secrets are sealed under another master key")
}

func TestTooManyConnectionsHaveAWayOut(t *testing.T) {
	t.Parallel()
	url, d := emptyDatabase(t), newStopped(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE ROLE few LOGIN CONNECTION LIMIT 0"); err != nil {
		t.Fatal(err)
	}
	few := strings.Replace(url, "sigpost@", "few@", 1)
	d.run("migrate", "sqlite-to-postgres", "--database-url", few).expect(t, ExitInvalid, "each node has up to 13 connections: raise max_connections")
}

func TestMoveSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	d.run("migrate", "sqlite-to-postgres").expect(t, ExitUsage, "--database-url is missing")
	d.run("migrate", "sqlite-to-postgres", "--database-url", "mysql://x").expect(t, ExitUsage, "begin with postgres://")
	d.run("migrate", "sqlite-to-postgres", "--database-url", "postgres://u:hidden@127.0.0.1:1/d?connect_timeout=1").expect(t, ExitInvalid, "see that it is there")
	d.run("migrate", "postgres-to-sqlite").expect(t, ExitUsage)
	if err := os.Remove(filepath.Join(d.dir, seal.FileName)); err != nil {
		t.Fatal(err)
	}
	d.run("migrate", "sqlite-to-postgres", "--database-url", "postgres://127.0.0.1:1/d").expect(t, ExitInvalid, "there is no master key")
	if _, err := os.Stat(filepath.Join(d.dir, seal.FileName)); err == nil {
		t.Error("a key was made that nothing is sealed under")
	}
}
