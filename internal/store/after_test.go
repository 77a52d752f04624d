package store_test

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// TestAfterReadsMessagesAndAttemptsAsOneOrder: one of the two lists is longer than
// a call reads, so what the other has beyond that place must wait for the next call.
func TestAfterReadsMessagesAndAttemptsAsOneOrder(t *testing.T) {
	t.Parallel()
	st, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	const own, other, messages, attempts = store.DefaultOrg, hook.Key(2), 700, 10
	now := time.Now()
	var records []*hook.Record
	for i := range messages {
		org := own
		if i%7 == 0 {
			org = other
		}
		unit := &hook.Append{Message: hook.Message{Org: org, App: hook.Key(5 + i%2), Event: hook.Event{Type: fmt.Sprint("t", i)}, ReceivedAt: now, Body: []byte("{}")}}
		unit.Deliveries = []hook.Delivery{{Org: org, Endpoint: 9, State: hook.Pending, NextAt: now, Since: now, Holder: st.Incarnation()}}
		if err := st.Append(t.Context(), unit); err != nil {
			t.Fatal(err)
		}
		if len(records) < attempts {
			d := unit.Deliveries[0]
			records = append(records, &hook.Record{Delivery: d, State: hook.Delivered, NextAt: now, Attempt: &hook.Attempt{Number: 1, At: now, Outcome: hook.OutcomeDelivered, Status: 200}})
		}
	}
	if err := st.Record(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ org, app hook.Key }{{own, 0}, {own, 5}, {other, 0}, {3, 0}} {
		var got []hook.Key
		want := 0
		for i := range messages {
			if (i%7 == 0) != (c.org == other) || c.org == 3 || c.app != 0 && c.app != hook.Key(5+i%2) {
				continue
			}
			if want++; i < attempts { // the message, and its attempt
				want++
			}
		}
		calls := 0
		for at, more := hook.Key(1), true; more; calls++ {
			ms, as, upTo, again, err := st.After(t.Context(), c.org, c.app, at)
			if err != nil {
				t.Fatal(err)
			}
			var page []hook.Key
			for _, m := range ms {
				page = append(page, m.ID)
			}
			for _, a := range as {
				page = append(page, a.ID)
			}
			for _, k := range page {
				if k <= at || k > upTo {
					t.Errorf("%v: %d is not between %d and %d", c, k, at, upTo)
				}
			}
			got, at, more = append(got, page...), upTo, again
		}
		if !slices.IsSorted(got) || len(slices.Compact(got)) != want || calls < 2 {
			t.Errorf("%v: %d rows in %d calls, sorted %v; %d in two or more are right", c, len(got), calls, slices.IsSorted(got), want)
		}
	}
	ms, as, upTo, more, err := st.After(t.Context(), own, 0, 0)
	if err != nil || len(ms)+len(as) > 0 || more || upTo != records[attempts-1].Attempt.ID {
		t.Errorf("from now on: %d rows, up to %d, more %v, %v", len(ms)+len(as), upTo, more, err)
	}
}
