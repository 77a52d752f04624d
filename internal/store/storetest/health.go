package storetest

import (
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func healthIsKept(t *testing.T, open Opener) {
	s := open(t, t.Name())
	at := time.Now().Truncate(time.Millisecond).UTC()
	fail := func(n int, first, last time.Time) hook.HealthChange {
		return hook.HealthChange{Endpoint: endpoint, Org: store.DefaultOrg, Failures: n, FirstFailed: first, LastFailed: last, HealthyUntil: at.Add(-time.Hour)}
	}
	one, err := s.Health(ctx, endpoint)
	must(t, err)
	same(t, "health of one that never failed", hook.Health{Endpoint: endpoint}, one)
	tripped := fail(3, at.Add(time.Second), at.Add(2*time.Second))
	tripped.Trips, tripped.OpenUntil = 1, at.Add(time.Minute)
	must(t, s.SaveHealth(ctx, []hook.HealthChange{fail(2, at, at), tripped, {Endpoint: endpoint + 1, Org: store.DefaultOrg, SucceededAt: at}}))
	must(t, s.Close())
	s = open(t, t.Name())
	want := hook.Health{Endpoint: endpoint, Org: store.DefaultOrg, FailingSince: at, Failures: 5, LastFailureAt: at.Add(2 * time.Second), Trips: 1, OpenUntil: at.Add(time.Minute)}
	list, err := s.Failing(ctx)
	must(t, err)
	since, err := s.FailingSince(ctx, []hook.Key{endpoint, endpoint + 1, endpoint + 2})
	must(t, err)
	same(t, "since when some fail", map[hook.Key]time.Time{endpoint: at}, since)
	none, err := s.FailingSince(ctx, nil)
	must(t, err)
	same(t, "since when none fail", map[hook.Key]time.Time{}, none)
	same(t, "those that fail or recover", []hook.Health{want, {Endpoint: endpoint + 1, Org: store.DefaultOrg, LastSuccessAt: at, RecoverFrom: at}}, list)

	for i, c := range []struct {
		since   time.Time
		percent int
		first   bool
	}{{at, 50, true}, {at, 50, false}, {at.Add(time.Second), 75, false}, {at, 75, true}, {at, 50, false}} {
		if first, err := s.Warn(ctx, endpoint, c.since, c.percent); err != nil || first != c.first {
			t.Errorf("warning %d: first is %v, %v", i, first, err)
		}
	}

	must(t, s.SaveHealth(ctx, []hook.HealthChange{{Endpoint: endpoint, Org: store.DefaultOrg, SucceededAt: at.Add(time.Minute)}}))
	one, err = s.Health(ctx, endpoint)
	must(t, err)
	same(t, "health after a success", hook.Health{
		Endpoint: endpoint, Org: store.DefaultOrg, LastFailureAt: at.Add(2 * time.Second), LastSuccessAt: at.Add(time.Minute), RecoverFrom: at.Add(time.Minute),
	}, one)
	must(t, s.ClearHealth(ctx, endpoint))
	one, err = s.Health(ctx, endpoint)
	must(t, err)
	same(t, "health that was cleared", hook.Health{Endpoint: endpoint}, one)
}

// Retries of an outage come forward when it is over, each once: what had failed
// before it, or fails again, keeps its time.
func broughtForward(t *testing.T, open Opener) {
	s := open(t, t.Name())
	now := time.Now().Truncate(time.Millisecond).UTC()
	wait := func(since time.Time, next time.Duration) *hook.Append {
		a := event(1, s.Incarnation())
		a.Deliveries[0].Since = since
		mustAppend(t, s, a)
		r := &hook.Record{Delivery: a.Deliveries[0], Attempt: attempt(1, hook.OutcomeStatus), State: hook.Pending, NextAt: now.Add(next)}
		must(t, s.Record(ctx, []*hook.Record{r}))
		return a
	}
	healthy := now.Add(-time.Hour)
	before := wait(healthy.Add(-time.Minute), 5*time.Hour)
	var during []*hook.Append
	for i := range 3 {
		during = append(during, wait(healthy.Add(time.Minute), 5*time.Hour+time.Duration(i)*time.Second))
	}
	soon := wait(healthy.Add(time.Minute), 2*time.Second)
	must(t, s.SaveHealth(ctx, []hook.HealthChange{{Endpoint: endpoint, Org: store.DefaultOrg, Failures: 5, FirstFailed: healthy.Add(time.Minute), LastFailed: now, HealthyUntil: healthy}}))
	recovered := time.Now().Add(time.Millisecond).Truncate(time.Millisecond).UTC() // after the attempts
	must(t, s.SaveHealth(ctx, []hook.HealthChange{{Endpoint: endpoint, Org: store.DefaultOrg, SucceededAt: recovered}}))

	n, err := s.BringForward(ctx, endpoint, now, time.Second, 3)
	must(t, err)
	if n != 3 {
		t.Errorf("%d retries were brought forward, 3 are right", n)
	}
	at := func(a *hook.Append) time.Duration { return deliveries(t, s, &a.Message)[0].NextAt.Sub(now) }
	for i, a := range during {
		if got := at(a); got != time.Duration(i)*time.Second {
			t.Errorf("retry %d is due after %v", i, got)
		}
	}
	if at(before) != 5*time.Hour || at(soon) != 2*time.Second {
		t.Errorf("others are due after %v and %v", at(before), at(soon))
	}
	if n, err := s.BringForward(ctx, endpoint, now.Add(time.Second), time.Second, 3); n != 0 || err != nil {
		t.Errorf("another step at once brought %d forward, %v", n, err)
	}
	if n, err := s.BringForward(ctx, endpoint, now.Add(time.Minute), time.Second, 3); n != 0 || err != nil {
		t.Errorf("a step when nothing is left brought %d forward, %v", n, err)
	}
	if list, err := s.Failing(ctx); err != nil || len(list) != 0 {
		t.Errorf("it still recovers: %+v, %v", list, err)
	}
}

// What is pending and held is found however it is spread over endpoints and holders.
func firstDue(t *testing.T, open Opener) {
	s := open(t, t.Name())
	now := time.Now().Truncate(time.Millisecond).UTC()
	want := map[hook.Key]time.Time{}
	for i := range hook.Key(5) {
		for j := range 3 {
			a := event(1, 0)
			d := &a.Deliveries[0]
			d.Endpoint, d.NextAt = endpoint+i, now.Add(time.Duration(10*int(i)-j)*time.Second)
			if i == 3 {
				d.Holder = s.Incarnation()
			}
			if i == 4 {
				d.State = hook.Held
			}
			mustAppend(t, s, a)
			if i < 3 {
				want[d.Endpoint] = d.NextAt
			}
		}
	}
	got, err := s.DueByEndpoint(ctx)
	must(t, err)
	same(t, "due by endpoint", want, got)
	held, err := s.HeldEndpoints(ctx)
	must(t, err)
	same(t, "endpoints that hold something", []hook.Key{endpoint + 4}, held)
	if at, err := s.OldestDue(ctx, now.Add(time.Hour)); err != nil || !at.Equal(now.Add(-2*time.Second)) {
		t.Errorf("the oldest is due at %v, %v", at, err)
	}
}
