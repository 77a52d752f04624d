package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// tally adds up what was counted of an organization in the last hour, by kind.
func tally(t *testing.T, s *store.Store, org hook.Key) map[hook.CountKind]int64 {
	t.Helper()
	list, err := s.Counts(ctx, org, hook.Range{Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Minute)})
	must(t, err)
	sums := map[hook.CountKind]int64{}
	for _, c := range list {
		sums[c.Kind] += c.N
	}
	return sums
}

// What is counted is what was kept: not what came twice, was refused, or spoiled its batch.
func counts(t *testing.T, open Opener) {
	s := open(t, t.Name())
	var all sync.WaitGroup
	var mu sync.Mutex
	kinds := map[hook.CountKind]int64{}
	for i := range 200 {
		all.Go(func() {
			a := event(2, s.Incarnation())
			twin := event(2, 0)
			twin.Hash = a.Hash
			if err := s.Append(ctx, a); err != nil {
				t.Error(err)
				return
			}
			if err := s.Append(ctx, twin); err != nil {
				t.Error(err)
			}
			took := time.Duration(1<<(i%12)) * time.Millisecond
			x := attempt(1, hook.OutcomeDelivered)
			x.At, x.Duration = a.Deliveries[0].Since.Add(took/2), took/2
			delivered := &hook.Record{Delivery: a.Deliveries[0], Attempt: x, State: hook.Delivered}
			other := &hook.Record{Delivery: a.Deliveries[1], Attempt: attempt(1, hook.OutcomeStatus), State: hook.Pending, NextAt: time.Now()}
			if i%2 == 0 {
				other.State = hook.Failed
			}
			stolen := &hook.Record{Delivery: a.Deliveries[0], Attempt: attempt(1, hook.OutcomeDelivered), State: hook.Delivered}
			stolen.Delivery.Holder = 12345
			if err := s.Record(ctx, []*hook.Record{delivered, other}); err != nil {
				t.Error(err)
			}
			if err := s.Record(ctx, []*hook.Record{stolen}); err != nil || !stolen.Refused {
				t.Errorf("a record of another holder: refused %v, %v", stolen.Refused, err)
			}
			mu.Lock()
			defer mu.Unlock()
			kinds[hook.CountLatency(took)]++
		})
	}
	all.Wait()
	kinds[hook.CountReceived], kinds[hook.CountFailed] = 200, 100
	if d := cmp.Diff(kinds, tally(t, s, store.DefaultOrg)); d != "" {
		t.Errorf("counted (-right +got):\n%s", d)
	}
	must(t, s.AddCounts(ctx, []hook.Count{{Org: store.DefaultOrg, At: time.Now(), About: 7, Kind: hook.CountRejected, N: 3}}))
	must(t, s.AddCounts(ctx, []hook.Count{{Org: store.DefaultOrg, At: time.Now(), About: 7, Kind: hook.CountRejected, N: 4}}))
	must(t, s.AddCounts(ctx, nil))
	if n := tally(t, s, store.DefaultOrg)[hook.CountRejected]; n != 7 {
		t.Errorf("%d are counted as rejected, 7 are right", n)
	}
	if sums := tally(t, s, store.DefaultOrg+1); len(sums) != 0 {
		t.Errorf("another organization has %v", sums)
	}
}

// Old minutes become hours, and nothing is lost or counted twice by that.
func countsRolled(t *testing.T, open Opener) {
	s := open(t, t.Name())
	now := time.Now().UTC()
	hour := now.Add(-30 * time.Hour).Truncate(time.Hour)
	add := func(at time.Time, n int64) {
		t.Helper()
		must(t, s.AddCounts(ctx, []hook.Count{{Org: store.DefaultOrg, At: at, Kind: hook.CountReceived, N: n}}))
	}
	for i := range 60 {
		add(hour.Add(time.Duration(i)*time.Minute), 1)
	}
	add(hour.Add(time.Hour), 5)
	add(now.Add(-time.Minute), 7)
	add(now.Add(-500*24*time.Hour), 9)
	read := func() []string {
		t.Helper()
		list, err := s.Counts(ctx, store.DefaultOrg, hook.Range{Since: hour.Add(-1000 * time.Hour * 24), Until: now.Add(time.Hour)})
		must(t, err)
		var lines []string
		for _, c := range list {
			lines = append(lines, fmt.Sprint(c.At.Sub(hour), " ", c.N))
		}
		return lines
	}
	if n := len(read()); n != 63 {
		t.Fatalf("%d rows before", n)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := s.RollCounts(ctx, store.DefaultOrg, now); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want := []string{"0s 60", "1h0m0s 5", fmt.Sprint(now.Add(-time.Minute).Truncate(time.Minute).Sub(hour), " 7")}
	if d := cmp.Diff(want, read()); d != "" {
		t.Errorf("rolled (-right +got):\n%s", d)
	}
	add(hour.Add(59*time.Minute), 1) // late
	must(t, s.RollCounts(ctx, store.DefaultOrg, now))
	want[0] = "0s 61"
	if d := cmp.Diff(want, read()); d != "" {
		t.Errorf("rolled with what came late (-right +got):\n%s", d)
	}
}

func backlog(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := makeApp(t, s, "a")
	first, err := s.CreateEndpoint(ctx, hook.Endpoint{Org: a.Org, App: a.ID, URL: "https://x.example/"}, "")
	must(t, err)
	second, err := s.CreateEndpoint(ctx, hook.Endpoint{Org: a.Org, App: a.ID, URL: "https://y.example/"}, "")
	must(t, err)
	now := time.Now().Truncate(time.Millisecond).UTC()
	if p, err := s.BacklogOf(ctx, a.Org, now); err != nil || p != (hook.Backlog{}) {
		t.Errorf("with nothing there is %+v, %v", p, err)
	}
	due := []time.Duration{time.Minute, -time.Second, -time.Minute, time.Hour}
	var oldest hook.Delivery
	for i, in := range due {
		x := event(1, 0)
		x.Message.Org, x.Message.App = a.Org, a.ID
		d := &x.Deliveries[0]
		d.Org, d.Endpoint, d.NextAt = a.Org, first.ID, now.Add(in)
		if i%2 == 0 {
			d.Endpoint, d.Holder = second.ID, s.Incarnation()
		}
		mustAppend(t, s, x)
		if i == 2 {
			oldest = *d
		}
	}
	p, err := s.BacklogOf(ctx, a.Org, now)
	must(t, err)
	if p.N != 4 || p.More || p.Oldest.ID != oldest.ID || p.Oldest.Message != oldest.Message || p.Oldest.Endpoint != second.ID || !p.Oldest.NextAt.Equal(oldest.NextAt) {
		t.Errorf("the backlog is %+v, 4 with %+v is right", p, oldest)
	}
	if p, err := s.BacklogOf(ctx, a.Org, now.Add(-time.Hour)); err != nil || p.N != 4 || p.Oldest.ID != 0 {
		t.Errorf("an hour ago the backlog was %+v, %v", p, err)
	}
	if p, err := s.BacklogOf(ctx, a.Org+1, now); err != nil || p.N != 0 {
		t.Errorf("another organization has %+v, %v", p, err)
	}
	must(t, s.SaveHealth(ctx, []hook.HealthChange{{Endpoint: first.ID, Org: a.Org, Failures: 2, FirstFailed: now, LastFailed: now}, {Endpoint: second.ID, Org: a.Org, Failures: 3, FirstFailed: now, LastFailed: now}}))
	list, err := s.FailingOf(ctx, a.Org, 9)
	must(t, err)
	if len(list) != 2 || list[0].Endpoint != second.ID || list[0].Failures != 3 {
		t.Errorf("failing are %+v", list)
	}
	if list, err := s.FailingOf(ctx, a.Org+1, 9); err != nil || len(list) != 0 {
		t.Errorf("of another organization %+v, %v", list, err)
	}
	if e, err := s.EndpointOf(ctx, a.Org, second.ID); err != nil || e.URL != second.URL {
		t.Errorf("read %+v, %v", e, err)
	}
	_, err = s.EndpointOf(ctx, a.Org+1, second.ID)
	code(t, "the endpoint of another organization", err, hook.CodeNotFound)
}
