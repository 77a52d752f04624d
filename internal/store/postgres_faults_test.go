package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store/storetest/pgtest"
)

// short is the bound of statements in these tests, and ample is more than anything
// takes that keeps to it a few times over.
const (
	short = 300 * time.Millisecond
	ample = 10 * time.Second
)

// openBehind opens a node behind a network that tests break.
func openBehind(t *testing.T, url string) (*Store, *pgtest.Proxy) {
	t.Helper()
	proxy, through := pgtest.NewProxy(t, url)
	s, err := Open(context.Background(), Options{URL: through, Log: slog.New(slog.DiscardHandler), bound: short})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		proxy.Set(pgtest.Pass)
		if err := s.Close(); err != nil {
			t.Logf("close: %v", err) // what it had may be broken
		}
	})
	return s, proxy
}

// within fails the test when f takes ample time, and gives f's error.
func within(t *testing.T, name string, f func() error) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(ample):
		t.Fatalf("%s: it waits for ever", name)
		return nil
	}
}

// statements are operations without a deadline of their own, one of each kind.
func statements(s *Store) map[string]func() error {
	ctx := context.Background()
	return map[string]func() error{
		"claim":    func() error { _, _, err := s.Claim(ctx, nodeEndpoint, time.Now(), 10); return err },
		"due":      func() error { _, err := s.DueByEndpoint(ctx); return err },
		"held":     func() error { _, err := s.HeldEndpoints(ctx); return err },
		"sources":  func() error { _, err := s.Sources(ctx); return err },
		"append":   func() error { return s.Append(ctx, unit(0)) },
		"release":  func() error { _, err := s.ReleaseHeld(ctx, nodeEndpoint, time.Now(), 0, 10); return err },
		"snapshot": func() error { _, _, err := s.ListMessages(ctx, hook.MessageFilter{Org: DefaultOrg, Page: hook.Page{Limit: 10}}); return err },
		"stream":   func() error { _, _, _, _, err := s.After(ctx, DefaultOrg, 0, 1); return err },
		"notify":   func() error { return s.Notify(ctx, NotifyApp, 1) },
		"beat":     func() error { return s.Beat(ctx) },
		"ping":     func() error { return s.Ping(ctx) },
	}
}

// Whatever the network does, a statement ends, and works again when the network does.
func TestNoStatementWaitsForEver(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]pgtest.Mode{
		"stall": pgtest.Stall, "stalled requests": pgtest.StallRequests, "stalled answers": pgtest.StallAnswers, "drop": pgtest.Drop, "reset": pgtest.Reset,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, proxy := openBehind(t, server.Database(t))
			for what, f := range statements(s) {
				if err := within(t, what, f); err != nil {
					t.Errorf("%s before: %v", what, err)
				}
			}
			proxy.Set(mode)
			ends := make(chan string)
			all := statements(s)
			for what, f := range all {
				go func() {
					if err := f(); err == nil {
						t.Errorf("%s is done without an answer", what)
					}
					ends <- what
				}()
			}
			late := time.After(ample)
			for len(all) > 0 {
				select {
				case what := <-ends:
					delete(all, what)
				case <-late:
					t.Fatalf("%d operations wait for ever: %v", len(all), all)
				}
			}
			proxy.Set(pgtest.Pass)
			for what, f := range statements(s) {
				if err := within(t, what, func() error { return again(f) }); err != nil {
					t.Errorf("%s after: %v", what, err)
				}
			}
		})
	}
}

// again tries until f succeeds, or for long: what was broken may show once more.
func again(f func() error) (err error) {
	for end := time.Now().Add(ample / 2); time.Now().Before(end); {
		if err = f(); err == nil {
			return nil
		}
	}
	return err
}

// The answer to a question that nobody waits for any more must not be taken for that to
// the next.
func TestAConnectionOnWhichTimeRanOutIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, proxy := openBehind(t, server.Database(t))
	for _, db := range []*sql.DB{s.read, s.write} {
		proxy.Set(pgtest.StallAnswers)
		n := 0
		err := db.QueryRowContext(ctx, "SELECT 41").Scan(&n)
		if !errors.Is(err, errNoAnswer) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without an answer: %d, %v", n, err)
		}
		proxy.Set(pgtest.Pass)
		for want := range 2 * readers {
			if err := db.QueryRowContext(ctx, "SELECT CAST(? AS INTEGER)", want).Scan(&n); err != nil || n != want {
				t.Errorf("asked for %d: %d, %v", want, n, err)
			}
		}
	}
	conn, err := s.read.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	proxy.Set(pgtest.StallAnswers)
	if _, err := conn.ExecContext(ctx, "SELECT 1"); err == nil {
		t.Error("it was answered")
	}
	proxy.Set(pgtest.Pass)
	if err := conn.PingContext(ctx); err == nil {
		t.Error("the connection is still in use")
	}
}

// The bound holds until rows are closed and a transaction has ended.
func TestRowsAndTransactionsAreBoundedToTheirEnd(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, proxy := openBehind(t, server.Database(t))
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	rows, err := s.read.QueryContext(ctx, "SELECT n, repeat('x', 10000) FROM generate_series(1, 10000) AS n")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	proxy.Set(pgtest.Stall)
	if err := within(t, "rows", func() error {
		for rows.Next() {
		}
		return rows.Err()
	}); err == nil {
		t.Error("100 MB were read while nothing is let through")
	}
	if err := within(t, "commit", tx.Commit); err == nil {
		t.Error("it was committed without an answer")
	}
}

func TestWhatMayTakeLongIsNotBounded(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := server.Database(t)
	s, _ := openBehind(t, url)
	const long = "SELECT pg_sleep(0.6)"
	if _, err := s.read.ExecContext(ctx, long); !errors.Is(err, errNoAnswer) {
		t.Errorf("a statement that takes too long: %v", err)
	}
	if _, err := s.read.ExecContext(unhurried(ctx), long); err != nil {
		t.Errorf("a statement that may take long: %v", err)
	}
	lock, err := s.write.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock(?)", openLock); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		other, err := Open(ctx, Options{URL: url, Log: slog.New(slog.DiscardHandler), bound: short})
		if err == nil {
			err = other.Close()
		}
		opened <- err
	}()
	const waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory' AND query_start < now() - interval '600 milliseconds'"
	for there := false; !there; {
		select {
		case err := <-opened:
			t.Fatalf("it did not wait for its turn: %v", err)
		default:
		}
		if there, err = exists(ctx, s.read, waiting); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_unlock(?)", openLock); err != nil {
		t.Fatal(err)
	}
	if err := within(t, "open", func() error { return <-opened }); err != nil {
		t.Errorf("after its turn came: %v", err)
	}
}
