package storetest

import (
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func stale(t *testing.T, open Opener) {
	s := open(t, t.Name())
	begun := time.Now()
	add := func(session string, change func(m *hook.Message)) *hook.Message {
		t.Helper()
		a := event(0, 0)
		m := &a.Message
		m.Rank, m.OccurredAt = 0, time.Time{}
		m.Subjects = []hook.Subject{{Kind: "session", ID: session}, {Kind: "user", ID: "u"}}
		if change != nil {
			change(m)
		}
		mustAppend(t, s, a)
		return m
	}
	at := func(second int) func(*hook.Message) {
		return func(m *hook.Message) { m.OccurredAt = begun.Add(time.Duration(second-10) * time.Second).UTC() }
	}
	old := func(second int) func(*hook.Message) {
		return func(m *hook.Message) { m.OccurredAt = time.Unix(900_000_000+int64(second), 0).UTC() }
	}
	rank := func(n int) func(*hook.Message) { return func(m *hook.Message) { m.Rank = n } }
	first, second := add("accepted", nil), add("accepted", nil)
	late, early := add("times", at(2)), add("times", at(1))
	lateOld, earlyOld := add("old times", old(2)), add("old times", old(1))
	high, low := add("ranks", rank(2)), add("ranks", rank(1))
	alone := add("alone", nil)
	add("alone", func(m *hook.Message) { m.Family = "another" })
	add("alone", func(m *hook.Message) { m.Family = "" })
	add("alone", func(m *hook.Message) { m.App++ })
	add("another", func(m *hook.Message) { m.Subjects = append(m.Subjects, hook.Subject{Kind: "session", ID: "alone"}) })
	add("", func(m *hook.Message) { m.Subjects = nil })
	none := add("accepted", func(m *hook.Message) { m.Family = "" })
	nobody := add("", func(m *hook.Message) { m.Subjects = nil })

	check := func(when string, s *store.Store) {
		t.Helper()
		for name, c := range map[string]struct {
			m    *hook.Message
			want bool
		}{
			"first": {first, true}, "second": {second, false}, "late": {late, false}, "early": {early, true}, "lateOld": {lateOld, false}, "earlyOld": {earlyOld, true},
			"high": {high, false}, "low": {low, true}, "alone": {alone, false}, "without a family": {none, false}, "without a subject": {nobody, false},
		} {
			if got, err := s.Newer(ctx, c.m); err != nil || got != c.want {
				t.Errorf("%s, %s: a newer one is known: %v, %v", when, name, got, err)
			}
		}
	}
	check("at once", s)
	must(t, s.Close())
	s = open(t, t.Name())
	check("after a restart", s)
	indexEverything(t, s)
	check("when it is indexed", s)
	must(t, s.Close())
	s = open(t, t.Name())
	check("after another restart", s)
	if newer, err := s.Newer(ctx, second); newer || err != nil {
		t.Errorf("the second: %v, %v", newer, err)
	}
	add("accepted", nil)
	if newer, err := s.Newer(ctx, second); !newer || err != nil {
		t.Errorf("after a third, the second: %v, %v", newer, err)
	}
}

func indexEverything(t *testing.T, s *store.Store) {
	t.Helper()
	for {
		n, err := s.Index(ctx)
		must(t, err)
		if n == 0 {
			return
		}
	}
}
