package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const nodeEndpoint hook.Key = 4711

// twoNodes are two nodes of one database.
func twoNodes(t *testing.T) (a, b *Store) {
	url := server.Database(t)
	return openNode(t, url), openNode(t, url)
}

// unit is an event of its own with one delivery that holder has.
func unit(holder hook.Key) *hook.Append {
	now := time.Now().Truncate(time.Millisecond).UTC()
	a := &hook.Append{
		Message:    hook.Message{Org: DefaultOrg, App: listApp, Event: hook.Event{Type: "t"}, ReceivedAt: now, Body: []byte("x")},
		Deliveries: []hook.Delivery{{Org: DefaultOrg, Endpoint: nodeEndpoint, State: hook.Pending, NextAt: now, Since: now, Holder: holder}},
	}
	rand.Read(a.Hash[:])
	return a
}

func keep(t *testing.T, s *Store, a *hook.Append) *hook.Append {
	t.Helper()
	if err := s.Append(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

// silent makes an incarnation look as if it had been silent for so long.
func silent(t *testing.T, s *Store, of hook.Key, since time.Duration) {
	t.Helper()
	if _, err := s.write.Exec("UPDATE incarnations SET seen_at = now() - "+interval(since)+" WHERE id = ?", of); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, s *Store) []hook.Delivery {
	t.Helper()
	claimed, _, err := s.Claim(context.Background(), nodeEndpoint, time.Now().Add(time.Second), 100)
	if err != nil {
		t.Fatal(err)
	}
	return claimed
}

func TestEqualEventsAndRequestsOnTwoNodesMakeOneMessage(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	key := hook.Idempotency{Hash: hook.Hash{1}, Request: hook.Hash{2}}
	hash := unit(0).Hash
	for _, c := range []struct {
		name  string
		fresh int
		equal func(x *hook.Append)
	}{
		{"events", 1, func(x *hook.Append) { x.Hash = hash }},
		{"requests", 1, func(x *hook.Append) { x.Hash, x.Idempotency = hook.Hash{}, &key }},
		{"requests of one event", 1, func(x *hook.Append) { x.Hash, x.Idempotency = hook.Hash{7}, &hook.Idempotency{Hash: hook.Hash{3}} }},
		{"requests of a known event", 0, func(x *hook.Append) { x.Hash, x.Idempotency = hash, &hook.Idempotency{Hash: hook.Hash{4}} }},
	} {
		units := make([]*hook.Append, 64)
		var wg sync.WaitGroup
		for i := range units {
			units[i] = unit(0)
			c.equal(units[i])
			wg.Go(func() {
				if err := []*Store{a, b}[i%2].Append(context.Background(), units[i]); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
			})
		}
		wg.Wait()
		fresh := 0
		for _, x := range units {
			if !x.Duplicate && !x.Repeated {
				fresh++
			}
			if x.Message.ID != units[0].Message.ID {
				t.Errorf("%s: messages %d and %d", c.name, x.Message.ID, units[0].Message.ID)
			}
		}
		if fresh != c.fresh {
			t.Errorf("%s: %d were new, %d are right", c.name, fresh, c.fresh)
		}
		if m, err := a.Message(context.Background(), units[0].Message.ID); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if c.name == "events" && m.Duplicates != 63 {
			t.Errorf("%d duplicates were counted", m.Duplicates)
		}
	}
}

func TestWhatIsMadeOnFirstUseIsMadeByOneNode(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	var mu sync.Mutex
	made := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 32 {
		s := []*Store{a, b}[i%2]
		wg.Go(func() {
			org, err := s.OrganizationByExternal(ctx, "acme")
			if err != nil {
				t.Error(err)
			}
			app, err := s.OperationalApp(ctx, DefaultOrg)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			made[fmt.Sprint("organization ", org.ID)], made[fmt.Sprint("application ", app.ID)] = true, true
		})
	}
	wg.Wait()
	if len(made) != 2 {
		t.Errorf("made: %v", made)
	}
}

func TestTwoNodesNeverClaimTheSameDelivery(t *testing.T) {
	t.Parallel()
	const n = 300
	a, b := twoNodes(t)
	for range n {
		keep(t, a, unit(0))
	}
	var mu sync.Mutex
	by := map[hook.Key]hook.Key{}
	var wg sync.WaitGroup
	for i := range 4 {
		s := []*Store{a, b}[i%2]
		wg.Go(func() {
			for {
				claimed, next, err := s.Claim(context.Background(), nodeEndpoint, time.Now().Add(time.Second), 7)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, d := range claimed {
					if other, twice := by[d.ID]; twice {
						t.Errorf("%d was claimed by %d and %d", d.ID, other, d.Holder)
					}
					by[d.ID] = d.Holder
				}
				mu.Unlock()
				if next.IsZero() || err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if len(by) != n {
		t.Errorf("%d of %d were claimed", len(by), n)
	}
}

func TestWorkOfANodeIsClaimedWhenItWasSilentAndNotBefore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	dead := a.Incarnation()
	x := keep(t, a, unit(dead))
	silent(t, a, dead, aliveFor-5*time.Second)
	if got := take(t, b); len(got) != 0 {
		t.Fatalf("the work of a node that lives was claimed: %+v", got)
	}
	if err := b.Resend(ctx, x.Deliveries[0].ID, time.Now()); hook.CodeOf(err) != hook.CodeConflict {
		t.Errorf("resending what another node has in memory: %v", err)
	}
	if err := b.Cancel(ctx, listApp, x.Deliveries[0].ID); hook.CodeOf(err) != hook.CodeConflict {
		t.Errorf("canceling what another node has in memory: %v", err)
	}
	if n, err := b.HoldPending(ctx, nodeEndpoint); n != 0 || err != nil {
		t.Errorf("%d in another node's memory were held, %v", n, err)
	}
	silent(t, a, dead, aliveFor+time.Second)
	due, err := b.DueByEndpoint(ctx)
	if err != nil || len(due) != 1 {
		t.Errorf("due: %v, %v", due, err)
	}
	if got := take(t, a); len(got) != 0 {
		t.Errorf("a node that is dead claimed %+v", got)
	}
	got := take(t, b)
	if len(got) != 1 || got[0].Holder != b.Incarnation() {
		t.Fatalf("the work of a dead node was not claimed: %+v", got)
	}
	r := &hook.Record{Delivery: x.Deliveries[0], State: hook.Delivered, Attempt: &hook.Attempt{Number: 1, At: time.Now(), Outcome: hook.OutcomeDelivered}}
	if err := a.Record(ctx, []*hook.Record{r}); err != nil || !r.Refused {
		t.Errorf("the record of the dead holder: refused %v, %v", r.Refused, err)
	}
	if err := a.Beat(ctx); err != nil {
		t.Fatal(err)
	}
	if a.Incarnation() == dead {
		t.Error("a node that was taken for dead goes on under the same incarnation")
	}
	y := keep(t, a, unit(0))
	if got := take(t, a); len(got) != 1 || got[0].ID != y.Deliveries[0].ID || got[0].Holder != a.Incarnation() {
		t.Errorf("after that it claimed %+v", got)
	}
	before := a.Incarnation()
	if err := a.Beat(ctx); err != nil || a.Incarnation() != before {
		t.Errorf("a beat of a node that lives: %v, incarnation %d after %d", err, a.Incarnation(), before)
	}
}

func TestANodeThatStopsHandsOverAtOnce(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	x := keep(t, a, unit(a.Incarnation()))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got := take(t, b); len(got) != 1 || got[0].ID != x.Deliveries[0].ID {
		t.Errorf("claimed: %+v", got)
	}
}

// A node that was frozen for so long that another took its number gets a new one, so
// that no two make the same keys, and what it kept meanwhile can be claimed.
func TestANodeWhoseNumberIsTakenGetsAnother(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	old := a.pg.node.Load()
	if _, err := a.write.Exec("UPDATE nodes SET incarnation = 12345 WHERE id = ?", old); err != nil {
		t.Fatal(err)
	}
	if _, err := a.write.Exec("DELETE FROM incarnations WHERE id = ?", a.Incarnation()); err != nil {
		t.Fatal(err)
	}
	late := keep(t, a, unit(a.Incarnation()))
	if err := a.Beat(ctx); err != nil {
		t.Fatal(err)
	}
	if n := a.pg.node.Load(); n == old || n == b.pg.node.Load() {
		t.Errorf("node %d became %d, the other is %d", old, n, b.pg.node.Load())
	}
	if got := take(t, b); len(got) != 1 || got[0].ID != late.Deliveries[0].ID {
		t.Errorf("what was kept under a forgotten incarnation is not claimed: %+v", got)
	}
	if x := keep(t, a, unit(0)); int32(x.Message.ID>>14)&0xff != a.pg.node.Load() {
		t.Errorf("key %d is not of node %d", x.Message.ID, a.pg.node.Load())
	}
}

// A connection that breaks fails what was under way, and nothing after it; what may
// be held without being in memory is given up with the incarnation.
func TestANodeRecoversFromALostConnection(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	keep(t, a, unit(0))
	before := a.Incarnation()
	if _, err := b.write.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
		t.Fatal(err)
	}
	if err := a.Append(ctx, unit(before)); err == nil || hook.CodeOf(err) != hook.CodeUnavailable {
		t.Errorf("while the connection was lost: %v", err)
	}
	keep(t, a, unit(before))
	if err := a.Beat(ctx); err != nil {
		t.Fatal(err)
	}
	if a.Incarnation() == before {
		t.Error("what may be held under the old incarnation would never be claimed")
	}
	if err := a.Ping(ctx); err != nil {
		t.Error(err)
	}
}

// Of nodes each knows how many there are, from its start on.
func TestNodesCountThoseThatLive(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := server.Database(t)
	a := openNode(t, url)
	if n := a.Nodes(); n != 1 {
		t.Errorf("alone it counts %d", n)
	}
	b := openNode(t, url)
	c := openNode(t, url)
	count := func(s *Store, want int, when string) {
		t.Helper()
		if err := s.Beat(ctx); err != nil {
			t.Fatal(err)
		}
		if n := s.Nodes(); n != want {
			t.Errorf("%s it counts %d, %d are right", when, n, want)
		}
	}
	if n := c.Nodes(); n != 3 {
		t.Errorf("at its start the third counts %d", n)
	}
	count(a, 3, "with three")
	again := func() { // another incarnation, and one node all the same
		t.Helper()
		b.pg.doubt.Store(true)
		if err := b.Beat(ctx); err != nil {
			t.Fatal(err)
		}
	}
	again()
	count(b, 3, "after another incarnation")
	count(a, 3, "after another's incarnation")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	count(a, 2, "after one stopped")
	const freeze = "UPDATE nodes SET seen_at = seen_at - interval '21 s' WHERE id = ?"
	if _, err := a.write.Exec(freeze, b.pg.node.Load()); err != nil {
		t.Fatal(err)
	}
	count(a, 1, "after one died")
	again()
	count(a, 2, "after it lives again")
}

// What is in memory may be sent for as long as nobody else can have claimed it: after a
// connection was lost the earlier incarnation lives on for a while, after others had it for
// dead it does not.
func TestAnEarlierIncarnationHoldsUntilItIsDead(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, _ := twoNodes(t)
	first := a.Incarnation()
	if err := a.Beat(ctx); err != nil {
		t.Fatal(err)
	}
	a.pg.doubt.Store(true)
	if err := a.Beat(ctx); err != nil {
		t.Fatal(err)
	}
	second := a.Incarnation()
	if second == first || !a.Holds(first) || !a.Holds(second) || a.Holds(0) {
		t.Errorf("after doubt: another incarnation %v, holds the first %v, the second %v, nobody's %v", second != first, a.Holds(first), a.Holds(second), a.Holds(0))
	}
	if a.pg.former.alive(first, time.Now().Add(a.pg.age)) {
		t.Error("the first is alive longer than others take it for alive")
	}
	silent(t, a, second, time.Hour)
	if err := a.Beat(ctx); err != nil {
		t.Fatal(err)
	}
	if a.Incarnation() == second || a.Holds(second) || !a.Holds(first) {
		t.Errorf("after silence: another incarnation %v, holds the second %v, the first %v", a.Incarnation() != second, a.Holds(second), a.Holds(first))
	}
}
