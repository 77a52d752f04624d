package alert

import (
	"sync"
	"testing"
	"time"
)

func TestRatesAreJudged(t *testing.T) {
	t.Parallel()
	r := Rate{Failures: 10, Percent: 20, Window: 10 * time.Minute}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		rate               Rate
		was                rateState
		failures, requests int64
		want               rateState
		what               verdict
	}{
		"nothing came":                       {r, rateState{}, 0, 0, rateState{}, nothing},
		"too few failures, all of them":      {r, rateState{}, 9, 9, rateState{}, nothing},
		"enough, all of them":                {r, rateState{}, 10, 10, rateState{true, now}, tellFailing},
		"exactly the percentage":             {r, rateState{}, 10, 50, rateState{}, nothing},
		"just above it":                      {r, rateState{}, 10, 49, rateState{true, now}, tellFailing},
		"many, but few among many":           {r, rateState{}, 1000, 100_000, rateState{}, nothing},
		"still failing":                      {r, rateState{true, ago(time.Minute)}, 10, 10, rateState{true, ago(time.Minute)}, nothing},
		"still failing, nearly an hour on":   {r, rateState{true, ago(time.Hour - 1)}, 10, 10, rateState{true, ago(time.Hour - 1)}, nothing},
		"still failing, an hour on":          {r, rateState{true, ago(time.Hour)}, 10, 10, rateState{true, now}, tellFailing},
		"recovered":                          {r, rateState{true, ago(time.Minute)}, 9, 100, rateState{false, ago(time.Minute)}, noteRecovered},
		"well for a while":                   {r, rateState{false, ago(time.Minute)}, 0, 5, rateState{false, ago(time.Minute)}, nothing},
		"failing again within the hour":      {r, rateState{false, ago(time.Minute)}, 10, 10, rateState{true, ago(time.Minute)}, nothing},
		"recovered again, though not told":   {r, rateState{true, ago(2 * time.Minute)}, 0, 5, rateState{false, ago(2 * time.Minute)}, noteRecovered},
		"failing again later":                {r, rateState{false, ago(2 * time.Hour)}, 10, 10, rateState{true, now}, tellFailing},
		"turned off":                         {Rate{Percent: 20, Window: time.Minute}, rateState{}, 100, 100, rateState{}, nothing},
		"every failure counts, if one wants": {Rate{Failures: 1, Window: time.Minute}, rateState{}, 1, 100_000, rateState{true, now}, tellFailing},
	} {
		if got, what := c.rate.judge(c.was, c.failures, c.requests, now); got != c.want || what != c.what {
			t.Errorf("%s: %v and %v, want %v and %v", name, got, what, c.want, c.what)
		}
	}
}

func TestATallyForgetsWhatHasLeftTheWindow(t *testing.T) {
	t.Parallel()
	const window = 10 * time.Minute
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	var c tally
	sums := func(what string, minutes int, failures, requests int64) {
		t.Helper()
		if f, r := c.sums(at(minutes), window); f != failures || r != requests {
			t.Errorf("%s: %d of %d, want %d of %d", what, f, r, failures, requests)
		}
	}
	sums("empty", 0, 0, 0)
	c.add(at(0), window, true)
	c.add(at(0), window, false)
	c.add(at(4), window, true)
	sums("at once", 4, 2, 3)
	sums("just before the first leave", 9, 2, 3)
	sums("when they have left", 10, 1, 1)
	c.add(at(10), window, false) // takes the slot of the first
	sums("with another in their place", 10, 1, 2)
	sums("much later", 1000, 0, 0)
	c.add(at(1000), window, true)
	sums("and again", 1000, 1, 1)
}

func TestATallyCountsFromEveryRequestAtOnce(t *testing.T) {
	t.Parallel()
	var c tally
	now := time.Now()
	c.add(now, time.Hour, false) // the slot is there
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 1000 {
				c.add(now, time.Hour, i%2 == 0)
			}
		})
	}
	all.Wait()
	if f, r := c.sums(now, time.Hour); f != 4000 || r != 8001 {
		t.Errorf("%d of %d", f, r)
	}
}
