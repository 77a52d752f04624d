package dispatch_test

import (
	"context"
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

// times notes when something happened.
type times struct {
	mu sync.Mutex
	at []time.Time
}

func (x *times) note() {
	x.mu.Lock()
	x.at = append(x.at, time.Now())
	x.mu.Unlock()
}

func (x *times) since(from time.Time) (list []time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, at := range x.at {
		list = append(list, at.Sub(from))
	}
	slices.Sort(list)
	return list
}

func (x *times) len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.at)
}

// An endpoint that takes nothing is asked once in a while, and what waits for it
// loses none of its retries; when it is back, all of it arrives.
func TestAnOpenBreakerCostsNoRetry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var down atomic.Bool
		down.Store(true)
		var calls times
		r.endpoints(target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			calls.note()
			if down.Load() {
				return status(500)
			}
			return status(200)
		}))
		var list []*hook.Message
		for range 100 {
			list = append(list, r.accept())
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		// Eight at first, then one each time when its breaker is half open.
		if n := calls.len(); n < 15 || n > 30 {
			t.Errorf("%d attempts in ten minutes at an endpoint that takes nothing", n)
		}
		untouched := 0
		for _, m := range list {
			if r.delivery(m).Attempts == 0 {
				untouched++
			}
		}
		if untouched < 70 {
			t.Errorf("%d of 100 deliveries were not attempted; the others lost a retry", untouched)
		}
		down.Store(false)
		time.Sleep(time.Hour)
		synctest.Wait()
		for i, m := range list {
			if d := r.delivery(m); d.State != hook.Delivered {
				t.Errorf("delivery %d: %+v", i, d)
			}
		}
	})
}

// What a node knows of an endpoint outlives it.
func TestTheBreakerSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var calls times
		e := target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			calls.note()
			return status(500)
		})
		r := start(t, dir, nil)
		r.endpoints(e)
		for range 20 {
			r.accept()
		}
		time.Sleep(3 * time.Minute) // it is open for a minute by now
		synctest.Wait()
		r.end()
		before := calls.len()
		r = start(t, dir, nil)
		defer r.end()
		r.endpoints(e)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := calls.len() - before; n > 1 {
			t.Errorf("%d attempts in the ten seconds after the restart; its breaker was open", n)
		}
	})
}

// Who pauses an endpoint has all of it held at once, also what is in memory and waits for
// its breaker or its rate: only then can it be canceled.
func TestWhatABreakerOrARateHoldsBackIsHeldWhenTheEndpointIsPaused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer   int
		throttle int
	}{"breaker": {503, 0}, "rate": {200, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				r := start(t, dir, nil)
				defer r.end()
				e := target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
					a := status(c.answer)
					a.NotBefore = time.Now().Add(4 * time.Minute)
					return a
				})
				e.Throttle = c.throttle
				r.endpoints(e)
				list := []*hook.Message{r.accept()}
				time.Sleep(2 * time.Second)
				for range 8 {
					list = append(list, r.accept())
				}
				time.Sleep(10 * time.Millisecond)
				e.State = hook.Paused
				if err := r.dispatch.UpdateApp(ctx, app, []dispatch.Target{e}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				for i, m := range list[2:] {
					if d := r.delivery(m); d.State != hook.Held || d.Holder != 0 || d.Attempts != 0 {
						t.Errorf("a second after the pause delivery %d is %v, attempted %d times, in memory: %v", i+2, d.State, d.Attempts, d.Holder != 0)
					}
				}
			})
		})
	}
}

// Others are told once that a breaker opened, and once that it closed.
func TestOthersAreToldWhenABreakerSwitches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []int // trips in the store at that time
		var r *rig
		r = startWith(t, t.TempDir(), dispatch.Options{Switched: func(id hook.Key) {
			h, err := r.store.Health(ctx, id)
			if err != nil {
				t.Error(err)
			}
			told = append(told, h.Trips)
		}})
		defer r.end()
		answer := status(500)
		r.endpoints(target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			a := *answer
			a.At = time.Now()
			return &a
		}))
		for range 8 {
			r.accept()
		}
		time.Sleep(3 * time.Second)
		answer = status(200)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(told, []int{1, 0}) {
			t.Errorf("others were told of %v trips, once 1 and once 0 is right", told)
		}
	})
}

// What another node found out holds here as soon as it is told.
func TestTheBreakerOfAnotherNodeIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls times
		r := startWith(t, t.TempDir(), dispatch.Options{Sweep: time.Hour})
		defer r.end()
		r.endpoints(target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			calls.note()
			return status(200)
		}))
		now := time.Now()
		theirs := hook.HealthChange{Endpoint: 1, Org: store.DefaultOrg, Failures: 5, FirstFailed: now, LastFailed: now, Trips: 1, OpenUntil: now.Add(time.Minute)}
		follow := func() {
			if err := r.store.SaveHealth(ctx, []hook.HealthChange{theirs}); err != nil {
				t.Fatal(err)
			}
			if err := r.dispatch.FollowHealth(ctx, 1); err != nil {
				t.Fatal(err)
			}
		}
		follow()
		for range 3 {
			r.accept()
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := calls.len(); n != 0 {
			t.Errorf("%d attempts, although the breaker is open on another node", n)
		}
		theirs = hook.HealthChange{Endpoint: 1, Org: store.DefaultOrg, SucceededAt: time.Now()}
		follow()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := calls.len(); n != 3 {
			t.Errorf("%d attempts within a second after another node closed it, 3 are right", n)
		}
	})
}

// An enforced rate spreads a burst evenly, and no retry is lost to it.
func TestThrottleRateIsEnforced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var calls times
		e := target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			calls.note()
			return status(200)
		})
		e.Throttle = 10
		r.endpoints(e)
		time.Sleep(time.Second)
		from := time.Now()
		var list []*hook.Message
		for range 100 {
			list = append(list, r.accept())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		at := calls.since(from)
		if len(at) != 100 {
			t.Fatalf("%d attempts, 100 are right", len(at))
		}
		for i := range at {
			if j := i + 11; j < len(at) && at[j]-at[i] < time.Second {
				t.Fatalf("attempts %d to %d came within %v", i, j, at[j]-at[i])
			}
		}
		if last := at[99]; last < 9*time.Second || last > 11*time.Second {
			t.Errorf("the last of a hundred came after %v, ten seconds are right", last)
		}
		if d := r.delivery(list[99]); d.State != hook.Delivered || d.Failures != 0 {
			t.Errorf("the last: %+v", d)
		}
	})
}

// The throttle of an application is shared by its endpoints.
func TestTheThrottleOfAnApplicationIsShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var calls times
		call := func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			calls.note()
			return status(200)
		}
		a, b := target(1, call), target(2, call)
		a.AppThrottle, b.AppThrottle = 10, 10
		r.endpoints(a, b)
		from := time.Now()
		for range 50 {
			r.acceptType("t")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if at := calls.since(from); len(at) != 100 || at[99] < 9*time.Second || at[99] > 11*time.Second {
			t.Errorf("%d attempts, the last after %v; a hundred in ten seconds are right", len(at), at[len(at)-1])
		}
	})
}

// The first success after an outage brings what waits forward, at a gentle pace.
func TestRecoveryBringsRetriesForward(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var down atomic.Bool
		r.endpoints(target(1, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			if down.Load() {
				return status(500)
			}
			return status(200)
		}))
		r.accept()
		time.Sleep(time.Second)
		down.Store(true)
		var list []*hook.Message
		for range 20 {
			list = append(list, r.accept())
			time.Sleep(time.Minute) // so that each is attempted, not held back
		}
		time.Sleep(4 * time.Hour) // their next attempts are hours away
		down.Store(false)
		back := time.Now()
		r.accept()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for i, m := range list {
			d := r.delivery(m)
			if d.State != hook.Delivered {
				t.Errorf("delivery %d, two minutes after the endpoint is back: %+v, due %v later", i, d.State, d.NextAt.Sub(back))
			}
		}
	})
}

// One message that an endpoint never takes is not tried faster because others succeed.
func TestAPoisonedMessageKeepsItsSchedule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		var calls times
		r.endpoints(target(1, func(_ context.Context, m *hook.Message, _ *hook.Delivery) *hook.Attempt {
			if m.Type == "poison" {
				calls.note()
				return status(500)
			}
			return status(200)
		}))
		r.accept()
		m, err := r.store.Message(ctx, r.acceptType("poison"))
		if err != nil {
			t.Fatal(err)
		}
		for range 24 * 60 { // a day in which another message comes each minute
			time.Sleep(time.Minute)
			r.accept()
		}
		synctest.Wait()
		if n := calls.len(); n > 9 {
			t.Errorf("%d attempts in a day, the schedule has 7, and one may come early", n)
		}
		if d := r.delivery(m); d.State != hook.Pending {
			t.Errorf("it is %v", d.State)
		}
	})
}

// An endpoint that hangs delays nobody: 999 others get their messages at once.
func TestOneHangingEndpointHarmsNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, dir, nil)
		defer r.end()
		const others = 199
		var late atomic.Int64
		var sent sync.Map
		targets := []dispatch.Target{target(1, func(ctx context.Context, _ *hook.Message, _ *hook.Delivery) *hook.Attempt {
			select {
			case <-ctx.Done():
			case <-time.After(15 * time.Second):
			}
			return &hook.Attempt{At: time.Now(), Outcome: hook.OutcomeTimeout}
		})}
		var got atomic.Int64
		for i := range others {
			targets = append(targets, target(hook.Key(i+2), func(_ context.Context, m *hook.Message, _ *hook.Delivery) *hook.Attempt {
				if at, ok := sent.Load(m.ID); ok && time.Since(at.(time.Time)) > 5*time.Millisecond {
					late.Add(1)
				}
				got.Add(1)
				return status(200)
			}))
		}
		r.endpoints(targets...)
		for range 30 {
			id := r.acceptType("t")
			sent.Store(id, time.Now())
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if got.Load() != 30*others || late.Load() != 0 {
			t.Errorf("%d of %d arrived, %d of them late", got.Load(), 30*others, late.Load())
		}
	})
}

// Who fails for five days is warned about three times and then disabled, and the
// endpoints of sources never are.
func TestEndpointsThatKeepFailingAreWarnedAboutAndDisabled(t *testing.T) {
	t.Parallel()
	for name, ofSource := range map[string]bool{"an application's": false, "a source's": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				var warned []int
				var disabledAfter time.Duration
				begun := time.Now()
				r := startWith(t, dir, dispatch.Options{
					Warned:   func(_ *dispatch.Target, _ hook.Health, percent int, _ time.Time) { warned = append(warned, percent) },
					Disabled: func(*dispatch.Target, time.Time) { disabledAfter = time.Since(begun) },
				})
				defer r.end()
				e := target(0, func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt { return status(500) })
				e.OfSource = ofSource
				a, err := r.store.CreateApplication(ctx, hook.Application{Org: store.DefaultOrg, Name: "a"})
				if err != nil {
					t.Fatal(err)
				}
				made, err := r.store.CreateEndpoint(ctx, hook.Endpoint{Org: store.DefaultOrg, App: a.ID, URL: "https://a.example/", OfSource: ofSource}, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
				if err != nil {
					t.Fatal(err)
				}
				e.ID = made.ID
				r.endpoints(e)
				r.accept()
				r.accept()
				for range 6 * 24 * 60 {
					time.Sleep(time.Minute)
					if err := r.dispatch.Judge(ctx); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if !slices.Equal(warned, []int{50, 75, 90}) {
					t.Errorf("warned at %v", warned)
				}
				if five := 5 * 24 * time.Hour; ofSource != (disabledAfter == 0) || !ofSource && (disabledAfter < five || disabledAfter > five+2*time.Minute) {
					t.Errorf("disabled after %v", disabledAfter)
				}
			})
		})
	}
}
