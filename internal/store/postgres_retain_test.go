package store

import (
	"context"
	"database/sql"
	"slices"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Days that nothing of is kept any more are dropped, in all tables, and no others.
func TestOldDaysAreDropped(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := openNode(t, server.Database(t))
	old := time.Date(2020, 5, 1, 12, 0, 0, 0, time.UTC)
	if err := s.EnsurePartitions(ctx, old); err != nil { // of four days
		t.Fatal(err)
	}
	all := func(table string) []string {
		names, err := s.partitionsOf(ctx, table)
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	before := len(all("messages"))
	var kept []hook.Key
	for day := range 4 { // an event of each day, with a delivery and an attempt
		k := hook.KeyAt(old.AddDate(0, 0, day))
		if day >= 2 {
			kept = append(kept, k)
		}
		for _, x := range []struct {
			text string
			args []any
		}{
			{`INSERT INTO messages (id, org_id, app_id, event_type, subjects, rank, received_at, headers, size, fanout) VALUES (?, 1, 5, 'x', '[["s","1"]]', 0, 0, '[]', 0, 1)`, []any{k}},
			{`INSERT INTO deliveries (id, org_id, message_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, trigger, late) VALUES (?, 1, ?, 9, 0, 1, 0, 0, 0, 0, ?, 0, 0)`, []any{k + 1, k, k + 2}},
			{`INSERT INTO attempts (id, org_id, delivery_id, previous, number, trigger, at, duration, outcome, status) VALUES (?, 1, ?, 0, 1, 0, 0, 0, 'delivered', 200)`, []any{k + 2, k + 1}},
		} {
			if _, err := s.write.ExecContext(ctx, x.text, x.args...); err != nil {
				t.Fatal(err)
			}
		}
		m := hook.Message{ID: k, Org: 1, App: 5, Event: hook.Event{Type: "x", Subjects: []hook.Subject{{Kind: "s", ID: "1"}}}}
		list := append(messagePostings(nil, &m), posting{9, term(termDelivery), k + 1}, posting{9, attemptTerm(true, 200), k + 2})
		err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error { return insertPostings(ctx, tx, list) })
		if err != nil {
			t.Fatal(err)
		}
	}
	days, err := s.DropBefore(ctx, hook.KeyAt(old.AddDate(0, 0, 2)))
	if err != nil || days != 2 {
		t.Fatalf("%d days were dropped, %v; 2 are right", days, err)
	}
	for _, p := range partitionedTables() {
		names := all(p.table)
		for day, kept := range map[string]bool{"_20200501": false, "_20200502": false, "_20200503": true, "_20200504": true, "_default": true} {
			if slices.Contains(names, p.table+day) != kept {
				t.Errorf("%s: it has %v", p.table+day, names)
			}
		}
		if len(names) != before-2 {
			t.Errorf("%s has %d partitions, %d are right", p.table, len(names), before-2)
		}
	}
	var want []hook.Key
	for _, k := range kept {
		want = append(want, k, k, k, k+1, k+2) // all, type, subject, delivery, attempt
	}
	keys, err := queryKeys(ctx, s.read, "SELECT id FROM postings ORDER BY id")
	if err != nil || !slices.Equal(keys, want) {
		t.Errorf("postings that are left: %v, %v; %v are right", keys, err, want)
	}
	if days, err := s.DropBefore(ctx, 0); err != nil || days != 0 {
		t.Errorf("for ever: %d days were dropped, %v", days, err)
	}
}
