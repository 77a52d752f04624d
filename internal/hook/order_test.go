package hook

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestWhichMomentIsTheOlder(t *testing.T) {
	t.Parallel()
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	for name, c := range map[string]struct {
		old, young Moment
	}{
		"both times":                {Moment{OccurredAt: at(1), Rank: 9, Accepted: 2}, Moment{OccurredAt: at(2), Rank: 1, Accepted: 1}},
		"times of one millisecond":  {Moment{OccurredAt: at(1).Add(900), Rank: 1, Accepted: 2}, Moment{OccurredAt: at(1), Rank: 2, Accepted: 1}},
		"one time, both ranks":      {Moment{Rank: 1, Accepted: 2}, Moment{OccurredAt: at(1), Rank: 2, Accepted: 1}},
		"both ranks":                {Moment{Rank: 1, Accepted: 2}, Moment{Rank: 2, Accepted: 1}},
		"one time, one rank":        {Moment{Rank: 2, Accepted: 1}, Moment{OccurredAt: at(1), Accepted: 2}},
		"the same rank":             {Moment{Rank: 2, Accepted: 1}, Moment{Rank: 2, Accepted: 2}},
		"nothing but acceptance":    {Moment{Accepted: 1}, Moment{Accepted: 2}},
		"the same time and no rank": {Moment{OccurredAt: at(1), Accepted: 1}, Moment{OccurredAt: at(1), Accepted: 2}},
	} {
		if !c.old.Before(c.young) || c.young.Before(c.old) {
			t.Errorf("%s: before %v, after %v", name, c.old.Before(c.young), c.young.Before(c.old))
		}
	}
}

// Of two moments that were accepted one after another, exactly one is the older.
func TestOfTwoMomentsOneIsTheOlder(t *testing.T) {
	t.Parallel()
	random := func(accepted int64) Moment {
		m := Moment{Rank: rand.IntN(3), Accepted: accepted}
		if rand.IntN(2) == 0 {
			m.OccurredAt = time.UnixMilli(rand.Int64N(3) + 1)
		}
		return m
	}
	for range 10_000 {
		a, b := random(1), random(2)
		if a.Before(b) == b.Before(a) || a.Before(a) {
			t.Fatalf("%+v and %+v", a, b)
		}
	}
}

func TestTheLaneOfAMessage(t *testing.T) {
	t.Parallel()
	subjects := []Subject{{"session", "s"}, {"end_user", "u"}, {"end_user", "v"}}
	for by, want := range map[string]Subject{"subject": subjects[0], "subject:session": subjects[0], "subject:end_user": subjects[1]} {
		o := Order{By: by}
		if got, ok := o.Subject(subjects); !ok || got != want || o.Lane(subjects) == 0 {
			t.Errorf("%s: %v %v, lane %d", by, got, ok, o.Lane(subjects))
		}
	}
	for _, by := range []string{"", "subject:attempt"} {
		if o := (Order{By: by}); o.Lane(subjects) != 0 {
			t.Errorf("%q: lane %d", by, o.Lane(subjects))
		}
	}
	o := Order{By: "subject"}
	if o.Lane(nil) != 0 {
		t.Error("a message without subjects is in a lane")
	}
	if a, b := o.Lane([]Subject{{"a", "bc"}}), o.Lane([]Subject{{"ab", "c"}}); a == b || a < 0 || b < 0 {
		t.Errorf("lanes %d and %d", a, b)
	}
	if got := o.Lane(subjects); got != 795030121461429065 { // kept in rows: it must never change
		t.Errorf("lane %d", got)
	}
}

func TestWhatIsWrongWithAnOrder(t *testing.T) {
	t.Parallel()
	for _, o := range []Order{
		{}, {By: "subject"}, {By: "subject:end_user", LatestOnly: true, OnPoison: PoisonSkip, PoisonAfter: 1},
		{By: "subject", ByOccurrence: true, Window: time.Minute}, {By: "subject", OnPoison: PoisonBlock},
	} {
		if part, err := o.Check(); err != nil {
			t.Errorf("%+v: %s %v", o, part, err)
		}
	}
	for _, c := range []struct {
		order      Order
		part, says string
	}{
		{Order{By: "session"}, "order", "subject:session"},
		{Order{By: "subject:"}, "order", "a kind is"},
		{Order{By: "subject:End User"}, "order", "a kind is"},
		{Order{By: "subject", Window: time.Second}, "order_window", "occurrence"},
		{Order{By: "subject", ByOccurrence: true, Window: time.Millisecond}, "order_window", "between 1s and 1h0m0s"},
		{Order{By: "subject", OnPoison: "drop"}, "on_poison", "block, skip or park"},
		{Order{By: "subject", PoisonAfter: 3}, "poison_after", "skipped or parked"},
		{Order{By: "subject", OnPoison: PoisonPark, PoisonAfter: 101}, "poison_after", "between 1 and 100"},
		{Order{ByOccurrence: true}, "order_by", "needs an order"},
		{Order{LatestOnly: true}, "latest_only", "needs an order"},
		{Order{OnPoison: PoisonSkip}, "on_poison", "needs an order"},
	} {
		if part, err := c.order.Check(); part != c.part || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %q %v", c.order, part, err)
		}
	}
}

func TestDefaultsOfAnOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		order Order
		wait  time.Duration
		tries int
	}{
		{Order{By: "subject"}, 0, 0},
		{Order{By: "subject", ByOccurrence: true}, DefaultOrderWindow, 0},
		{Order{By: "subject", ByOccurrence: true, Window: time.Minute}, time.Minute, 0},
		{Order{By: "subject", OnPoison: PoisonSkip}, 0, DefaultPoisonAfter},
		{Order{By: "subject", OnPoison: PoisonPark, PoisonAfter: 2}, 0, 2},
		{Order{By: "subject", OnPoison: PoisonBlock}, 0, 0},
	} {
		if c.order.Wait() != c.wait || c.order.Tries() != c.tries {
			t.Errorf("%+v: %v, %d", c.order, c.order.Wait(), c.order.Tries())
		}
	}
}
