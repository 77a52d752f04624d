package storetest

import (
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// at is a state of a family about session s that happened at a second; 0 does not say when.
func (x *lanes) at(e hook.Endpoint, second int, family string, final bool) *hook.Append {
	a := x.message("s", e)
	a.Message.Family, a.Message.Final = family, final
	if second > 0 {
		a.Message.OccurredAt = time.Unix(1_700_000_000+int64(second), 0).UTC()
	}
	return x.keep(a)
}

func laneOccurrence(t *testing.T, x *lanes) {
	const window = 10 * time.Second
	e := x.endpoint(hook.Order{ByOccurrence: true, Window: window})
	b := x.at(e, 20, "", false)
	due := x.now(b).NextAt
	if wait := due.Sub(b.Deliveries[0].ID.Time()); wait != window {
		t.Errorf("the first is due after %v, %v is right", wait, window)
	}
	a := x.at(e, 10, "", false)
	x.states("pw", a, b)
	if at := x.now(a).NextAt; !at.Equal(due) {
		t.Errorf("what takes its place is due at %v, %v is right", at, due)
	}
	d, c := x.at(e, 40, "", false), x.at(e, 30, "", false)
	x.states("pwww", a, b, d, c)
	head := x.only(e)
	early := x.at(e, 5, "", false) // too late: the head is being sent
	x.states("pwwww", a, b, d, c, early)
	r := x.record(head, hook.Delivered, 0)
	x.states("dwwwp", a, b, d, c, early)
	if r.Next != nil {
		t.Errorf("the next has not waited for its window: %+v", r.Next)
	}
	if at := x.now(early).NextAt; !at.Equal(b.Deliveries[0].ID.Time().Add(window)) {
		t.Errorf("the lane is due at %v, when the one that was accepted first has waited", at)
	}
	x.record(x.only(e), hook.Pending, 0)
	first := x.at(e, 1, "", false) // a head that was tried stays the head
	x.states("wwwpw", b, d, c, early, first)
	for _, next := range []*hook.Append{early, first, b, c, d} {
		got := x.only(e)
		if got.Message != next.Message.ID {
			t.Fatalf("the turn of %d: %+v", next.Message.ID, got)
		}
		x.record(got, hook.Delivered, 0)
	}
}

func laneLatest(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{LatestOnly: true})
	a := x.at(e, 10, "f", false)
	other, none := x.at(e, 11, "g", false), x.at(e, 12, "", false)
	b := x.at(e, 20, "f", false)
	x.states("cpww", a, other, none, b)
	if d := x.now(a); d.Superseded != b.Message.ID {
		t.Errorf("superseded by %d, %d is right", d.Superseded, b.Message.ID)
	}
	c := x.at(e, 30, "f", false)
	x.states("pwcw", other, none, b, c)
	x.record(x.only(e), hook.Delivered, 0)
	x.states("dpw", other, none, c)
}

func laneFinal(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{LatestOnly: true})
	final := x.at(e, 10, "f", true)
	open := x.at(e, 20, "f", false)
	x.states("pw", final, open)
	newer := x.at(e, 30, "f", true)
	x.states("ccp", final, open, newer)
	again := x.at(e, 25, "f", false) // older than a final one: it adds nothing
	x.states("pc", newer, again)
	late := x.at(e, 5, "f", true)
	x.states("pc", newer, late)
}

func laneLatestKnown(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{LatestOnly: true})
	a := x.at(e, 20, "f", false)
	x.record(x.only(e), hook.Delivered, 0)
	older := x.at(e, 10, "f", false)
	x.states("dc", a, older)
	if d := x.now(older); d.Superseded != a.Message.ID {
		t.Errorf("superseded by %d, %d is right", d.Superseded, a.Message.ID)
	}
	final := x.at(e, 5, "f", true) // nothing final is known yet
	x.states("p", final)
	x.record(x.only(e), hook.Delivered, 0)
	x.restart()
	x.states("c", x.at(e, 15, "f", false))
	n, err := x.s.ForgetStates(ctx, time.Now().Add(hook.DedupeWindow+time.Minute))
	must(t, err)
	if n != 2 {
		t.Errorf("%d states forgotten, 2 are right", n)
	}
	x.states("p", x.at(e, 16, "f", false))
	timeless := x.at(e, 0, "f", false) // came later, and no rank says otherwise
	x.states("p", timeless)
}

func laneLatestFails(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{LatestOnly: true})
	a := x.at(e, 10, "f", false)
	d := x.only(e)
	b := x.at(e, 20, "f", false)
	x.states("pw", a, b) // it is being sent
	r := x.record(d, hook.Pending, 0)
	x.states("cp", a, b)
	if r.State != hook.Canceled || r.Next == nil || r.Next.Message != b.Message.ID {
		t.Errorf("the record: %+v", r)
	}
	c := x.at(e, 30, "f", false)
	r = x.record(*r.Next, hook.Pending, hook.Parked) // a newer one came: it is not parked
	x.states("ccp", a, b, c)
	if r.State != hook.Canceled || x.now(b).Superseded != c.Message.ID {
		t.Errorf("the record: %+v", r)
	}
	x.record(*r.Next, hook.Delivered, 0)
	x.states("ccd", a, b, c)
}

func laneLatestParked(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{LatestOnly: true, OnPoison: hook.PoisonPark})
	a := x.at(e, 10, "f", false)
	x.record(x.only(e), hook.Pending, hook.Parked)
	x.states("p", a)
	b := x.at(e, 20, "f", false)
	x.states("cp", a, b)
	r := x.record(x.only(e), hook.Pending, hook.Parked)
	if r.Next != nil {
		t.Errorf("next: %+v", r.Next)
	}
	held := x.only(e)
	c := x.at(e, 30, "f", false)
	x.states("cpp", a, b, c) // the parked one is being sent
	x.record(held, hook.Delivered, 0)
	x.states("cdp", a, b, c)
	final := x.at(e, 40, "f", true)
	x.states("cp", c, final)
	x.record(x.only(e), hook.Pending, hook.Parked)
	x.states("pp", final, x.at(e, 50, "f", false)) // what is not final does not take its place
}
