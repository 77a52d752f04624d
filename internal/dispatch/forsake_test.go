package dispatch_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
)

// reborn is the store of a process that was taken for dead, once dead is set.
type reborn struct {
	dispatch.Store
	dead atomic.Bool
}

func (s *reborn) Holds(hook.Key) bool { return !s.dead.Load() }

func (s *reborn) Claim(ctx context.Context, endpoint hook.Key, now time.Time, limit int) ([]hook.Delivery, time.Time, error) {
	if s.dead.Load() { // another process has them
		return nil, time.Time{}, nil
	}
	return s.Store.Claim(ctx, endpoint, now, limit)
}

// What a process that was taken for dead had in memory is with others, who send it: only
// what it had under way may come twice.
func TestWhatWasTakenOverIsNotSentFromMemory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var s *reborn
		r := start(t, dir, func(real dispatch.Store) dispatch.Store {
			s = &reborn{Store: real}
			return s
		})
		defer r.end()
		var sent atomic.Int32
		answer := make(chan struct{})
		e := target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			sent.Add(1)
			<-answer
			return status(200)
		})
		e.Concurrency = 2
		r.endpoints(e)
		for range 20 {
			r.accept()
		}
		synctest.Wait()
		if n := sent.Load(); n != 2 {
			t.Fatalf("%d attempts are under way, 2 may be", n)
		}
		s.dead.Store(true)
		close(answer)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := sent.Load(); n != 2 {
			t.Errorf("%d more were sent after others had taken them over", n-2)
		}
		s.dead.Store(false) // what comes now is its own again
		r.accept()
		synctest.Wait()
		if n := sent.Load(); n != 3 {
			t.Errorf("%d attempts, 3 are right: an endpoint must go on after that", n)
		}
	})
}
