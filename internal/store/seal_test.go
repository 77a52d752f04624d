package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// fakeSealer seals with the first of its keys and opens with any.
type fakeSealer []byte

func (f fakeSealer) Seal(plain []byte, context string) ([]byte, error) {
	out := append([]byte{f[0], byte(len(context))}, context...)
	for _, c := range plain {
		out = append(out, c^f[0])
	}
	return out, nil
}

func (f fakeSealer) Open(sealed []byte, context string) ([]byte, error) {
	head := append([]byte{byte(len(context))}, context...)
	if len(sealed) == 0 || !bytes.Contains(f, sealed[:1]) || !bytes.HasPrefix(sealed[1:], head) {
		return nil, errors.New("wrong key or context")
	}
	var out []byte
	for _, c := range sealed[1+len(head):] {
		out = append(out, c^sealed[0])
	}
	return out, nil
}

func openSealed(t *testing.T, dir string, seal store.Sealer) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler), Seal: seal})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// confidential is what keepConfidential keeps; none of it may be on disk in clear.
var confidential = []string{"whsec_of-endpoint", "whsec_of-source", "Bearer of-api", "Bearer of-file", "whsec_own-one", "answer-with-a-token", "whsec_rotated"}

// keepConfidential keeps each of confidential in its place, and gives the owner
// of secrets and the idempotency key.
func keepConfidential(t *testing.T, s *store.Store) (endpoint hook.Endpoint, key hook.Hash) {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.ApplyFile(ctx, []store.FileSource{{Name: "f", Provider: "p", Endpoints: []hook.Endpoint{{Name: "e", URL: "https://x", Headers: []hook.Header{{Name: "Authorization", Value: "Bearer of-file"}}}}}}, false))
	a, err := s.CreateApplication(ctx, hook.Application{Org: store.DefaultOrg, Name: "a"})
	must(err)
	e, err := s.CreateEndpoint(ctx, hook.Endpoint{Org: a.Org, App: a.ID, URL: "https://x", Headers: []hook.Header{{Name: "Authorization", Value: "Bearer of-api"}}}, "whsec_of-endpoint")
	must(err)
	e, err = s.UpdateEndpoint(ctx, e, hook.SecretChange{Fresh: "whsec_rotated", Grace: time.Hour, At: time.Now()})
	must(err)
	_, err = s.CreateSource(ctx, hook.Source{Org: a.Org, Name: "s", Provider: "p"}, []hook.Secret{"whsec_of-source"})
	must(err)
	_, err = s.OwnSecret(ctx, a.Org, 5, func() (string, error) { return "whsec_own-one", nil })
	must(err)
	i := hook.Idempotency{Hash: hook.Hash{1}, Request: hook.Hash{2}}
	must(s.KeepAnswer(ctx, a.Org, i, 200, []byte("answer-with-a-token")))
	return e, i.Hash
}

// readable checks that s still gives back what keepConfidential kept.
func readable(t *testing.T, s *store.Store, e hook.Endpoint, key hook.Hash) {
	t.Helper()
	ctx := context.Background()
	got, err := s.Endpoint(ctx, e.App, e.ID)
	if err != nil || len(got.Headers) != 1 || got.Headers[0].Value != "Bearer of-api" {
		t.Errorf("headers: %+v, %v", got.Headers, err)
	}
	secrets, err := s.Secrets(ctx, e.ID, time.Now())
	if err != nil || len(secrets) != 2 || secrets[0].Value.Reveal() != "whsec_rotated" || secrets[1].Value.Reveal() != "whsec_of-endpoint" {
		t.Errorf("%d secrets, %v", len(secrets), err)
	}
	own, err := s.OwnSecret(ctx, store.DefaultOrg, 5, func() (string, error) { return "another", nil })
	if err != nil || own.Reveal() != "whsec_own-one" {
		t.Errorf("own secret: %q, %v", own.Reveal(), err)
	}
	answer, known, err := s.Idempotent(ctx, key)
	if err != nil || !known || string(answer.Body) != "answer-with-a-token" {
		t.Errorf("answer: %q, %v, %v", answer.Body, known, err)
	}
}

// onDisk are those of words that the database or its log holds in clear.
func onDisk(t *testing.T, dir string, words []string) (found []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if bytes.Contains(raw, []byte(w)) {
				found = append(found, filepath.Base(name)+": "+w)
			}
		}
	}
	return found
}

func TestSealedValuesAreNowhereInClear(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSealed(t, dir, fakeSealer{0x55})
	e, key := keepConfidential(t, s)
	if found := onDisk(t, dir, confidential); len(found) != 0 {
		t.Errorf("in clear while open: %q", found)
	}
	readable(t, s, e, key)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if found := onDisk(t, dir, confidential); len(found) != 0 {
		t.Errorf("in clear after close: %q", found)
	}
	for name, other := range map[string]store.Sealer{"another key": fakeSealer{0x77}, "no key": nil} {
		if _, err := store.Open(context.Background(), store.Options{Dir: dir, Seal: other, Log: slog.New(slog.DiscardHandler)}); hook.CodeOf(err) != hook.CodeConflict {
			t.Errorf("%s opens it: %v", name, err)
		}
	}
	s = openSealed(t, dir, fakeSealer{0x55})
	defer s.Close()
	readable(t, s, e, key)
}

func TestValuesInClearAreSealedAtTheNextStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openDir(t, dir)
	e, key := keepConfidential(t, s)
	readable(t, s, e, key)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if found := onDisk(t, dir, confidential); len(found) != len(confidential) {
		t.Fatalf("without a key these are in clear: %q", found) // else the next check shows nothing
	}
	s = openSealed(t, dir, fakeSealer{0x55})
	defer s.Close()
	if found := onDisk(t, dir, confidential); len(found) != 0 {
		t.Errorf("in clear after the start: %q", found)
	}
	readable(t, s, e, key)
}

func TestResealChangesTheKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSealed(t, dir, fakeSealer{0x55})
	e, key := keepConfidential(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSealed(t, dir, fakeSealer{0x77, 0x55})
	if n, err := s.Reseal(context.Background()); n != len(confidential) || err != nil {
		t.Errorf("%d sealed anew, %v; %d are right", n, err, len(confidential))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSealed(t, dir, fakeSealer{0x77})
	readable(t, s, e, key)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	clear := openDir(t, t.TempDir())
	defer clear.Close()
	if _, err := clear.Reseal(context.Background()); hook.CodeOf(err) != hook.CodeInvalid {
		t.Errorf("sealing anew without a key: %v", err)
	}
}

// A directory of the first version has headers in the settings of endpoints, in
// clear, and the migration copies that table.
func TestHeadersOfTheFirstVersionMoveAndAreSealed(t *testing.T) {
	t.Parallel()
	for name, seal := range map[string]store.Sealer{"with a key": fakeSealer{0x55}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			firstVersion(t, filepath.Join(dir, "sigpost.db"))
			s := openSealed(t, dir, seal)
			defer s.Close()
			list, err := s.Endpoints(context.Background())
			if err != nil || len(list) != 1 {
				t.Fatalf("endpoints: %+v, %v", list, err)
			}
			e := list[0]
			if len(e.Headers) != 1 || e.Headers[0].Value != "Bearer of-file" || e.Timeout != 5 || !e.ManagedByFile || e.UpdatedAt != e.CreatedAt {
				t.Errorf("endpoint: %+v", e)
			}
			secrets, err := s.Secrets(context.Background(), e.ID, time.Now())
			if err != nil || len(secrets) != 1 || secrets[0].Value.Reveal() != "whsec_own-one" {
				t.Errorf("secrets: %+v, %v", secrets, err)
			}
			if found := onDisk(t, dir, confidential); seal != nil && len(found) != 0 {
				t.Errorf("in clear: %q", found)
			}
		})
	}
}

func firstVersion(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=auto_vacuum(INCREMENTAL)&_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"), goose.WithTableName("schema_versions"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		"INSERT INTO organizations (id, name, created_at) VALUES (1, 'default', 1)",
		"INSERT INTO applications (id, org_id, name, hidden, created_at) VALUES (2, 1, 'f', 1, 1)",
		"INSERT INTO sources (id, org_id, app_id, name, provider, token, managed_by, created_at) VALUES (3, 1, 2, 'f', 'p', 't', 'file', 1)",
		`INSERT INTO endpoints (id, org_id, app_id, name, url, settings, managed_by, created_at)
			VALUES (4, 1, 2, 'e', 'https://x', '{"headers":[{"name":"Authorization","value":"Bearer of-file"}],"timeout":5}', 'file', 1)`,
		"INSERT INTO secrets (id, org_id, owner_id, value) VALUES (5, 1, 4, 'whsec_own-one')",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExpungedPayloadIsNotOnDisk(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	s := openDir(t, dir)
	a, err := s.CreateApplication(ctx, hook.Application{Org: store.DefaultOrg})
	if err != nil {
		t.Fatal(err)
	}
	var keys []hook.Key
	for _, size := range []int{1, 10_000} { // in a page, and in pages of its own
		m := &hook.Append{Message: hook.Message{Org: a.Org, App: a.ID, ReceivedAt: time.Now(), Body: bytes.Repeat([]byte("payload-to-expunge"), size)}}
		if err := s.Append(ctx, m); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, m.Message.ID)
	}
	if _, err := s.ExpungeBodies(ctx, a.ID, keys); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // the log goes home
		t.Fatal(err)
	}
	if found := onDisk(t, dir, []string{"payload-to-expunge"}); len(found) != 0 {
		t.Errorf("after expunging: %q", found)
	}
}
