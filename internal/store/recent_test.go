package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// What leaves the memory is found in the index, and what is in neither is looked for among
// the rows between: whatever its size, the answer is that of all messages.
func TestStalenessDoesNotDependOnTheSizeOfMemory(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := open(t)
	s.writer.recent = newRecent(0, 16)
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	var all []*hook.Message
	begun := time.Now()
	for i := range 400 {
		a := &hook.Append{Message: hook.Message{Org: DefaultOrg, App: listApp, ReceivedAt: time.Now(), Event: hook.Event{
			Type: "t", Family: fmt.Sprint("f", rng.IntN(2)), Subjects: []hook.Subject{{Kind: "s", ID: fmt.Sprint(rng.IntN(12))}},
			OccurredAt: begun.Add(time.Duration(rng.IntN(2000)-2100) * time.Millisecond),
		}}}
		keep(t, s, a)
		all = append(all, &a.Message)
		if i%50 == 49 && rng.IntN(2) == 0 {
			indexAll(t, s)
		}
	}
	stale := 0
	for _, m := range all {
		want := false
		for _, n := range all {
			want = want || n.Family == m.Family && n.Subjects[0] == m.Subjects[0] && m.Moment().Before(n.Moment())
		}
		if want {
			stale++
		}
		if got, err := s.Newer(ctx, m); err != nil || got != want {
			t.Fatalf("message %d of %s, %s, happened at %v: a newer one is known %v, %v", m.ID, m.Subjects[0].ID, m.Family, m.OccurredAt, got, err)
		}
	}
	if stale == 0 || stale == len(all) {
		t.Errorf("%d of %d are stale: it proves nothing", stale, len(all))
	}
}

// What was kept a moment ago is answered without the store.
func TestAFreshMessageIsComparedInMemory(t *testing.T) {
	t.Parallel()
	r := newRecent(hook.KeyAt(time.Now().Add(-time.Minute)), 16)
	id := hook.KeyAt(time.Now())
	m := hook.Message{ID: id, Event: hook.Event{Family: "f", Subjects: []hook.Subject{{Kind: "s", ID: "1"}}}}
	happened := func(m hook.Message, ago time.Duration) hook.Message {
		m.OccurredAt = time.Now().Add(-ago)
		return m
	}
	r.add(&m)
	ranked := m
	ranked.Rank = 1
	before := m
	before.ID = hook.KeyAt(time.Now().Add(-time.Hour))
	for name, c := range map[string]struct {
		m            hook.Message
		newer, known bool
	}{
		"itself":                       {m, false, true},
		"with a rank":                  {ranked, false, false},
		"accepted before the memory":   {before, true, true},
		"happened a moment ago":        {happened(m, time.Second), false, true},
		"happened before the memory":   {happened(m, time.Hour), false, false},
		"of another that was kept ago": {hook.Message{ID: before.ID, Event: hook.Event{Family: "g", Subjects: m.Subjects}}, false, false},
	} {
		if newer, known := r.newer(&c.m); newer != c.newer || known != c.known {
			t.Errorf("%s: newer %v, known %v", name, newer, known)
		}
	}
}

// What a node is about to send was compared with what all nodes had kept, in the
// batch that kept it; a moment later it is asked again.
func TestAStateIsComparedWithThoseOfOtherNodes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	state := func(s *Store, ago time.Duration) *hook.Message {
		x := unit(s.Incarnation())
		x.Message.Family, x.Message.OccurredAt = "f", time.Now().Add(-ago)
		x.Message.Subjects = []hook.Subject{{Kind: "s", ID: "1"}}
		return &keep(t, s, x).Message
	}
	newer, older := state(a, time.Hour), state(b, 2*time.Hour)
	for _, c := range []struct {
		s    *Store
		m    *hook.Message
		want bool
	}{{a, newer, false}, {b, older, true}} {
		if stale, known := c.s.writer.recent.newerShared(c.m, c.m.ID.Time()); !known || stale != c.want {
			t.Errorf("message %d: stale %v, known %v", c.m.ID, stale, known)
		}
	}
	state(b, time.Minute)
	if stale, known := a.writer.recent.newerShared(newer, newer.ID.Time().Add(trusted)); known {
		t.Errorf("after a while what was found is still taken to hold: stale %v", stale)
	}
	delete(a.writer.recent.stale, newer.ID)
	if stale, err := a.Newer(ctx, newer); !stale || err != nil {
		t.Errorf("asked again: stale %v, %v", stale, err)
	}
	other := unit(b.Incarnation())
	other.Message.Family, other.Message.Subjects = "f", []hook.Subject{{Kind: "t", ID: "1"}, {Kind: "s", ID: "1"}}
	m := &keep(t, b, other).Message
	if stale, known := b.writer.recent.newerShared(m, m.ID.Time()); !known || stale {
		t.Errorf("of another primary subject: stale %v, known %v", stale, known)
	}
}
