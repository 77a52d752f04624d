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
