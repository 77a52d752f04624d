package dispatch_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// A week of failures: every attempt where the schedule has it, the last one
// exactly 168 hours after acceptance, and then the end.
func TestWeekOfRetries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var at []time.Time
		r.endpoints(target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			at = append(at, time.Now())
			return status(500)
		}))
		accepted := time.Now()
		m := r.accept()
		time.Sleep(10 * 24 * time.Hour)
		synctest.Wait()

		waits := []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour}
		for len(waits) < len(at)-1 {
			waits = append(waits, 24*time.Hour)
		}
		if !at[0].Equal(accepted) {
			t.Errorf("the first attempt came after %v", at[0].Sub(accepted))
		}
		const grain = time.Millisecond // of times in the store
		for i := 1; i < len(at)-1; i++ {
			if gap := at[i].Sub(at[i-1]); gap < waits[i-1]-grain || gap > waits[i-1]+waits[i-1]/10+grain {
				t.Errorf("attempt %d came after %v; %v and up to a tenth more is right", i+1, gap, waits[i-1])
			}
		}
		if last := at[len(at)-1].Sub(accepted); last != 168*time.Hour {
			t.Errorf("the last attempt came after %v; 168h is right", last)
		}
		if n := len(at); n < 13 || n > 14 {
			t.Errorf("%d attempts in the week; 13 or 14 are right", n)
		}
		d := r.delivery(m)
		if d.State != hook.Failed || d.Attempts != len(at) {
			t.Errorf("after the week: %+v", d)
		}
		log, err := r.store.Attempts(ctx, &d)
		if err != nil || len(log) != len(at) || log[3].Number != 4 || log[3].Status != 500 {
			t.Errorf("attempts kept: %+v, %v", log, err)
		}
	})
}

func TestRetryAfterDelaysWithinTheWindow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		begun := time.Now()
		var at []time.Duration
		r.endpoints(target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			at = append(at, time.Since(begun))
			a := status(503)
			switch len(at) {
			case 1:
				a.NotBefore = time.Now().Add(time.Hour)
			case 2:
				a.NotBefore = time.Now().Add(time.Second) // sooner than the schedule: not obeyed
			case 3:
				a.NotBefore = time.Now().Add(1000 * time.Hour)
			}
			return a
		}))
		r.accept()
		time.Sleep(1100 * time.Hour)
		synctest.Wait()
		if len(at) != 4 || at[1] != time.Hour || at[2]-at[1] < 5*time.Minute || at[3] != 168*time.Hour {
			t.Errorf("attempts after %v", at)
		}
	})
}

func TestGoneDisablesAnApplicationsEndpointButNotASources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		gone := func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt { return status(410) }
		file := []store.FileSource{{Name: "s", Provider: "p", Token: "s", Endpoints: []hook.Endpoint{{Name: "e", URL: "http://x"}}}}
		if err := r.store.ApplyFile(ctx, file, false); err != nil {
			t.Fatal(err)
		}
		rows, err := r.store.Endpoints(ctx)
		if err != nil {
			t.Fatal(err)
		}
		customers := target(rows[0].ID, gone)
		customers.OfSource = false
		r.endpoints(customers)
		first := r.accept()
		synctest.Wait()
		if d := r.delivery(first); d.State != hook.Failed || d.Attempts != 1 {
			t.Errorf("after 410: %+v", d)
		}
		if rows, _ = r.store.Endpoints(ctx); rows[0].State != hook.Disabled || rows[0].Reason == "" {
			t.Errorf("the endpoint after 410: %+v", rows[0])
		}
		if d := r.delivery(r.accept()); d.State == hook.Delivered {
			t.Errorf("a later message: %+v", d)
		}
		r.endpoints(target(2, gone))
		m := r.accept()
		synctest.Wait()
		if d := r.delivery(m); d.State != hook.Pending || d.Attempts != 1 {
			t.Errorf("a source's endpoint after 410: %+v", d)
		}
	})
}

// raise makes most at least n.
func raise(most *atomic.Int64, n int64) {
	for now := most.Load(); n > now && !most.CompareAndSwap(now, n); now = most.Load() {
	}
}

func TestHangingEndpointDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var running, most, delivered atomic.Int64
		hang := target(1, func(ctx context.Context, _ *hook.Message, _ *hook.Delivery) *hook.Attempt {
			raise(&most, running.Add(1))
			defer running.Add(-1)
			select {
			case <-ctx.Done():
			case <-time.After(15 * time.Second):
			}
			return &hook.Attempt{At: time.Now(), Outcome: hook.OutcomeTimeout}
		})
		hang.Concurrency = 4
		begun := time.Now()
		var late atomic.Int64
		fine := target(2, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			if waited := time.Since(begun); waited > 0 {
				late.Store(int64(waited))
			}
			delivered.Add(1)
			return status(200)
		})
		r.endpoints(hang, fine)
		for range 200 {
			_, err := r.pipeline.Accept(ctx, hook.Incoming{Org: store.DefaultOrg, App: app, Event: hook.Event{Type: "t", DedupeKey: rand.Text()}, ReceivedAt: time.Now(), Body: []byte("{}")})
			if err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if delivered.Load() != 200 || late.Load() != 0 {
			t.Errorf("%d of 200 delivered, the last after %v of waiting", delivered.Load(), time.Duration(late.Load()))
		}
		if most.Load() != 4 {
			t.Errorf("%d attempts at once at the hanging endpoint, 4 are allowed", most.Load())
		}
	})
}

// What does not fit into memory stays in the store and is still delivered, each once.
func TestOverflowStaysInTheStoreAndIsDelivered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		const n = 40
		var mu sync.Mutex
		got := map[hook.Key]int{}
		open := make(chan struct{})
		r.endpoints(target(1, func(ctx context.Context, m *hook.Message, _ *hook.Delivery) *hook.Attempt {
			<-open
			mu.Lock()
			defer mu.Unlock()
			got[m.ID]++
			return status(200)
		}))
		body := make([]byte, 1<<20) // 32 of them fill an endpoint's memory
		for range n {
			_, err := r.pipeline.Accept(ctx, hook.Incoming{Org: store.DefaultOrg, App: app, Event: hook.Event{Type: "t", DedupeKey: rand.Text()}, ReceivedAt: time.Now(), Body: body})
			if err != nil {
				t.Fatal(err)
			}
		}
		if r.dispatch.Reserve(1, len(body)) != 0 {
			t.Error("there is room in memory; the test proves nothing")
		}
		close(open)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(got) != n {
			t.Errorf("%d of %d delivered", len(got), n)
		}
		for k, times := range got {
			if times != 1 {
				t.Errorf("message %d was delivered %d times", k, times)
			}
		}
	})
}

func TestRestartDeliversWhatWasInMemory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		r.endpoints(target(1, func(ctx context.Context, _ *hook.Message, _ *hook.Delivery) *hook.Attempt {
			<-ctx.Done()
			return &hook.Attempt{At: time.Now(), Outcome: hook.OutcomeTimeout}
		}))
		m := r.accept()
		synctest.Wait()
		r.end()

		r = start(t, dir, nil)
		defer r.end()
		var after time.Duration
		begun := time.Now()
		r.endpoints(target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			after = time.Since(begun)
			return status(204)
		}))
		time.Sleep(time.Second)
		synctest.Wait()
		if d := r.delivery(m); d.State != hook.Delivered || d.Attempts != 1 || after != 0 {
			t.Errorf("after the restart: %+v, delivered after %v", d, after)
		}
	})
}

func TestPausedEndpointsDeliveriesAreHeldAndDrain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var times []time.Time
		e := target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			times = append(times, time.Now())
			return status(500)
		})
		r.endpoints(e)
		before := r.accept() // fails, and waits for its next try
		synctest.Wait()
		paused := e
		paused.State = hook.Paused
		r.endpoints(paused)
		during := r.accept()
		time.Sleep(30 * 24 * time.Hour)
		synctest.Wait()
		if len(times) != 1 || r.delivery(before).State != hook.Held || r.delivery(during).State != hook.Held {
			t.Fatalf("while paused: %d attempts, %v and %v", len(times), r.delivery(before).State, r.delivery(during).State)
		}
		e.Attempt = func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			times = append(times, time.Now())
			return status(200)
		}
		r.endpoints(e)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(times) != 3 || times[2].Sub(times[1]) != 10*time.Millisecond || r.delivery(before).State != hook.Delivered || r.delivery(during).State != hook.Delivered {
			t.Errorf("after: attempts at %v, %v and %v", times, r.delivery(before).State, r.delivery(during).State)
		}
	})
}

// flaky refuses to record for a while, as a full disk would.
type flaky struct {
	dispatch.Store
	failures atomic.Int64
}

func (f *flaky) Record(ctx context.Context, r []*hook.Record) error {
	if f.failures.Add(-1) >= 0 {
		return errors.New("disk full")
	}
	return f.Store.Record(ctx, r)
}

func TestRecordIsRetriedUntilTheDiskHasRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{}
		f.failures.Store(3)
		r := start(t, dir, func(s dispatch.Store) dispatch.Store { f.Store = s; return f })
		defer r.end()
		attempts := 0
		r.endpoints(target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt { attempts++; return status(200) }))
		m := r.accept()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if d := r.delivery(m); d.State != hook.Delivered || attempts != 1 {
			t.Errorf("%d attempts, then %+v", attempts, d)
		}
	})
}

// An endpoint that asked for fewer requests gets its places back with its
// successes, also while it has a backlog.
func TestASlowedEndpointRecoversItsPlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var running, most, calls atomic.Int64
		e := target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			n := calls.Add(1)
			if now := running.Add(1); n > 20 {
				raise(&most, now)
			}
			defer running.Add(-1)
			time.Sleep(50 * time.Millisecond)
			if n <= 20 {
				return status(503)
			}
			return status(200)
		})
		e.Concurrency = 8
		r.endpoints(e)
		for range 300 {
			_, err := r.pipeline.Accept(ctx, hook.Incoming{Org: store.DefaultOrg, App: app, Event: hook.Event{Type: "t", DedupeKey: rand.Text()}, ReceivedAt: time.Now(), Body: []byte("{}")})
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour) // its breaker opens for up to a minute at a time
		synctest.Wait()
		if most.Load() != 8 || calls.Load() != 320 {
			t.Errorf("%d at once after it recovered, 8 are right; %d calls, 320 are right", most.Load(), calls.Load())
		}
	})
}

// What goes out again for a duplicate is what was kept, not what came again.
func TestAForwardedDuplicateCarriesTheFirstBody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var bodies []string
		r.endpoints(target(1, func(_ context.Context, m *hook.Message, _ *hook.Delivery) *hook.Attempt {
			bodies = append(bodies, string(m.Body))
			return status(200)
		}))
		for _, body := range []string{"first", "second"} {
			_, err := r.pipeline.Accept(ctx, hook.Incoming{Org: store.DefaultOrg, App: app, Event: hook.Event{Type: "t", DedupeKey: "id:1"}, ReceivedAt: time.Now(), Body: []byte(body), Redeliver: true})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if len(bodies) != 2 || bodies[0] != "first" || bodies[1] != "first" {
			t.Errorf("sent %q", bodies)
		}
	})
}
