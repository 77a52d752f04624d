package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

func someEvent(n int) *hook.Append {
	return &hook.Append{
		Hash: hook.Hash{0: 1, 1: byte(n), 2: byte(n >> 8), 3: byte(n >> 16)}, Message: hook.Message{Org: DefaultOrg, App: 5, Event: hook.Event{Type: "t"}, ReceivedAt: time.Now(), Body: []byte(fmt.Sprint(n))},
	}
}

// A disk that does not take what was written is the end: nobody is told that his event was
// kept, nothing more is taken, and the next start finds all that was acknowledged.
func TestASyncThatFailsIsNeverAcknowledged(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	o := Options{Dir: dir, Log: slog.New(slog.DiscardHandler)}
	s, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	kept := someEvent(1)
	if err := s.Append(ctx, kept); err != nil {
		t.Fatal(err)
	}
	if err := s.writer.disk.log.Close(); err != nil { // as if the device were gone
		t.Fatal(err)
	}
	for n := range 3 {
		if err := s.Append(ctx, someEvent(2+n)); hook.CodeOf(err) != hook.CodeUnavailable {
			t.Errorf("after the sync failed: %v", err)
		}
	}
	select {
	case <-s.Failed():
	default:
		t.Error("the process is not told to end")
	}
	s.Close() // says that the log is closed already
	if s, err = Open(ctx, o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Message(ctx, kept.Message.ID); err != nil {
		t.Errorf("what was acknowledged: %v", err)
	}
	if again := someEvent(9); s.Append(ctx, again) != nil {
		t.Error("the next start takes nothing")
	}
}

// While one batch is on its way to the disk the next one grows; each is answered once, and what is
// answered is in the store.
func TestBatchesGrowWhileTheDiskIsBusy(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	var commits, rows atomic.Int64
	s, err := Open(ctx, Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Committed: func(n int, _ time.Duration) {
		commits.Add(1)
		rows.Add(int64(n))
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const workers, each = 32, 50
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				a := someEvent(w*each + i)
				if err := s.Append(ctx, a); err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Message(ctx, a.Message.ID); err != nil {
					t.Errorf("what was just answered: %v", err)
				}
				if i%10 == 0 { // one that decides against writing spoils no other
					if err := s.Resend(ctx, hook.Key(1), time.Now()); hook.CodeOf(err) != hook.CodeConflict {
						t.Errorf("refused with %v", err)
					}
				}
			}
		})
	}
	all.Wait()
	if want := int64(workers * each * 11 / 10); rows.Load() != want || commits.Load() >= want/2 {
		t.Errorf("%d units in %d commits; %d are right, in less than half as many", rows.Load(), commits.Load(), want)
	}
}
