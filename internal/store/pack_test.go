package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// generationOfTests makes runs of few hashes.
const generationOfTests = 20

// seenStore is a store with small generations, and its packer, which does not wait.
type seenStore struct {
	*Store
	dir    string
	packer *packer
}

func openSeen(t testing.TB, dir string) *seenStore {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: dir, Log: slog.New(slog.DiscardHandler), generation: generationOfTests})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPacker(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	p.may = func(context.Context) error { return nil }
	return &seenStore{s, dir, p}
}

var errCut = errors.New("the process ended here")

// pack does a round that ends after some transactions. It says whether it was cut.
func (s *seenStore) pack(t testing.TB, transactions int) (cut bool) {
	t.Helper()
	s.packer.may = func(context.Context) error {
		if transactions == 0 {
			return errCut
		}
		transactions--
		return nil
	}
	err := s.packer.round(context.Background())
	if err != nil && !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	return err != nil
}

func (s *seenStore) packAll(t testing.TB) {
	t.Helper()
	if s.pack(t, 1<<30) {
		t.Fatal("a round does not end")
	}
}

// restart closes the store and opens it again, or opens what a crash has left of it.
func (s *seenStore) restart(t testing.TB, crash bool) *seenStore {
	t.Helper()
	dir := s.dir
	if crash {
		dir = t.TempDir()
		copyStore(t, s.dir, dir)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openSeen(t, dir)
}

func copyStore(t testing.TB, from, to string) {
	t.Helper()
	for _, name := range []string{databaseName, databaseName + "-wal", markerName} {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was closed
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func randomHash() (h hook.Hash) {
	rand.Read(h[:])
	return h
}

// appendHash appends a message with a hash, and says which message it is and whether it was
// there before.
func (s *seenStore) appendHash(t testing.TB, h hook.Hash) (hook.Key, bool) {
	t.Helper()
	a := &hook.Append{Hash: h, Message: hook.Message{Org: DefaultOrg, App: 1, Event: hook.Event{Type: "t"}, ReceivedAt: time.Now()}}
	if err := s.Append(context.Background(), a); err != nil {
		t.Error(err)
	}
	return a.Message.ID, a.Duplicate
}

func (s *seenStore) appendRequest(t testing.TB, h hook.Hash) (hook.Key, bool) {
	t.Helper()
	a := &hook.Append{Idempotency: &hook.Idempotency{Hash: h, Request: h}, Message: hook.Message{Org: DefaultOrg, App: 1, Event: hook.Event{Type: "t"}, ReceivedAt: time.Now()}}
	if err := s.Append(context.Background(), a); err != nil {
		t.Error(err)
	}
	return a.Message.ID, a.Repeated
}

// fill appends so many messages with hashes, and as many with keys. Those of one generation come at
// once, so that they share commits.
func (s *seenStore) fill(t testing.TB, n int) (hashes []hook.Hash) {
	t.Helper()
	for n > 0 {
		var wg sync.WaitGroup
		for range min(n, generationOfTests) {
			h := randomHash()
			hashes = append(hashes, h)
			wg.Go(func() {
				_, known := s.appendHash(t, h)
				_, repeated := s.appendRequest(t, h)
				if known || repeated {
					t.Error("a new hash is known")
				}
			})
			n--
		}
		wg.Wait()
	}
	return hashes
}

// expectKnown checks that hashes are known, or unknown, without changing anything.
func (s *seenStore) expectKnown(t testing.TB, hashes []hook.Hash, want bool) {
	t.Helper()
	for i, h := range hashes {
		for _, m := range s.memories {
			if _, known, err := m.find(context.Background(), s.block, h, time.Now()); known != want || err != nil {
				t.Errorf("hash %d of %d in %s is known: %v, %v", i, len(hashes), m.table.name, known, err)
			}
		}
	}
}

func (s *seenStore) count(t testing.TB, query string) (n int) {
	t.Helper()
	if err := s.read.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPackedHashesLeaveMemoryAndTableAndAreKnown(t *testing.T) {
	t.Parallel()
	s := openSeen(t, t.TempDir())
	defer func() { s.Close() }()
	hashes := s.fill(t, 85*generationOfTests+7) // 64, 16, 4 and 1 generations, and a rest
	s.packAll(t)
	for range 2 { // the second time from disk
		for _, m := range s.memories {
			live := 0
			for _, g := range m.live {
				live += len(g.first)
			}
			if live != 7 || len(m.runs) != 4 || m.runs[0].keys != 64*generationOfTests {
				t.Fatalf("%s: %d in maps, 7 are right; %d runs, 4 are right, the first with %d", m.table.name, live, len(m.runs), m.runs[0].keys)
			}
			if len(m.runs[0].parts) < 10 {
				t.Errorf("%s: a large run has %d filters", m.table.name, len(m.runs[0].parts))
			}
			if large, small := bitsOf(m.runs[0]), bitsOf(m.runs[1]); large > 20 || small < 18 || small > 60 {
				t.Errorf("%s: filters have %.1f bits a hash in a large run, %.1f in a small one", m.table.name, large, small)
			}
		}
		for query, want := range map[string]int{
			"SELECT count(*) FROM dedupe":      7,
			"SELECT count(*) FROM idempotency": len(hashes),
			"SELECT count(*) FROM runs":        8,
			"SELECT count(*) FROM run_blocks WHERE id >> 36 NOT IN (SELECT id FROM runs)":  0,
			"SELECT count(*) FROM run_filters WHERE id NOT IN (SELECT id FROM run_blocks)": 0,
		} {
			if n := s.count(t, query); n != want {
				t.Errorf("%d by %s; %d are right", n, query, want)
			}
		}
		s.expectKnown(t, hashes, true)
		unknown := make([]hook.Hash, 1000)
		for i := range unknown {
			unknown[i] = hashes[i%len(hashes)]
			unknown[i][7] ^= 1 // which the filter does not look at
		}
		s.expectKnown(t, unknown, false)
		s = s.restart(t, false)
	}
}

func bitsOf(r *run) float64 { return 8 * float64(r.bytes()) / float64(r.keys) }

// Wherever the process ends, what was known is known, at once and after the next round.
func TestAnEndBetweenAnyTwoTransactionsLosesNothing(t *testing.T) {
	t.Parallel()
	base := openSeen(t, t.TempDir())
	hashes := base.fill(t, 3*generationOfTests)
	base.packAll(t)
	hashes = append(hashes, base.fill(t, 2*generationOfTests)...) // four of each will be merged
	if err := base.Close(); err != nil {
		t.Fatal(err)
	}
	for n, cut := 0, true; cut; n++ {
		dir := t.TempDir()
		copyStore(t, base.dir, dir)
		s := openSeen(t, dir)
		cut = s.pack(t, n)
		s.expectKnown(t, hashes, true)
		if !cut && n < 25 {
			t.Errorf("a round has only %d transactions", n)
		}
		s = s.restart(t, n%3 > 0)
		s.expectKnown(t, hashes, true)
		all := hashes
		if n%4 == 0 {
			all = append(all[:len(all):len(all)], s.fill(t, generationOfTests)...)
		}
		s.packAll(t)
		s.expectKnown(t, all, true)
		for _, query := range []string{
			"SELECT count(*) FROM run_blocks WHERE id >> 36 NOT IN (SELECT id FROM runs)",
			"SELECT count(*) FROM run_filters WHERE id >> 36 NOT IN (SELECT id FROM runs)",
			"SELECT count(*) FROM dedupe WHERE message_id <= (SELECT max(last) FROM runs WHERE kind = 1)",
		} {
			if left := s.count(t, query); left != 0 {
				t.Errorf("cut after %d: %d left by %s", n, left, query)
			}
		}
		if n%4 == 0 {
			s = s.restart(t, true)
			s.expectKnown(t, all, true)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A round that failed in a process that lives on is done again by the next one.
func TestARoundGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	s := openSeen(t, t.TempDir())
	defer s.Close()
	hashes := s.fill(t, 4*generationOfTests)
	for n := 0; s.pack(t, n); n++ {
		s.expectKnown(t, hashes, true)
	}
	s.expectKnown(t, hashes, true)
	if n := s.count(t, "SELECT count(*) FROM run_blocks WHERE id >> 36 NOT IN (SELECT id FROM runs)"); n != 0 {
		t.Errorf("%d blocks are left", n)
	}
}

// The window is exact in runs as in maps, and so is what a merge leaves behind.
func TestTheWindowIsExactInRuns(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			s := openSeen(t, dir)
			h := randomHash()
			first, _ := s.appendHash(t, h)
			time.Sleep(time.Hour)          // of the bubble's clock
			s.fill(t, generationOfTests-1) // which is in the window when the first is not
			s.packAll(t)
			time.Sleep(hook.DedupeWindow - time.Hour)
			s.packAll(t)
			s = s.restart(t, crash)
			s.packAll(t)
			if k, known := s.appendHash(t, h); !known || k != first {
				t.Errorf("at the end of the window: %v", known)
			}
			time.Sleep(time.Millisecond)
			if _, known := s.appendHash(t, h); known {
				t.Error("after the window the event is still known")
			}
			second, known := s.appendHash(t, h)
			if !known || second == first {
				t.Error("the second message with the hash is not known")
			}
			s.fill(t, 4*generationOfTests)
			for _, runs := range []int{2, 1} { // the first with the hash of before
				s.packAll(t)
				if n := len(s.writer.seen.list()); n != runs {
					t.Errorf("%d runs, %d are right", n, runs)
				}
				if k, known := s.appendHash(t, h); !known || k != second {
					t.Errorf("the second message with the hash, in runs: %d, %v", k, known)
				}
				if n := s.count(t, "SELECT count(*) FROM run_blocks WHERE id >> 36 NOT IN (SELECT id FROM runs)"); n != 0 {
					t.Errorf("%d blocks of runs that left the window", n)
				}
				time.Sleep(time.Hour)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Merging and deleting at the very end of the window keep what is still in it.
func TestWhatLeavesTheWindowNextIsStillThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openSeen(t, dir)
		time.Sleep(time.Hour) // of the bubble's clock
		first, last := randomHash(), randomHash()
		s.appendHash(t, first) // of its millisecond, so its key is the smallest in the window in the end
		s.fill(t, generationOfTests-1)
		s.fill(t, generationOfTests-1)
		time.Sleep(time.Millisecond)
		s.appendHash(t, last) // and the last of its run
		s.packAll(t)
		if n := len(s.writer.seen.list()); n != 2 {
			t.Fatalf("%d runs, 2 are right", n)
		}
		time.Sleep(hook.DedupeWindow - time.Millisecond)
		s.fill(t, generationOfTests)
		s.packAll(t) // merges the two, for their day is over
		if n := len(s.writer.seen.list()); n != 2 {
			t.Fatalf("%d runs, 2 are right", n)
		}
		for _, h := range []hook.Hash{first, last} {
			s.packAll(t)
			if _, known := s.appendHash(t, h); !known {
				t.Error("the last in the window is not known")
			}
			time.Sleep(time.Millisecond)
			if _, known, err := s.writer.seen.find(context.Background(), s.block, h, time.Now()); known || err != nil {
				t.Errorf("behind the window it is known: %v, %v", known, err)
			}
		}
		s.packAll(t)
		if n := len(s.writer.seen.list()); n != 1 {
			t.Errorf("%d runs, 1 is right", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Who looks into a run that is merged and deleted meanwhile looks again.
func TestALookUpOutlivesItsRun(t *testing.T) {
	t.Parallel()
	s := openSeen(t, t.TempDir())
	defer s.Close()
	hashes := s.fill(t, 3*generationOfTests)
	s.packAll(t)
	s.fill(t, generationOfTests) // four will be merged
	other, err := openSQLite(filepath.Join(s.dir, databaseName), false)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	block, err := other.Prepare(sqlBlock)
	if err != nil {
		t.Fatal(err)
	}
	hold, err := other.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		if _, known, err := s.writer.seen.find(context.Background(), block, hashes[0], time.Now()); !known || err != nil {
			t.Errorf("the hash is known: %v, %v", known, err)
		}
	}()
	for other.Stats().WaitCount == 0 { // it waits for the connection
		runtime.Gosched()
	}
	s.packAll(t)
	if n := len(s.writer.seen.list()); n != 1 {
		t.Errorf("%d runs, 1 is right", n)
	}
	if err := hold.Close(); err != nil {
		t.Error(err)
	}
	<-looked
}

// Who reads an answer while runs are replaced finds it.
func TestAnswersAreFoundWhileRunsAreMerged(t *testing.T) {
	t.Parallel()
	s := openSeen(t, t.TempDir())
	defer s.Close()
	ctx := context.Background()
	key := hook.Idempotency{Hash: randomHash(), Request: randomHash()}
	if err := s.KeepAnswer(ctx, DefaultOrg, key, 201, []byte("answer")); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			a, known, err := s.Idempotent(ctx, key.Hash)
			if err != nil || !known || a.Status != 201 || string(a.Body) != "answer" {
				t.Errorf("%+v, %v, %v", a, known, err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for range 3 {
		s.fill(t, 5*generationOfTests)
		s.packAll(t)
		err := s.KeepAnswer(ctx, DefaultOrg, hook.Idempotency{Hash: key.Hash, Request: randomHash()}, 200, nil)
		if hook.CodeOf(err) != hook.CodeConflict {
			t.Errorf("another request with the key: %v", err)
		}
	}
	close(stop)
	<-stopped
	if len(s.writer.requests.list()) == 0 {
		t.Error("nothing was packed")
	}
}

// New keys come after those that are in runs only.
func TestKeysRiseAboveThoseThatArePacked(t *testing.T) {
	t.Parallel()
	s := openSeen(t, t.TempDir())
	s.fill(t, generationOfTests)
	s.packAll(t)
	last := s.writer.seen.mark
	inWriter(t, s.Store, func(ctx context.Context, tx *sql.Conn) error {
		for _, table := range []string{"messages", "bodies", "idempotency", "incarnations"} { // as retention may
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return nil
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { // its clock begins in 2000
		s := openSeen(t, s.dir)
		defer s.Close()
		if k, _ := s.appendHash(t, randomHash()); k <= last {
			t.Errorf("key %d was given after %d", k, last)
		}
	})
}
