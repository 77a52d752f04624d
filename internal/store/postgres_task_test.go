package store

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Two nodes that both think they are the one that works on tasks make each step once,
// and none after a third has paused the task.
func TestTwoNodesMakeEachStepOfATaskOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	task, err := a.CreateTask(ctx, hook.Task{Org: DefaultOrg, Kind: hook.TaskBulkReplay, Status: hook.TaskRunning})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Millisecond)
	var all []hook.Delivery
	for range 30 {
		u := unit(0)
		d := &u.Deliveries[0]
		d.State, d.Since = hook.Failed, now.Add(-time.Hour)
		all = append(all, keep(t, a, u).Deliveries[0])
	}
	var made, refused atomic.Int64
	var paused atomic.Bool
	work := func(s *Store) {
		for !paused.Load() {
			x, err := s.Task(ctx, task.Org, task.ID)
			if err != nil {
				t.Error(err)
				return
			}
			if x.Cursor == hook.Key(len(all)-5) || x.Status == hook.TaskPaused {
				if _, err := a.MoveTask(ctx, x.Org, x.ID, hook.TaskPaused); err != nil {
					t.Error(err)
				}
				paused.Store(true)
			}
			changed := 0
			_, err = s.StepTask(ctx, hook.TaskStep{
				From: x, State: hook.Pending, Again: []hook.Redelivery{{Delivery: all[x.Cursor].ID, At: now}}, If: hook.StepCondition{Before: now.Add(time.Hour)},
				Keep: func(n int) hook.Task { changed = n; next := x; next.Cursor++; return next },
			})
			switch {
			case err == nil:
				made.Add(int64(changed))
			case hook.CodeOf(err) == hook.CodeConflict:
				refused.Add(1)
			default:
				t.Error(err)
				return
			}
		}
	}
	var both sync.WaitGroup
	for _, s := range []*Store{a, b, a, b} {
		both.Go(func() { work(s) })
	}
	both.Wait()
	x, err := a.Task(ctx, task.Org, task.ID)
	if err != nil || x.Status != hook.TaskPaused || int64(x.Cursor) != made.Load() || refused.Load() == 0 {
		t.Errorf("the task is %s at %d; %d steps were made and %d refused; %v", x.Status, x.Cursor, made.Load(), refused.Load(), err)
	}
}
