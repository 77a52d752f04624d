package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func alertClaims(t *testing.T, open Opener) {
	s := open(t, t.Name())
	now := time.Now()
	c := hook.AlertClaim{About: 5, Org: store.DefaultOrg, Kind: hook.AlertSourceSilent, Mark: 10, Step: 5}
	claim := func(what string, c hook.AlertClaim, now time.Time, want bool) {
		t.Helper()
		got, err := s.ClaimAlert(ctx, c, now)
		must(t, err)
		if got != want {
			t.Errorf("%s: claimed %v", what, got)
		}
	}
	with := func(mark int64) hook.AlertClaim { c := c; c.Mark = mark; return c }
	claim("the first", c, now, true)
	claim("again at once", c, now, false)
	claim("while it is being told", c, now.Add(time.Minute-time.Millisecond), false)
	claim("when its teller does not come back", c, now.Add(time.Minute), true)
	must(t, s.AlertTold(ctx, c))
	claim("after it was told", c, now.Add(time.Hour), false)
	claim("less than a step on", with(14), now.Add(time.Hour), false)
	claim("a step on", with(15), now.Add(time.Hour), true)
	must(t, s.AlertTold(ctx, c)) // of what was before
	claim("what was before told late", with(15), now.Add(2*time.Hour), true)
	claim("a mark from before", with(3), now.Add(4*time.Hour), false)
	other := c
	other.About++
	claim("of another", other, now, true)
	other.Kind = hook.AlertSourceFailing
	claim("of another kind", other, now, true)
	must(t, s.AlertTold(ctx, other))
	must(t, s.ForgetAlert(ctx, other.About, other.Kind))
	claim("after it was forgotten", other, now, true)

	var wins atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			won, err := s.ClaimAlert(ctx, with(100), now.Add(time.Hour))
			if err != nil {
				t.Error(err)
			}
			if won {
				wins.Add(1)
			}
		})
	}
	all.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d of 20 at once got the claim", wins.Load())
	}
}

func disabledUntold(t *testing.T, open Opener) {
	s := open(t, t.Name())
	must(t, s.ApplyFile(ctx, []store.FileSource{{Name: "f", Provider: "veriff", Token: "f", Endpoints: []hook.Endpoint{{Name: "e", URL: "http://x/"}}}}, false))
	must(t, s.ApplyFile(ctx, nil, false)) // which disables it
	a := makeApp(t, s, "a")
	gone, byHand, fine := makeEndpoint(t, s, a, ""), makeEndpoint(t, s, a, ""), makeEndpoint(t, s, a, "")
	must(t, s.DisableEndpoint(ctx, gone.ID, "it answered 410 Gone"))
	byHand.State, byHand.Reason = hook.Disabled, "disabled by hand"
	byHand, err := s.UpdateEndpoint(ctx, byHand, hook.SecretChange{})
	must(t, err)
	now := time.Now()
	untold := func(what string, now time.Time, want ...hook.Key) {
		t.Helper()
		list, err := s.DisabledUntold(ctx, now, 10)
		must(t, err)
		var got []hook.Key
		for _, e := range list {
			got = append(got, e.ID)
		}
		same(t, what, want, got)
	}
	untold("at first", now, gone.ID, byHand.ID)
	if list, err := s.DisabledUntold(ctx, now, 1); err != nil || len(list) != 1 || list[0].Reason != "it answered 410 Gone" {
		t.Errorf("the first one: %v, %v", list, err)
	}
	c := hook.AlertClaim{About: gone.ID, Org: gone.Org, Kind: hook.AlertEndpointDisabled, Mark: 1}
	if got, err := s.ClaimAlert(ctx, c, now); !got || err != nil {
		t.Fatal(got, err)
	}
	untold("while one is told", now.Add(time.Second), byHand.ID)
	untold("when it was not told in time", now.Add(time.Minute), gone.ID, byHand.ID)
	must(t, s.AlertTold(ctx, c))
	untold("once it was told", now.Add(time.Hour), byHand.ID)

	// What is known is dropped when the endpoint is enabled again, or gone.
	for _, about := range []hook.Key{byHand.ID, fine.ID, 12345} {
		if got, err := s.ClaimAlert(ctx, hook.AlertClaim{About: about, Org: a.Org, Kind: hook.AlertEndpointWarned, Mark: 1}, now); !got || err != nil {
			t.Fatal(got, err)
		}
	}
	gone, err = s.Endpoint(ctx, a.ID, gone.ID)
	must(t, err)
	gone.State, gone.Reason = hook.Enabled, ""
	gone, err = s.UpdateEndpoint(ctx, gone, hook.SecretChange{})
	must(t, err)
	for _, want := range []int64{2, 0} { // gone's, and that of 12345
		if n, err := s.ForgetAlerts(ctx); n != want || err != nil {
			t.Errorf("%d were forgotten, %v; %d are right", n, err, want)
		}
	}
	must(t, s.DisableEndpoint(ctx, gone.ID, "it answered 410 Gone"))
	untold("when it is disabled again", now.Add(time.Hour), gone.ID, byHand.ID)
}

// messageGaps compares what is found by jumping with what is found by reading all.
func messageGaps(t *testing.T, open Opener) {
	s := open(t, t.Name())
	mine, others := makeApp(t, s, "a"), makeApp(t, s, "b")
	began := others.ID
	if gaps, at, more, err := s.MessageGaps(ctx, mine.ID, began, time.Millisecond, 10); len(gaps) != 0 || at != began || more || err != nil {
		t.Errorf("of nothing: %v, %d, %v, %v", gaps, at, more, err)
	}
	var keys []hook.Key
	for i := range 60 {
		e := event(0, 0)
		e.Message.App = mine.ID
		if i%4 == 3 {
			e.Message.App = others.ID
		}
		mustAppend(t, s, e)
		if e.Message.App == mine.ID {
			keys = append(keys, e.Message.ID)
		}
	}
	for n := 1; n > 0; {
		var err error
		n, err = s.Index(ctx)
		must(t, err)
	}
	for least := time.Millisecond; least <= 8*time.Millisecond; least += time.Millisecond {
		var want, got []hook.Gap
		for i := 1; i < len(keys); i++ {
			if g := (hook.Gap{From: keys[i-1].Time(), To: keys[i].Time()}); g.Length() >= least {
				want = append(want, g)
			}
		}
		at, more := began, true
		for rounds := 0; more; rounds++ {
			var gaps []hook.Gap
			var err error
			gaps, at, more, err = s.MessageGaps(ctx, mine.ID, at, least, 2)
			must(t, err)
			got = append(got, gaps...)
			if rounds > len(keys) {
				t.Fatal("it does not end")
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("gaps of %s (-read +jumped):\n%s", least, d)
		}
	}
	for limit, want := range map[int]int{1: 1, 45: 45, 100: 45} {
		if n, err := s.CountIndexed(ctx, mine.ID, began.Time(), limit); n != want || err != nil {
			t.Errorf("counted up to %d: %d, %v", limit, n, err)
		}
	}
	if n, err := s.CountIndexed(ctx, mine.ID, time.Now().Add(time.Hour), 5); n != 0 || err != nil {
		t.Errorf("counted in the future: %d, %v", n, err)
	}
}
