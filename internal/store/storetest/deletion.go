package storetest

import (
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// sent makes a message of an application for these endpoints.
func sent(t *testing.T, s *store.Store, a hook.Application, endpoints ...hook.Endpoint) *hook.Append {
	t.Helper()
	m := event(len(endpoints), s.Incarnation())
	m.Message.App = a.ID
	for i, e := range endpoints {
		m.Deliveries[i].Endpoint = e.ID
	}
	return mustAppend(t, s, m)
}

func states(t *testing.T, s *store.Store, m *hook.Append) (list []hook.DeliveryState) {
	t.Helper()
	for _, d := range deliveries(t, s, &m.Message) {
		list = append(list, d.State)
	}
	return list
}

func deleteEndpoint(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := makeApp(t, s, "a")
	e, kept := makeEndpoint(t, s, a, ""), makeEndpoint(t, s, a, "")
	m := sent(t, s, a, e, kept)
	held := event(1, 0)
	held.Message.App, held.Deliveries[0].Endpoint, held.Deliveries[0].State = a.ID, e.ID, hook.Held
	mustAppend(t, s, held)
	must(t, s.DeleteEndpoint(ctx, a.ID, e.ID))
	same(t, "deliveries", []hook.DeliveryState{hook.Canceled, hook.Pending}, states(t, s, m))
	same(t, "held delivery", []hook.DeliveryState{hook.Canceled}, states(t, s, held))
	if secrets, _ := s.Secrets(ctx, e.ID, time.Now()); len(secrets) != 0 {
		t.Error("the secret of a deleted endpoint is there")
	}
	r := &hook.Record{Delivery: m.Deliveries[0], Attempt: attempt(1, hook.OutcomeDelivered), State: hook.Delivered}
	must(t, s.Record(ctx, []*hook.Record{r}))
	if !r.Refused {
		t.Error("an attempt for a deleted endpoint was recorded")
	}
	late := sent(t, s, a, e, kept) // routed before the deletion, kept after it
	n, err := s.CancelOrphans(ctx)
	must(t, err)
	same(t, "orphans", []hook.DeliveryState{hook.Canceled, hook.Pending}, states(t, s, late))
	if n != 1 {
		t.Errorf("%d orphans, 1 is right", n)
	}
}

func deleteApplication(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a, b := makeApp(t, s, "a"), makeApp(t, s, "b")
	e, kept := makeEndpoint(t, s, a, ""), makeEndpoint(t, s, b, "")
	m, other := sent(t, s, a, e), sent(t, s, b, kept)
	tried := sent(t, s, a, e)
	must(t, s.Record(ctx, []*hook.Record{{Delivery: tried.Deliveries[0], Attempt: attempt(1, hook.OutcomeDelivered), State: hook.Delivered}}))
	before := deliveries(t, s, &tried.Message)
	_, err := s.CreateToken(ctx, hook.Token{Org: a.Org, App: a.ID, Scope: hook.ScopeApp, Hash: [32]byte{1}})
	must(t, err)
	_, err = s.PurgeApplication(ctx, a.ID)
	code(t, "purging what is not deleted", err, hook.CodeConflict)
	must(t, s.DeleteApplication(ctx, a.Org, a.ID, time.Now()))
	same(t, "its deliveries", []hook.DeliveryState{hook.Canceled}, states(t, s, m))
	same(t, "another's deliveries", []hook.DeliveryState{hook.Pending}, states(t, s, other))
	_, err = s.Endpoint(ctx, a.ID, e.ID)
	code(t, "its endpoint", err, hook.CodeNotFound)
	_, err = s.TokenByHash(ctx, [32]byte{1})
	code(t, "its token", err, hook.CodeNotFound)
	code(t, "deleting it again", s.DeleteApplication(ctx, a.Org, a.ID, time.Now()), hook.CodeNotFound)

	must(t, s.Close())
	s = open(t, t.Name())
	gone, err := s.DeletedApplications(ctx)
	must(t, err)
	same(t, "what is to be purged", []hook.Key{a.ID}, gone)
	n, err := s.PurgeApplication(ctx, a.ID)
	must(t, err)
	if n != 2 || len(deliveries(t, s, &m.Message)) != 0 {
		t.Errorf("%d messages purged, 2 are right", n)
	}
	if left, _ := s.Attempts(ctx, &before[0]); len(left) != 0 {
		t.Error("attempts are left")
	}
	_, err = s.Message(ctx, m.Message.ID)
	code(t, "its message", err, hook.CodeNotFound)
	if _, err := s.Message(ctx, other.Message.ID); err != nil {
		t.Errorf("another's message: %v", err)
	}
	if gone, _ := s.DeletedApplications(ctx); len(gone) != 0 {
		t.Errorf("still to be purged: %v", gone)
	}
}

func expunge(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a, b := makeApp(t, s, "a"), makeApp(t, s, "b")
	e := makeEndpoint(t, s, a, "")
	m, second, other := sent(t, s, a, e), sent(t, s, a, e), sent(t, s, b, e)
	for range 2 { // again changes nothing
		must(t, s.ExpungeBody(ctx, a.ID, m.Message.ID))
	}
	info, has, err := s.MessageInfo(ctx, a.ID, m.Message.ID)
	must(t, err)
	if has || info.Type != m.Message.Type || info.Size != len(m.Message.Body) {
		t.Errorf("after expunging: body %v, %+v", has, info)
	}
	if _, has, err := s.MessageInfo(ctx, a.ID, second.Message.ID); !has || err != nil {
		t.Errorf("another message: body %v, %v", has, err)
	}
	same(t, "deliveries", []hook.DeliveryState{hook.Canceled}, states(t, s, m))
	if found, err := s.Messages(ctx, []hook.Key{m.Message.ID}); len(found) != 0 || err != nil {
		t.Errorf("the dispatcher reads it: %v, %v", found, err)
	}
	gone, err := s.ExpungeBodies(ctx, a.ID, []hook.Key{m.Message.ID, other.Message.ID, 5})
	must(t, err)
	same(t, "expunged", map[hook.Key]bool{m.Message.ID: true}, gone)
	n, next, err := s.PurgeBodies(ctx, a.ID, 0, 1)
	must(t, err)
	if n != 0 || next != m.Message.ID {
		t.Errorf("first step: %d, on from %d", n, next)
	}
	n, next, err = s.PurgeBodies(ctx, a.ID, next, 100)
	must(t, err)
	if n != 1 || next != 0 {
		t.Errorf("second step: %d, on from %d", n, next)
	}
	if _, has, _ := s.MessageInfo(ctx, b.ID, other.Message.ID); !has {
		t.Error("another application's payload is gone")
	}
}

func expungeResponse(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := mustAppend(t, s, event(1, s.Incarnation()))
	r := &hook.Record{Delivery: a.Deliveries[0], Attempt: attempt(1, hook.OutcomeDelivered), State: hook.Delivered}
	must(t, s.Record(ctx, []*hook.Record{r}))
	must(t, s.ExpungeResponse(ctx, r.Attempt.ID))
	d := deliveries(t, s, &a.Message)
	list, err := s.Attempts(ctx, &d[0])
	must(t, err)
	if string(list[0].Response) != "EXPUNGED" {
		t.Errorf("response: %q", list[0].Response)
	}
	code(t, "no attempt", s.ExpungeResponse(ctx, 5), hook.CodeNotFound)
}
