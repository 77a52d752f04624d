package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// world is a store with random contents, and the same contents as read one by
// one, which is what lists are compared with.
type world struct {
	t   *testing.T
	s   *store.Store
	rng *rand.Rand

	messages   []hook.Message
	deliveries []hook.DeliveryRow
	attempts   []hook.AttemptRow
}

func newWorld(t *testing.T, s *store.Store, seed uint64) *world {
	return &world{t: t, s: s, rng: rand.New(rand.NewPCG(seed, 1))}
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

const needle = "needle"

// add makes a message with random properties and deliveries that came to
// something, and remembers what it made when known says so.
func (w *world) add(known bool) {
	w.t.Helper()
	a := event(w.rng.IntN(3), w.s.Incarnation())
	m := &a.Message
	m.App = app + hook.Key(w.rng.IntN(2))
	m.Type = pick(w.rng, "order.paid", "order.created", "user.created")
	m.Event.ID = pick(w.rng, "", fmt.Sprint("evt-", w.rng.IntN(20)))
	m.Channels = pick(w.rng, nil, nil, []string{"c1"}, []string{"c1", "c2"}, []string{"c10"})
	m.Tags = pick(w.rng, nil, []string{"g1"}, []string{`ü "q"`, "g2"}, []string{"g2"})
	m.Subjects = []hook.Subject{{Kind: "user", ID: pick(w.rng, "1", "2", `"3"`)}}
	m.Body = []byte(pick(w.rng, "", "{}", "a"+needle+"\x00b", "needl"))
	for i := range a.Deliveries {
		if w.rng.IntN(6) == 0 {
			a.Deliveries[i].State, a.Deliveries[i].Holder = hook.Held, 0
		}
	}
	mustAppend(w.t, w.s, a)
	for _, d := range a.Deliveries {
		if d.State == hook.Pending {
			w.attempt(&d)
		}
	}
	if w.rng.IntN(8) == 0 {
		_, err := w.s.Deliver(ctx, hook.Delivery{Org: m.Org, Message: m.ID, Endpoint: endpoint, State: hook.Pending, NextAt: m.ReceivedAt, Since: m.ReceivedAt})
		must(w.t, err)
	}
	if known {
		w.remember(m.ID)
	}
}

// attempt makes none, one or two attempts of a delivery.
func (w *world) attempt(d *hook.Delivery) {
	for n := range w.rng.IntN(3) {
		a := attempt(n+1, pick(w.rng, hook.OutcomeDelivered, hook.OutcomeStatus, hook.OutcomeTimeout))
		a.Status = pick(w.rng, 204, 302)
		if a.Outcome != hook.OutcomeDelivered {
			a.Status = pick(w.rng, 0, 404, 500, 503, 799)
		}
		r := &hook.Record{Delivery: *d, Attempt: a, State: pick(w.rng, hook.Delivered, hook.Failed, hook.Canceled)}
		if w.rng.IntN(2) == 0 { // else it is settled, and there is no second
			r.State, r.NextAt = hook.Pending, time.Now()
		}
		must(w.t, w.s.Record(ctx, []*hook.Record{r}))
		if r.State != hook.Pending {
			return
		}
		d.Holder, d.LastAttempt = 0, a.ID
	}
}

// remember reads a message and all that belongs to it, one by one.
func (w *world) remember(k hook.Key) {
	w.t.Helper()
	m, err := w.s.Message(ctx, k)
	must(w.t, err)
	if m.Body == nil {
		m.Body = []byte{} // lists tell a body that is empty from one that is gone
	}
	w.messages = append(w.messages, *m)
	bare := *m
	bare.Body = nil
	for _, d := range deliveries(w.t, w.s, m) {
		w.deliveries = append(w.deliveries, hook.DeliveryRow{Delivery: d, Of: &bare})
		attempts, err := w.s.Attempts(ctx, &d)
		must(w.t, err)
		for _, a := range attempts {
			w.attempts = append(w.attempts, hook.AttemptRow{Attempt: a, Of: &bare})
		}
	}
}

func (w *world) index() {
	w.t.Helper()
	_, err := w.s.Index(ctx)
	must(w.t, err)
}

// disturb does what may happen between two pages of a list.
func (w *world) disturb() {
	switch w.rng.IntN(8) {
	case 0:
		w.index()
	case 1:
		w.add(false)
	}
}

// choice is a random filter on messages.
type choice struct {
	types        []string
	channel, tag string
	within       hook.Range
}

func (w *world) choose() choice {
	c := choice{
		types:   pick(w.rng, nil, nil, []string{"order.paid"}, []string{"user.created", "order.paid", "user.created"}, []string{"no.such"}),
		channel: pick(w.rng, "", "", "c1", "c2", "no"),
		tag:     pick(w.rng, "", "", "g1", "g2", `ü "q"`, "no"),
	}
	if w.rng.IntN(3) == 0 {
		c.within.Since = w.messages[w.rng.IntN(len(w.messages))].ID.Time()
	}
	if w.rng.IntN(3) == 0 {
		c.within.Until = w.messages[w.rng.IntN(len(w.messages))].ID.Time()
	}
	return c
}

func (c *choice) takes(k hook.Key, m *hook.Message) bool {
	at := k.Time()
	return (len(c.types) == 0 || slices.Contains(c.types, m.Type)) &&
		(c.channel == "" || slices.Contains(m.Channels, c.channel)) &&
		(c.tag == "" || slices.Contains(m.Tags, c.tag)) &&
		!at.Before(c.within.Since) && (c.within.Until.IsZero() || at.Before(c.within.Until))
}

// compareLists pages through a list while the world goes on, and compares what
// was there before with want. Rows that came meanwhile may be listed or not.
func compareLists[T any](w *world, what string, want []T, key func(*T) hook.Key, list func(hook.Page) ([]T, hook.Key, error)) {
	w.t.Helper()
	p := hook.Page{Ascending: w.rng.IntN(2) == 0, Limit: 1 + w.rng.IntN(40)}
	want = slices.Clone(want)
	slices.SortFunc(want, func(a, b T) int {
		if p.Ascending {
			return int(key(&a) - key(&b))
		}
		return int(key(&b) - key(&a))
	})
	wanted := map[hook.Key]bool{}
	for i := range want {
		wanted[key(&want[i])] = true
	}
	last := w.last()
	var got []T
	for {
		rows, next, err := list(p)
		must(w.t, err)
		if len(rows) > p.Limit {
			w.t.Fatalf("%s: %d rows where %d were asked for", what, len(rows), p.Limit)
		}
		for i := range rows {
			if k := key(&rows[i]); wanted[k] || k <= last {
				got = append(got, rows[i])
			}
		}
		if next == 0 {
			break
		}
		p.After = next
		w.disturb()
	}
	if d := cmp.Diff(want, got); d != "" {
		w.t.Fatalf("%s, ascending %v, %d a page: (-want +got):\n%s", what, p.Ascending, p.Limit, d)
	}
}

// last is the highest key that is known; what comes while lists are read is above.
func (w *world) last() (k hook.Key) {
	for i := range w.messages {
		k = max(k, w.messages[i].ID)
	}
	for i := range w.deliveries {
		k = max(k, w.deliveries[i].ID)
	}
	for i := range w.attempts {
		k = max(k, w.attempts[i].ID)
	}
	return k
}
