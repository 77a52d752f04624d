package dispatch_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// The bound of an endpoint is divided by the number of processes, rounded up, while
// work goes on: what is under way is not cut, and what is free again is used at once.
func TestProcessesShareTheBoundOfAnEndpoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var running atomic.Int64
		e := target(1, func(ctx context.Context, _ *hook.Message, _ *hook.Delivery) *hook.Attempt {
			running.Add(1)
			defer running.Add(-1)
			time.Sleep(time.Second)
			return status(200)
		})
		e.Concurrency = 8
		r.dispatch.Share(3) // before it is known
		r.endpoints(e)
		for range 400 {
			r.accept()
		}
		now := func(nodes int, want int64) {
			t.Helper()
			synctest.Wait()
			if got := running.Load(); got != want {
				t.Errorf("%d attempts under way with %d processes, %d are right", got, nodes, want)
			}
		}
		now(3, 3)
		for _, c := range []struct{ nodes, at, then int }{{1, 8, 8}, {2, 8, 4}, {100, 4, 1}, {8, 1, 1}, {3, 3, 3}, {0, 8, 8}} {
			r.dispatch.Share(c.nodes)
			now(c.nodes, int64(c.at))
			time.Sleep(time.Second)
			now(c.nodes, int64(c.then))
		}
		r.endpoints(e) // known anew
		now(1, 8)
	})
}

// An endpoint that asked for less does not get more because a process ended.
func TestASlowedEndpointStaysSlowWhenProcessesCome(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var running atomic.Int64
		e := target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			running.Add(1)
			defer running.Add(-1)
			time.Sleep(time.Second)
			return status(503)
		})
		e.Concurrency = 16
		r.endpoints(e)
		for range 100 {
			r.accept()
		}
		time.Sleep(6500 * time.Millisecond) // its breaker was open for five seconds
		synctest.Wait()
		if got := running.Load(); got != 1 {
			t.Fatalf("%d attempts under way after 503s, 1 is right", got)
		}
		for _, nodes := range []int{2, 1} {
			r.dispatch.Share(nodes)
			synctest.Wait()
			if got := running.Load(); got != 1 {
				t.Errorf("%d attempts under way with %d processes, 1 is right", got, nodes)
			}
		}
	})
}
