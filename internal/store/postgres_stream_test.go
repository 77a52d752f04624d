package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Nodes commit out of the order of their keys: what is read as one order must wait
// for what is under way, or it would be passed over for good.
func TestTheStreamWaitsForWhatIsUnderWayOnAnotherNode(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	_, _, start, _, err := a.After(ctx, DefaultOrg, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := b.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	late := hook.KeyAt(a.keyTime(time.Now()))
	const q = "INSERT INTO messages (id, org_id, app_id, event_type, rank, received_at, headers, size, fanout) VALUES (?, ?, ?, 't', 0, 0, '[]', 0, 0)"
	if _, err := tx.Exec(q, late, DefaultOrg, listApp); err != nil {
		t.Fatal(err)
	}
	first := keep(t, a, unit(0)).Message.ID
	var seen []hook.Key
	read := func() {
		list, _, upTo, _, err := a.After(ctx, DefaultOrg, 0, start)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			seen = append(seen, m.ID)
		}
		start = upTo
	}
	deadline := time.Now().Add(10 * time.Second)
	for begun := time.Now(); time.Since(begun) < 2*keyLead; { // long enough for all that is kept to be old
		read()
	}
	if len(seen) != 0 {
		t.Fatalf("%v came before %d, which was under way", seen, late)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for len(seen) < 2 && time.Now().Before(deadline) {
		read()
	}
	if !slices.Equal(seen, []hook.Key{late, first}) {
		t.Errorf("%v came, %d and %d were kept", seen, late, first)
	}
}
