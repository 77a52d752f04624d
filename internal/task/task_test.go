package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func TestRecoverSendsFailedMessagesOfItsRangeOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, other := w.endpoint(w.app), w.endpoint(w.app)
	failed := w.message(w.app, hook.Message{}, hook.Failed, e, other)
	delivered := w.message(w.app, hook.Message{}, hook.Delivered, e)
	canceled := w.message(w.app, hook.Message{}, hook.Canceled, e)
	expunged := w.message(w.app, hook.Message{}, hook.Failed, e)
	if err := w.ExpungeBody(t.Context(), w.app.ID, expunged.ID); err != nil {
		t.Fatal(err)
	}
	in := lately(e)
	in.States = []hook.DeliveryState{hook.Failed}
	early := in
	early.Until = failed.ID.Time().Add(-time.Minute)
	if got := w.finish(hook.TaskRecover, early); got != `{"messagesSent":0}` {
		t.Errorf("a range without messages gives %s", got)
	}
	if got := w.finish(hook.TaskRecover, in); got != `{"messagesSent":1}` {
		t.Errorf("the result is %s", got)
	}
	for name, c := range map[string]struct {
		m    hook.Message
		e    hook.Endpoint
		want hook.DeliveryState
	}{
		"failed":                     {failed, e, hook.Pending},
		"failed at another endpoint": {failed, other, hook.Failed},
		"delivered":                  {delivered, e, hook.Delivered},
		"canceled":                   {canceled, e, hook.Canceled},
		"without a payload":          {expunged, e, hook.Failed},
	} {
		if got := w.states(c.m, c.e); !slices.Equal(got, []hook.DeliveryState{c.want}) {
			t.Errorf("%s is %v, %v is right", name, got, c.want)
		}
	}
	if w.due[e.ID] != 1 || w.due[other.ID] != 0 {
		t.Errorf("due: %v", w.due)
	}
}

func TestReplayMissingDeliversWhatTheEndpointWantsAndNeverHad(t *testing.T) {
	t.Parallel()
	for state, want := range map[hook.EndpointState]hook.DeliveryState{hook.Enabled: hook.Pending, hook.Disabled: hook.Held} {
		t.Run(state.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			had := w.endpoint(w.app)
			missed := w.message(w.app, hook.Message{Event: hook.Event{Type: "invoice.paid"}}, hook.Delivered, had)
			unwanted := w.message(w.app, hook.Message{Event: hook.Event{Type: "user.signup"}}, hook.Delivered, had)
			e := w.endpoint(w.app, "invoice.*")
			e.State = state
			if _, err := w.UpdateEndpoint(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			failed := w.message(w.app, hook.Message{Event: hook.Event{Type: "invoice.due"}}, hook.Failed, e)
			for round, sent := range []string{`{"messagesSent":1}`, `{"messagesSent":0}`} {
				if got := w.finish(hook.TaskReplayMissing, lately(e)); got != sent {
					t.Errorf("round %d gives %s, %s is right", round, got, sent)
				}
			}
			if got := w.states(missed, e); !slices.Equal(got, []hook.DeliveryState{want}) {
				t.Errorf("the missing message is %v", got)
			}
			if len(w.states(unwanted, e)) != 0 || !slices.Equal(w.states(failed, e), []hook.DeliveryState{hook.Failed}) {
				t.Errorf("others: %v %v", w.states(unwanted, e), w.states(failed, e))
			}
		})
	}
}

// An ordered endpoint gets what it missed one after another, and what waits is not sent
// beside it.
func TestReplayKeepsTheOrderOfAnEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	had, e := w.endpoint(w.app), w.endpoint(w.app)
	e.Order = hook.Order{By: "subject"}
	if _, err := w.UpdateEndpoint(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	var missed []hook.Message
	for range 3 {
		missed = append(missed, w.message(w.app, hook.Message{Event: hook.Event{Subjects: []hook.Subject{{Kind: "user", ID: "u"}}}}, hook.Delivered, had))
	}
	if got := w.finish(hook.TaskReplayMissing, lately(e)); got != `{"messagesSent":3}` {
		t.Errorf("replay gives %s", got)
	}
	for i, want := range []hook.DeliveryState{hook.Pending, hook.Waiting, hook.Waiting} {
		if got := w.states(missed[i], e); !slices.Equal(got, []hook.DeliveryState{want}) {
			t.Errorf("message %d is %d, %d is right", i, got, want)
		}
	}
	again := lately(e)
	again.States = []hook.DeliveryState{hook.Pending, hook.Waiting}
	again.Since, again.Until = again.Since.Add(-time.Hour), again.Until.Add(time.Hour)
	w.finish(hook.TaskBulkReplay, again)
	for _, m := range missed[1:] {
		if got := w.states(m, e); !slices.Equal(got, []hook.DeliveryState{hook.Waiting}) {
			t.Errorf("sent again what waits: %d", got)
		}
	}
}

func TestBulkReplayFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.endpoint(w.app)
	var all []hook.Message
	for i, m := range []hook.Message{
		{Event: hook.Event{Type: "a"}, Channels: []string{"c"}, Tags: []string{"t"}},
		{Event: hook.Event{Type: "b"}},
		{Event: hook.Event{Type: "b"}, Tags: []string{"t"}},
	} {
		all = append(all, w.message(w.app, m, []hook.DeliveryState{hook.Delivered, hook.Failed, hook.Canceled}[i], e))
	}
	w.attempt(w.message(w.app, hook.Message{Event: hook.Event{Type: "c"}}, hook.Pending, e), e, 503)
	class := 500
	for name, c := range map[string]struct {
		change func(*hook.EndpointTask)
		want   int
	}{
		"none":           {func(*hook.EndpointTask) {}, 4},
		"types":          {func(i *hook.EndpointTask) { i.Types = []string{"a"} }, 1},
		"channel":        {func(i *hook.EndpointTask) { i.Channel = "c" }, 1},
		"tag":            {func(i *hook.EndpointTask) { i.Tag = "t" }, 2},
		"status":         {func(i *hook.EndpointTask) { i.States = []hook.DeliveryState{hook.Delivered} }, 1},
		"class":          {func(i *hook.EndpointTask) { i.Class = &class }, 1},
		"class of none":  {func(i *hook.EndpointTask) { i.Class = new(int) }, 0},
		"until long ago": {func(i *hook.EndpointTask) { i.Until = time.Now().Add(-time.Minute) }, 0},
	} {
		in := lately(e)
		c.change(&in)
		asked := hook.Task{ID: hook.KeyAt(time.Now().Add(time.Minute)), Kind: hook.TaskBulkReplay, Data: []byte("{}")}
		asked.Input, _ = json.Marshal(in)
		rows, _, err := w.Store.ListDeliveries(t.Context(), hook.DeliveryQuery{Endpoint: e.ID, States: in.States, Types: in.Types, Channel: in.Channel, Tag: in.Tag, Page: hook.Page{Limit: 100}})
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for i := range rows {
			ok, err := w.runner().wanted(t.Context(), &asked, &in, &rows[i])
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%s: %d, %d is right", name, got, c.want)
		}
	}
	if got := w.finish(hook.TaskBulkReplay, lately(e)); got != `{"messagesSent":4}` {
		t.Errorf("all of them give %s", got)
	}
	for _, m := range all {
		if got := w.states(m, e); !slices.Equal(got, []hook.DeliveryState{hook.Pending}) {
			t.Errorf("%s is %v", m.Type, got)
		}
	}
}

func TestTaskGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.endpoint(w.app)
	const n = 2*batch + 50
	var all []hook.Message
	for range n {
		all = append(all, w.message(w.app, hook.Message{}, hook.Delivered, e))
	}
	task := w.ask(hook.TaskBulkReplay, lately(e))
	cut := make(chan struct{})
	var steps int
	ctx, cancel := context.WithCancel(t.Context())
	w.step = func(hook.Task) error {
		if steps++; steps == 2 { // its work is done, but that it is is not kept
			close(cut)
			cancel()
			return errors.New("the process ended")
		}
		return nil
	}
	if err := w.runner().Run(ctx); err != nil {
		t.Fatal(err)
	}
	<-cut
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.step = nil
	half, err := w.Task(t.Context(), store.DefaultOrg, task.ID)
	if err != nil || half.Status != hook.TaskRunning || half.Cursor == 0 || string(half.Data) != fmt.Sprintf(`{"messagesSent":%d}`, batch) {
		t.Fatalf("after the cut the task is %+v, %v", half, err)
	}
	_, stop := w.start()
	defer stop()
	// The cut step had sent its messages: they are not sent twice, and not counted.
	if got := w.end(); got.ID != task.ID || string(got.Data) != fmt.Sprintf(`{"messagesSent":%d}`, n-batch) {
		t.Errorf("the end is %s %s", got.Status, got.Data)
	}
	for i, m := range all {
		if got := w.states(m, e); !slices.Equal(got, []hook.DeliveryState{hook.Pending}) {
			t.Errorf("message %d is %v", i, got)
		}
	}
}

func TestAppStatsCountDeliveriesOfAllOrChosenApplications(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
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
}

func TestAggregateGathersWhatEndpointsAskFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
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
}

func TestPurgeLeavesYoungerMessagesAndOtherApplications(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
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
}

func TestTaskThatCannotBeDoneFailsWithAReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
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
		var data hook.TaskError
		if err := json.Unmarshal(got.Data, &data); err != nil || data.Error == "" || got.Status != hook.TaskFailed {
			t.Errorf("%s: %s %s, %v", name, got.Status, got.Data, err)
		}
	}
}

func TestTroubleOfOursIsTriedAgainButNotForEver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail int
		want hook.TaskStatus
	}{"passing": {3, hook.TaskFinished}, "lasting": {1000, hook.TaskFailed}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
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
	}
}

func TestLongTaskDoesNotKeepOthersFromBeginning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
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
}

func TestWorkersNeverRepeatATaskThatAnotherFinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
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
}
