package pipeline

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// parts are a store and a dispatcher that remember.
type parts struct {
	appended   []*hook.Append
	known      bool
	fail       error
	reserved   map[hook.Key]int
	dispatched []hook.Delivery
	full       bool
}

func (p *parts) Append(_ context.Context, a *hook.Append) error {
	if p.fail != nil {
		return p.fail
	}
	p.appended = append(p.appended, a)
	a.Message.ID, a.Duplicate = hook.Key(len(p.appended)), p.known
	if p.known && !a.Redeliver {
		a.Deliveries = nil
	}
	return nil
}

func (p *parts) Reserve(e hook.Key, size int) hook.Key {
	if p.full {
		return 0
	}
	p.reserved[e] += size
	return 42
}

func (p *parts) Unreserve(e hook.Key, size int) { p.reserved[e] -= size }

func (p *parts) Dispatch(_ *hook.Message, _ int, d []hook.Delivery) {
	p.dispatched = append(p.dispatched, d...)
}

func newPipeline() (*Pipeline, *parts) {
	p := &parts{reserved: map[hook.Key]int{}}
	l := New(p, p, func(*hook.Message) {})
	l.Update(Routes{7: {
		{ID: 1, EventTypes: []string{"a.*"}}, {ID: 2, State: hook.Paused}, {ID: 3, EventTypes: []string{"b.*"}},
	}})
	return l, p
}

func incoming(eventType string) hook.Incoming {
	return hook.Incoming{Org: 1, App: 7, Event: hook.Event{Type: eventType, DedupeKey: "id:1"}, ReceivedAt: time.Unix(1000, 123456789), Body: []byte("12345")}
}

func TestEventGoesToTheEndpointsThatWantIt(t *testing.T) {
	t.Parallel()
	l, p := newPipeline()
	r, err := l.Accept(context.Background(), incoming("a.x"))
	if err != nil || r.Message != 1 || r.Deliveries != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	d := p.dispatched
	if len(d) != 2 || d[0].Endpoint != 1 || d[0].State != hook.Pending || d[0].Holder != 42 || d[1].Endpoint != 2 || d[1].State != hook.Held || d[1].Holder != 0 {
		t.Errorf("dispatched: %+v", d)
	}
	if !d[0].Since.Equal(time.Unix(1000, 123000000)) || p.reserved[1] != 5 || p.reserved[2] != 0 {
		t.Errorf("since %v, reserved %v", d[0].Since, p.reserved)
	}
}

func TestUnmatchedEventIsKept(t *testing.T) {
	t.Parallel()
	l, p := newPipeline()
	l.Update(Routes{})
	if r, err := l.Accept(context.Background(), incoming("c")); err != nil || r.Deliveries != 0 || len(p.appended) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRoomIsGivenBackWhenNothingWasMade(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*parts){
		"a failure": func(p *parts) { p.fail = errors.New("disk full") }, "a duplicate": func(p *parts) { p.known = true },
	} {
		l, p := newPipeline()
		change(p)
		_, err := l.Accept(context.Background(), incoming("a.x"))
		if p.reserved[1] != 0 || len(p.dispatched) != 0 || (err != nil) != (p.fail != nil) {
			t.Errorf("%s: reserved %v, dispatched %v, %v", name, p.reserved, p.dispatched, err)
		}
	}
}

func TestWithoutRoomInMemoryTheDeliveryIsNobodys(t *testing.T) {
	t.Parallel()
	l, p := newPipeline()
	p.full = true
	if _, err := l.Accept(context.Background(), incoming("a.x")); err != nil || p.dispatched[0].Holder != 0 || p.dispatched[0].State != hook.Pending {
		t.Errorf("%+v, %v", p.dispatched, err)
	}
}

func TestHashTellsApplicationsAndKeysApart(t *testing.T) {
	t.Parallel()
	seen := map[hook.Hash]bool{}
	for _, app := range []hook.Key{1, 2} {
		for _, key := range []string{"", "id:1", "id:2", "sha256:x"} {
			seen[hash(app, key)] = true
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d of 8 differ", len(seen))
	}
}

// What has a lane is nobody's until the store says whose turn it is.
func TestOrderedDeliveriesGetTheirPlaceFromTheStore(t *testing.T) {
	t.Parallel()
	l, p := newPipeline()
	ordered := hook.Endpoint{ID: 1, Order: hook.Order{By: "subject:session"}}
	paused := hook.Endpoint{ID: 2, Order: hook.Order{By: "subject"}, State: hook.Paused}
	l.Update(Routes{7: {ordered, paused, {ID: 3}}})
	in := incoming("a.x")
	in.Event.Subjects = []hook.Subject{{Kind: "user", ID: "u"}, {Kind: "session", ID: "s"}}
	accept := func() []hook.Delivery {
		p.dispatched = nil
		if _, err := l.Accept(context.Background(), in); err != nil {
			t.Fatal(err)
		}
		return p.dispatched
	}
	d := accept()
	for i, lane := range []int64{ordered.Order.Lane(in.Event.Subjects), paused.Order.Lane(in.Event.Subjects)} {
		if d[i].Lane != lane || lane == 0 || d[i].State != hook.Waiting || d[i].Holder != 0 || p.reserved[d[i].Endpoint] != 0 {
			t.Errorf("%+v, reserved %v", d[i], p.reserved)
		}
	}
	if d[2].Lane != 0 || d[2].Holder != 42 {
		t.Errorf("of an endpoint without order: %+v", d[2])
	}
	in.DeliverAt = in.ReceivedAt.Add(time.Hour)
	if d = accept(); d[0].Lane != 0 || d[0].State != hook.Pending || d[1].State != hook.Held {
		t.Errorf("at a time of its own: %+v", d)
	}
	in.DeliverAt, in.Event.Subjects = time.Time{}, in.Event.Subjects[:1]
	if d = accept(); d[0].Lane != 0 || d[0].Holder != 42 || d[1].Lane == 0 {
		t.Errorf("without such a subject: %+v", d)
	}
}
