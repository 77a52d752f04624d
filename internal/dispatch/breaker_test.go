package dispatch

import (
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

func failed(status int) *hook.Attempt {
	return &hook.Attempt{Outcome: hook.OutcomeStatus, Status: status}
}

func TestBreakerOpensAfterFailuresInARowAndForLongerEachTime(t *testing.T) {
	t.Parallel()
	var b breaker
	now := epoch
	for i := range tripAfter {
		if !b.closed() || !b.ready(now, 3).IsZero() {
			t.Fatalf("not closed after %d failures", i)
		}
		if tripped := b.failed(failed(500), now); tripped != (i == tripAfter-1) {
			t.Fatalf("failure %d trips: %v", i+1, tripped)
		}
	}
	for _, open := range []time.Duration{5, 10, 20, 40, 60, 60} {
		end := now.Add(open * time.Second)
		if at := b.ready(now, 0); !at.Equal(end) {
			t.Fatalf("open until %v, %v is right", at.Sub(now), open)
		}
		if b.failed(failed(500), end.Add(-time.Millisecond)) {
			t.Fatal("what was under way opened it again")
		}
		now = end
		if at := b.ready(now, 0); !at.IsZero() {
			t.Fatalf("half open, and the next attempt is at %v", at)
		}
		if at := b.ready(now, 1); at != never {
			t.Fatalf("a second attempt beside the one that probes, at %v", at)
		}
		if !b.failed(failed(500), now) {
			t.Fatal("a failed probe did not open it")
		}
	}
	b.succeeded()
	if !b.closed() || b.failed(failed(500), now) {
		t.Error("one success closes it, and one failure does not open it")
	}
}

func TestBreakerCountsWhatSpeaksOfTheEndpoint(t *testing.T) {
	t.Parallel()
	for status, opens := range map[int]bool{0: true, 500: true, 404: true, 401: true, 400: false, 409: false, 413: false, 415: false, 422: false} {
		var b breaker
		for range 2 * tripAfter {
			b.failed(failed(status), epoch)
		}
		if b.closed() == opens {
			t.Errorf("after failures with %d it is closed: %v", status, b.closed())
		}
	}
	var b breaker
	for range 10 * tripAfter {
		b.failed(failed(500), epoch)
		b.succeeded()
	}
	if !b.closed() {
		t.Error("failures with successes between them opened it")
	}
}

func TestBreakerRespectsRetryAfter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status    int
		asked, is time.Duration
	}{
		{429, 30 * time.Second, 30 * time.Second}, {503, 2 * time.Minute, 2 * time.Minute},
		{503, time.Second, shortestOpen}, {429, 24 * time.Hour, longestAsked}, {500, time.Minute, 0},
	} {
		a := failed(c.status)
		a.NotBefore = epoch.Add(c.asked)
		var b breaker
		b.failed(a, epoch)
		got := time.Duration(0)
		if at := b.ready(epoch, 0); !at.IsZero() {
			got = at.Sub(epoch)
		}
		if got != c.is {
			t.Errorf("%d with Retry-After %v: open for %v, %v is right", c.status, c.asked, got, c.is)
		}
	}
}

func TestPaceBoundsEverySecond(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{1, 7, 100, 65535} {
		p, now, n := newPace(rate, 1), epoch, 0
		for now.Before(epoch.Add(10 * time.Second)) {
			at := p.take(now)
			if at.IsZero() {
				n++
				continue
			}
			if !at.After(now) || !p.ready(now).Equal(at) {
				t.Fatalf("at %v the next is at %v, ready says %v", now, at, p.ready(now))
			}
			now = at
		}
		if most := 10*rate + max(0, rate/10-1) + 1; n < 10*rate || n > most {
			t.Errorf("%d a second: %d in ten seconds, between %d and %d are right", rate, n, 10*rate, most)
		}
	}
	var none *pace
	if !none.take(epoch).IsZero() || !none.ready(epoch).IsZero() || newPace(0, 1) != nil {
		t.Error("no pace bounds")
	}
}

func TestPaceDoesNotSaveUpWhatWasNotUsed(t *testing.T) {
	t.Parallel()
	p := newPace(100, 1)
	p.take(epoch)
	later, n := epoch.Add(time.Hour), 0
	for p.take(later).IsZero() {
		n++
	}
	if n != 10 {
		t.Errorf("%d at once after an hour of silence, a tenth of 100 is right", n)
	}
}

func TestLimitFollowsSuccessOverloadAndLatency(t *testing.T) {
	t.Parallel()
	l := newLimit(32)
	if l.now() != firstPlaces {
		t.Errorf("it begins with %d", l.now())
	}
	for range 100 {
		l.succeeded(100*time.Millisecond, l.now())
	}
	if l.now() != 32 {
		t.Errorf("%d places after a hundred successes", l.now())
	}
	for range 20 { // latency grows ten times
		l.succeeded(time.Second, l.now())
	}
	grown := l.now()
	if grown >= 16 {
		t.Errorf("%d places though latency has grown", grown)
	}
	for range 2000 { // and stays: that is what it is like
		l.succeeded(time.Second, l.now())
	}
	if l.now() != 32 {
		t.Errorf("%d places for an endpoint that is slow at all times", l.now())
	}
	for range 10 {
		l.overloaded()
	}
	if l.now() != 1 {
		t.Errorf("%d places after overload", l.now())
	}
	l.setMost(4)
	for range 100 {
		l.succeeded(time.Millisecond, 1)
	}
	if l.now() != 4 {
		t.Errorf("%d places, 4 are the bound", l.now())
	}
}

func TestJudgeWarnsThriceAndDisables(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		failures, warned int
		spread, elapsed  time.Duration
		ofSource         bool
		warn             int
		disable          bool
	}{
		"healthy":                        {0, 0, 0, 0, false, 0, false},
		"one failure":                    {1, 0, 0, 5 * day, false, 0, false},
		"a day":                          {9, 0, day, day, false, 0, false},
		"half of the time":               {9, 0, 2 * day, 60 * time.Hour, false, 50, false},
		"half, and told":                 {9, 50, 2 * day, 61 * time.Hour, false, 0, false},
		"three quarters":                 {9, 50, 2 * day, 90 * time.Hour, false, 75, false},
		"ninety, none told":              {9, 0, 2 * day, 108 * time.Hour, false, 90, false},
		"five days":                      {10, 90, day, 5 * day, false, 0, true},
		"five days, too few failures":    {9, 90, 4 * day, 5 * day, false, 0, false},
		"five days, all at once":         {100, 0, time.Hour, 5 * day, false, 90, false},
		"five days, an operator's own":   {100, 0, 4 * day, 5 * day, true, 90, false},
		"five days less a moment, as is": {100, 90, 4 * day, 5*day - time.Millisecond, false, 0, false},
	} {
		h := hook.Health{Failures: c.failures, Warned: c.warned}
		if c.failures > 0 {
			h.FailingSince, h.LastFailureAt = epoch, epoch.Add(c.spread)
		}
		v := judge(&h, c.ofSource, epoch.Add(c.elapsed))
		if v.warn != c.warn || v.disable != c.disable {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
