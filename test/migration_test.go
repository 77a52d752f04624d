package test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/sigpost/sigpost/internal/hook"
)

const migrations = "../internal/store/migrations"

// A server of today starts on the database of an earlier version and is killed while it brings it up to
// date. What was kept before is delivered.
func TestACrashDuringAMigrationLosesNothing(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(migrations + "/*.sql")
	if err != nil || len(files) < 2 {
		t.Fatalf("migrations: %v, %v", files, err)
	}
	for _, file := range files[:len(files)-1] {
		var version int64
		if _, err := fmt.Sscanf(filepath.Base(file), "%d_", &version); err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprint("from ", version), func(t *testing.T) {
			t.Parallel()
			for round := 0; round < max(1, crashRounds(t)/10) && timeLeft(t); round++ {
				killMigrating(t, version)
			}
		})
	}
}

func killMigrating(t *testing.T, version int64) {
	t.Helper()
	l := newLedger()
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	dir := t.TempDir()
	config := writeConfig(t, dir, freeAddress(t), veriffSecret, endpointsYAML(receiver.URL))
	fillSchema(t, filepath.Join(dir, "data"), version, receiver.URL, l)
	for range 3 {
		p := launch(t, binary, config)
		<-time.After(rand.N(80 * time.Millisecond))
		p.kill()
	}
	p := serve(t, config)
	await(t, l, p)
	l.check(t, inFlight)
	p.stop()
}

// fillSchema makes a data directory of an earlier version, with an endpoint and messages that it has not had.
func fillSchema(t *testing.T, dir string, version int64, url string, l *ledger) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "sigpost.db")+"?_pragma=auto_vacuum(INCREMENTAL)&_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS(migrations), goose.WithTableName("schema_versions"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	secret := [hook.IDSecretSize]byte{1}
	ids, now, key := hook.NewIDs(secret), time.Now(), hook.NewKeySequence(0, 0)
	app, endpoint := key.Take(now, 1), key.Take(now, 1)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	insert := func(table, columns string, values ...any) {
		t.Helper()
		rows, err := tx.Query(`SELECT name FROM pragma_table_info(?) WHERE "notnull" AND dflt_value IS NULL AND ', ' || ? || ',' NOT LIKE '%, ' || name || ',%'`, table, columns)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() { // what a later version wants to know
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Fatal(err)
			}
			columns, values = columns+", "+name, append(values, 0)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		q := "INSERT INTO " + table + " (" + columns + ") VALUES (?" + strings.Repeat(", ?", len(values)-1) + ")"
		if _, err := tx.Exec(q, values...); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
	}
	insert("meta", "name, value", "id_secret", secret[:])
	insert("organizations", "id, name, created_at", 1, "default", now.UnixMilli())
	insert("applications", "id, org_id, name, hidden, created_at", app, 1, "veriff-prod", 1, now.UnixMilli())
	insert("sources", "id, org_id, app_id, name, provider, token, managed_by, created_at", key.Take(now, 1), 1, app, "veriff-prod", "veriff", "veriff-prod", "file", now.UnixMilli())
	insert("endpoints", "id, org_id, app_id, name, url, settings, managed_by, created_at", endpoint, 1, app, url, url, "{}", "file", now.UnixMilli())
	for n := range 300 {
		body, id := fmt.Sprintf(`{"n":%d}`, n), key.Take(now, 2)
		insert("messages", "id, org_id, app_id, event_type, rank, received_at, headers, size, fanout", id, 1, app, "x", 0, now.UnixMilli(), "[]", len(body), 1)
		insert("bodies", "message_id, org_id, body", id, 1, []byte(body))
		insert("deliveries", "id, org_id, message_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, trigger, late",
			id+1, 1, id, endpoint, int(hook.Pending), 0, 0, now.UnixMilli(), now.UnixMilli(), 0, 0, 0, 0)
		l.promise(ids.Public(hook.KindMessage, id), body)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
