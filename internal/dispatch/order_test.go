package dispatch

import (
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestWhatBecomesOfAHeadThatFails(t *testing.T) {
	t.Parallel()
	later, now := time.Unix(2000, 0), time.Unix(1000, 0)
	retry := decision{state: hook.Pending, nextAt: later, slower: true}
	for name, c := range map[string]struct {
		order    hook.Order
		failures int // before this one
		lane     int64
		what     decision
		poison   hook.Poison
		why      string
	}{
		"blocks":              {hook.Order{By: "subject"}, 1000, 7, retry, 0, ""},
		"blocks by name":      {hook.Order{By: "subject", OnPoison: hook.PoisonBlock}, 1000, 7, retry, 0, ""},
		"not yet":             {hook.Order{By: "subject", OnPoison: hook.PoisonSkip, PoisonAfter: 3}, 1, 7, retry, 0, ""},
		"skipped":             {hook.Order{By: "subject", OnPoison: hook.PoisonSkip, PoisonAfter: 3}, 2, 7, decision{state: hook.Failed, nextAt: now, slower: true}, hook.Skipped, "skipped after 3 failures"},
		"skipped at once":     {hook.Order{By: "subject", OnPoison: hook.PoisonSkip, PoisonAfter: 1}, 0, 7, decision{state: hook.Failed, nextAt: now, slower: true}, hook.Skipped, "skipped after 1 failure:"},
		"parked by default":   {hook.Order{By: "subject", OnPoison: hook.PoisonPark}, hook.DefaultPoisonAfter - 1, 7, retry, hook.Parked, "parked after 5 failures"},
		"parked already":      {hook.Order{By: "subject", OnPoison: hook.PoisonPark}, 10, 0, retry, 0, ""},
		"of no lane":          {hook.Order{By: "subject", OnPoison: hook.PoisonSkip}, 10, 0, retry, 0, ""},
		"delivered":           {hook.Order{By: "subject", OnPoison: hook.PoisonSkip}, 10, 7, decision{state: hook.Delivered}, 0, ""},
		"its window was over": {hook.Order{By: "subject", OnPoison: hook.PoisonPark}, 10, 7, decision{state: hook.Failed}, 0, ""},
	} {
		before := retry
		if c.what.state != hook.Pending && c.poison == 0 {
			before = c.what
		}
		what, poison, why := unblock(&hook.Endpoint{Order: c.order}, &hook.Delivery{Failures: c.failures, Lane: c.lane, NextAt: now}, before)
		if what != c.what || poison != c.poison || !strings.HasPrefix(why, c.why) || (why == "") != (c.why == "") {
			t.Errorf("%s: %+v, %d, %q", name, what, poison, why)
		}
	}
}
