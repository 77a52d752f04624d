package task

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestAppStatsCountDeliveriesOfAllOrChosenApplications(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		second, empty := w.addApp(""), w.addApp("empty")
		one, two, three := w.endpoint(w.app), w.endpoint(w.app), w.endpoint(second)
		for range 3 {
			w.message(w.app, hook.Message{}, hook.Delivered, one, two)
		}
		w.message(second, hook.Message{}, hook.Failed, three)
		now := time.Now()
		stat := func(a hook.Application, n int64) hook.AppStat {
			s := hook.AppStat{AppID: w.IDs().Public(hook.KindApplication, a.ID), MessageDestinations: n}
			if a.UID != "" {
				s.AppUID = &a.UID
			}
			return s
		}
		hour := hook.StatsTask{Since: now.Add(-time.Hour), Until: now.Add(time.Hour)}
		for name, c := range map[string]struct {
			change func(*hook.StatsTask)
			want   []hook.AppStat
		}{
			"all":         {func(i *hook.StatsTask) { i.All = true }, []hook.AppStat{stat(w.app, 6), stat(second, 1), stat(empty, 0)}},
			"chosen":      {func(i *hook.StatsTask) { i.Apps = []hook.Key{second.ID} }, []hook.AppStat{stat(second, 1)}},
			"of nobody":   {func(*hook.StatsTask) {}, []hook.AppStat{}},
			"long ago":    {func(i *hook.StatsTask) { i.All, i.Until = true, now.Add(-time.Minute) }, []hook.AppStat{stat(w.app, 0), stat(second, 0), stat(empty, 0)}},
			"one deleted": {func(i *hook.StatsTask) { i.Apps = []hook.Key{w.app.ID, w.app.ID + 500} }, []hook.AppStat{stat(w.app, 6)}},
		} {
			in := hour
			c.change(&in)
			var got hook.AppStatsData
			if err := json.Unmarshal([]byte(w.finish(hook.TaskAppStats, in)), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.AppStats); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	})
}

func TestAggregateGathersWhatEndpointsAskFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		second := w.addApp("second")
		w.addApp("empty")
		w.endpoint(w.app, "b", "a")
		w.endpoint(w.app, "a", "invoice.*")
		w.endpoint(second, "x")
		w.endpoint(second)
		want := fmt.Sprintf(`{"event_types":[{"appId":%q,"explicitlySubscribedEventTypes":["a","b","invoice.*"],"hasCatchAllEndpoint":false},`+
			`{"appId":%q,"explicitlySubscribedEventTypes":["x"],"hasCatchAllEndpoint":true}]}`,
			w.IDs().Public(hook.KindApplication, w.app.ID), w.IDs().Public(hook.KindApplication, second.ID))
		if got := w.finish(hook.TaskAggregateEventTypes, struct{}{}); got != want {
			t.Errorf("%s\n%s is right", got, want)
		}
	})
}

func TestPurgeLeavesYoungerMessagesAndOtherApplications(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e, other := w.endpoint(w.app), w.addApp("other")
		const n = batch + 20
		var old []hook.Message
		for range n {
			old = append(old, w.message(w.app, hook.Message{}, hook.Pending, e))
		}
		theirs := w.message(other, hook.Message{}, hook.Pending)
		w.ask(hook.TaskPurgeContent, hook.AppTask{App: w.app.ID})
		young := w.message(w.app, hook.Message{}, hook.Pending, e)
		_, stop := w.start()
		defer stop()
		if got := w.end(); string(got.Data) != fmt.Sprintf(`{"messagesPurged":%d}`, n) {
			t.Errorf("the result is %s", got.Data)
		}
		for _, m := range append(old, theirs, young) {
			_, has, err := w.MessageInfo(t.Context(), m.App, m.ID)
			if err != nil || has != (m.ID == theirs.ID || m.ID == young.ID) {
				t.Errorf("message %d: payload %v, %v", m.ID, has, err)
			}
		}
		if got := w.states(old[0], e); !slices.Equal(got, []hook.DeliveryState{hook.Canceled}) {
			t.Errorf("a delivery without a payload is %v", got)
		}
	})
}

func TestTaskThatCannotBeDoneFailsWithAReason(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.endpoint(w.app)
		in := lately(e)
		if err := w.DeleteEndpoint(t.Context(), w.app.ID, e.ID); err != nil {
			t.Fatal(err)
		}
		for name, ask := range map[string]func(){
			"the endpoint is gone": func() { w.ask(hook.TaskRecover, in) },
			"unreadable input":     func() { w.ask(hook.TaskAppStats, "text") },
			"unknown kind":         func() { w.ask("message.broadcast", struct{}{}) },
		} {
			ask()
			_, stop := w.start()
			got := w.end()
			stop()
			var data struct{ Error string }
			if err := json.Unmarshal(got.Data, &data); err != nil || data.Error == "" || got.Status != hook.TaskFailed {
				t.Errorf("%s: %s %s, %v", name, got.Status, got.Data, err)
			}
		}
	})
}

func TestTroubleOfOursIsTriedAgainButNotForEver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail int
		want hook.TaskStatus
	}{"passing": {3, hook.TaskFinished}, "lasting": {1000, hook.TaskFailed}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				e := w.endpoint(w.app)
				var mu sync.Mutex
				reads := 0
				w.read = func() error {
					mu.Lock()
					defer mu.Unlock()
					if reads++; reads <= c.fail {
						return errors.New("disk I/O error at /secret/path")
					}
					return nil
				}
				r, stop := w.start()
				defer stop()
				w.ask(hook.TaskBulkReplay, lately(e))
				r.Wake()
				got := w.end()
				if got.Status != c.want {
					t.Errorf("%s after %d reads", got.Status, reads)
				}
				if c.want == hook.TaskFailed && string(got.Data) != `{"error":"something went wrong here; ask again for what was wanted"}` {
					t.Errorf("the result is %s", got.Data)
				}
			})
		})
	}
}

func TestLongTaskDoesNotKeepOthersFromBeginning(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		r := w.runner()
		var got []hook.Key
		first, second, third := w.ask(hook.TaskRecover, nil), w.ask(hook.TaskRecover, nil), w.ask(hook.TaskRecover, nil)
		for range 4 {
			next, _, err := r.next(t.Context())
			if err != nil || next == nil {
				t.Fatal(next, err)
			}
			got = append(got, next.ID)
			delete(r.busy, next.ID)
		}
		if want := []hook.Key{first.ID, second.ID, third.ID, first.ID}; !slices.Equal(got, want) {
			t.Errorf("turns go to %v, %v is right", got, want)
		}
		r.busy[second.ID] = true
		if next, _, err := r.next(t.Context()); err != nil || next.ID != third.ID {
			t.Errorf("beside a busy one: %v, %v", next, err)
		}
	})
}

func TestWorkersNeverRepeatATaskThatAnotherFinished(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.endpoint(w.app)
		const n = 50
		for range n {
			w.ask(hook.TaskAggregateEventTypes, struct{}{})
		}
		_, stop := w.start()
		done := map[hook.Key]int{}
		for range n {
			done[w.end().ID]++
		}
		stop()
		if len(w.ended) != 0 || len(done) != n {
			t.Errorf("%d tasks ended, and %d once more", len(done), len(w.ended))
		}
	})
}
