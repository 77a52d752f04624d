package store

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// rowsOf counts the rows of the tables that messages fill.
func rowsOf(t *testing.T, s *Store) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, table := range []string{"messages", "bodies", "deliveries", "attempts", "postings", "duplicates"} {
		var count int
		if err := s.read.QueryRowContext(context.Background(), "SELECT count(*) FROM "+table).Scan(&count); err != nil {
			t.Fatal(err)
		}
		n[table] = count
	}
	return n
}

// Nothing of a message stays when it goes, in whatever table, and the disk gets its space back.
func TestWhatIsOldLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := open(t)
	a, err := s.CreateApplication(ctx, hook.Application{Org: DefaultOrg, Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 600 {
		m := &hook.Append{Redeliver: i%5 == 0, Message: hook.Message{
			Org: DefaultOrg, App: a.ID, ReceivedAt: time.Now(), Channels: []string{"c"}, Tags: []string{"t"}, Body: make([]byte, 60_000),
			Event: hook.Event{Type: "x", ID: fmt.Sprint(i), Subjects: []hook.Subject{{Kind: "s", ID: fmt.Sprint(i % 7)}}},
		}, Hash: hook.Hash{1: byte(i), 2: byte(i >> 8), 3: 1}}
		for e := range 2 {
			m.Deliveries = append(m.Deliveries, hook.Delivery{Org: DefaultOrg, Endpoint: hook.Key(e + 1), State: hook.Pending, NextAt: time.Now(), Since: time.Now(), Holder: s.Incarnation()})
		}
		for range 1 + i%2 { // each other one comes twice
			if err := s.Append(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range m.Deliveries {
			for n := range 1 + i%3 { // chains of attempts
				r := &hook.Record{Delivery: d, State: hook.Pending, Attempt: &hook.Attempt{Number: n + 1, At: time.Now(), Outcome: hook.OutcomeStatus, Status: 500}}
				if err := s.Record(ctx, []*hook.Record{r}); err != nil {
					t.Fatal(err)
				}
				d.LastAttempt = r.Attempt.ID
				if _, err := s.changeState(ctx, "UPDATE deliveries SET holder = ? WHERE id = ?", s.Incarnation(), d.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for {
		if n, err := s.Index(ctx); err != nil {
			t.Fatal(err)
		} else if n == 0 {
			break
		}
	}
	before := pages(t, s)
	full := rowsOf(t, s)
	if full["attempts"] < 1200 || full["duplicates"] != 300 || full["deliveries"] <= 1200 {
		t.Fatalf("the store has %v", full)
	}
	n, err := s.Retain(ctx, DefaultOrg, a.ID, hook.Cutoffs{Messages: math.MaxInt64 - 1, Payloads: math.MaxInt64 - 1, Attempts: math.MaxInt64 - 1})
	if err != nil || n.Messages != 600 {
		t.Fatalf("%+v, %v", n, err)
	}
	for table, count := range rowsOf(t, s) {
		if count != 0 {
			t.Errorf("%d rows of %s are left", count, table)
		}
	}
	freed, err := s.Reclaim(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if after := pages(t, s); after*4 > before || freed < 4096*(before-after) {
		t.Errorf("%d pages before, %d after; %d bytes were given back", before, after, freed)
	}
}

func pages(t *testing.T, s *Store) (n int64) {
	t.Helper()
	if err := s.read.QueryRowContext(context.Background(), "PRAGMA page_count").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
