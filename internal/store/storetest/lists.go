package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

// filledWorld has messages that are indexed and some that are not.
func filledWorld(t *testing.T, open Opener, seed uint64) *world {
	w := newWorld(t, open(t, t.Name()), seed)
	for i := range 150 {
		w.add(true)
		if i == 40 || i == 110 {
			w.index()
		}
	}
	return w
}

func messageKey(m *hook.Message) hook.Key      { return m.ID }
func deliveryKey(r *hook.DeliveryRow) hook.Key { return r.ID }
func attemptKey(r *hook.AttemptRow) hook.Key   { return r.ID }

// which gives those of list that f takes.
func which[T any](list []T, f func(*T) bool) (out []T) {
	for i := range list {
		if f(&list[i]) {
			out = append(out, list[i])
		}
	}
	return out
}

func listsOfMessages(t *testing.T, open Opener) {
	w := filledWorld(t, open, 1)
	for range 120 {
		c := w.choose()
		q := hook.MessageQuery{App: app, Types: c.types, Channel: c.channel, Tag: c.tag, Range: c.within,
			Text: pick(w.rng, "", "", "", needle), Bodies: w.rng.IntN(2) == 0}
		want := which(w.messages, func(m *hook.Message) bool {
			return m.App == app && c.takes(m.ID, m) && bytes.Contains(m.Body, []byte(q.Text))
		})
		for i := range want {
			if !q.Bodies {
				want[i].Body = nil
			}
		}
		compareLists(w, fmt.Sprintf("%+v", q), want, messageKey, func(p hook.Page) ([]hook.Message, hook.Key, error) {
			q.Page = p
			return w.s.ListMessagesOf(ctx, q)
		})
	}
}

func listsOfDeliveries(t *testing.T, open Opener) {
	w := filledWorld(t, open, 2)
	for range 120 {
		c := w.choose()
		q := hook.DeliveryQuery{Endpoint: endpoint + hook.Key(w.rng.IntN(2)), Types: c.types, Channel: c.channel, Tag: c.tag, Range: c.within}
		q.States = pick(w.rng, nil, nil, []hook.DeliveryState{hook.Delivered}, []hook.DeliveryState{hook.Failed}, []hook.DeliveryState{hook.Held, hook.Canceled, hook.Failed, hook.Held},
			[]hook.DeliveryState{hook.Pending, hook.Failed})
		want := which(w.deliveries, func(d *hook.DeliveryRow) bool {
			return d.Endpoint == q.Endpoint && c.takes(d.ID, d.Of) && (len(q.States) == 0 || slices.Contains(q.States, d.State))
		})
		compareLists(w, fmt.Sprintf("%+v", q), want, deliveryKey, func(p hook.Page) ([]hook.DeliveryRow, hook.Key, error) {
			q.Page = p
			return w.s.ListDeliveries(ctx, q)
		})
	}
	rows, _, err := w.s.ListDeliveries(ctx, hook.DeliveryQuery{Endpoint: endpoint, Page: hook.Page{Limit: 1, Ascending: true}, Bodies: true})
	must(t, err)
	i := slices.IndexFunc(w.messages, func(m hook.Message) bool { return m.ID == rows[0].Message })
	if d := cmp.Diff(&w.messages[i], rows[0].Of); d != "" {
		t.Errorf("with its body the message differs (-want +got):\n%s", d)
	}
}

func listsOfAttempts(t *testing.T, open Opener) {
	w := filledWorld(t, open, 3)
	yes, no := true, false
	for range 200 {
		c := w.choose()
		q := hook.AttemptQuery{Types: c.types, Channel: c.channel, Tag: c.tag, Range: c.within,
			Delivered: pick(w.rng, nil, nil, &yes, &no), Class: pick(w.rng, -1, -1, 0, 200, 300, 400, 500)}
		if w.rng.IntN(3) > 0 {
			q.Endpoint = endpoint + hook.Key(w.rng.IntN(2))
		}
		if q.Endpoint == 0 || w.rng.IntN(4) == 0 {
			q.Message = w.messages[w.rng.IntN(len(w.messages))].ID
		}
		want := which(w.attempts, func(a *hook.AttemptRow) bool {
			class := min(a.Status/100*100, 500)
			return (q.Endpoint == 0 || a.Endpoint == q.Endpoint) && (q.Message == 0 || a.Message == q.Message) && c.takes(a.ID, a.Of) &&
				(q.Delivered == nil || *q.Delivered == (a.Outcome == hook.OutcomeDelivered)) && (q.Class < 0 || q.Class == class)
		})
		compareLists(w, fmt.Sprintf("%+v", q), want, attemptKey, func(p hook.Page) ([]hook.AttemptRow, hook.Key, error) {
			q.Page = p
			return w.s.ListAttempts(ctx, q)
		})
	}
	if _, _, err := w.s.ListAttempts(ctx, hook.AttemptQuery{Class: -1}); hook.CodeOf(err) != hook.CodeInvalid {
		t.Errorf("a list of neither an endpoint nor a message: %v", err)
	}
	oneAttempt(w)
}

func oneAttempt(w *world) {
	want := w.attempts[len(w.attempts)/2]
	a, d, err := w.s.Attempt(ctx, want.ID)
	must(w.t, err)
	if diff := cmp.Diff(want.Attempt, a); diff != "" || d.ID != a.Delivery || d.Message != a.Message {
		w.t.Errorf("attempt differs (-want +got):\n%s\nits delivery: %+v", diff, d)
	}
	if _, _, err := w.s.Attempt(ctx, want.Delivery); hook.CodeOf(err) != hook.CodeNotFound {
		w.t.Errorf("an attempt that is not there: %v", err)
	}
}

func listsBySubject(t *testing.T, open Opener) {
	w := filledWorld(t, open, 4)
	for range 40 {
		s := hook.Subject{Kind: pick(w.rng, "user", "user", "other"), ID: pick(w.rng, "1", "2", `"3"`, "4")}
		want := which(w.messages, func(m *hook.Message) bool { return slices.Contains(m.Subjects, s) })
		for i := range want {
			want[i].Body = nil
		}
		compareLists(w, fmt.Sprintf("%+v", s), want, messageKey, func(p hook.Page) ([]hook.Message, hook.Key, error) {
			return w.s.ListBySubject(ctx, w.messages[0].Org, s.Kind, s.ID, p)
		})
	}
	for range 2 { // the second time everything is indexed
		newest := map[string]hook.Key{"evt-none": 0, "": 0}
		for _, m := range w.messages {
			if m.App == app && m.Event.ID != "" {
				newest[m.Event.ID] = m.ID
			}
		}
		for id, want := range newest {
			got, err := w.s.MessageByEventID(ctx, app, id)
			if got != want && got <= w.last() || (want == 0) != (hook.CodeOf(err) == hook.CodeNotFound) || want != 0 && err != nil {
				t.Errorf("event id %q: message %d, %v; %d is right", id, got, err, want)
			}
		}
		w.index()
	}
}

func listsAfterRestart(t *testing.T, open Opener) {
	w := newWorld(t, open(t, t.Name()), 5)
	for step := range 4 {
		for range 15 {
			w.add(true)
		}
		if step%2 == 1 {
			w.index()
		}
		must(t, w.s.Close())
		w.s = open(t, t.Name())
		for _, bodies := range []bool{false, true} {
			want := which(w.messages, func(m *hook.Message) bool { return m.App == app })
			for i := range want {
				if !bodies {
					want[i].Body = nil
				}
			}
			got, next, err := w.s.ListMessagesOf(ctx, hook.MessageQuery{App: app, Page: hook.Page{Ascending: true, Limit: 100}, Bodies: bodies})
			must(t, err)
			if d := cmp.Diff(want, got); d != "" || next != 0 {
				t.Fatalf("step %d, next %d (-want +got):\n%s", step, next, d)
			}
		}
	}
	for {
		n, err := w.s.Index(ctx)
		must(t, err)
		if n == 0 {
			break
		}
	}
}

func statistics(t *testing.T, open Opener) {
	w := filledWorld(t, open, 6)
	for range 30 {
		r := w.choose().within
		c := choice{within: r}
		messages := which(w.messages, func(m *hook.Message) bool { return m.App == app && c.takes(m.ID, m) })
		n, err := w.s.CountMessages(ctx, app, r)
		must(t, err)
		if n != int64(len(messages)) {
			t.Errorf("%d messages within %v, %d are right", n, r, len(messages))
		}
		want := hook.DeliveryCount{}
		for _, d := range which(w.deliveries, func(d *hook.DeliveryRow) bool { return d.Endpoint == endpoint && c.takes(d.ID, d.Of) }) {
			want[d.State]++
		}
		got, err := w.s.EndpointStats(ctx, endpoint, r)
		must(t, err)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("deliveries within %v (-want +got):\n%s", r, d)
		}
		n, err = w.s.CountDeliveries(ctx, endpoint, r)
		must(t, err)
		if all := want[hook.Delivered] + want[hook.Pending] + want[hook.Failed] + want[hook.Canceled] + want[hook.Held]; n != all {
			t.Errorf("%d deliveries within %v, %d are right", n, r, all)
		}
	}
}
