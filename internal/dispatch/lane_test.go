package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// ordered keeps an endpoint with an order in the store, whose rows say how its lanes are.
func (r *rig) ordered(o hook.Order, f attemptFunc) dispatch.Target {
	r.t.Helper()
	o.By = "subject"
	file := []store.FileSource{{Name: "s", Provider: "p", Token: "s", Endpoints: []hook.Endpoint{{Name: "e", URL: "http://x", Order: o}}}}
	if err := r.store.ApplyFile(ctx, file, false); err != nil {
		r.t.Fatal(err)
	}
	rows, err := r.store.Endpoints(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	rows[0].App = app
	t := dispatch.Target{Endpoint: rows[0], Attempt: f}
	r.endpoints(t)
	return t
}

// about accepts a message about a session; its body is its name.
func (r *rig) about(session, name string, change ...func(e *hook.Event)) *hook.Message {
	r.t.Helper()
	in := hook.Incoming{Org: store.DefaultOrg, App: app, ReceivedAt: time.Now(), Body: []byte(name)}
	in.Event = hook.Event{Type: "t", DedupeKey: "id:" + session + name, Subjects: []hook.Subject{{Kind: "session", ID: session}}}
	for _, f := range change {
		f(&in.Event)
	}
	receipt, err := r.pipeline.Accept(ctx, in)
	if err != nil {
		r.t.Fatal(err)
	}
	m, err := r.store.Message(ctx, receipt.Message)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func occurred(second int) func(*hook.Event) {
	return func(e *hook.Event) { e.OccurredAt = time.Unix(1_600_000_000+int64(second), 0) }
}

func state(family string, final bool) func(*hook.Event) {
	return func(e *hook.Event) { e.Family, e.Final = family, final }
}

// line notes what a receiver saw, and when.
type line struct {
	mu   sync.Mutex
	from time.Time
	got  []string
	at   []time.Duration
	open map[string]bool // sessions of which something is being received
	twin atomic.Bool     // two of one session were at once
}

func newLine() *line { return &line{from: time.Now(), open: map[string]bool{}} }

func (l *line) begin(m *hook.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := m.Subjects[0].ID
	if l.open[s] {
		l.twin.Store(true)
	}
	l.open[s] = true
	l.got, l.at = append(l.got, s+string(m.Body)), append(l.at, time.Since(l.from))
}

func (l *line) end(m *hook.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[m.Subjects[0].ID] = false
}

func (l *line) of(session string) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.got {
		if g[:1] == session {
			list = append(list, g)
		}
	}
	return list
}

// Each lane is sent one after another, whatever fails, and lanes do not wait for each other.
func TestALaneKeepsItsOrderAndOthersGoOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		l := newLine()
		var delivered []string
		r.ordered(hook.Order{}, func(_ context.Context, m *hook.Message, d *hook.Delivery) *hook.Attempt {
			l.begin(m)
			defer l.end(m)
			time.Sleep(100 * time.Millisecond)
			if m.Subjects[0].ID == "a" && d.Attempts < 2 {
				return status(500) // the lane of a is slow
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			delivered = append(delivered, m.Subjects[0].ID+string(m.Body))
			return status(200)
		})
		const sessions, each = 4, 5
		for n := range each {
			for s := range sessions {
				r.about(string(rune('a'+s)), fmt.Sprint(n))
			}
		}
		time.Sleep(time.Duration(each) * 100 * time.Millisecond)
		synctest.Wait()
		l.mu.Lock()
		if len(delivered) != (sessions-1)*each {
			t.Errorf("beside the slow lane %d were delivered, %d are right: %v", len(delivered), (sessions-1)*each, delivered)
		}
		l.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if l.twin.Load() {
			t.Error("two of one lane were sent at once")
		}
		for s := range sessions {
			var want []string
			for n := range each {
				tries := 1
				if s == 0 {
					tries = 3
				}
				want = append(want, slices.Repeat([]string{string(rune('a'+s)) + fmt.Sprint(n)}, tries)...)
			}
			if got := l.of(string(rune('a' + s))); !slices.Equal(got, want) {
				t.Errorf("lane %c: %v, %v is right", 'a'+s, got, want)
			}
		}
	})
}

func TestABlockedLaneWaitsUntilItsHeadIsGivenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		l := newLine()
		r.ordered(hook.Order{}, func(_ context.Context, m *hook.Message, _ *hook.Delivery) *hook.Attempt {
			l.begin(m)
			defer l.end(m)
			if string(m.Body) == "0" {
				return status(500)
			}
			return status(200)
		})
		head, next := r.about("a", "0"), r.about("a", "1")
		time.Sleep(168*time.Hour - time.Second)
		synctest.Wait()
		if n := len(l.of("a")); n < 10 || r.delivery(next).State != hook.Waiting {
			t.Errorf("before the window ends: %d attempts, then %v", n, r.delivery(next))
		}
		time.Sleep(time.Second + 2*time.Minute) // the breaker is open after so many failures, and closes with a probe
		synctest.Wait()
		if d := r.delivery(next); r.delivery(head).State != hook.Failed || d.State != hook.Delivered {
			t.Errorf("afterwards: %v and %v", r.delivery(head), d)
		}
	})
}

func TestAPoisonedHeadLetsItsLaneGoOn(t *testing.T) {
	t.Parallel()
	for policy, want := range map[hook.PoisonPolicy]struct {
		state  hook.DeliveryState
		order  []string
		poison hook.Poison
	}{
		hook.PoisonSkip: {hook.Failed, []string{"a0", "a0", "a1"}, hook.Skipped},
		hook.PoisonPark: {hook.Delivered, []string{"a0", "a0", "a1", "a0"}, hook.Parked},
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			r := start(t, dir, nil)
			defer r.end()
			l := newLine()
			r.ordered(hook.Order{OnPoison: policy, PoisonAfter: 2}, func(_ context.Context, m *hook.Message, d *hook.Delivery) *hook.Attempt {
				l.begin(m)
				defer l.end(m)
				if string(m.Body) == "0" && d.Attempts < 2 {
					return status(500)
				}
				return status(200)
			})
			head, next := r.about("a", "0"), r.about("a", "1")
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := l.of("a"); !slices.Equal(got, want.order) {
				t.Errorf("%s: %v, %v is right", policy, got, want.order)
			}
			if d := r.delivery(head); d.State != want.state || d.Poison != want.poison || r.delivery(next).State != hook.Delivered {
				t.Errorf("%s: %+v, then %v", policy, d, r.delivery(next).State)
			}
			if l.at[2] != l.at[1] {
				t.Errorf("%s: the lane went on after %v", policy, l.at[2]-l.at[1])
			}
		})
	}
}

func TestOccurrenceDecidesWithinTheWindow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		l := newLine()
		r.ordered(hook.Order{ByOccurrence: true, Window: 10 * time.Second}, func(_ context.Context, m *hook.Message, _ *hook.Delivery) *hook.Attempt {
			l.begin(m)
			defer l.end(m)
			return status(200)
		})
		r.about("a", "3", occurred(3))
		time.Sleep(4 * time.Second)
		r.about("a", "1", occurred(1))
		time.Sleep(4 * time.Second)
		r.about("a", "2", occurred(2))
		r.about("a", "5", occurred(5))
		time.Sleep(4 * time.Second) // 1, 2 and 3 are sent: their windows have ended
		r.about("a", "4", occurred(4))
		time.Sleep(4 * time.Second)
		r.about("b", "2", occurred(2))
		time.Sleep(20 * time.Second)
		r.about("b", "1", occurred(1)) // long after
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := l.of("a"); !slices.Equal(got, []string{"a1", "a2", "a3", "a4", "a5"}) {
			t.Errorf("sent in the order %v", got)
		}
		if got := l.of("b"); !slices.Equal(got, []string{"b2", "b1"}) {
			t.Errorf("beyond the window: %v", got)
		}
		if l.at[0] < 10*time.Second || l.at[0] > 10*time.Second+time.Millisecond {
			t.Errorf("the first was sent after %v", l.at[0])
		}
	})
}

// Of what could not be sent only the newest state goes out, and a final one in any case.
func TestOnlyTheLatestStateGoesOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		l := newLine()
		var down atomic.Bool
		down.Store(true)
		r.ordered(hook.Order{LatestOnly: true}, func(_ context.Context, m *hook.Message, _ *hook.Delivery) *hook.Attempt {
			l.begin(m)
			defer l.end(m)
			if down.Load() {
				return status(503)
			}
			return status(200)
		})
		review := r.about("a", "review", occurred(1), state("f", false))
		synctest.Wait()
		down.Store(false)
		final := r.about("a", "approved", occurred(2), state("f", true))
		synctest.Wait()
		if d := r.delivery(review); d.State != hook.Canceled || d.Superseded != final.ID {
			t.Errorf("the older state: %+v", d)
		}
		down.Store(true)
		declined := r.about("a", "declined", occurred(3), state("f", true))
		synctest.Wait()
		again, other := r.about("a", "again", occurred(4), state("f", false)), r.about("a", "event", occurred(5), state("g", false))
		down.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := l.of("a"); !slices.Equal(got, []string{"areview", "aapproved", "adeclined", "adeclined", "aagain", "aevent"}) {
			t.Errorf("sent: %v", got)
		}
		for _, m := range []*hook.Message{final, declined, again, other} {
			if d := r.delivery(m); d.State != hook.Delivered {
				t.Errorf("%s: %+v", m.Body, d)
			}
		}
		late := r.about("a", "late", occurred(0), state("f", false))
		synctest.Wait()
		if d := r.delivery(late); d.State != hook.Canceled || d.Superseded != declined.ID {
			t.Errorf("a state that comes late: %+v", d)
		}
	})
}

// A pause holds lanes as they are, and a restart finds their heads.
func TestLanesOutliveAPauseAndARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		l := newLine()
		hang := func(ctx context.Context, _ *hook.Message, _ *hook.Delivery) *hook.Attempt {
			<-ctx.Done()
			return &hook.Attempt{At: time.Now(), Outcome: hook.OutcomeTimeout}
		}
		r.ordered(hook.Order{}, hang)
		var list []*hook.Message
		for n := range 5 {
			list = append(list, r.about("a", fmt.Sprint(n)))
		}
		synctest.Wait()
		r.end()

		r = start(t, dir, nil)
		defer func() { r.end() }()
		fine := r.ordered(hook.Order{}, func(_ context.Context, m *hook.Message, _ *hook.Delivery) *hook.Attempt {
			l.begin(m)
			defer l.end(m)
			if string(m.Body) == "1" && len(l.of("a")) == 2 {
				return status(500) // the pause comes now
			}
			return status(200)
		})
		synctest.Wait()
		paused := fine
		paused.State = hook.Paused
		r.endpoints(paused)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if got := l.of("a"); !slices.Equal(got, []string{"a0", "a1"}) || r.delivery(list[1]).State != hook.Held || r.delivery(list[2]).State != hook.Waiting {
			t.Fatalf("while paused: %v, %v, %v", got, r.delivery(list[1]), r.delivery(list[2]))
		}
		r.endpoints(fine)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := l.of("a"); !slices.Equal(got, []string{"a0", "a1", "a1", "a2", "a3", "a4"}) {
			t.Errorf("afterwards: %v", got)
		}
	})
}

// Who stops in the middle of a lane leaves the rest to the next start.
func TestAStopLeavesTheRestOfALane(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		slow := func(_ context.Context, m *hook.Message, _ *hook.Delivery) *hook.Attempt {
			l.begin(m)
			defer l.end(m)
			time.Sleep(time.Second)
			return status(200)
		}
		r := start(t, dir, nil)
		r.ordered(hook.Order{}, slow)
		for n := range 4 {
			r.about("a", fmt.Sprint(n))
		}
		time.Sleep(1500 * time.Millisecond)
		r.stop()
		<-r.ended
		r.dispatch.Drain(ctx) // what is being sent ends
		if err := r.store.Close(); err != nil {
			t.Fatal(err)
		}
		if got := l.of("a"); !slices.Equal(got, []string{"a0", "a1"}) {
			t.Errorf("before the stop: %v", got)
		}
		r = start(t, dir, nil)
		defer r.end()
		r.ordered(hook.Order{}, slow)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := l.of("a"); !slices.Equal(got, []string{"a0", "a1", "a2", "a3"}) {
			t.Errorf("after the start: %v", got)
		}
	})
}
