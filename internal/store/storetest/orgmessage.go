package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

// orgMessages keeps messages of two organizations in turn, and looks at those of one.
func orgMessages(t *testing.T, open Opener) {
	s := open(t, t.Name())
	var mine []hook.Key
	var theirs hook.Key
	for i := range 10 {
		a := event(0, 0)
		a.Message.Type = []string{"t.a", "t.b", "u.a"}[i%3]
		if i%2 == 0 {
			a.Message.Org = 2
			theirs = mustAppend(t, s, a).Message.ID
			continue
		}
		mine = append(mine, mustAppend(t, s, a).Message.ID)
	}
	for name, c := range map[string]struct {
		filter hook.MessageFilter
		want   []hook.Key
	}{
		"all, the oldest first":       {hook.MessageFilter{Page: hook.Page{Ascending: true, Limit: 50}}, mine},
		"a pattern":                   {hook.MessageFilter{Types: []string{"t.*"}, Page: hook.Page{Ascending: true, Limit: 50}}, []hook.Key{mine[0], mine[1], mine[3], mine[4]}},
		"one of two":                  {hook.MessageFilter{Types: []string{"t.a", "*.b"}, Page: hook.Page{Ascending: true, Limit: 50}}, []hook.Key{mine[0], mine[1], mine[3], mine[4]}},
		"the newest two":              {hook.MessageFilter{Page: hook.Page{Limit: 2}}, []hook.Key{mine[4], mine[3]}},
		"older than one":              {hook.MessageFilter{Page: hook.Page{Limit: 2, After: mine[2]}}, []hook.Key{mine[1], mine[0]}},
		"before they came":            {hook.MessageFilter{Range: hook.Range{Until: time.Now().Add(-time.Hour)}, Page: hook.Page{Limit: 2}}, nil},
		"of an application not there": {hook.MessageFilter{App: app + 1, Page: hook.Page{Limit: 2}}, nil},
	} {
		c.filter.Org = 1
		list, next, err := s.ListMessages(ctx, c.filter)
		must(t, err)
		var got []hook.Key
		for _, m := range list {
			got = append(got, m.ID)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if more := name == "the newest two"; more != (next != 0) {
			t.Errorf("%s: the next page begins after %d", name, next)
		}
	}
	m, err := s.OrgMessage(ctx, 1, mine[0])
	must(t, err)
	if m.ID != mine[0] || string(m.Body) != string(event(0, 0).Message.Body) {
		t.Errorf("read as %+v", m)
	}
	if _, err := s.OrgMessage(ctx, 1, theirs); hook.CodeOf(err) != hook.CodeNotFound {
		t.Errorf("a message of another organization: %v", err)
	}
	must(t, s.ExpungeBody(ctx, app, mine[0]))
	if m, err := s.OrgMessage(ctx, 1, mine[0]); err != nil || m.Body != nil {
		t.Errorf("without its body: %q, %v", m.Body, err)
	}
}

// deliveriesOfMany compares what one look finds with what a look for each message does: none, one, more than
// a query takes at once, and those that were made later.
func deliveriesOfMany(t *testing.T, open Opener) {
	s := open(t, t.Name())
	var list []hook.Message
	for _, n := range []int{0, 1, 300, 2} {
		a := mustAppend(t, s, event(n, 0))
		again := event(n, 0)
		again.Hash, again.Redeliver = a.Hash, n == 2
		mustAppend(t, s, again)
		list = append(list, a.Message)
	}
	all, err := s.DeliveriesOf(ctx, list)
	must(t, err)
	for i, want := range []int{0, 1, 300, 4} {
		m := &list[i]
		if n := len(all[m.ID]); n != want {
			t.Errorf("%d deliveries of message %d, %d are right", n, i, want)
		}
		same(t, "deliveries of a message", deliveries(t, s, m), all[m.ID])
	}
	none, err := s.DeliveriesOf(ctx, nil)
	if err != nil || len(none) != 0 {
		t.Errorf("of no message: %v, %v", none, err)
	}
}
