package dispatch

import (
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestNextFollowsTheScheduleWithJitterThatOnlyAdds(t *testing.T) {
	t.Parallel()
	want := []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour, 24 * time.Hour}
	e := &hook.Endpoint{}
	for i, wait := range want {
		for _, random := range []float64{0, 0.5, 0.999} {
			at, ok := next(e, "t", epoch, epoch, i+1, time.Time{}, random)
			got := at.Sub(epoch)
			if limit := wait + wait/10; !ok || got < wait || got >= limit || random == 0 && got != wait {
				t.Errorf("failure %d, random %v: after %v, between %v and %v is right", i+1, random, got, wait, limit)
			}
		}
	}
}

func TestNextClipsTheLastTryToTheWindow(t *testing.T) {
	t.Parallel()
	e := &hook.Endpoint{}
	end := epoch.Add(168 * time.Hour)
	for _, c := range []struct {
		now       time.Time
		notBefore time.Time
		want      time.Time
		ok        bool
	}{
		{end.Add(-25 * time.Hour), time.Time{}, end.Add(-time.Hour), true},
		{end.Add(-23 * time.Hour), time.Time{}, end, true},
		{end.Add(-time.Nanosecond), time.Time{}, end, true},
		{end, time.Time{}, time.Time{}, false},
		{end.Add(time.Hour), time.Time{}, time.Time{}, false},
		{end.Add(-48 * time.Hour), end.Add(-20 * time.Hour), end.Add(-20 * time.Hour), true}, // Retry-After delays…
		{end.Add(-48 * time.Hour), end.Add(-40 * time.Hour), end.Add(-24 * time.Hour), true}, // …and never hastens…
		{end.Add(-48 * time.Hour), end.Add(99 * time.Hour), end, true},                       // …within the window
	} {
		got, ok := next(e, "t", epoch, c.now, 9, c.notBefore, 0)
		if ok != c.ok || !got.Equal(c.want) {
			t.Errorf("now %v, not before %v: %v, %v; %v, %v is right", c.now, c.notBefore, got, ok, c.want, c.ok)
		}
	}
}

func TestNextKeepsAnEndpointsOwnSchedule(t *testing.T) {
	t.Parallel()
	e := &hook.Endpoint{Schedule: []time.Duration{time.Minute, time.Hour}, Window: 3 * time.Hour}
	for failures, want := range map[int]time.Duration{1: time.Minute, 2: time.Hour, 3: time.Hour} {
		if at, ok := next(e, "t", epoch, epoch, failures, time.Time{}, 0); !ok || at.Sub(epoch) != want {
			t.Errorf("failure %d: after %v, %v is right", failures, at.Sub(epoch), want)
		}
	}
	if _, ok := next(e, "t", epoch, epoch.Add(3*time.Hour), 4, time.Time{}, 0); ok {
		t.Error("a try after the endpoint's own window")
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	application, source := &hook.Endpoint{}, &hook.Endpoint{OfSource: true}
	for name, c := range map[string]struct {
		endpoint *hook.Endpoint
		attempt  hook.Attempt
		want     decision
	}{
		"delivered":               {source, hook.Attempt{Outcome: hook.OutcomeDelivered, Status: 200}, decision{state: hook.Delivered}},
		"an ordinary failure":     {source, hook.Attempt{Outcome: hook.OutcomeStatus, Status: 500}, decision{state: hook.Pending}},
		"no answer":               {source, hook.Attempt{Outcome: hook.OutcomeTimeout}, decision{state: hook.Pending}},
		"gone, an application's":  {application, hook.Attempt{Outcome: hook.OutcomeStatus, Status: 410}, decision{state: hook.Failed, disable: true, reason: "it answered 410 Gone"}},
		"gone, a source's":        {source, hook.Attempt{Outcome: hook.OutcomeStatus, Status: 410}, decision{state: hook.Pending}},
		"too many requests":       {source, hook.Attempt{Outcome: hook.OutcomeStatus, Status: 429}, decision{state: hook.Pending, slower: true}},
		"bad gateway":             {source, hook.Attempt{Outcome: hook.OutcomeStatus, Status: 502}, decision{state: hook.Pending, slower: true}},
		"unavailable":             {source, hook.Attempt{Outcome: hook.OutcomeStatus, Status: 503}, decision{state: hook.Pending, slower: true}},
		"gateway timeout":         {source, hook.Attempt{Outcome: hook.OutcomeStatus, Status: 504}, decision{state: hook.Pending, slower: true}},
		"a loop is never retried": {source, hook.Attempt{Outcome: hook.OutcomeLoop}, decision{state: hook.Failed}},
	} {
		d := &hook.Delivery{Since: epoch}
		got := decide(c.endpoint, d, &c.attempt, "t", epoch, 0)
		if pending := got.state == hook.Pending; pending != got.nextAt.After(epoch) {
			t.Errorf("%s: next at %v", name, got.nextAt)
		}
		got.nextAt = time.Time{}
		if got != c.want {
			t.Errorf("%s: %+v, %+v is right", name, got, c.want)
		}
	}
}
