package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store/storetest/pgtest"
)

// short is the bound of statements in these tests, and ample is more than anything
// takes that keeps to it a few times over.
const (
	short = time.Second
	ample = 30 * time.Second
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
		"claim":   func() error { _, _, err := s.Claim(ctx, nodeEndpoint, time.Now(), 10); return err },
		"due":     func() error { _, err := s.DueByEndpoint(ctx); return err },
		"held":    func() error { _, err := s.HeldEndpoints(ctx); return err },
		"sources": func() error { _, err := s.Sources(ctx); return err },
		"append":  func() error { return s.Append(ctx, unit(0)) },
		"release": func() error { _, err := s.ReleaseHeld(ctx, nodeEndpoint, time.Now(), 0, 10); return err },
		"snapshot": func() error {
			_, _, err := s.ListMessages(ctx, hook.MessageFilter{Org: DefaultOrg, Page: hook.Page{Limit: 10}})
			return err
		},
		"stream": func() error { _, _, _, _, err := s.After(ctx, DefaultOrg, 0, 1); return err },
		"notify": func() error { return s.Notify(ctx, NotifyApp, 1) },
		"beat":   func() error { return s.Beat(ctx) },
		"ping":   func() error { return s.Ping(ctx) },
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
	const long = "SELECT pg_sleep(1.5)"
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
	const waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory' AND query_start < now() - interval '1500 milliseconds'"
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

// A node that is cut off in the middle of a transaction keeps its rows locked, and the
// work that one does for all, for as long as the database believes in its connections.
func TestWhatADeadNodeLeftUnderWayIsEnded(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	x := keep(t, b, unit(a.Incarnation()))
	tx, err := a.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("UPDATE deliveries SET attempts = 1 WHERE id = ?", x.Deliveries[0].ID); err != nil {
		t.Fatal(err)
	}
	alive := func(want bool, when string) {
		t.Helper()
		if err := b.EndSessions(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("SELECT 1"); (err == nil) != want {
			t.Errorf("%s: its transaction: %v", when, err)
		}
	}
	lost(t, b, a)
	alive(true, "a process that never beat, as a command that opens the store")
	if _, err := b.write.Exec("UPDATE nodes SET seen_at = now(); UPDATE incarnations SET seen_at = now()"); err != nil {
		t.Fatal(err)
	}
	if err := a.Beat(ctx); err != nil {
		t.Fatal(err)
	}
	alive(true, "a node that lives")
	lost(t, b, a)
	if got := take(t, b); len(got) != 0 {
		t.Fatalf("a row that is locked was claimed: %+v", got)
	}
	alive(true, "a node that has just connected again, and will beat")
	b.pg.young = 0
	alive(false, "a node that is dead")
	if err := again(func() error { // the end of a session is not waited for
		if got := take(t, b); len(got) != 1 {
			return fmt.Errorf("afterwards these are claimed: %+v", got)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := again(func() error { return a.Beat(ctx) }); err != nil { // its connections were ended, too
		t.Errorf("the node that was dead beats again: %v", err)
	}
	keep(t, a, unit(0))
	alive(false, "a node that has come back")
}

// What waits for a row that is stuck fails alone.
func TestARowThatIsStuckKeepsNothingElseFromBeingWritten(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := server.Database(t)
	a := openNode(t, url)
	b, err := Open(ctx, Options{URL: url, Log: slog.New(slog.DiscardHandler), bound: 10 * short})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	stuck := unit(0)
	tx, err := a.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("INSERT INTO dedupe (message_id, org_id, hash) VALUES (1, 1, ?)", stuck.Hash[:]); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	go func() { errs <- b.Append(ctx, stuck) }()
	for range 20 {
		go func() {
			if err := b.Append(ctx, unit(0)); err != nil {
				t.Errorf("an event that has nothing to do with it: %v", err)
			}
			errs <- nil
		}()
	}
	failed := 0
	for range 21 {
		if err := <-errs; err != nil {
			failed++
			if hook.CodeOf(err) != hook.CodeUnavailable {
				t.Errorf("the event that waits: %v", err)
			}
		}
	}
	if failed != 1 {
		t.Errorf("%d events failed", failed)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := b.Append(ctx, stuck); err != nil || stuck.Duplicate {
		t.Errorf("after it was let go: %v, duplicate %v", err, stuck.Duplicate)
	}
}

// A health check writes, and must not wait for that of a node that is stuck.
func TestNodesDoNotWaitForEachOthersHealthChecks(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	for _, s := range []*Store{a, b} {
		if err := s.Ping(ctx); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := a.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("UPDATE meta SET value = value WHERE name = ?", fmt.Sprint(checkedAt, " ", a.pg.node.Load())); err != nil {
		t.Fatal(err)
	}
	if err := within(t, "ping", func() error { return b.Ping(ctx) }); err != nil {
		t.Error(err)
	}
}

// What was sent before the network failed may come late: after others took over, it
// changes nothing.
func TestWhatComesLateFromADeadNodeChangesNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	failed := func(d hook.Delivery) []*hook.Record {
		return []*hook.Record{{Delivery: d, State: hook.Failed, Attempt: &hook.Attempt{Number: 1, At: time.Now(), Outcome: hook.OutcomeStatus, Status: 500}}}
	}
	for name, ask := range map[string]func(s *Store, d hook.Delivery) error{
		"record": func(s *Store, d hook.Delivery) error { return s.Record(ctx, failed(d)) },
		"claim": func(s *Store, _ hook.Delivery) error {
			_, _, err := s.Claim(ctx, nodeEndpoint, time.Now().Add(time.Second), 10)
			return err
		},
		"beat": func(s *Store, _ hook.Delivery) error { return s.Beat(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := server.Database(t)
			a, proxy := openBehind(t, url)
			b := openNode(t, url)
			a.write.SetMaxOpenConns(2) // the writer's, and one that knows all other statements
			if err := ask(a, keep(t, a, unit(a.Incarnation())).Deliveries[0]); err != nil {
				t.Fatal(err)
			}
			held, free := keep(t, b, unit(a.Incarnation())).Deliveries[0], keep(t, b, unit(0)).Deliveries[0]
			sessions := sessionsOf(t, a, b)
			proxy.Set(pgtest.StallRequests)
			if err := within(t, name, func() error { return ask(a, held) }); err == nil {
				t.Error("it was done without an answer")
			}
			lost(t, b, a)
			arrived(t, b, take(t, b))
			left := keep(t, b, unit(0)).Deliveries[0]
			before := rowOf(t, b, held.ID) + rowOf(t, b, free.ID)
			proxy.Set(pgtest.Pass)
			for end := time.Now().Add(ample); ; { // the session ends when it has done all that it was sent
				now := sessionsOf(t, a, b)
				if slices.ContainsFunc(sessions, func(pid int) bool { return !slices.Contains(now, pid) }) {
					break
				}
				if time.Now().After(end) {
					t.Fatal("what was sent does not come to an end")
				}
			}
			if after := rowOf(t, b, held.ID) + rowOf(t, b, free.ID); after != before {
				t.Errorf("%s became %s", before, after)
			}
			if claimed, err := exists(ctx, b.read, "SELECT 1 FROM deliveries WHERE id = ? AND holder <> 0", left.ID); err != nil || claimed {
				t.Errorf("the dead node claimed: %v, %v", claimed, err)
			}
			if alive, err := exists(ctx, b.read, b.pg.living()+" AND id = ?", a.Incarnation()); err != nil || alive {
				t.Errorf("the dead node lives: %v, %v", alive, err)
			}
		})
	}
}

// arrived records that what a node holds arrived.
func arrived(t *testing.T, s *Store, list []hook.Delivery) {
	t.Helper()
	for _, d := range list {
		r := &hook.Record{Delivery: d, State: hook.Delivered, Attempt: &hook.Attempt{Number: d.Attempts + 1, At: time.Now(), Outcome: hook.OutcomeDelivered, Status: 200}}
		if err := s.Record(context.Background(), []*hook.Record{r}); err != nil || r.Refused {
			t.Fatalf("the record of the holder: %v, refused %v", err, r.Refused)
		}
	}
}

// rowOf is all that is said of a delivery.
func rowOf(t *testing.T, s *Store, delivery hook.Key) (text string) {
	t.Helper()
	const q = "SELECT concat('[state ', state, ' attempts ', attempts, ' last ', last_attempt, ' holder ', holder, ' kept ', (SELECT count(*) FROM attempts WHERE delivery_id = d.id), ']') FROM deliveries d WHERE id = ?"
	if err := s.read.QueryRow(q, delivery).Scan(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, fmt.Sprintf("[state %d attempts 1 ", hook.Delivered)) {
		t.Errorf("delivery %d: %s", delivery, text)
	}
	return text
}

// sessionsOf are the sessions that the database has of a node.
func sessionsOf(t *testing.T, of, by *Store) []int {
	t.Helper()
	pid := func(row scanner) (n int, err error) { return n, row.Scan(&n) }
	list, err := readRows(context.Background(), by.read, pid, "sessions", "SELECT pid FROM pg_stat_activity WHERE application_name = ?", of.pg.session)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
