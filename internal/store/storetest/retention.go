package storetest

import (
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// aged is an application with one endpoint and messages with an attempt each; the marks are
// keys between them.
func aged(t *testing.T, s *store.Store, n int) (a hook.Application, e hook.Endpoint, list []*hook.Append, marks []hook.Key) {
	t.Helper()
	a = makeApp(t, s, "aged")
	e = makeEndpoint(t, s, a, "")
	for range n {
		m := sent(t, s, a, e)
		r := &hook.Record{Delivery: m.Deliveries[0], Attempt: attempt(1, hook.OutcomeStatus), State: hook.Pending, NextAt: time.Now().Add(time.Hour)}
		must(t, s.Record(ctx, []*hook.Record{r}))
		list = append(list, m)
		marks = append(marks, r.Attempt.ID+1)
	}
	indexed(t, s)
	return a, e, list, marks
}

func indexed(t *testing.T, s *store.Store) {
	t.Helper()
	for {
		n, err := s.Index(ctx)
		must(t, err)
		if n == 0 {
			return
		}
	}
}

func oldMessages(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a, e, list, marks := aged(t, s, 4)
	other := sent(t, s, makeApp(t, s, "other"))
	n, err := s.Retain(ctx, a.Org, a.ID, hook.Cutoffs{Payloads: marks[1], Attempts: marks[1], Messages: marks[1]})
	must(t, err)
	same(t, "deleted", hook.Retained{Messages: 2}, n)
	for i, m := range list {
		_, _, err := s.MessageInfo(ctx, a.ID, m.Message.ID)
		there := len(deliveries(t, s, &m.Message))
		if want := i >= 2; want != (err == nil) || want != (there == 1) {
			t.Errorf("message %d: %v, %d deliveries", i, err, there)
		}
	}
	if _, err := s.Message(ctx, other.Message.ID); err != nil {
		t.Errorf("that of another application: %v", err)
	}
	rows, _, err := s.ListDeliveries(ctx, hook.DeliveryQuery{Endpoint: e.ID, Page: hook.Page{Limit: 10, Ascending: true}})
	must(t, err)
	if len(rows) != 2 || rows[0].Message != list[2].Message.ID {
		t.Errorf("deliveries that are listed: %+v", rows)
	}
	attempts, _, err := s.ListAttempts(ctx, hook.AttemptQuery{Endpoint: e.ID, Class: -1, Page: hook.Page{Limit: 10}})
	must(t, err)
	if len(attempts) != 2 {
		t.Errorf("%d attempts are listed, 2 are right", len(attempts))
	}
	again := event(1, 0)
	again.Hash, again.Message.App = list[0].Hash, a.ID
	if mustAppend(t, s, again); !again.Duplicate {
		t.Error("the event of a message that was deleted is not known any more")
	}
	if claimed, _, err := s.Claim(ctx, e.ID, time.Now().Add(2*time.Hour), 10); err != nil || len(claimed) != 2 {
		t.Errorf("%d deliveries are due, %v", len(claimed), err)
	}
	n, err = s.Retain(ctx, a.Org, a.ID, hook.Cutoffs{Payloads: marks[1], Attempts: marks[1], Messages: marks[1]})
	must(t, err)
	same(t, "deleted again", hook.Retained{}, n)
}

func oldPayloads(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a, _, list, marks := aged(t, s, 3)
	n, err := s.Retain(ctx, a.Org, a.ID, hook.Cutoffs{Payloads: marks[1]})
	must(t, err)
	same(t, "deleted", hook.Retained{Payloads: 2}, n)
	for i, m := range list {
		_, has, err := s.MessageInfo(ctx, a.ID, m.Message.ID)
		must(t, err)
		d := deliveries(t, s, &m.Message)[0]
		if want := i == 2; has != want || (d.State == hook.Pending) != want || d.Attempts != 1 {
			t.Errorf("message %d: payload %v, %+v", i, has, d)
		}
	}
	must(t, s.Close())
	s = open(t, t.Name())
	n, err = s.Retain(ctx, a.Org, a.ID, hook.Cutoffs{Payloads: marks[2]})
	must(t, err)
	same(t, "deleted after a restart", hook.Retained{Payloads: 1}, n)
}

// A payload's own retention wins, whether it is shorter or longer.
func payloadsWithAnEnd(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := makeApp(t, s, "aged")
	e := makeEndpoint(t, s, a, "")
	end := time.Now().Add(time.Hour)
	own := event(1, 0)
	own.Message.App, own.Message.ExpiresAt, own.Deliveries[0].Endpoint = a.ID, end, e.ID
	mustAppend(t, s, own)
	plain := sent(t, s, a, e)
	indexed(t, s)
	n, err := s.Retain(ctx, a.Org, a.ID, hook.Cutoffs{Payloads: plain.Message.ID + 2})
	must(t, err)
	same(t, "deleted", hook.Retained{Payloads: 1}, n)
	has := func(m *hook.Append) bool {
		_, has, err := s.MessageInfo(ctx, a.ID, m.Message.ID)
		must(t, err)
		return has
	}
	if !has(own) || has(plain) {
		t.Errorf("there is the payload with an end of its own: %v, and the other: %v", has(own), has(plain))
	}
	same(t, "what is to be delivered", []hook.DeliveryState{hook.Pending}, states(t, s, own))
	if expired, err := s.ExpireBodies(ctx, end); err != nil || expired != 1 || has(own) {
		t.Errorf("at its end %d payloads go, %v", expired, err)
	}
}

func oldAttempts(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a, e, list, marks := aged(t, s, 3)
	n, err := s.Retain(ctx, a.Org, a.ID, hook.Cutoffs{Attempts: marks[1]})
	must(t, err)
	same(t, "deleted", hook.Retained{Attempts: 2}, n)
	for i, m := range list {
		d := deliveries(t, s, &m.Message)[0]
		attempts, err := s.Attempts(ctx, &d)
		must(t, err)
		if want := i == 2; (len(attempts) == 1) != want || d.Attempts != 1 || d.State != hook.Pending {
			t.Errorf("message %d: %d attempts, %+v", i, len(attempts), d)
		}
	}
	rows, _, err := s.ListAttempts(ctx, hook.AttemptQuery{Endpoint: e.ID, Class: -1, Page: hook.Page{Limit: 10}})
	must(t, err)
	if len(rows) != 1 {
		t.Errorf("%d attempts are listed", len(rows))
	}
}
