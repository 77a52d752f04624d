package storetest

import (
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

func lookUps(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := makeApp(t, s, "a")
	e, other := makeEndpoint(t, s, a, ""), makeEndpoint(t, s, a, "")
	now := time.Now().Truncate(time.Millisecond).UTC()
	if at, err := s.OldestDue(ctx, now); err != nil || !at.IsZero() {
		t.Errorf("of nothing the oldest is due at %v, %v", at, err)
	}
	m := event(2, 0)
	m.Message.App = a.ID
	m.Deliveries[0].Endpoint, m.Deliveries[1].Endpoint = e.ID, other.ID
	m.Deliveries[0].NextAt, m.Deliveries[1].NextAt = now.Add(-time.Minute), now.Add(-time.Hour)
	mustAppend(t, s, m)
	if at, err := s.OldestDue(ctx, now); err != nil || !at.Equal(now.Add(-time.Hour)) {
		t.Errorf("the oldest is due at %v, %v", at, err)
	}
	must(t, s.Cancel(ctx, a.ID, m.Deliveries[1].ID))
	code(t, "canceling it again", s.Cancel(ctx, a.ID, m.Deliveries[1].ID), hook.CodeConflict)
	code(t, "canceling another's", s.Cancel(ctx, a.ID+1, m.Deliveries[0].ID), hook.CodeNotFound)
	canceled, err := s.Canceled(ctx, []hook.Key{m.Deliveries[0].ID, m.Deliveries[1].ID, 5})
	must(t, err)
	same(t, "canceled", map[hook.Key]bool{m.Deliveries[1].ID: true}, canceled)
	must(t, s.DisableEndpoint(ctx, e.ID, "gone"))
	code(t, "disabling none", s.DisableEndpoint(ctx, 5, "gone"), hook.CodeNotFound)
	same(t, "deliveries", []hook.DeliveryState{hook.Held, hook.Canceled}, states(t, s, m))
	held, err := s.HeldEndpoints(ctx)
	must(t, err)
	same(t, "endpoints that hold something", []hook.Key{e.ID}, held)
	got, err := s.Endpoint(ctx, a.ID, e.ID)
	must(t, err)
	if got.State != hook.Disabled || got.Reason != "gone" {
		t.Errorf("the endpoint: %v, %q", got.State, got.Reason)
	}
	mine := sent(t, s, a, other) // in this process's memory
	code(t, "canceling what is being attempted", s.Cancel(ctx, a.ID, mine.Deliveries[0].ID), hook.CodeConflict)
}

func expire(t *testing.T, open Opener) {
	s := open(t, t.Name())
	now := time.Now()
	var list []*hook.Append
	for _, at := range []time.Duration{-time.Second, 0, time.Hour} {
		a := event(1, 0)
		if at != 0 {
			a.Message.ExpiresAt = now.Add(at)
		}
		list = append(list, mustAppend(t, s, a))
	}
	for _, want := range []int64{1, 0} {
		if n, err := s.ExpireBodies(ctx, now); n != want || err != nil {
			t.Errorf("%d payloads expired, %v; %d are right", n, err, want)
		}
	}
	for i, want := range []bool{false, true, true} {
		if _, has, err := s.MessageInfo(ctx, app, list[i].Message.ID); has != want || err != nil {
			t.Errorf("message %d has a payload: %v, %v", i, has, err)
		}
	}
	same(t, "what was to be delivered of it", []hook.DeliveryState{hook.Canceled}, states(t, s, list[0]))
	for _, want := range []bool{true, false} {
		if first, err := s.Once(ctx, "something"); first != want || err != nil {
			t.Errorf("done for the first time: %v, %v", first, err)
		}
	}
}
