package task

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestReplayHasAPace(t *testing.T) {
	for pace, want := range map[int]time.Duration{0: 10 * time.Millisecond, 2: 500 * time.Millisecond, 40: 25 * time.Millisecond, 1000: time.Millisecond} {
		t.Run(fmt.Sprint(pace), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				e := w.endpoint(w.app)
				const n = batch + 50
				w.messages(n, hook.Delivered, e)
				in := lately(e)
				in.Pace = pace
				began := time.Now()
				stopDelivery := w.deliver(0, e)
				defer stopDelivery()
				if got := w.job(hook.TaskBulkReplay, in); got.MessagesSent != n {
					t.Errorf("the result is %+v", got)
				}
				took := time.Since(began)
				if least, most := (n-batch)*want, n*want+time.Second; took < least || took > most {
					t.Errorf("%d took %v; between %v and %v is right", n, took, least, most)
				}
				time.Sleep(time.Second)
				// In no second more than the pace allows, with what is due within a millisecond.
				slices.SortFunc(w.sentAt, time.Time.Compare)
				for i, at := range w.sentAt {
					perSecond, _ := slices.BinarySearchFunc(w.sentAt[i:], at.Add(time.Second), time.Time.Compare)
					if limit := int(time.Second/want) + 3; perSecond > limit {
						t.Fatalf("%d within a second, %d is right", perSecond, limit)
					}
				}
			})
		})
	}
}

// What a fast pace makes due at one moment is claimed and recorded together; a slow one
// has each at its own time.
func TestDeliveriesOfAFastPaceAreDueInGroups(t *testing.T) {
	t.Parallel()
	for pace, moments := range map[int]int{1000: 4, 100: 40, 40: 100, 2: 100} {
		j := job{task: hook.Task{Kind: hook.TaskBulkReplay}, in: hook.EndpointTask{Pace: pace}, now: time.Now()}
		gap, seen := time.Second/time.Duration(pace), map[time.Time]bool{}
		for n := range batch {
			at, exact := j.due(), j.now.Add(time.Duration(n)*gap)
			if late := at.Sub(exact); late > 0 || late <= -together {
				t.Errorf("pace %d: delivery %d is due %v after its time", pace, n, late)
			}
			seen[at] = true
			j.step.Again = append(j.step.Again, hook.Redelivery{At: at})
		}
		if len(seen) != moments {
			t.Errorf("pace %d: %d deliveries are due at %d moments, want %d", pace, batch, len(seen), moments)
		}
		if end := j.ahead(); end != batch*gap {
			t.Errorf("pace %d: the next step is %v ahead, want %v", pace, end, batch*gap)
		}
	}
}

// Whoever pauses or cancels finds no more on its way than one step made due.
func TestWhatIsPausedOrCanceledStopsWithinAStep(t *testing.T) {
	for _, to := range []hook.TaskStatus{hook.TaskPaused, hook.TaskCanceled} {
		t.Run(string(to), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				e := w.endpoint(w.app)
				const n = 500
				w.messages(n, hook.Failed, e)
				in := lately(e)
				in.States, in.Pace = []hook.DeliveryState{hook.Failed}, 100
				id := w.ask(hook.TaskRecover, in).ID
				r, stop := w.start()
				defer stop()
				stopDelivery := w.deliver(0, e)
				defer stopDelivery()
				time.Sleep(2*time.Second + 5*time.Millisecond)
				w.move(id, to)
				before := w.sent()
				time.Sleep(time.Minute)
				after := w.sent()
				if ahead := after - before; before < 190 || ahead > 25 {
					t.Errorf("%d were sent before and %d afterwards", before, ahead)
				}
				x, data := w.now(id)
				if x.Status != to || data.MessagesSent != int64(after) || data.Progress.Looked != int64(after) || *data.Progress.Total != n {
					t.Errorf("the task is %s, %s, after %d", x.Status, x.Data, after)
				}
				if to == hook.TaskCanceled {
					return
				}
				w.move(id, hook.TaskRunning)
				r.Wake()
				if end := w.end(); end.Status != hook.TaskFinished {
					t.Errorf("after it was resumed it is %s", end.Status)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				w.mu.Lock()
				defer w.mu.Unlock()
				for _, times := range w.attempts {
					if times != 1 {
						t.Errorf("one was sent %d times", times)
					}
				}
				if len(w.attempts) != n {
					t.Errorf("%d were sent, %d is right", len(w.attempts), n)
				}
			})
		})
	}
}

// However slow an endpoint is, what comes in during a replay stands behind few.
func TestLiveDeliveriesStandBehindFewThatAreReplayed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.endpoint(w.app)
		const n = 600
		w.messages(n, hook.Failed, e)
		in := lately(e)
		in.States, in.Pace = []hook.DeliveryState{hook.Failed}, hook.MostPace
		w.ask(hook.TaskRecover, in)
		_, stop := w.start()
		defer stop()
		stopDelivery := w.deliver(2*time.Second, e) // 32 each two seconds
		defer stopDelivery()
		most := 0
		for range 200 {
			time.Sleep(100 * time.Millisecond)
			due, err := w.CountDue(t.Context(), e.ID, time.Now(), n)
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, due)
		}
		if most > 2*hook.DefaultConcurrency || most < hook.DefaultConcurrency {
			t.Errorf("%d were due at once", most)
		}
		if got := w.end(); got.Status != hook.TaskFinished {
			t.Errorf("it is %s", got.Status)
		}
	})
}
