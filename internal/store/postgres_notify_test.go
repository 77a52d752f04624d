package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestNodesHearEachOtherAlsoAfterTheConnectionBroke(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	ctx, stop := context.WithCancel(context.Background())
	heard, ended := make(chan string, 16), make(chan error)
	go func() {
		ended <- b.RunListener(ctx, func(kind string, key hook.Key) { heard <- fmt.Sprint(kind, " ", key) })
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("heard %q, %q was said", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q was not heard", want)
		}
	}
	expect("lost 0")
	for _, n := range []struct {
		kind string
		key  hook.Key
	}{{NotifyApp, 5}, {NotifySource, 6}, {NotifyDue, 1<<63 - 1}} {
		if err := a.Notify(ctx, n.kind, n.key); err != nil {
			t.Fatal(err)
		}
		expect(fmt.Sprint(n.kind, " ", n.key))
	}
	const kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
	if _, err := a.write.Exec(kill); err != nil {
		t.Fatal(err)
	}
	expect("lost 0")
	if err := a.Notify(ctx, NotifyApp, 7); err != nil {
		t.Fatal(err)
	}
	expect("app 7")
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the listener ended with %v", err)
	}
}

// On SQLite there is one process, so there is nobody to tell and nobody to beat for.
func TestOnSQLiteNobodyIsToldAndNobodyBeats(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	before := s.Incarnation()
	for name, f := range map[string]func() error{
		"notify":     func() error { return s.Notify(ctx, NotifyApp, 1) },
		"listen":     func() error { return s.RunListener(ctx, func(string, hook.Key) { t.Error("something was heard") }) },
		"beat":       func() error { return s.Beat(ctx) },
		"heartbeat":  func() error { return s.RunHeartbeat(ctx, func(int) { t.Error("it beat") }) },
		"partitions": func() error { return s.EnsurePartitions(ctx, time.Now()) },
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Incarnation() != before {
		t.Error("the incarnation changed")
	}
}
