package store

import (
	"context"
	"database/sql"
	"io/fs"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestBackupHasWhatIsPacked(t *testing.T) {
	t.Parallel()
	s := openSeen(t, t.TempDir())
	defer s.Close()
	hashes := s.fill(t, 5*generationOfTests+3)
	s.packAll(t)
	target, fresh := filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "restored")
	if _, err := BackUp(context.Background(), s.dir, target); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(context.Background(), target, fresh); err != nil {
		t.Fatal(err)
	}
	r := openSeen(t, fresh)
	defer r.Close()
	if len(r.writer.seen.list()) == 0 {
		t.Error("nothing is packed")
	}
	r.expectKnown(t, hashes, true)
}

// What is packed becomes rows again on PostgreSQL, once each, also when packing was cut and
// when copying is.
func TestCopyHasWhatIsPacked(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := server.Database(t)
	s := openSeen(t, t.TempDir())
	hashes := s.fill(t, 11*generationOfTests)
	if err := s.packer.packFull(ctx); err != nil {
		t.Fatal(err)
	}
	hashes = append(hashes, s.fill(t, generationOfTests+2)...)
	for n := 0; ; n++ { // until the last generation is listed, and its rows are still in the table
		s.pack(t, n)
		if s.count(t, "SELECT count(*) FROM dedupe WHERE message_id <= (SELECT max(last) FROM runs WHERE kind = 1)") > 0 {
			break
		}
	}
	w := s.packer.newRun(s.writer.seen, 1) // and that of a run that is not listed
	if err := w.add(ctx, entry{hash: randomHash(), key: s.writer.seen.mark, org: DefaultOrg}); err != nil {
		t.Fatal(err)
	}
	if err := w.endBlock(ctx); err != nil {
		t.Fatal(err)
	}
	s.packer.may = func(context.Context) error { return nil }
	if err := w.endPart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	move := func(ctx context.Context, verify bool, progress func(string, int64)) (dedupe TableCheck, err error) {
		checks, err := CopyToPostgres(ctx, CopyOptions{Dir: s.dir, URL: url, Log: slog.New(slog.DiscardHandler), VerifyOnly: verify, Progress: progress})
		for _, c := range checks {
			if c.Table == "dedupe" {
				dedupe = c
			}
		}
		return dedupe, err
	}
	cut, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, err := move(cut, false, func(table string, _ int64) {
		if table == "runs of dedupe" {
			cancel()
		}
	}); err == nil {
		t.Fatal("the copy was not cut in the runs")
	}
	if c, err := move(ctx, false, nil); err != nil || !c.Same() || c.Source.Rows != int64(len(hashes)) {
		t.Errorf("%+v, %v; %d hashes are right", c, err, len(hashes))
	}
	node := openNode(t, url)
	if _, err := node.write.Exec("UPDATE dedupe SET org_id = org_id + 1 WHERE hash = ?", hashes[0][:]); err != nil {
		t.Fatal(err)
	}
	if c, err := move(ctx, true, nil); hook.CodeOf(err) != hook.CodeConflict || c.Same() {
		t.Errorf("a changed row was not found: %+v, %v", c, err)
	}
	for i, h := range hashes {
		a := &hook.Append{Hash: h, Message: hook.Message{Org: DefaultOrg, App: 1}}
		if err := node.Append(ctx, a); err != nil || !a.Duplicate {
			t.Errorf("hash %d of %d is new: %v", i, len(hashes), err)
		}
	}
}

// A store of before has all its keys in table dedupe.
func TestAStoreFromBeforeRunsIsPackedInTheBackground(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var hashes []hook.Hash
	old := randomHash()
	makeOldStore(t, dir, func(db *sql.DB) {
		keys := hook.NewKeySequence(0, 0)
		insert := func(at time.Time, h hook.Hash) {
			for _, q := range []string{
				"INSERT INTO dedupe (message_id, org_id, hash) VALUES (?, 1, ?)",
				"INSERT INTO idempotency (id, org_id, hash, request, message_id, status) VALUES (?, 1, ?2, ?2, 5, 0)",
			} {
				if _, err := db.Exec(q, keys.Take(at, 1), h[:]); err != nil {
					t.Fatal(err)
				}
			}
		}
		insert(time.Now().Add(-hook.DedupeWindow-time.Hour), old)
		for range 10*generationOfTests + 3 {
			h := randomHash()
			insert(time.Now(), h)
			hashes = append(hashes, h)
		}
	})
	s := openSeen(t, dir)
	s.expectKnown(t, hashes, true)
	s.expectKnown(t, []hook.Hash{old}, false)
	if _, n := s.writer.seen.full(); n != 10 {
		t.Errorf("%d generations wait, 10 are right", n)
	}
	s.pack(t, 17)
	s = s.restart(t, true)
	s.expectKnown(t, hashes, true)
	s.packAll(t)
	s.expectKnown(t, hashes, true)
	s.expectKnown(t, []hook.Hash{old}, false)
	if n := s.count(t, "SELECT count(*) FROM dedupe"); n != 3 {
		t.Errorf("%d rows are in table dedupe, 3 are right", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// makeOldStore makes a database with the schema before runs.
func makeOldStore(t *testing.T, dir string, fill func(db *sql.DB)) {
	t.Helper()
	db, err := openSQLite(filepath.Join(dir, databaseName), true)
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(sqliteMigrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithTableName("schema_versions"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
	fill(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
