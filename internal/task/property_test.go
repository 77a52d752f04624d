package task

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

// thing is a message as the model has it: whether a task is for it, and what is its
// delivery to the endpoint; its key is 0 when there is none.
type thing struct {
	m        hook.Message
	delivery hook.Key
	state    hook.DeliveryState
	expunged bool
	byHand   bool // sent again by hand since the task began
	before   bool // and before the task came to it
}

// trial is a task in a world where everything may happen, and a model of what is right.
type trial struct {
	*world
	rng    *rand.Rand
	e      hook.Endpoint
	things []*thing
	kind   hook.TaskKind
	in     hook.EndpointTask
	id     hook.Key

	runners []*Runner
	stops   []func()
	// nodes is how many work at the task at once: two, when one has lost the lock
	// and does not know it.
	nodes int
	// hands says that deliveries are sent again by hand, too.
	hands bool
	// still is the task as it is to stay: paused or canceled. Nil while it runs.
	still *hook.Task
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// add makes a message, which may go to the endpoint.
func (x *trial) add() *thing {
	th := &thing{}
	th.m.Event.Type = pick(x.rng, "a", "a", "b", "c")
	th.m.Tags = pick(x.rng, nil, []string{"t"})
	th.m.Subjects = pick(x.rng, nil, []hook.Subject{{Kind: "user", ID: "1"}}, []hook.Subject{{Kind: "user", ID: "2"}, {Kind: "user", ID: "1"}})
	to := []hook.Endpoint{x.e}
	if x.rng.IntN(3) == 0 {
		to = nil
	}
	th.state = pick(x.rng, hook.Delivered, hook.Failed, hook.Failed, hook.Canceled, hook.Held, hook.Pending)
	th.m = x.later(th.m, th.state, to...)
	if len(to) > 0 {
		th.delivery = th.m.ID + 1
	}
	if x.rng.IntN(10) == 0 {
		th.expunged = true
		if err := x.ExpungeBody(x.t.Context(), th.m.App, th.m.ID); err != nil {
			x.t.Fatal(err)
		}
		if th.state == hook.Pending || th.state == hook.Held {
			th.state = hook.Canceled
		}
	}
	return th
}

// choose makes a task up.
func (x *trial) choose() {
	x.kind = pick(x.rng, hook.TaskRecover, hook.TaskBulkReplay, hook.TaskBulkReplay, hook.TaskReplayMissing, hook.TaskCancelPending)
	x.in = hook.EndpointTask{App: x.app.ID, Endpoint: x.e.ID, Since: x.things[x.rng.IntN(4)].m.ID.Time(), Until: time.Now().Add(time.Hour), Pace: pick(x.rng, 0, 40, 300, 1000)}
	switch x.kind {
	case hook.TaskRecover:
		x.in.States = []hook.DeliveryState{hook.Failed}
		return
	case hook.TaskReplayMissing:
		return
	case hook.TaskCancelPending:
		x.in.States = []hook.DeliveryState{hook.Pending, hook.Held}
	case hook.TaskBulkReplay:
		x.in.States = pick(x.rng, nil, nil, []hook.DeliveryState{hook.Delivered}, []hook.DeliveryState{hook.Pending, hook.Held})
	}
	switch x.rng.IntN(6) {
	case 0:
		x.in.Types = []string{"a", "c"}
	case 1:
		x.in.Tag = "t"
	case 2:
		x.in.Subject = &hook.Subject{Kind: "user", ID: "1"}
	case 3:
		for _, th := range x.things {
			if x.rng.IntN(2) == 0 {
				x.in.Messages = append(x.in.Messages, th.m.ID)
			}
		}
	}
}

// wanted is the model: whether the task is for a message.
func (x *trial) wanted(th *thing) bool {
	m := &th.m
	switch {
	case m.ID > x.id || m.ID.Time().Before(x.in.Since):
		return false
	case len(x.in.Types) > 0 && m.Type == "b", x.in.Tag != "" && m.Tags == nil, x.in.Subject != nil && m.Subjects == nil:
		return false
	case len(x.in.Messages) > 0 && !slices.Contains(x.in.Messages, m.ID):
		return false
	case x.kind == hook.TaskCancelPending:
		return th.delivery != 0 && (th.state == hook.Pending || th.state == hook.Held)
	case th.expunged:
		return false
	case x.kind == hook.TaskReplayMissing:
		return th.delivery == 0 && m.Type != "b" || th.delivery != 0 && th.state == hook.Held
	}
	return th.delivery != 0 && (len(x.in.States) == 0 || slices.Contains(x.in.States, th.state))
}

func (x *trial) run() {
	x.runners, x.stops = nil, nil
	for range x.nodes {
		r, stop := x.start()
		x.runners, x.stops = append(x.runners, r), append(x.stops, stop)
	}
	x.stops = append(x.stops, x.deliver(3*time.Millisecond, x.e))
}

func (x *trial) halt() {
	for _, stop := range x.stops {
		stop()
	}
}

// flaky has the store fail now and then: before a step is kept, after it was, and
// when it is read. And just then somebody pauses the task, or cancels it.
func (x *trial) flaky(on bool) {
	if !on {
		x.fail(nil)
		return
	}
	rng := rand.New(rand.NewPCG(x.rng.Uint64(), 7)) // of the runner's goroutines
	x.fail(func() error {
		switch n := rng.IntN(160); {
		case n < 40:
			return errors.New("the disk is not there")
		case n < 48:
			x.moved(hook.TaskPaused)
		case n == 48:
			x.moved(hook.TaskCanceled)
		}
		return nil
	})
}

// moved moves the task while w.mu is held.
func (x *trial) moved(to hook.TaskStatus) {
	got, err := x.MoveTask(context.Background(), x.app.Org, x.id, to)
	switch {
	case err != nil && hook.CodeOf(err) != hook.CodeConflict:
		x.t.Error(err)
	case err == nil && to == hook.TaskRunning:
		x.still = nil
	case err == nil:
		x.still = &got
	}
}

func (x *trial) move(to hook.TaskStatus) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.moved(to)
	for _, r := range x.runners {
		r.Wake()
	}
}

// stays checks that a task that was paused or canceled is as it was then, and says
// whether it is one.
func (x *trial) stays() bool {
	x.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.still == nil {
		return false
	}
	got, _ := x.now(x.id)
	got.UpdatedAt = x.still.UpdatedAt
	if diff := cmp.Diff(*x.still, got); diff != "" {
		x.t.Errorf("the task was %s, and moved: %s", x.still.Status, diff)
	}
	return true
}

// happen does one of the things that may happen to a task.
func (x *trial) happen() {
	still := x.stays()
	switch x.rng.IntN(12) {
	case 0, 1:
		x.move(hook.TaskPaused)
	case 2, 3, 4:
		x.move(hook.TaskRunning)
	case 5:
		if x.rng.IntN(6) == 0 {
			x.move(hook.TaskCanceled)
		}
	case 6:
		x.halt()
		x.restart()
		x.run()
	case 7:
		x.flaky(true)
	case 8:
		x.flaky(false)
	case 9:
		x.things = append(x.things, x.add())
	default:
		for range 8 {
			if x.hands {
				x.byHand(x.things[x.rng.IntN(len(x.things))], still)
			}
		}
	}
}

// byHand sends a message again. While the task is still, it is known whether the
// task has come to it.
func (x *trial) byHand(th *thing, still bool) {
	if th.delivery == 0 || th.expunged {
		return
	}
	list, err := x.Deliveries(x.t.Context(), &th.m)
	if err != nil {
		x.t.Fatal(err)
	}
	if err := x.Resend(x.t.Context(), th.delivery, time.Now()); err != nil {
		return
	}
	th.byHand = true
	th.before = th.before || still && list[0].Since.Before(x.id.Time())
}

// end lets the task come to its end.
func (x *trial) end() (t hook.Task, data hook.JobData) {
	x.flaky(false)
	for {
		if t, data = x.now(x.id); t.Status.Over() {
			break
		}
		x.stays()
		x.move(hook.TaskRunning)
		time.Sleep(time.Second)
	}
	x.stays()
	time.Sleep(time.Minute) // for what is on its way
	synctest.Wait()
	x.halt()
	return t, data
}

// check compares what became of each message with the model.
func (x *trial) check(data hook.JobData) {
	changed, exact := 0, true
	for i, th := range x.things {
		list, err := x.Deliveries(x.t.Context(), &th.m)
		if err != nil {
			x.t.Fatal(err)
		}
		times, state := 0, hook.DeliveryState(-1)
		for _, d := range list {
			if d.Endpoint == x.e.ID {
				times += x.attempts[d.ID]
				state = d.State
			}
		}
		if x.kind == hook.TaskCancelPending && times == 0 && state == hook.Canceled && th.state != hook.Canceled {
			times = 1
		}
		least, most := 0, 0
		if x.wanted(th) {
			least, most = 1, 1
		}
		if x.still != nil || th.byHand {
			least = 0
		}
		if th.before {
			most = 0
		}
		if th.byHand {
			exact = false
		}
		if changed += times; times < least || times > most {
			x.t.Errorf("message %d, of type %s, whose delivery was %d and %s: done %d times, at least %d and at most %d is right (by hand: %v, expunged: %v)",
				i, th.m.Type, th.delivery, th.state, times, least, most, th.byHand, th.expunged)
		}
		if !x.wanted(th) && th.delivery != 0 && !th.byHand && state != th.state {
			x.t.Errorf("message %d, which is none of its affair, is %s and was %s", i, state, th.state)
		}
	}
	if said := data.MessagesSent + data.MessagesCanceled; exact && said != int64(changed) {
		x.t.Errorf("%d were changed, and the task says %d", changed, said)
	}
}

// Whatever happens to a task and to the store under it, each delivery that it is for
// is sent once, unless the task is canceled, and no other.
func TestTasksSendEachDeliveryOnceWhateverHappens(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				x := &trial{world: w, rng: rand.New(rand.NewPCG(seed, 7)), e: w.endpoint(w.app, "a", "c")}
				x.hands, x.nodes = x.rng.IntN(3) == 0, pick(x.rng, 1, 1, 2)
				for range 30 + x.rng.IntN(250) {
					x.things = append(x.things, x.add())
				}
				time.Sleep(time.Second)
				x.choose()
				x.id = x.ask(x.kind, x.in).ID
				x.run()
				for range x.rng.IntN(40) {
					time.Sleep(time.Duration(x.rng.IntN(400)) * time.Millisecond)
					x.happen()
				}
				end, data := x.end()
				if end.Status == hook.TaskFailed || (end.Status == hook.TaskCanceled) != (x.still != nil) {
					t.Errorf("the task is %s: %s; canceled: %v", end.Status, end.Data, x.still != nil)
				}
				x.check(data)
				if t.Failed() {
					t.Logf("%s of %+v", x.kind, x.in)
				}
			})
		})
	}
}
