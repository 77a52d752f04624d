package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sigpost/sigpost/internal/hook"
)

// openPoller opens a node that does not listen.
func openPoller(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{URL: url, Poll: true, Log: slog.New(slog.DiscardHandler)})
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

// ear hears what others tell a store.
type ear struct {
	t     *testing.T
	heard chan string
}

func listenTo(t *testing.T, s *Store) *ear {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	e := &ear{t, make(chan string, 1000)}
	ended := make(chan error)
	go func() {
		ended <- s.RunListener(ctx, func(kind string, key hook.Key) { e.heard <- fmt.Sprint(kind, " ", key) })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the listener ended with %v", err)
		}
	})
	return e
}

func (e *ear) expect(want string) {
	e.t.Helper()
	select {
	case got := <-e.heard:
		if got != want {
			e.t.Errorf("heard %q, %q was said", got, want)
		}
	case <-time.After(10 * time.Second):
		e.t.Fatalf("%q was not heard", want)
	}
}

func TestNodesThatDoNotListenHearEachOtherOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := server.Database(t)
	a, b := openPoller(t, url), openPoller(t, url)
	e := listenTo(t, b)
	e.expect("lost 0")
	for n := range hook.Key(3) {
		began := time.Now()
		if err := a.Notify(ctx, NotifyApp, n); err != nil {
			t.Fatal(err)
		}
		e.expect(fmt.Sprint("app ", n)) // and nothing again that was heard before
		t.Logf("heard after %v", time.Since(began))
	}
}

// A notice that is committed after others which are younger is heard all the same.
func TestALateNoticeIsHeard(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := server.Database(t)
	a, b := openPoller(t, url), openPoller(t, url)
	late, err := a.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback()
	if _, err := late.Exec("INSERT INTO notices (at, id, kind, key) VALUES (clock_timestamp(), 1, 'app', 1)"); err != nil {
		t.Fatal(err)
	}
	e := listenTo(t, b)
	e.expect("lost 0")
	if err := a.Notify(ctx, NotifyApp, 2); err != nil {
		t.Fatal(err)
	}
	e.expect("app 2")
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	e.expect("app 1")
}

func TestNoticesGoWhenTheyAreAMinuteOld(t *testing.T) {
	t.Parallel()
	a := openPoller(t, server.Database(t))
	const q = "INSERT INTO notices (at, id, kind, key) VALUES (now() - interval '61 s', 1, 'app', 1), (now() - interval '40 s', 2, 'app', 2)"
	if _, err := a.write.Exec(q); err != nil {
		t.Fatal(err)
	}
	e := listenTo(t, a)
	e.expect("lost 0") // and nothing that is older than a node looks back
	var ids string
	for end := time.Now().Add(10 * time.Second); ids != "{2}" && time.Now().Before(end); {
		if err := a.read.QueryRow("SELECT CAST(array_agg(id) AS text) FROM notices").Scan(&ids); err != nil {
			t.Fatal(err)
		}
	}
	if ids != "{2}" {
		t.Errorf("notices that are left: %s", ids)
	}
}

// An engine that has no LISTEN says so, and is asked no more.
func TestWithoutLISTENNodesPoll(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := server.Database(t)
	var log lines
	a, err := Open(ctx, Options{URL: url, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.pg.sqlListen = "LISTEN TO sigpost" // which is no SQL here either
	e := listenTo(t, a)
	e.expect("lost 0")
	if err := openPoller(t, url).Notify(ctx, NotifySource, 3); err != nil {
		t.Fatal(err)
	}
	e.expect("source 3")
	if err := a.Notify(ctx, NotifySource, 4); err != nil {
		t.Fatal(err)
	}
	e.expect("source 4")
	if n := strings.Count(log.String(), "the database has no LISTEN"); n != 1 {
		t.Errorf("it was said %d times:\n%s", n, log.String())
	}
	for code, want := range map[string]bool{"0A000": true, "42601": true, "57P01": false} {
		if noListen(fmt.Errorf("x: %w", &pgconn.PgError{Code: code})) != want {
			t.Errorf("%s means that there is no LISTEN: %v", code, !want)
		}
	}
	if noListen(errors.New("x")) || noListen(nil) {
		t.Error("any error means that there is no LISTEN")
	}
}

// lines are a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
