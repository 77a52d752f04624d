package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// LaneCheck says in words where the rows of lanes are not as they must be.
type LaneCheck func(s *store.Store) (faults []string, err error)

// RunLanes runs what every engine must do with lanes.
func RunLanes(t *testing.T, open Opener, check LaneCheck) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, x *lanes)
	}{
		{"ALaneIsSentOneAfterAnother", laneInTurn},
		{"OtherLanesAndEndpointsGoOn", lanesBeside},
		{"AHeadThatFailsStaysTheHead", laneBlocks},
		{"APoisonedHeadIsSkippedOrParked", lanePoison},
		{"CanceledDeliveriesLeaveTheirLane", laneCancel},
		{"WhatIsDeletedLeavesItsLane", laneDeleted},
		{"ALaneOfADeletedEndpointIsOver", laneOfNobody},
		{"APausedEndpointsLanesAreHeld", laneHeld},
		{"WhatWaitsIsNotSentAgain", laneResend},
		{"LateDeliveriesTakeTheLastPlace", laneLate},
		{"ACrashLeavesTheHeadToBeClaimed", laneCrash},
		{"ListsAndStatisticsCountWhatWaitsAsPending", laneLists},
		{"OccurrenceOrdersWithinItsWindow", laneOccurrence},
		{"AnOlderStateGivesWayToANewerOne", laneLatest},
		{"AFinalStateGivesWayToAFinalOneOnly", laneFinal},
		{"AnOlderStateThatComesLateIsCanceledAtOnce", laneLatestKnown},
		{"AStateThatFailsAfterANewerOneCameIsCanceled", laneLatestFails},
		{"AParkedStateGivesWay", laneLatestParked},
		{"ManyLanesInOneTransaction", lanesAtOnce},
		{"LanesDoWhatTheModelSays", laneModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := &lanes{t: t, open: open, s: open(t, t.Name()), faults: check}
			x.app = makeApp(t, x.s, "a")
			c.test(t, x)
			x.check()
		})
	}
}

// lanes is a store with an application whose endpoints are ordered.
type lanes struct {
	t      *testing.T
	open   Opener
	s      *store.Store
	app    hook.Application
	faults LaneCheck
}

func (x *lanes) check() {
	x.t.Helper()
	faults, err := x.faults(x.s)
	must(x.t, err)
	for _, f := range faults {
		x.t.Error(f)
	}
}

// restart closes the store, as a crash would for what it had in memory, and opens it again.
func (x *lanes) restart() {
	x.t.Helper()
	must(x.t, x.s.Close())
	x.s = x.open(x.t, x.t.Name())
}

func (x *lanes) endpoint(o hook.Order) hook.Endpoint {
	x.t.Helper()
	o.By = "subject:session"
	e, err := x.s.CreateEndpoint(ctx, hook.Endpoint{Org: x.app.Org, App: x.app.ID, URL: "https://x.example/", Order: o}, "")
	must(x.t, err)
	return e
}

// message is one about a session, with a delivery to each of these endpoints.
func (x *lanes) message(session string, endpoints ...hook.Endpoint) *hook.Append {
	a := event(len(endpoints), 0)
	a.Message.App, a.Message.OccurredAt, a.Message.Rank, a.Message.Family = x.app.ID, time.Time{}, 0, ""
	a.Message.Subjects = []hook.Subject{{Kind: "session", ID: session}}
	for i, e := range endpoints {
		d := &a.Deliveries[i]
		d.Endpoint, d.Lane, d.State = e.ID, e.Order.Lane(a.Message.Subjects), hook.Waiting
	}
	return a
}

// keep keeps a message, and compares what it is told of its deliveries with their rows.
func (x *lanes) keep(a *hook.Append) *hook.Append {
	x.t.Helper()
	mustAppend(x.t, x.s, a)
	same(x.t, "what was told of the deliveries", a.Deliveries, deliveries(x.t, x.s, &a.Message))
	return a
}

func (x *lanes) add(session string, endpoints ...hook.Endpoint) *hook.Append {
	x.t.Helper()
	return x.keep(x.message(session, endpoints...))
}

func (x *lanes) claim(e hook.Endpoint) []hook.Delivery {
	x.t.Helper()
	list, _, err := x.s.Claim(ctx, e.ID, time.Now().Add(24*time.Hour), 100)
	must(x.t, err)
	return list
}

// only claims the one delivery there is to claim.
func (x *lanes) only(e hook.Endpoint) hook.Delivery {
	x.t.Helper()
	list := x.claim(e)
	if len(list) != 1 {
		x.t.Fatalf("%d deliveries may be claimed, 1 is right: %+v", len(list), list)
	}
	return list[0]
}

// record records an attempt at d, after which its state is that.
func (x *lanes) record(d hook.Delivery, state hook.DeliveryState, poison hook.Poison) *hook.Record {
	x.t.Helper()
	outcome := hook.OutcomeStatus
	if state == hook.Delivered {
		outcome = hook.OutcomeDelivered
	}
	r := &hook.Record{Delivery: d, Attempt: attempt(d.Attempts+1, outcome), State: state, NextAt: d.NextAt, Poison: poison}
	must(x.t, x.s.Record(ctx, []*hook.Record{r}))
	if r.Refused {
		x.t.Fatalf("a record was refused: %+v", r)
	}
	return r
}

// state is that of the first delivery of a message.
func (x *lanes) state(a *hook.Append) hook.DeliveryState {
	x.t.Helper()
	return x.now(a).State
}

func (x *lanes) now(a *hook.Append) hook.Delivery {
	x.t.Helper()
	return deliveries(x.t, x.s, &a.Message)[0]
}

func (x *lanes) states(want string, list ...*hook.Append) {
	x.t.Helper()
	letters := map[hook.DeliveryState]byte{hook.Delivered: 'd', hook.Pending: 'p', hook.Failed: 'f', hook.Canceled: 'c', hook.Held: 'h', hook.Waiting: 'w'}
	var got []byte
	for _, a := range list {
		got = append(got, letters[x.state(a)])
	}
	if string(got) != want {
		x.t.Errorf("states are %s, %s is right", got, want)
	}
	x.check()
}

func laneInTurn(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{})
	var list []*hook.Append
	for range 4 {
		list = append(list, x.add("s", e))
	}
	x.states("pwww", list...)
	d := x.only(e)
	for i := range list {
		if d.Message != list[i].Message.ID || d.Holder != x.s.Incarnation() {
			t.Fatalf("the turn of message %d: %+v", i, d)
		}
		if more := x.claim(e); len(more) != 0 {
			t.Fatalf("beside it %+v were claimed", more)
		}
		r := x.record(d, hook.Delivered, 0)
		if i == len(list)-1 {
			if r.Next != nil {
				t.Fatalf("after the last comes %+v", r.Next)
			}
			break
		}
		if r.Next == nil {
			t.Fatal("nothing comes next")
		}
		same(t, "the next", x.now(list[i+1]), *r.Next)
		d = *r.Next
	}
	x.states("dddd", list...)
	x.states("p", x.add("s", e)) // the lane begins anew
}

func lanesBeside(t *testing.T, x *lanes) {
	e, other, plain := x.endpoint(hook.Order{}), x.endpoint(hook.Order{}), x.endpoint(hook.Order{})
	a := x.add("s", e, other)
	b, c := x.add("s", e, other), x.add("t", e)
	u := x.message("s", plain)
	u.Deliveries[0].Lane, u.Deliveries[0].State, u.Deliveries[0].Holder = 0, hook.Pending, x.s.Incarnation()
	x.keep(u)
	x.states("pwpp", a, b, c, u)
	same(t, "deliveries of both endpoints", []hook.DeliveryState{hook.Waiting, hook.Waiting}, states(t, x.s, b))
	if n := len(x.claim(e)); n != 2 {
		t.Errorf("%d lanes of the endpoint may be claimed, 2 are right", n)
	}
	d := x.only(other)
	x.record(d, hook.Delivered, 0)
	same(t, "deliveries of both endpoints", []hook.DeliveryState{hook.Waiting, hook.Pending}, states(t, x.s, b))
}

func laneBlocks(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{})
	a, b := x.add("s", e), x.add("s", e)
	d := x.only(e)
	for range 3 {
		if r := x.record(d, hook.Pending, 0); r.Next != nil {
			t.Fatalf("after a failure comes %+v", r.Next)
		}
		x.states("pw", a, b)
		if d = x.only(e); d.Message != a.Message.ID {
			t.Fatalf("after a failure %+v was claimed", d)
		}
	}
	before := time.Now()
	r := x.record(d, hook.Failed, 0) // its window is over
	x.states("fp", a, b)
	if r.Next == nil || r.Next.Since.Before(before.Truncate(time.Millisecond)) {
		t.Errorf("the window of the next begins when its turn comes: %+v", r.Next)
	}
}

func lanePoison(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{})
	a, b, c := x.add("s", e), x.add("s", e), x.add("s", e)
	r := x.record(x.only(e), hook.Failed, hook.Skipped)
	x.states("fpw", a, b, c)
	if d := x.now(a); d.Poison != hook.Skipped || d.Lane == 0 {
		t.Errorf("skipped: %+v", d)
	}
	r = x.record(*r.Next, hook.Pending, hook.Parked)
	x.states("fpp", a, b, c)
	if d := x.now(b); d.Poison != hook.Parked || d.Lane != 0 {
		t.Errorf("parked: %+v", d)
	}
	parked := x.only(e)
	if parked.Message != b.Message.ID || r.Next.Message != c.Message.ID {
		t.Errorf("parked %+v, next %+v", parked, r.Next)
	}
	x.record(parked, hook.Delivered, 0)
	x.record(*r.Next, hook.Delivered, 0)
	x.states("fdd", a, b, c)
}

func laneCancel(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{})
	list := []*hook.Append{x.add("s", e), x.add("s", e), x.add("s", e), x.add("s", e)}
	cancel := func(i int) error { return x.s.Cancel(ctx, x.app.ID, list[i].Deliveries[0].ID) }
	must(t, cancel(1))
	x.states("pcww", list...)
	must(t, cancel(0))
	x.states("ccpw", list...)
	d := x.only(e)
	code(t, "canceling what is being attempted", cancel(2), hook.CodeConflict)
	code(t, "canceling it again", cancel(0), hook.CodeConflict)
	x.record(d, hook.Pending, 0)
	must(t, cancel(2))
	must(t, cancel(3))
	x.states("cccc", list...)
	x.states("p", x.add("s", e))
}

func laneDeleted(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{})
	list := []*hook.Append{x.add("s", e), x.add("s", e), x.add("s", e), x.add("s", e), x.add("s", e)}
	must(t, x.s.ExpungeBody(ctx, x.app.ID, list[1].Message.ID))
	x.states("pcwww", list...)
	must(t, x.s.ExpungeBody(ctx, x.app.ID, list[0].Message.ID))
	x.states("ccpww", list...)
	d := x.only(e)
	must(t, x.s.ExpungeBody(ctx, x.app.ID, list[2].Message.ID))
	x.states("ccpww", list...) // it is being sent: the next may not go beside it
	x.record(d, hook.Canceled, 0)
	x.states("cccpw", list...)

	expiring := x.message("t", e)
	expiring.Message.ExpiresAt = time.Now()
	after := x.message("t", e)
	x.keep(expiring)
	x.keep(after)
	_, err := x.s.ExpireBodies(ctx, time.Now().Add(time.Second))
	must(t, err)
	x.states("cp", expiring, after)
	must(t, x.s.DeleteApplication(ctx, x.app.Org, x.app.ID, time.Now()))
	x.states("cccccc", append(slices.Clone(list), after)...)
	_, err = x.s.PurgeApplication(ctx, x.app.ID)
	must(t, err)
}

func laneOfNobody(t *testing.T, x *lanes) {
	e, kept := x.endpoint(hook.Order{LatestOnly: true}), x.endpoint(hook.Order{})
	a, b := x.add("s", e, kept), x.add("s", e, kept)
	must(t, x.s.DeleteEndpoint(ctx, x.app.ID, e.ID))
	same(t, "deliveries", []hook.DeliveryState{hook.Canceled, hook.Pending}, states(t, x.s, a))
	same(t, "deliveries", []hook.DeliveryState{hook.Canceled, hook.Waiting}, states(t, x.s, b))
	late := x.add("s", e) // routed before the deletion, kept after it
	x.add("s", e)
	n, err := x.s.CancelOrphans(ctx)
	must(t, err)
	if n != 2 {
		t.Errorf("%d orphans, 2 are right", n)
	}
	x.states("c", late)

	file := []store.FileSource{{Name: "f", Provider: "veriff", Token: "f", Endpoints: []hook.Endpoint{{Name: "e", URL: "http://x"}}}}
	must(t, x.s.ApplyFile(ctx, file, false))
	rows, err := x.s.Endpoints(ctx)
	must(t, err)
	of := rows[slices.IndexFunc(rows, func(e hook.Endpoint) bool { return e.ManagedByFile })]
	of.Order.By = "subject"
	pruned, waits := x.add("s", of), x.add("s", of)
	must(t, x.s.ApplyFile(ctx, nil, true))
	x.states("cc", pruned, waits)
}

func laneHeld(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{})
	a, b := x.add("s", e), x.add("s", e)
	d := x.only(e)
	paused := e
	paused.State, paused.Reason = hook.Paused, "by hand"
	_, err := x.s.UpdateEndpoint(ctx, paused, hook.SecretChange{})
	must(t, err)
	r := x.record(d, hook.Delivered, 0)
	if r.Next != nil {
		t.Errorf("a paused endpoint gets %+v", r.Next)
	}
	c, other := x.add("s", e), x.add("t", e)
	x.states("dhwh", a, b, c, other)
	if list := x.claim(e); len(list) != 0 {
		t.Errorf("of a paused endpoint %+v were claimed", list)
	}
	n, err := x.s.ReleaseHeld(ctx, e.ID, time.Now(), time.Millisecond, 10)
	must(t, err)
	if n != 2 {
		t.Errorf("%d were released, 2 are right", n)
	}
	x.states("dpwp", a, b, c, other)
	if _, err = x.s.HoldPending(ctx, e.ID); err != nil {
		t.Fatal(err)
	}
	x.states("dhwh", a, b, c, other)
}

func laneResend(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{})
	a, b, c := x.add("s", e), x.add("s", e), x.add("s", e)
	code(t, "sending again what waits", x.s.Resend(ctx, b.Deliveries[0].ID, time.Now()), hook.CodeConflict)
	must(t, x.s.Resend(ctx, a.Deliveries[0].ID, time.Now()))
	if d := x.now(a); d.Lane == 0 || d.Trigger != hook.Manual {
		t.Errorf("a head that is sent again: %+v", d)
	}
	r := x.record(x.only(e), hook.Delivered, 0)
	must(t, x.s.Resend(ctx, a.Deliveries[0].ID, time.Now()))
	x.states("ppw", a, b, c)
	if d := x.only(e); d.Message != a.Message.ID || d.Lane != 0 {
		t.Errorf("what was delivered goes out beside its lane: %+v", d)
	}
	x.record(*r.Next, hook.Delivered, 0)
	x.states("pdp", a, b, c)
}

func laneLate(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{})
	old := x.message("s")
	x.keep(old)
	a, b := x.add("s", e), x.add("s", e)
	now := time.Now()
	lane := e.Order.Lane(old.Message.Subjects)
	id, err := x.s.Deliver(ctx, hook.Delivery{Org: x.app.Org, Message: old.Message.ID, Endpoint: e.ID, NextAt: now, Since: now, Trigger: hook.Manual, Lane: lane})
	must(t, err)
	again := x.message("s", e) // a duplicate that is forwarded
	again.Hash, again.Redeliver = a.Hash, true
	mustAppend(t, x.s, again)
	x.states("pww", a, b, old)
	var order []hook.Key
	for d := x.only(e); ; {
		order = append(order, d.Message)
		r := x.record(d, hook.Delivered, 0)
		if r.Next == nil {
			break
		}
		d = *r.Next
	}
	same(t, "the order", []hook.Key{a.Message.ID, b.Message.ID, old.Message.ID, a.Message.ID}, order)
	if d := x.now(old); d.ID != id || d.State != hook.Delivered {
		t.Errorf("the late one: %+v", d)
	}
}

func laneCrash(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{})
	a, b := x.add("s", e), x.add("s", e)
	x.only(e)
	x.restart()
	d := x.only(e)
	if d.Message != a.Message.ID {
		t.Fatalf("after a crash %+v was claimed", d)
	}
	x.record(d, hook.Delivered, 0) // and b is this process's now
	x.restart()
	x.states("dp", a, b)
	if d = x.only(e); d.Message != b.Message.ID {
		t.Errorf("after another crash %+v was claimed", d)
	}
}

func laneLists(t *testing.T, x *lanes) {
	e := x.endpoint(hook.Order{})
	var want []hook.Key
	for range 5 {
		want = append(want, x.add("s", e).Message.ID)
	}
	done := x.add("t", e)
	for _, d := range x.claim(e) {
		if d.Message == done.Message.ID {
			x.record(d, hook.Delivered, 0)
		}
	}
	for _, states := range [][]hook.DeliveryState{{hook.Pending, hook.Waiting}, {hook.Pending, hook.Waiting, hook.Held, hook.Failed}} {
		rows, _, err := x.s.ListDeliveries(ctx, hook.DeliveryQuery{Endpoint: e.ID, States: states, Page: hook.Page{Ascending: true, Limit: 50}})
		must(t, err)
		var got []hook.Key
		for _, r := range rows {
			got = append(got, r.Message)
		}
		same(t, "the list", want, got)
	}
	counts, err := x.s.EndpointStats(ctx, e.ID, hook.Range{})
	must(t, err)
	same(t, "counts", hook.DeliveryCount{hook.Pending: 1, hook.Waiting: 4, hook.Delivered: 1}, counts)
}

func lanesAtOnce(t *testing.T, x *lanes) {
	e, other := x.endpoint(hook.Order{}), x.endpoint(hook.Order{ByOccurrence: true, LatestOnly: true})
	const sessions, each = 7, 30
	errs := make(chan error)
	for i := range sessions * each {
		a := x.message(string(rune('a'+i%sessions)), e, other)
		a.Message.Family = "f"
		go func() { errs <- x.s.Append(ctx, a) }()
	}
	for range sessions * each {
		must(t, <-errs)
	}
	x.check()
	sent := 0
	for next := x.claim(e); len(next) > 0; {
		if len(next) > sessions {
			t.Fatalf("%d at once, %d lanes", len(next), sessions)
		}
		var records []*hook.Record
		for _, d := range next {
			records = append(records, &hook.Record{Delivery: d, Attempt: attempt(1, hook.OutcomeDelivered), State: hook.Delivered})
		}
		must(t, x.s.Record(ctx, records))
		next = nil
		for _, r := range records {
			sent++
			if r.Next != nil {
				next = append(next, *r.Next)
			}
		}
		x.check()
	}
	if sent != sessions*each {
		t.Errorf("%d were sent, %d are right", sent, sessions*each)
	}
	if left := x.claim(other); len(left) != sessions {
		t.Errorf("%d newest states, %d are right", len(left), sessions)
	}
}
