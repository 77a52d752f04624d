package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// inLane is an event with a delivery in a lane of each of these endpoints.
func inLane(session string, endpoints ...hook.Key) *hook.Append {
	a := unit(0)
	a.Message.Subjects = []hook.Subject{{Kind: "session", ID: session}}
	a.Deliveries = nil
	o := hook.Order{By: "subject"}
	for _, e := range endpoints {
		now := a.Message.ReceivedAt
		a.Deliveries = append(a.Deliveries, hook.Delivery{Org: DefaultOrg, Endpoint: e, State: hook.Waiting, NextAt: now, Since: now, Lane: o.Lane(a.Message.Subjects)})
	}
	return a
}

func noLaneFaults(t *testing.T, s *Store) {
	t.Helper()
	faults, err := LaneFaultsForTest(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// Two nodes accept messages of one lane in turn and both send what they get hold of: each
// message goes out after the one before it, and no two at once.
func TestNodesSendALaneInTheOrderOfAcceptance(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	nodes := []*Store{a, b}
	const messages = 60
	var accepted []hook.Key
	var mu sync.Mutex
	var sent []hook.Key
	var under atomic.Int32
	send := func(s *Store, d hook.Delivery) {
		for next := &d; next != nil; {
			if under.Add(1) != 1 {
				t.Error("two of one lane are sent at once")
			}
			mu.Lock()
			sent = append(sent, next.Message)
			mu.Unlock()
			under.Add(-1)
			r := &hook.Record{Delivery: *next, State: hook.Delivered}
			if next.ID%3 == 0 { // this one goes back, for whoever claims it next
				if r.State = hook.Pending; next.Attempts > 0 {
					r.State = hook.Delivered
				}
				r.Attempt, r.NextAt = &hook.Attempt{Number: next.Attempts + 1, At: time.Now(), Outcome: hook.OutcomeStatus}, time.Now()
			}
			if err := s.Record(ctx, []*hook.Record{r}); err != nil || r.Refused {
				t.Errorf("record: %v, refused %v", err, r.Refused)
				return
			}
			if r.State == hook.Pending {
				mu.Lock()
				sent = sent[:len(sent)-1]
				mu.Unlock()
			}
			next = r.Next
		}
	}
	done := make(chan struct{})
	end := time.Now().Add(time.Minute) // far more than it takes; it only ends a test that failed
	var workers sync.WaitGroup
	for _, s := range nodes {
		workers.Go(func() {
			for time.Now().Before(end) {
				for _, d := range take(t, s) {
					send(s, d)
				}
				mu.Lock()
				all := len(sent) == messages
				mu.Unlock()
				select {
				case <-done:
					if all {
						return
					}
				default:
				}
			}
		})
	}
	for i := range messages {
		accepted = append(accepted, keep(t, nodes[i%2], inLane("s", nodeEndpoint)).Message.ID)
	}
	close(done)
	workers.Wait()
	if len(sent) != messages {
		t.Fatalf("%d of %d were sent", len(sent), messages)
	}
	for i := range accepted {
		if sent[i] != accepted[i] {
			t.Fatalf("message %d is not the one that was accepted then", i)
		}
	}
	noLaneFaults(t, a)
}

// Many lanes at once, touched by both nodes in whatever order: nobody waits crosswise
// for ever, and nothing is lost.
func TestNodesTouchManyLanesAtOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	const messages, lanes = 240, 6
	var workers sync.WaitGroup
	for i := range messages {
		workers.Go(func() {
			s := []*Store{a, b}[i%2]
			x := inLane(fmt.Sprint(i%lanes), nodeEndpoint, nodeEndpoint+1)
			if i%4 == 0 {
				x.Deliveries[0], x.Deliveries[1] = x.Deliveries[1], x.Deliveries[0]
			}
			if err := s.Append(ctx, x); err != nil {
				t.Error(err)
			}
			if i%5 == 0 {
				if err := s.ExpungeBody(ctx, listApp, x.Message.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var delivered atomic.Int32
	for i := range 4 {
		s, endpoint := []*Store{a, b}[i%2], nodeEndpoint+hook.Key(i/2)
		workers.Go(func() {
			for range 40 {
				claimed, _, err := s.Claim(ctx, endpoint, time.Now().Add(time.Second), 10)
				if err != nil {
					t.Error(err)
				}
				for len(claimed) > 0 {
					var records []*hook.Record
					for _, d := range claimed {
						records = append(records, &hook.Record{Delivery: d, State: hook.Delivered})
					}
					if err := s.Record(ctx, records); err != nil {
						t.Error(err)
					}
					claimed = nil
					for _, r := range records {
						if !r.Refused {
							delivered.Add(1)
						}
						if r.Next != nil {
							claimed = append(claimed, *r.Next)
						}
					}
				}
			}
		})
	}
	workers.Wait()
	noLaneFaults(t, a)
	if delivered.Load() == 0 {
		t.Error("nothing was delivered")
	}
}

// A lane that an older version has left standing goes on.
func TestALaneWhoseHeadIsOverIsMended(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*Store{"SQLite": open(t), "PostgreSQL": openNode(t, server.Database(t))} {
		ctx := context.Background()
		var appending sync.WaitGroup
		for i := range stateStep { // with the one below, more than a step
			appending.Go(func() { keep(t, s, inLane(fmt.Sprint(i), nodeEndpoint)) })
		}
		appending.Wait()
		keep(t, s, inLane("s", nodeEndpoint))
		next := keep(t, s, inLane("s", nodeEndpoint))
		inWriter(t, s, func(ctx context.Context, tx *sql.Conn) error {
			_, err := tx.ExecContext(ctx, "UPDATE deliveries SET state = 0 WHERE state = 1 AND endpoint_id = ?", nodeEndpoint)
			return err
		})
		if faults, _ := LaneFaultsForTest(s); len(faults) == 0 {
			t.Fatalf("%s: the lanes are whole; the test proves nothing", name)
		}
		for _, want := range []int{stateStep + 1, 0} {
			if n, err := s.MendLanes(ctx); n != want || err != nil {
				t.Errorf("%s: %d lanes mended, %v; %d are right", name, n, err, want)
			}
		}
		noLaneFaults(t, s)
		if d, err := s.Deliveries(ctx, &next.Message); err != nil || d[0].State != hook.Pending {
			t.Errorf("%s: the next in a lane: %+v, %v", name, d, err)
		}
	}
}

// What is read and written of lanes is looked up, whatever else there is.
func TestLanesAreLookedUpOnPostgreSQL(t *testing.T) {
	t.Parallel()
	conn := planConn(t, writing)
	p := &postgres{age: aliveFor}
	for name, text := range map[string]string{
		"lanes": sqlReadLanes, "turns": sqlReadTurns, "latest": sqlReadLatest, "heads": sqlReadHeads, "cancel": sqlCancelOutdated, "parked": p.sqlCancelParked(),
		"demote": sqlDemote, "promote": sqlPromote, "leave": sqlLeave, "write": sqlWriteLanes, "end": sqlEndLanes,
	} {
		plan := plan(t, conn, text)
		for _, fault := range plan.faults() {
			if strings.Contains(fault, "without a condition") {
				t.Errorf("%s: %s", name, fault)
			}
		}
	}
}

// What an older version deleted while it waited is passed over.
func TestATurnWithoutADeliveryIsPassedOver(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, s := range map[string]*Store{"SQLite": open(t), "PostgreSQL": openNode(t, server.Database(t))} {
		var list []*hook.Append
		for range 5 {
			list = append(list, keep(t, s, inLane("s", nodeEndpoint)))
		}
		inWriter(t, s, func(ctx context.Context, tx *sql.Conn) error {
			_, err := tx.ExecContext(ctx, "DELETE FROM deliveries WHERE id IN (?, ?)", list[1].Deliveries[0].ID, list[3].Deliveries[0].ID)
			return err
		})
		r := &hook.Record{Delivery: take(t, s)[0], State: hook.Delivered}
		if err := s.Record(ctx, []*hook.Record{r}); err != nil || r.Next == nil || r.Next.Message != list[2].Message.ID {
			t.Errorf("%s: next is %+v, %v", name, r.Next, err)
		}
		if n, err := s.CancelOrphans(ctx); n != 3 || err != nil { // its endpoint is not there; one of the three is a turn only
			t.Errorf("%s: %d orphans, %v", name, n, err)
		}
		noLaneFaults(t, s)
	}
}
