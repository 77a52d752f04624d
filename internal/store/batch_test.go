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
	var commits []int
	s, err := Open(context.Background(), Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Committed: func(rows int, _ time.Duration) { commits = append(commits, rows) }})
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
