package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

// What a process that ends in the middle of a task has done is neither lost nor done
// again, whether its last step was kept or not; the count says so, too.
func TestTasksGoOnAfterARestart(t *testing.T) {
	const n = 2*batch + 50
	states := []hook.DeliveryState{hook.Pending, hook.Held}
	for name, c := range map[string]struct {
		kind   hook.TaskKind
		from   hook.DeliveryState
		change func(*hook.EndpointTask)
		want   hook.DeliveryState
	}{
		"recover":        {hook.TaskRecover, hook.Failed, func(i *hook.EndpointTask) { i.States = []hook.DeliveryState{hook.Failed} }, hook.Delivered},
		"bulk replay":    {hook.TaskBulkReplay, hook.Canceled, func(*hook.EndpointTask) {}, hook.Delivered},
		"replay missing": {hook.TaskReplayMissing, hook.Held, func(*hook.EndpointTask) {}, hook.Delivered},
		"cancel pending": {hook.TaskCancelPending, hook.Held, func(i *hook.EndpointTask) { i.States = states }, hook.Canceled},
		"dry run":        {hook.TaskBulkReplay, hook.Failed, func(i *hook.EndpointTask) { i.DryRun = true }, hook.Failed},
	} {
		for _, kept := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", kept ", kept), func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					e := w.endpoint(w.app)
					all := w.messages(n, c.from, e)
					in := lately(e)
					c.change(&in)
					in.Pace = 1000
					id := w.ask(c.kind, in).ID
					stopDelivery := w.deliver(20*time.Millisecond, e)
					w.cut(kept, 2, stopDelivery)
					half, _ := w.now(id)
					if half.Status != hook.TaskRunning || half.Cursor == 0 {
						t.Fatalf("after the cut the task is %+v", half)
					}
					_, stop := w.start()
					defer stop()
					defer w.deliver(20*time.Millisecond, e)()
					w.end()
					time.Sleep(time.Second)
					total := int64(n)
					count, want := total, hook.JobData{Progress: hook.Progress{Looked: total, Total: &total}}
					switch {
					case in.DryRun:
						want.DryRun, want.WouldSend, want.Examples = true, &count, nil
					case c.kind == hook.TaskCancelPending:
						want.MessagesCanceled = total
					default:
						want.MessagesSent, want.Progress.Sent = total, total
					}
					_, data := w.now(id)
					data.Examples = nil
					if diff := cmp.Diff(want, data); diff != "" {
						t.Error(diff)
					}
					for i, m := range all {
						if got := w.states(m, e); !slices.Equal(got, []hook.DeliveryState{c.want}) {
							t.Fatalf("message %d is %v, %v is right", i, got, c.want)
						}
					}
					for k, times := range w.attempts {
						if times != 1 {
							t.Errorf("%d was sent %d times", k, times)
						}
					}
					if c.want == hook.Delivered && len(w.attempts) != n {
						t.Errorf("%d were sent, %d is right", len(w.attempts), n)
					}
				})
			})
		}
	}
}

func TestOtherTasksGoOnAfterARestart(t *testing.T) {
	for name, c := range map[string]struct {
		kind  hook.TaskKind
		input func(*world) any
	}{
		"purge":     {hook.TaskPurgeContent, func(w *world) any { return hook.AppTask{App: w.app.ID} }},
		"stats":     {hook.TaskAppStats, func(*world) any { return hook.StatsTask{Until: time.Now().Add(time.Hour), All: true} }},
		"aggregate": {hook.TaskAggregateEventTypes, func(*world) any { return struct{}{} }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				var all sync.WaitGroup
				for i := range 2*batch + 20 {
					all.Go(func() { w.message(w.app, hook.Message{}, hook.Held, w.endpoint(w.addApp(fmt.Sprint(i)))) })
				}
				all.Wait()
				id := w.ask(c.kind, c.input(w)).ID
				w.cut(true, 2, func() {})
				if half, _ := w.Task(t.Context(), w.app.Org, id); half.Status != hook.TaskRunning || half.Cursor == 0 || string(half.Data) == "{}" {
					t.Fatalf("after the cut the task is %+v", half)
				}
				_, stop := w.start()
				defer stop()
				after := string(w.end().Data)
				if c.kind == hook.TaskPurgeContent {
					if after != fmt.Sprintf(`{"messagesPurged":%d}`, 2*batch+20) {
						t.Errorf("the result is %s", after)
					}
				} else if whole := w.finish(c.kind, c.input(w)); whole != after {
					t.Errorf("the result is %s,\n%s is right", after, whole)
				}
			})
		})
	}
}

// cut lets a runner make some steps and ends it, and the store, in the next one:
// before that was kept, or after. stop stops what else uses the store.
func (w *world) cut(kept bool, steps int, stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	made := 0
	end := func() error {
		if made++; made == steps {
			cancel()
			return errors.New("the process ended")
		}
		return nil
	}
	if kept {
		w.kept = end
	} else {
		w.step = end
	}
	if err := w.runner().Run(ctx); err != nil {
		w.t.Fatal(err)
	}
	stop()
	w.fail(nil)
	w.restart()
}
