package storetest

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func addTask(t *testing.T, s *store.Store, kind hook.TaskKind) hook.Task {
	t.Helper()
	x, err := s.CreateTask(ctx, hook.Task{Org: store.DefaultOrg, Kind: kind, Status: hook.TaskRunning, Input: json.RawMessage(`{"a":1}`)})
	must(t, err)
	return x
}

// keeping is a step after which a task stands as to.
func keeping(from, to hook.Task) hook.TaskStep {
	return hook.TaskStep{From: from, Keep: func(int) hook.Task { return to }}
}

func tasks(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a, b := addTask(t, s, hook.TaskRecover), addTask(t, s, hook.TaskAppStats)
	next := a
	next.Status, next.Cursor, next.Data, next.NextAt = hook.TaskFinished, 55, json.RawMessage(`{"n":2}`), time.Now().Truncate(time.Millisecond).UTC()
	kept, err := s.StepTask(ctx, keeping(a, next))
	must(t, err)
	must(t, s.Close())
	s = open(t, t.Name())
	a, err = s.Task(ctx, a.Org, a.ID)
	must(t, err)
	next.UpdatedAt = kept.UpdatedAt
	same(t, "what a step gave", next, kept)
	same(t, "task", kept, a)
	running, err := s.RunningTasks(ctx)
	must(t, err)
	same(t, "running tasks", []hook.Task{b}, running)
	for _, c := range []struct {
		kinds    []hook.TaskKind
		statuses []hook.TaskStatus
		want     []hook.Task
	}{
		{nil, nil, []hook.Task{b, a}},
		{[]hook.TaskKind{hook.TaskRecover}, nil, []hook.Task{a}},
		{nil, []hook.TaskStatus{hook.TaskRunning, hook.TaskPaused}, []hook.Task{b}},
		{[]hook.TaskKind{hook.TaskRecover, hook.TaskAppStats}, []hook.TaskStatus{hook.TaskRunning, hook.TaskFinished}, []hook.Task{b, a}},
		{[]hook.TaskKind{hook.TaskRecover}, []hook.TaskStatus{hook.TaskRunning}, nil},
	} {
		list, err := s.Tasks(ctx, a.Org, hook.TaskFilter{Kinds: c.kinds, Statuses: c.statuses}, hook.Page{Limit: 9})
		must(t, err)
		same(t, "tasks", c.want, list)
	}
	if c := addTask(t, s, hook.TaskRecover); c.ID <= b.ID {
		t.Errorf("after a restart a task has the key %d, behind %d", c.ID, b.ID)
	}
}

func moveTask(t *testing.T, open Opener) {
	s := open(t, t.Name())
	x := addTask(t, s, hook.TaskRecover)
	for _, to := range []hook.TaskStatus{hook.TaskPaused, hook.TaskPaused, hook.TaskRunning, hook.TaskPaused, hook.TaskCanceled, hook.TaskCanceled} {
		moved, err := s.MoveTask(ctx, x.Org, x.ID, to)
		must(t, err)
		got, err := s.Task(ctx, x.Org, x.ID)
		must(t, err)
		same(t, "task", moved, got)
		running, err := s.RunningTasks(ctx)
		must(t, err)
		if got.Status != to || (len(running) == 1) != (to == hook.TaskRunning) {
			t.Errorf("moved to %s it is %s, and %d run", to, got.Status, len(running))
		}
	}
	for _, to := range []hook.TaskStatus{hook.TaskPaused, hook.TaskRunning} {
		_, err := s.MoveTask(ctx, x.Org, x.ID, to)
		code(t, "moving a canceled task to "+string(to), err, hook.CodeConflict)
	}
	_, err := s.MoveTask(ctx, x.Org, x.ID+1, hook.TaskPaused)
	code(t, "moving no task", err, hook.CodeNotFound)
}

func beginTask(t *testing.T, open Opener) {
	s := open(t, t.Name())
	paused, over := addTask(t, s, hook.TaskRecover), addTask(t, s, hook.TaskRecover)
	paused, err := s.MoveTask(ctx, paused.Org, paused.ID, hook.TaskPaused)
	must(t, err)
	_, err = s.MoveTask(ctx, over.Org, over.ID, hook.TaskCanceled)
	must(t, err)
	other, err := s.CreateOrganization(ctx, "other")
	must(t, err)
	_, err = s.CreateTask(ctx, hook.Task{Org: other.ID, Kind: hook.TaskRecover, Status: hook.TaskRunning})
	must(t, err)
	// Of many who ask at once, each is told of those before it, and five may begin.
	const most = 5
	var wg sync.WaitGroup
	var mu sync.Mutex
	begun := 0
	for range 20 {
		wg.Go(func() {
			x, err := s.BeginTask(ctx, hook.Task{Org: store.DefaultOrg, Kind: hook.TaskBulkReplay, Status: hook.TaskRunning}, func(underWay []hook.Task) error {
				if len(underWay) == 0 || underWay[0].ID != paused.ID || slices.ContainsFunc(underWay, func(x hook.Task) bool { return x.Org != store.DefaultOrg || x.ID == over.ID }) {
					t.Errorf("under way are %+v", underWay)
				}
				if len(underWay) > most {
					return hook.Errorf(hook.CodeConflict, "too many")
				}
				return nil
			})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				begun++
			} else if hook.CodeOf(err) != hook.CodeConflict || x.ID != 0 {
				t.Errorf("a task that was not begun: %+v, %v", x, err)
			}
		})
	}
	wg.Wait()
	list, err := s.Tasks(ctx, store.DefaultOrg, hook.TaskFilter{Kinds: []hook.TaskKind{hook.TaskBulkReplay}}, hook.Page{Limit: 50})
	must(t, err)
	if begun != most || len(list) != most {
		t.Errorf("%d were begun and %d are there; %d is right", begun, len(list), most)
	}
}

// settled makes a delivery that is over, or held, whose window began a minute ago.
func settled(t *testing.T, s *store.Store, state hook.DeliveryState) hook.Delivery {
	t.Helper()
	a := event(1, 0)
	d := &a.Deliveries[0]
	d.State, d.Since, d.NextAt = state, d.Since.Add(-time.Minute), d.NextAt.Add(-time.Minute)
	mustAppend(t, s, a)
	return a.Deliveries[0]
}

func the(t *testing.T, s *store.Store, d hook.Delivery) hook.Delivery {
	t.Helper()
	for _, x := range deliveries(t, s, &hook.Message{ID: d.Message, Fanout: 1}) {
		if x.ID == d.ID {
			return x
		}
	}
	t.Fatalf("delivery %d is gone", d.ID)
	return d
}

// A step that is refused, or whose task cannot be kept, changes nothing.
func stepOnce(t *testing.T, open Opener) {
	s := open(t, t.Name())
	now := time.Now().Truncate(time.Millisecond).UTC()
	d := settled(t, s, hook.Failed)
	x := addTask(t, s, hook.TaskRecover)
	step := func(from hook.Task) (hook.Task, error) {
		return s.StepTask(ctx, hook.TaskStep{
			From: from, State: hook.Pending, Again: []hook.Redelivery{{Delivery: d.ID, At: now}}, If: hook.StepCondition{Before: now},
			Make: []hook.Delivery{{Org: x.Org, Message: d.Message, Endpoint: endpoint + 7, NextAt: now, Since: now, State: hook.Pending, Trigger: hook.Replay}},
			Keep: func(n int) hook.Task {
				from.Cursor, from.Data = d.ID, json.RawMessage(`{"n":`+string(rune('0'+n))+`}`)
				return from
			},
		})
	}
	untouched := func(what string) {
		t.Helper()
		if got := deliveries(t, s, &hook.Message{ID: d.Message, Fanout: 1}); len(got) != 1 || got[0].State != hook.Failed {
			t.Errorf("%s: %+v", what, got)
		}
		got, err := s.Task(ctx, x.Org, x.ID)
		must(t, err)
		if got.Cursor != 0 || string(got.Data) != "{}" {
			t.Errorf("%s moved the task: %+v", what, got)
		}
	}
	paused, err := s.MoveTask(ctx, x.Org, x.ID, hook.TaskPaused)
	must(t, err)
	_, err = step(paused)
	code(t, "a step of a paused task", err, hook.CodeConflict)
	untouched("a step of a paused task")
	_, err = s.MoveTask(ctx, x.Org, x.ID, hook.TaskRunning)
	must(t, err)
	ahead := x
	ahead.Cursor = 5
	_, err = step(ahead)
	code(t, "a step from another cursor", err, hook.CodeConflict)
	untouched("a step from another cursor")
	kept, err := step(x)
	must(t, err)
	got := deliveries(t, s, &hook.Message{ID: d.Message, Fanout: 1})
	if len(got) != 2 || got[0].State != hook.Pending || got[1].State != hook.Pending || kept.Cursor != d.ID || string(kept.Data) != `{"n":2}` {
		t.Errorf("after the step: %+v, %s at %d", got, kept.Data, kept.Cursor)
	}
	_, err = step(x)
	code(t, "the same step again", err, hook.CodeConflict)
	for _, over := range []hook.TaskStatus{hook.TaskCanceled} {
		_, err = s.MoveTask(ctx, x.Org, x.ID, over)
		must(t, err)
		_, err = step(kept)
		code(t, "a step of a task that is over", err, hook.CodeConflict)
	}
}

func stepAgain(t *testing.T, open Opener) {
	s := open(t, t.Name())
	now := time.Now().Truncate(time.Millisecond).UTC()
	before := now.Add(-time.Second)
	failed, canceled, delivered, held := settled(t, s, hook.Failed), settled(t, s, hook.Canceled), settled(t, s, hook.Delivered), settled(t, s, hook.Held)
	byHand, waiting, inMemory := settled(t, s, hook.Failed), settled(t, s, hook.Pending), event(1, s.Incarnation())
	must(t, s.Resend(ctx, byHand.ID, now))
	inMemory.Deliveries[0].Since = before.Add(-time.Minute)
	mustAppend(t, s, inMemory)
	all := []hook.Delivery{failed, canceled, delivered, held, byHand, waiting, inMemory.Deliveries[0]}
	for _, c := range []struct {
		states  []hook.DeliveryState
		into    hook.DeliveryState
		changed []int
	}{
		{[]hook.DeliveryState{hook.Failed, hook.Canceled}, hook.Held, []int{0, 1}},
		{nil, hook.Pending, []int{0, 1, 2, 3, 5}},
	} {
		was := make([]hook.Delivery, len(all))
		step := hook.TaskStep{From: addTask(t, s, hook.TaskBulkReplay), State: c.into, If: hook.StepCondition{States: c.states, Before: before}}
		for i, d := range all {
			was[i] = the(t, s, d)
			step.Again = append(step.Again, hook.Redelivery{Delivery: d.ID, At: before.Add(-time.Duration(len(all)-i) * time.Second)})
		}
		changed := -1
		step.Keep = func(n int) hook.Task { changed = n; return step.From }
		_, err := s.StepTask(ctx, step)
		must(t, err)
		if changed != len(c.changed) {
			t.Errorf("%v: %d were changed, %d is right", c.states, changed, len(c.changed))
		}
		for i, d := range was {
			if slices.Contains(c.changed, i) {
				at := step.Again[i].At
				d.State, d.NextAt, d.Since, d.Failures, d.Trigger, d.Holder = c.into, at, at, 0, hook.Replay, 0
			}
			same(t, "delivery", d, the(t, s, all[i]))
		}
	}
	_, next, err := s.Claim(ctx, endpoint, now.Add(-time.Hour), 10)
	must(t, err)
	if !next.Equal(before.Add(-7 * time.Second)) {
		t.Errorf("the first is due at %v", next)
	}
}

func stepMakes(t *testing.T, open Opener) {
	s := open(t, t.Name())
	now := time.Now().Truncate(time.Millisecond).UTC()
	one, two, three := mustAppend(t, s, event(0, 0)), mustAppend(t, s, event(1, 0)), mustAppend(t, s, event(0, 0))
	missed := endpoint + 3
	of := func(a *hook.Append, state hook.DeliveryState, at time.Time) hook.Delivery {
		return hook.Delivery{Org: store.DefaultOrg, Message: a.Message.ID, Endpoint: missed, State: state, NextAt: at, Since: at, Trigger: hook.Replay}
	}
	_, err := s.Deliver(ctx, of(three, hook.Delivered, now)) // somebody was quicker
	must(t, err)
	x := addTask(t, s, hook.TaskReplayMissing)
	changed := -1
	step := hook.TaskStep{From: x, Make: []hook.Delivery{of(one, hook.Pending, now), of(two, hook.Held, now.Add(time.Second)), of(three, hook.Pending, now)}}
	step.Keep = func(n int) hook.Task { changed = n; return x }
	_, err = s.StepTask(ctx, step)
	must(t, err)
	if changed != 2 {
		t.Errorf("%d were made, 2 is right", changed)
	}
	var made []hook.Key
	for i, a := range []*hook.Append{one, two, three} {
		all := deliveries(t, s, &a.Message)
		d := all[len(all)-1]
		if d.ID <= x.ID == (i < 2) || len(all) != []int{1, 2, 1}[i] {
			t.Fatalf("the deliveries of message %d are %+v", i, all)
		}
		made = append(made, d.ID)
		if i < 2 {
			want := step.Make[i]
			want.ID = d.ID
			same(t, "late delivery", want, d)
		}
	}
	slices.Sort(made) // somebody's is the oldest
	list, next, err := s.ListDeliveries(ctx, hook.DeliveryQuery{Endpoint: missed, Page: hook.Page{Ascending: true, Limit: 10}})
	must(t, err)
	var listed []hook.Key
	for _, r := range list {
		listed = append(listed, r.ID)
	}
	if !slices.Equal(made, listed) || next != 0 {
		t.Errorf("listed are %v, %v is right", listed, made)
	}
	claimed, _, err := s.Claim(ctx, missed, now.Add(time.Hour), 10)
	must(t, err)
	if len(claimed) != 1 {
		t.Errorf("claimed were %+v", claimed)
	}
}

func stepCancels(t *testing.T, open Opener) {
	s := open(t, t.Name())
	now := time.Now().Truncate(time.Millisecond).UTC()
	before := now.Add(-time.Second)
	all := []hook.Delivery{settled(t, s, hook.Pending), settled(t, s, hook.Held), settled(t, s, hook.Failed), settled(t, s, hook.Delivered), settled(t, s, hook.Failed)}
	must(t, s.Resend(ctx, all[4].ID, now)) // by hand, since
	later := event(1, 0)
	later.Deliveries[0].Since = now.Add(time.Hour) // to be delivered then
	inMemory := event(1, s.Incarnation())
	mustAppend(t, s, later)
	mustAppend(t, s, inMemory)
	all = append(all, later.Deliveries[0], inMemory.Deliveries[0])
	x, changed := addTask(t, s, hook.TaskCancelPending), -1
	step := hook.TaskStep{From: x, If: hook.StepCondition{Before: before}, Keep: func(n int) hook.Task { changed = n; return x }}
	for _, d := range all {
		step.Cancel = append(step.Cancel, d.ID)
	}
	_, err := s.StepTask(ctx, step)
	must(t, err)
	want := []hook.DeliveryState{hook.Canceled, hook.Canceled, hook.Failed, hook.Delivered, hook.Pending, hook.Canceled, hook.Pending}
	for i, d := range all {
		if got := the(t, s, d); got.State != want[i] {
			t.Errorf("delivery %d is %s, %s is right", i, got.State, want[i])
		}
	}
	if changed != 3 {
		t.Errorf("%d were canceled, 3 is right", changed)
	}
	r := &hook.Record{Delivery: inMemory.Deliveries[0], Attempt: attempt(1, hook.OutcomeDelivered), State: hook.Delivered}
	must(t, s.Record(ctx, []*hook.Record{r}))
	if r.Refused {
		t.Error("what was in memory cannot be recorded any more")
	}
}

func countDue(t *testing.T, open Opener) {
	s := open(t, t.Name())
	now := time.Now().Truncate(time.Millisecond).UTC()
	count := func(limit, want int) {
		t.Helper()
		n, err := s.CountDue(ctx, endpoint, now, limit)
		must(t, err)
		if n != want {
			t.Errorf("%d are due, of at most %d; %d is right", n, limit, want)
		}
	}
	count(10, 0)
	for i, due := range []time.Duration{-3 * time.Second, -time.Second, 0, time.Hour, -time.Hour} {
		a := event(2, 0)
		a.Deliveries[0].NextAt = now.Add(due)
		if i < 2 {
			a.Deliveries[0].Holder = s.Incarnation()
		}
		if i == 4 {
			a.Deliveries[0].State = hook.Held
		}
		mustAppend(t, s, a)
	}
	count(10, 3)
	count(2, 2)
	must(t, s.Close())
	s = open(t, t.Name())
	count(10, 3) // two of them a dead one has
}

func inMemory(t *testing.T, open Opener) {
	s := open(t, t.Name())
	var keys []hook.Key
	for _, holder := range []hook.Key{s.Incarnation(), 0, s.Incarnation()} {
		a := event(1, holder)
		mustAppend(t, s, a)
		keys = append(keys, a.Deliveries[0].ID)
	}
	look := func(want map[hook.Key]bool) {
		t.Helper()
		got, err := s.InMemory(ctx, keys)
		must(t, err)
		same(t, "in memory", want, got)
	}
	look(map[hook.Key]bool{keys[0]: true, keys[2]: true})
	keys = keys[:2]
	look(map[hook.Key]bool{keys[0]: true})
	must(t, s.Close())
	s = open(t, t.Name())
	look(map[hook.Key]bool{}) // what a dead one has is in nobody's
	keys = nil
	look(map[hook.Key]bool{})
}
