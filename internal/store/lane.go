package store

import (
	"cmp"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// A lane is the messages about one subject on their way to one endpoint. It has a row
// exactly as long as one of its deliveries is not over. One of these is pending or
// held, the head, and all others wait in turns. So nothing else needs to know
// of lanes: a head is claimed, held and settled like any delivery, and there is no
// second one to be sent beside it. Whatever ends a head – a record, a cancellation, a
// deletion – lets the lane go on in the same transaction; on PostgreSQL under a lock on
// the lane's row, so that nodes do so one after another.
//
// This file decides; lane_batch.go, lane_sqlite.go and postgres_lane.go read and write.

// laneKey names a lane.
type laneKey struct {
	endpoint hook.Key
	number   int64
}

func compareLanes(a, b *lane) int {
	return cmp.Or(cmp.Compare(a.endpoint, b.endpoint), cmp.Compare(a.number, b.number))
}

// turn is a delivery's place in its lane, with what tells whether it goes before another.
type turn struct {
	delivery hook.Key // 0: none
	message  hook.Key
	place    int64
	occurred int64 // milliseconds, 0: not known
	rank     int
	family   string // empty: it replaces nothing
	final    bool
}

func (t *turn) moment() hook.Moment {
	return hook.Moment{OccurredAt: fromMS(t.occurred), Rank: t.rank, Accepted: t.place}
}

func (t *turn) before(u *turn) bool { return t.moment().Before(u.moment()) }

// family is a name with whether it is about states that are final: of each, the newest
// that came into a lane is known.
type family struct {
	name  string
	final bool
}

// arrival is a delivery that comes into a lane in this transaction.
type arrival struct {
	turn
	kept *hook.Delivery // is told what became of it; nil when nobody asks
	at   time.Time      // when it is due if nothing stands in its way
}

// looked is how many of those that wait are looked at where the order is not simply that of
// acceptance.
const looked = 200

// lane is a lane in one transaction.
type lane struct {
	laneKey
	org     hook.Key
	order   hook.Order
	enabled bool

	// As it is found.
	there   bool   // it has a row
	found   row    // which says this
	waiting []turn // the first that wait
	more    bool   // there may be others behind them
	// Read only where more than acceptance decides (see deep).
	latest   map[family]turn
	busy     bool // a process that lives has the head in memory
	attempts int  // of the head
	state    hook.DeliveryState
	due      time.Time

	// What happened.
	arrivals []*arrival
	record   *hook.Record // what came of an attempt at the head; nil when nothing did
	gone     []hook.Key   // deliveries that are over, or have left the lane

	// What follows: what its row says, and the rest.
	row
	then effects
}

// row is what a lane's row says.
type row struct {
	head turn
	last int64 // the last place that was given
}

// effects are what follows for a lane.
type effects struct {
	promote  turn // becomes the head; delivery 0: none does
	state    hook.DeliveryState
	at       time.Time
	holder   hook.Key
	demote   turn           // was the head and waits again
	enqueue  []turn         // arrivals that wait
	cancel   []cancellation // superseded
	parked   []cancellation // to be canceled if they are parked and nobody has them
	states   []turn         // that changed
	over     bool           // nothing of the lane is left
	again    bool           // what was read did not suffice to find a head
	promoted hook.Delivery  // as it was kept
}

// cancellation is a delivery whose place a newer message took.
type cancellation struct {
	turn
	by hook.Key
}

// deep says that more than the first that waits must be looked at.
func (l *lane) deep() bool { return l.order.ByOccurrence || l.order.LatestOnly }

// decide works out what follows at now.
func (l *lane) decide(now time.Time) {
	l.row, l.then = l.found, effects{}
	for _, s := range l.latest { // places rise for as long as something is compared with them
		l.last = max(l.last, s.place)
	}
	for _, a := range l.arrivals {
		l.last++
		a.place = l.last
	}
	if l.order.LatestOnly {
		l.supersede()
	}
	if l.canceled(l.head.delivery) || slices.Contains(l.gone, l.head.delivery) {
		l.head = turn{}
	}
	switch {
	case l.head.delivery == 0:
		l.promote(now)
	case l.order.ByOccurrence:
		l.preempt()
	}
	for _, a := range l.arrivals {
		if a.delivery != l.head.delivery && !l.canceled(a.delivery) {
			l.then.enqueue = append(l.then.enqueue, a.turn)
		}
	}
}

// supersede notes the states that came in, and cancels everything that has not gone
// out and of which a newer state is known.
func (l *lane) supersede() {
	for _, a := range l.arrivals {
		if a.family != "" {
			l.arrive(a)
		}
	}
	for _, t := range l.waiting {
		l.cancelOutdated(t)
	}
	for _, a := range l.arrivals {
		l.cancelOutdated(a.turn)
	}
	// A head that is over is not canceled; one that is parked just now has not gone out.
	over := slices.Contains(l.gone, l.head.delivery) && (l.record == nil || l.record.Poison != hook.Parked)
	if l.head.delivery != 0 && !l.busy && !over {
		l.cancelOutdated(l.head)
	}
}

// arrive notes a state that came in, when it is the newest of its family.
func (l *lane) arrive(a *arrival) {
	for _, final := range [...]bool{true, false} {
		old, known := l.latest[family{a.family, final}]
		if known && old.before(&a.turn) && (a.final || !final) && l.order.OnPoison == hook.PoisonPark {
			l.then.parked = append(l.then.parked, cancellation{old, a.message})
		}
	}
	f := family{a.family, a.final}
	if old, known := l.latest[f]; known && a.before(&old) {
		return
	}
	l.latest[f] = a.turn
	l.then.states = slices.DeleteFunc(l.then.states, func(s turn) bool { return s.family == f.name && s.final == f.final })
	l.then.states = append(l.then.states, l.latest[f])
}

// cancelOutdated cancels t when a newer state of its family is known. A final state
// gives way to a final one only.
func (l *lane) cancelOutdated(t turn) bool {
	for _, final := range [...]bool{true, false} {
		if t.family == "" || t.final && !final {
			continue
		}
		if s, known := l.latest[family{t.family, final}]; known && s.delivery != t.delivery && t.before(&s) {
			l.then.cancel = append(l.then.cancel, cancellation{t, s.message})
			return true
		}
	}
	return false
}

func (l *lane) canceled(delivery hook.Key) bool {
	return slices.ContainsFunc(l.then.cancel, func(c cancellation) bool { return c.delivery == delivery })
}

// candidates are those that wait and may become the head, in the order of their places.
func (l *lane) candidates() []turn {
	list := slices.Clone(l.waiting)
	for _, a := range l.arrivals {
		list = append(list, a.turn)
	}
	return slices.DeleteFunc(list, func(t turn) bool { return l.canceled(t.delivery) })
}

// promote chooses the next head: the first by place, or, by occurrence, the one before
// which none of the others happened. Then the lane's time has come when the one
// that was accepted first has waited for what happened before it.
func (l *lane) promote(now time.Time) {
	list := l.candidates()
	if len(list) == 0 {
		l.then.again, l.then.over = l.more, !l.more
		return
	}
	next, at := list[0], now
	if a := l.arrived(next.delivery); a != nil {
		at = a.at
	}
	if l.order.ByOccurrence {
		if waited := list[0].delivery.Time().Add(l.order.Wait()); waited.After(at) {
			at = waited
		}
		for i := range list[1:] {
			if list[1+i].before(&next) {
				next = list[1+i]
			}
		}
	}
	l.head = next
	l.then.promote, l.then.state, l.then.at = next, hook.Held, fromMS(ms(at))
	if !l.enabled {
		return
	}
	l.then.state = hook.Pending
	if l.record != nil && !at.After(now) {
		l.then.holder = l.record.Delivery.Holder // who sent the one before it sends this one
	}
}

func (l *lane) arrived(delivery hook.Key) *arrival {
	for _, a := range l.arrivals {
		if a.delivery == delivery {
			return a
		}
	}
	return nil
}

// preempt lets an arrival that happened before the head take its place, as long as
// nobody has begun to send the head. When the lane is due stays as it is.
func (l *lane) preempt() {
	if l.busy || l.attempts > 0 {
		return
	}
	first := l.head
	for _, a := range l.arrivals {
		if !l.canceled(a.delivery) && a.before(&first) {
			first = a.turn
		}
	}
	if first.delivery == l.head.delivery {
		return
	}
	l.then.demote, l.then.promote, l.then.state, l.then.at = l.head, first, l.state, l.due
	l.head = first
}

// tell passes on what became of deliveries, after it was kept. due is told of a head
// that nobody has.
func (l *lane) tell(due func(endpoint hook.Key, at time.Time)) {
	for _, a := range l.arrivals {
		if a.kept == nil {
			continue
		}
		switch i := slices.IndexFunc(l.then.cancel, func(c cancellation) bool { return c.delivery == a.delivery }); {
		case i >= 0:
			a.kept.State, a.kept.Superseded = hook.Canceled, l.then.cancel[i].by
		case l.then.promote.delivery == a.delivery:
			// Whoever has it was told by its record, so for others nobody has.
			a.kept.State, a.kept.NextAt, a.kept.Since = l.then.state, l.then.at, l.then.at
		}
	}
	if r := l.record; r != nil {
		if l.canceled(r.Delivery.ID) {
			r.State = hook.Canceled
		}
		if l.then.holder != 0 {
			next := l.then.promoted
			r.Next = &next
			return
		}
	}
	if l.then.promote.delivery != 0 && l.then.state == hook.Pending && due != nil {
		due(l.endpoint, l.then.at)
	}
}
