package storetest

import (
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
)

// What a column of text cannot hold on every engine is kept in a form that it can,
// the same on all of them, and found by what was sent.
func unsafeText(t *testing.T, open Opener) {
	s := open(t, t.Name())
	const bad, good = "a\x00b\xff", "a\uFFFDb\uFFFD"
	a := event(1, s.Incarnation())
	m := &a.Message
	m.Type, m.Event.ID, m.Family = bad, bad, bad
	m.Subjects, m.Channels, m.Tags = []hook.Subject{{Kind: bad, ID: bad}}, []string{bad}, []string{bad, "plain"}
	mustAppend(t, s, a)
	if _, err := s.Index(ctx); err != nil {
		t.Fatal(err)
	}
	got, err := s.Message(ctx, m.ID)
	must(t, err)
	same(t, "texts", []string{good, good, good, good, good, good, good},
		[]string{got.Type, got.Event.ID, got.Family, got.Subjects[0].Kind, got.Subjects[0].ID, got.Channels[0], got.Tags[0]})
	want := *m
	want.Size, want.Fanout = len(m.Body), 1
	same(t, "the message that the caller goes on with", want, *got)
	k, err := s.MessageByEventID(ctx, app, bad)
	must(t, err)
	bySubject, _, err := s.ListBySubject(ctx, m.Org, bad, bad, hook.Page{Limit: 9})
	must(t, err)
	byTag, _, err := s.ListMessagesOf(ctx, hook.MessageQuery{App: app, Types: []string{bad}, Channel: bad, Tag: bad, Page: hook.Page{Limit: 9}})
	must(t, err)
	if k != m.ID || len(bySubject) != 1 || len(byTag) != 1 {
		t.Errorf("found by event id: %d of %d, %d by subject, %d by type, channel and tag", k, m.ID, len(bySubject), len(byTag))
	}
	r := &hook.Record{Delivery: a.Deliveries[0], Attempt: attempt(1, hook.OutcomeConnect), State: hook.Failed}
	r.Attempt.Reason, r.Attempt.Response = bad, []byte(bad)
	must(t, s.Record(ctx, []*hook.Record{r}))
	kept, _, err := s.Attempt(ctx, r.Attempt.ID)
	must(t, err)
	x := rejected(1, 10)
	x.URL, x.Remote, x.Method, x.Headers = bad, bad, bad, []hook.Header{{Name: bad, Value: bad}}
	must(t, s.Reject(ctx, x))
	back, err := s.Rejected(ctx, x.ID)
	must(t, err)
	same(t, "texts around it", []string{good, bad, good, good, good}, []string{kept.Reason, string(kept.Response), back.URL, back.Remote, back.Method})
	if v := back.Headers[0].Value; v != "a\x00b\uFFFD" { // JSON has its own way to write NUL
		t.Errorf("header %q", v)
	}
}
