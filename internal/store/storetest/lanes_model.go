package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// item is a delivery of the model.
type item struct {
	kept     *hook.Append
	lane     *modelLane
	at       int // when it happened, never twice the same
	place    int
	family   string
	final    bool
	state    hook.DeliveryState
	busy     bool // this process has it
	attempts int
	poison   hook.Poison
	left     bool // it is in no lane any more
	claimed  hook.Delivery
}

// modelEndpoint and modelLane are those of the model. A lane is a list of what is not
// over, and of what ever came in.
type modelEndpoint struct {
	hook.Endpoint
	paused bool
}

type modelLane struct {
	endpoint *modelEndpoint
	session  string
	head     *item
	waiting  []*item
	ever     []*item
}

// outdated says that a newer state of the family of i is known.
func (l *modelLane) outdated(i *item) bool {
	return l.endpoint.Order.LatestOnly && i.family != "" && slices.ContainsFunc(l.ever, func(o *item) bool {
		return o.family == i.family && o.at > i.at && (o.final || !i.final)
	})
}

// come lets a state in.
func (l *modelLane) come(i *item) {
	for _, o := range l.ever {
		newest := !slices.ContainsFunc(l.ever, func(p *item) bool { return p.family == o.family && p.final == o.final && p.at > o.at })
		if o.left && o.poison == hook.Parked && !o.busy && open(o) && o.family == i.family && o.at < i.at && newest && l.outdatedBy(o, i) {
			o.state = hook.Canceled
		}
	}
	l.ever, l.waiting = append(l.ever, i), append(l.waiting, i)
	l.tidy()
	if h := l.head; h != nil && i.state == hook.Waiting && l.endpoint.Order.ByOccurrence && !h.busy && h.attempts == 0 && i.at < h.at {
		l.head, i.state, h.state = i, h.state, hook.Waiting
		l.waiting[slices.Index(l.waiting, i)] = h
		slices.SortFunc(l.waiting, func(a, b *item) int { return a.place - b.place })
	}
	l.advance()
}

func (l *modelLane) outdatedBy(o, by *item) bool {
	return l.endpoint.Order.LatestOnly && o.family != "" && (by.final || !o.final)
}

func open(i *item) bool {
	return i.state == hook.Pending || i.state == hook.Held || i.state == hook.Waiting
}

// tidy takes what is over or outdated out of a lane.
func (l *modelLane) tidy() {
	for _, i := range append(slices.Clone(l.waiting), l.head) {
		if i != nil && open(i) && !i.busy && l.outdated(i) {
			i.state = hook.Canceled
		}
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(i *item) bool { return !open(i) })
	if l.head != nil && (!open(l.head) || l.head.left) {
		l.head = nil
	}
}

// advance gives a lane a head, which it returns when it is a new one.
func (l *modelLane) advance() *item {
	if l.tidy(); l.head != nil || len(l.waiting) == 0 {
		return nil
	}
	l.head = l.waiting[0]
	if l.endpoint.Order.ByOccurrence {
		l.head = slices.MinFunc(l.waiting, func(a, b *item) int { return a.at - b.at })
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(i *item) bool { return i == l.head })
	l.head.state = hook.Pending
	if l.endpoint.paused {
		l.head.state = hook.Held
	}
	return l.head
}

type model struct {
	*lanes
	rng       *rand.Rand
	endpoints []*modelEndpoint
	of        map[string]*modelLane
	items     []*item
}

// laneModel does at random what is done to lanes, and compares after each step with what
// a model says.
func laneModel(t *testing.T, x *lanes) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	m := &model{lanes: x, rng: rand.New(rand.NewPCG(seed, 0)), of: map[string]*modelLane{}}
	for _, o := range []hook.Order{{}, {ByOccurrence: true}, {LatestOnly: true, OnPoison: hook.PoisonPark}, {ByOccurrence: true, LatestOnly: true, OnPoison: hook.PoisonPark}} {
		m.endpoints = append(m.endpoints, &modelEndpoint{Endpoint: x.endpoint(o)})
	}
	for range 300 {
		must(t, x.s.Beat(ctx)) // on a busy machine this takes longer than who is silent is taken to live
		did := m.step()
		m.compare(did)
		if t.Failed() {
			return
		}
	}
	x.check()
}

func (m *model) step() string {
	e := pick(m.rng, m.endpoints...)
	switch n := m.rng.IntN(100); {
	case n < 35:
		return m.append(e)
	case n < 55:
		return m.claimAll(e)
	case n < 78:
		return m.recordOne()
	case n < 84:
		return m.end("cancel", func(i *item) error { return m.s.Cancel(ctx, m.app.ID, i.kept.Deliveries[0].ID) })
	case n < 88:
		return m.end("expunge", func(i *item) error { return m.s.ExpungeBody(ctx, m.app.ID, i.kept.Message.ID) })
	case n < 92:
		return m.pause(e)
	case n < 96:
		return m.resend()
	}
	for _, i := range m.items {
		i.busy = false
	}
	m.restart()
	return "crash"
}

func (m *model) append(e *modelEndpoint) string {
	session := pick(m.rng, "a", "b")
	i := &item{at: m.rng.IntN(1000)*1000 + len(m.items), place: len(m.items), family: pick(m.rng, "", "f", "f", "g"), final: m.rng.IntN(3) == 0, state: hook.Waiting}
	a := m.message(session, e.Endpoint)
	a.Message.Family, a.Message.Final, a.Message.OccurredAt = i.family, i.final, time.Unix(1_700_000_000+int64(i.at), 0).UTC()
	k := fmt.Sprint(e.ID, session)
	if m.of[k] == nil {
		m.of[k] = &modelLane{endpoint: e, session: session}
	}
	i.kept, i.lane = m.keep(a), m.of[k]
	m.items = append(m.items, i)
	i.lane.come(i)
	return fmt.Sprintf("append %d of %s%v at %d", i.place, i.family, i.final, i.at)
}

func (m *model) claimAll(e *modelEndpoint) string {
	want := 0
	for _, i := range m.items {
		if i.lane.endpoint == e && i.state == hook.Pending && !i.busy {
			want++
		}
	}
	list := m.claim(e.Endpoint)
	if len(list) != want {
		m.t.Errorf("%d were claimed, %d are right", len(list), want)
	}
	for _, d := range list {
		i := m.item(d.ID)
		if i.busy || i.state != hook.Pending {
			m.t.Errorf("claimed: item %d in state %d", i.place, i.state)
		}
		i.busy, i.claimed = true, d
	}
	return fmt.Sprintf("claim of %d", want)
}

func (m *model) item(delivery hook.Key) *item {
	return m.items[slices.IndexFunc(m.items, func(i *item) bool { return i.kept.Deliveries[0].ID == delivery })]
}

// any is a random item of those that are so, nil when there is none.
func (m *model) any(so func(i *item) bool) *item {
	var list []*item
	for _, i := range m.items {
		if so(i) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return pick(m.rng, list...)
}

func (m *model) recordOne() string {
	i := m.any(func(i *item) bool { return i.busy })
	if i == nil {
		return "nothing to record"
	}
	state := pick(m.rng, hook.Delivered, hook.Delivered, hook.Pending, hook.Pending, hook.Failed, hook.Held)
	poison := hook.NotPoisoned
	switch parks := i.lane.endpoint.Order.OnPoison == hook.PoisonPark; {
	case i.left || m.rng.IntN(2) == 0:
	case parks && state == hook.Pending:
		poison = hook.Parked
	case !parks && state == hook.Failed:
		poison = hook.Skipped
	}
	before := time.Now().Truncate(time.Millisecond)
	r := m.record(i.claimed, state, poison)
	i.state, i.busy, i.poison = state, false, max(i.poison, poison)
	i.attempts++
	if i.left {
		return "record beside lanes"
	}
	if open(i) && i.lane.outdated(i) {
		i.state = hook.Canceled
	}
	i.left = poison == hook.Parked
	next := i.lane.advance()
	switch late := next != nil && i.lane.endpoint.Order.ByOccurrence && m.now(next.kept).NextAt.After(before); {
	case r.State != i.state:
		m.t.Errorf("recorded as %v, %v is right", r.State, i.state)
	case r.Next == nil && next != nil && next.state == hook.Pending && !late:
		m.t.Errorf("item %d should be next", next.place)
	case r.Next != nil && (next == nil || r.Next.ID != next.kept.Deliveries[0].ID || next.state != hook.Pending):
		m.t.Errorf("next is %+v; %+v is right", r.Next, next)
	case r.Next != nil:
		next.busy, next.claimed = true, *r.Next
	}
	return fmt.Sprintf("record of %d: %v %d", i.place, state, poison)
}

// end ends a delivery that nobody has.
func (m *model) end(how string, end func(i *item) error) string {
	i := m.any(func(i *item) bool { return open(i) && !i.busy })
	if i == nil {
		return "nothing to end"
	}
	must(m.t, end(i))
	i.state = hook.Canceled
	i.lane.advance()
	return fmt.Sprintf("%s %d", how, i.place)
}

func (m *model) pause(e *modelEndpoint) string {
	e.paused = !e.paused
	if e.State = hook.Enabled; e.paused {
		e.State = hook.Paused
	}
	now, err := m.s.Endpoint(ctx, e.App, e.ID)
	must(m.t, err)
	e.UpdatedAt = now.UpdatedAt
	_, err = m.s.UpdateEndpoint(ctx, e.Endpoint, hook.SecretChange{})
	must(m.t, err)
	from, to := hook.Held, hook.Pending
	if e.paused {
		from, to = to, from
		_, err = m.s.HoldPending(ctx, e.ID)
	} else {
		_, err = m.s.ReleaseHeld(ctx, e.ID, time.Now(), 0, 1000)
	}
	must(m.t, err)
	for _, i := range m.items {
		if i.lane.endpoint == e && i.state == from && !i.busy {
			i.state = to
		}
	}
	return fmt.Sprintf("paused %v", e.paused)
}

func (m *model) resend() string {
	i := m.any(func(i *item) bool { return !i.busy })
	if i == nil {
		return "nothing to send again"
	}
	err := m.s.Resend(ctx, i.kept.Deliveries[0].ID, time.Now())
	if i.state == hook.Waiting {
		code(m.t, "sending again what waits", err, hook.CodeConflict)
		return "resend refused"
	}
	must(m.t, err)
	i.left = i.left || !open(i)
	i.state, i.poison = hook.Pending, hook.NotPoisoned
	return fmt.Sprintf("resend %d", i.place)
}

func (m *model) compare(did string) {
	m.t.Helper()
	for _, i := range m.items {
		d := m.now(i.kept)
		if d.State != i.state || (d.Lane == 0) != i.left || d.Poison != i.poison || (d.Holder == m.s.Incarnation()) != i.busy {
			m.t.Errorf("after %s, item %d (lane %s of %v, happened at %d, family %q, final %v): the store has %+v, the model state %v, left %v, poison %d, busy %v",
				did, i.place, i.lane.session, i.lane.endpoint.Order, i.at, i.family, i.final, d, int(i.state), i.left, i.poison, i.busy)
		}
	}
	if m.rng.IntN(10) == 0 {
		m.check()
	}
}
