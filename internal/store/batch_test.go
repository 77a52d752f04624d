package store

import (
	"context"
	"database/sql"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// together runs fs such that all their writes are in one transaction: the writer
// is kept busy until they are queued.
func together(t *testing.T, s *Store, fs ...func()) {
	t.Helper()
	busy, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.writer.exec(context.Background(), func(context.Context, *sql.Conn) error {
			close(busy)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-busy
	for i, f := range fs {
		wg.Go(f)
		for len(s.writer.queue) <= i {
			runtime.Gosched()
		}
	}
	close(release)
	wg.Wait()
}

// A key counts from the moment at which it stands in the running transaction,
// and one that is refused there spoils nothing else.
func TestIdempotencyKeysMeetInOneTransaction(t *testing.T) {
	t.Parallel()
	onBothEngines(t, keysMeet)
}

// onBothEngines runs a test with the options of each engine.
func onBothEngines(t *testing.T, test func(t *testing.T, o Options)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, Options{URL: server.Database(t), Log: slog.New(slog.DiscardHandler)})
	})
}

func keysMeet(t *testing.T, o Options) {
	var commits []int
	o.Committed = func(rows int, _ time.Duration) { commits = append(commits, rows) }
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	key := hook.Idempotency{Hash: hook.Hash{1}, Request: hook.Hash{2}}
	other := hook.Idempotency{Hash: hook.Hash{1}, Request: hook.Hash{3}}
	var appends []*hook.Append
	for _, i := range []*hook.Idempotency{&key, &key, &other, nil} {
		appends = append(appends, &hook.Append{Message: hook.Message{Org: DefaultOrg, App: 1, ReceivedAt: time.Now()}, Idempotency: i})
	}
	errs := make([]error, len(appends)+1)
	var fs []func()
	for i, a := range appends {
		fs = append(fs, func() { errs[i] = s.Append(context.Background(), a) })
	}
	fs = append(fs, func() { errs[len(appends)] = s.KeepAnswer(context.Background(), DefaultOrg, key, 200, nil) })
	together(t, s, fs...)
	for i, want := range []hook.Code{"", "", hook.CodeConflict, "", hook.CodeConflict} {
		if errs[i] == nil && want == "" {
			continue
		}
		if errs[i] == nil || hook.CodeOf(errs[i]) != want {
			t.Errorf("write %d: %v, %q is right", i, errs[i], want)
		}
	}
	if appends[0].Repeated || !appends[1].Repeated || appends[1].Message.ID != appends[0].Message.ID || appends[3].Message.ID == appends[0].Message.ID {
		t.Errorf("messages: %d, %d and %d", appends[0].Message.ID, appends[1].Message.ID, appends[3].Message.ID)
	}
	if s.Close(); len(commits) != 2 || commits[1] != len(fs) {
		t.Errorf("transactions of %v writes, 1 and %d are right", commits, len(fs))
	}
}

// A batch has everything at once: new events, one that comes again within it, one
// that is known, a duplicate that is forwarded, attempts of two deliveries, one of
// them twice, and one that another holder recorded.
func TestABatchOfEverythingIsWrittenAsItWouldBeOneByOne(t *testing.T) {
	t.Parallel()
	onBothEngines(t, mixedBatch)
}

func mixedBatch(t *testing.T, o Options) {
	ctx := context.Background()
	s, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	known, tried, foreign := keep(t, s, unit(0)), keep(t, s, unit(s.Incarnation())), keep(t, s, unit(12345))
	fresh, twin, again, forwarded := unit(0), unit(0), unit(0), unit(0)
	twin.Hash, again.Hash, forwarded.Hash, forwarded.Redeliver = fresh.Hash, known.Hash, known.Hash, true
	record := func(a *hook.Append, holder hook.Key) *hook.Record {
		d := a.Deliveries[0]
		d.Holder = holder
		return &hook.Record{Delivery: d, State: hook.Delivered, Attempt: &hook.Attempt{Number: 1, At: time.Now(), Outcome: hook.OutcomeDelivered, Status: 200}}
	}
	r := []*hook.Record{record(tried, s.Incarnation()), record(tried, s.Incarnation()), record(foreign, s.Incarnation())}
	var fs []func()
	for _, a := range []*hook.Append{fresh, twin, again, forwarded} {
		fs = append(fs, func() {
			if err := s.Append(ctx, a); err != nil {
				t.Error(err)
			}
		})
	}
	fs = append(fs, func() {
		if err := s.Record(ctx, r); err != nil {
			t.Error(err)
		}
	})
	together(t, s, fs...)
	if fresh.Duplicate || !twin.Duplicate || !again.Duplicate || !forwarded.Duplicate || twin.Message.ID != fresh.Message.ID || again.Message.ID != known.Message.ID || forwarded.Message.ID != known.Message.ID {
		t.Errorf("fresh %+v, twin %+v, again %+v, forwarded %+v", fresh, twin, again, forwarded)
	}
	if r[0].Refused || !r[1].Refused || !r[2].Refused {
		t.Errorf("refused: %v, %v, %v", r[0].Refused, r[1].Refused, r[2].Refused)
	}
	for _, c := range []struct {
		a                               *hook.Append
		duplicates, deliveries, chained int
	}{{fresh, 1, 1, 0}, {known, 2, 2, 0}, {tried, 0, 1, 1}, {foreign, 0, 1, 0}} {
		m, err := s.Message(ctx, c.a.Message.ID)
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.Deliveries(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		attempts, err := s.Attempts(ctx, &list[0])
		if err != nil {
			t.Fatal(err)
		}
		if m.Duplicates != c.duplicates || len(list) != c.deliveries || len(attempts) != c.chained {
			t.Errorf("message %d: %d duplicates, %d deliveries, %d attempts; want %+v", m.ID, m.Duplicates, len(list), len(attempts), c)
		}
		if last := list[len(list)-1]; c.a == known && (last.Trigger != hook.Duplicate || last.Message != known.Message.ID || last.ID != forwarded.Deliveries[0].ID) {
			t.Errorf("the forwarded duplicate: %+v", last)
		}
	}
}
