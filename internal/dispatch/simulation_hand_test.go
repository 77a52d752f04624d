package dispatch_test

import (
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// What people do in a simulated world, and what endpoints say of themselves.

// fate is what becomes of an endpoint. Times of 0 are never.
type fate struct {
	gone    time.Duration // from when on it answers 410
	enabled time.Duration // until it is enabled anew, and takes what it gets
	deleted time.Duration

	disabled, isDeleted bool // now
}

func (f *fate) saysGone(at time.Duration) bool {
	return f.gone > 0 && at >= f.gone && (f.enabled == 0 || at < f.enabled)
}

// deletedBy says whether it was deleted before a time.
func (f *fate) deletedBy(at time.Duration) bool { return f.deleted > 0 && f.deleted < at }

// hand is a delivery that is sent again, or canceled.
type hand struct {
	at      time.Duration
	resend  bool
	message *simMessage
	to      *simEndpoint
}

// handled is what that came to.
type handled struct {
	resends  int
	canceled bool // and not sent again since
	gone     bool // it was answered with 410
}

// drawHands draws all of this for a world that has its endpoints and messages.
func (w *world) drawHands() {
	within := func(most time.Duration) time.Duration { return 1 + time.Duration(w.rng.Int64N(int64(most))) }
	for _, e := range w.endpoints {
		if !e.OfSource && w.rng.IntN(4) == 0 { // those of sources are never disabled by it
			e.byHand.gone = within(simSpan)
			if w.rng.IntN(2) == 0 {
				e.byHand.enabled = e.byHand.gone + within(simSpan/2)
			}
		}
		if w.rng.IntN(6) == 0 {
			e.byHand.deleted = within(simSpan)
		}
	}
	for range w.rng.IntN(30) {
		if len(w.messages) == 0 {
			break
		}
		h := hand{within(2 * simSpan), w.rng.IntN(2) == 0, w.messages[w.rng.IntN(len(w.messages))], w.endpoints[w.rng.IntN(len(w.endpoints))]}
		if w.rng.IntN(2) == 0 { // while it is young
			h.at = h.message.at + within(5*time.Second)
		}
		w.hands = append(w.hands, h)
	}
}

// start runs the process, which tells of endpoints that it disables.
func (w *world) start(dir string) *rig {
	r := startWith(w.t, dir, dispatch.Options{Disabled: func(t *dispatch.Target, _ time.Time) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.endpoints {
			e.byHand.disabled = e.byHand.disabled || e.ID == t.ID
		}
	}})
	r.app = w.app
	return r
}

// make makes the application and its endpoints.
func (w *world) make(r *rig) {
	a, err := r.store.CreateApplication(ctx, hook.Application{Org: store.DefaultOrg, Name: "simulated"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.app, r.app = a.ID, a.ID
	for _, e := range w.endpoints {
		e.Org, e.App, e.URL = store.DefaultOrg, a.ID, "http://simulated"
		if e.Endpoint, err = r.store.CreateEndpoint(ctx, e.Endpoint, ""); err != nil {
			w.t.Fatal(err)
		}
	}
}

// handEvents are the events of all that.
func (w *world) handEvents() (events []event) {
	for _, e := range w.endpoints {
		if e.byHand.enabled > 0 {
			events = append(events, event{e.byHand.enabled, func(r *rig) *rig {
				w.mu.Lock()
				e.byHand.disabled = false
				w.mu.Unlock()
				r.endpoints(w.targets()...)
				return r
			}})
		}
		if e.byHand.deleted > 0 {
			events = append(events, event{e.byHand.deleted, func(r *rig) *rig {
				if err := r.store.DeleteEndpoint(ctx, w.app, e.ID); err != nil {
					w.t.Error(err)
				}
				e.byHand.isDeleted = true
				r.endpoints(w.targets()...)
				return r
			}})
		}
	}
	for _, h := range w.hands {
		events = append(events, event{h.at, func(r *rig) *rig { w.handle(r, h); return r }})
	}
	return events
}

// handle does what somebody wants with a delivery, as the API does it.
func (w *world) handle(r *rig, h hand) {
	if h.message.id == 0 || h.to.byHand.isDeleted {
		return
	}
	m, err := r.store.Message(ctx, h.message.id)
	if err != nil {
		w.t.Fatal(err)
	}
	list, err := r.store.Deliveries(ctx, m)
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(d hook.Delivery) bool { return d.Endpoint == h.to.ID })
	if i < 0 {
		return
	}
	x, before := w.handled([2]hook.Key{m.ID, h.to.ID}), handled{}
	w.mu.Lock()
	before, x.canceled = *x, false
	w.mu.Unlock()
	if h.resend {
		err = r.store.Resend(ctx, list[i].ID, time.Now())
	} else {
		err = r.store.Cancel(ctx, w.app, list[i].ID)
	}
	w.mu.Lock()
	switch {
	case hook.CodeOf(err) == hook.CodeConflict && err != nil: // it is being attempted, or over
		x.canceled = before.canceled
	case err != nil:
		w.t.Error(err)
	case h.resend:
		x.resends++
	default:
		x.canceled = true
	}
	w.mu.Unlock()
	if h.resend && err == nil {
		r.dispatch.Due(h.to.ID, time.Now())
	}
}

func (w *world) handled(key [2]hook.Key) *handled {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byHand[key] == nil {
		w.byHand[key] = &handled{}
	}
	return w.byHand[key]
}

// refuses says whether an endpoint answers 410 now, and watches that nothing is attempted that must not be. The
// caller holds the lock.
func (w *world) refuses(e *simEndpoint, key [2]hook.Key) bool {
	x := w.byHand[key]
	if x != nil && x.canceled || e.byHand.isDeleted || e.byHand.disabled {
		w.t.Errorf("%v: message %d is attempted at endpoint %d: canceled %v, deleted %v, disabled %v", w.now(), key[0], e.ID, x != nil && x.canceled, e.byHand.isDeleted, e.byHand.disabled)
	}
	if !e.byHand.saysGone(w.now()) {
		return false
	}
	if x == nil {
		x = &handled{}
		w.byHand[key] = x
	}
	x.gone = true
	return true
}

// wrong says what is wrong with the end of a delivery; empty is nothing.
func (w *world) wrong(m *simMessage, e *simEndpoint, state hook.DeliveryState, times int) string {
	x := w.byHand[[2]hook.Key{m.id, e.ID}]
	if x == nil {
		x = &handled{}
	}
	right := []hook.DeliveryState{hook.Delivered}
	if m.poison[e] {
		right = []hook.DeliveryState{hook.Failed}
	}
	if x.gone {
		right = append(right, hook.Failed)
	}
	if e.byHand.disabled {
		right = append(right, hook.Held)
	}
	if e.byHand.isDeleted {
		right = []hook.DeliveryState{hook.Delivered, hook.Failed, hook.Canceled}
	}
	if x.canceled {
		right = []hook.DeliveryState{hook.Canceled}
	}
	switch most := 1 + len(w.crashes) + x.resends; {
	case !slices.Contains(right, state):
		return "one of these is right: " + sprintStates(right)
	case times > most:
		return "that is too often"
	case state == hook.Delivered && times == 0:
		return "it never did"
	case times > 0 && m.poison[e], times > 0 && state == hook.Failed && x.resends == 0 && len(w.crashes) == 0:
		return "it failed"
	}
	return ""
}

func sprintStates(list []hook.DeliveryState) (text string) {
	for _, s := range list {
		text += " " + s.String()
	}
	return text
}
