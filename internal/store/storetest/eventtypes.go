package storetest

import (
	"encoding/json"
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func eventTypes(t *testing.T, open Opener) {
	s := open(t, t.Name())
	x := hook.EventType{Org: store.DefaultOrg, Name: "b.two", Description: "d", Deprecated: true, Schemas: json.RawMessage(`{"1":{}}`), GroupName: "g", FeatureFlags: []string{"f"}}
	x, err := s.CreateEventType(ctx, x)
	must(t, err)
	got, err := s.EventType(ctx, x.Org, x.Name)
	must(t, err)
	same(t, "event type", x, got)
	_, err = s.CreateEventType(ctx, x)
	code(t, "the same name again", err, hook.CodeConflict)
	for name, want := range map[string]bool{"a.one": true, "b.two": false, "c.three": true} {
		made, err := s.PutEventType(ctx, hook.EventType{Org: x.Org, Name: name, Description: "put"})
		must(t, err)
		if made != want {
			t.Errorf("put of %s: made %v", name, made)
		}
	}
	if got, _ := s.EventType(ctx, x.Org, "b.two"); got.Description != "put" || got.Schemas != nil || got.CreatedAt != x.CreatedAt {
		t.Errorf("after put: %+v", got)
	}
	names := func(after string, ascending bool, limit int, archived bool) (names []string) {
		list, err := s.EventTypes(ctx, x.Org, after, ascending, limit, archived)
		must(t, err)
		for _, y := range list {
			names = append(names, y.Name)
		}
		return names
	}
	must(t, s.DeleteEventType(ctx, x.Org, "b.two", false))
	same(t, "without archived", []string{"a.one", "c.three"}, names("", true, 9, false))
	same(t, "with archived", []string{"a.one", "b.two"}, names("", true, 2, true))
	same(t, "on from there", []string{"c.three"}, names("b.two", true, 2, true))
	same(t, "backwards", []string{"c.three", "b.two"}, names("", false, 2, true))
	same(t, "back from there", []string{"a.one"}, names("b.two", false, 2, true))
	revived, err := s.CreateEventType(ctx, hook.EventType{Org: x.Org, Name: "b.two", Description: "again"})
	must(t, err)
	if got, _ := s.EventType(ctx, x.Org, "b.two"); got.Archived || got.Description != "again" || revived.CreatedAt != x.CreatedAt {
		t.Errorf("revived: %+v", got)
	}
	revived.FeatureFlags = []string{}
	changed, err := s.UpdateEventType(ctx, revived)
	must(t, err)
	got, err = s.EventType(ctx, x.Org, "b.two")
	must(t, err)
	same(t, "changed event type", changed, got)
	must(t, s.DeleteEventType(ctx, x.Org, "b.two", true))
	_, err = s.EventType(ctx, x.Org, "b.two")
	code(t, "after expunging", err, hook.CodeNotFound)
	_, err = s.UpdateEventType(ctx, x)
	code(t, "update of none", err, hook.CodeNotFound)
	code(t, "deletion of none", s.DeleteEventType(ctx, x.Org, "b.two", false), hook.CodeNotFound)
}

func tasks(t *testing.T, open Opener) {
	s := open(t, t.Name())
	add := func(kind hook.TaskKind) hook.Task {
		x, err := s.CreateTask(ctx, hook.Task{Org: store.DefaultOrg, Kind: kind, Status: hook.TaskRunning, Input: json.RawMessage(`{"a":1}`)})
		must(t, err)
		return x
	}
	a, b := add(hook.TaskRecover), add(hook.TaskAppStats)
	a.Status, a.Cursor, a.Data = hook.TaskFinished, 55, json.RawMessage(`{"n":2}`)
	must(t, s.StepTask(ctx, a))
	must(t, s.Close())
	s = open(t, t.Name())
	got, err := s.Task(ctx, a.Org, a.ID)
	must(t, err)
	a.UpdatedAt = got.UpdatedAt
	same(t, "task", a, got)
	running, err := s.RunningTasks(ctx)
	must(t, err)
	same(t, "running tasks", []hook.Task{b}, running)
	for _, c := range []struct {
		kind   hook.TaskKind
		status hook.TaskStatus
		want   []hook.Task
	}{
		{"", "", []hook.Task{b, a}},
		{hook.TaskRecover, "", []hook.Task{a}},
		{"", hook.TaskRunning, []hook.Task{b}},
		{hook.TaskRecover, hook.TaskRunning, nil},
	} {
		list, err := s.Tasks(ctx, a.Org, c.kind, c.status, hook.Page{Limit: 9})
		must(t, err)
		same(t, "tasks "+string(c.kind)+" "+string(c.status), c.want, list)
	}
	if c := add(hook.TaskRecover); c.ID <= b.ID {
		t.Errorf("after a restart a task has the key %d, behind %d", c.ID, b.ID)
	}
}
