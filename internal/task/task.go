// Package task works on tasks: what was asked for in one request and goes on
// after its answer, such as sending a week of messages again. Each task moves in
// bounded steps, and how far it is stands in the store after each of them, so a
// task goes on after a restart where it was.
//
// It makes deliveries due and counts; sending is the dispatcher's affair. What a step
// does to deliveries and how far the task is then are one transaction of the store,
// which refuses both when the task was paused, canceled or moved on by another.
package task

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Store is what tasks read and change.
type Store interface {
	// RunningTasks are those to work on, the oldest first.
	RunningTasks(ctx context.Context) ([]hook.Task, error)
	// StepTask is refused with CodeConflict when the task is no longer as the step
	// takes it to be.
	StepTask(ctx context.Context, step hook.TaskStep) (hook.Task, error)
	Application(ctx context.Context, org, id hook.Key) (hook.Application, error)
	Applications(ctx context.Context, org hook.Key, page hook.Page, f hook.AppFilter) ([]hook.Application, error)
	Endpoint(ctx context.Context, app, id hook.Key) (hook.Endpoint, error)
	EndpointsOf(ctx context.Context, app hook.Key) ([]hook.Endpoint, error)
	MessageInfo(ctx context.Context, app, id hook.Key) (m hook.Message, hasBody bool, err error)
	ListMessagesOf(ctx context.Context, q hook.MessageQuery) (list []hook.Message, next hook.Key, err error)
	ListBySubject(ctx context.Context, org hook.Key, kind, id string, page hook.Page) (list []hook.Message, next hook.Key, err error)
	ListDeliveries(ctx context.Context, q hook.DeliveryQuery) (list []hook.DeliveryRow, next hook.Key, err error)
	Deliveries(ctx context.Context, m *hook.Message) ([]hook.Delivery, error)
	CountMessages(ctx context.Context, app hook.Key, r hook.Range) (int64, error)
	CountDeliveries(ctx context.Context, endpoint hook.Key, r hook.Range) (int64, error)
	EndpointStats(ctx context.Context, endpoint hook.Key, r hook.Range) (hook.DeliveryCount, error)
	// CountDue counts up to limit of the deliveries that stand before one that
	// becomes due now.
	CountDue(ctx context.Context, endpoint hook.Key, now time.Time, limit int) (int, error)
	// InMemory are those of some deliveries that a step leaves alone, for a process is
	// about to attempt them.
	InMemory(ctx context.Context, deliveries []hook.Key) (map[hook.Key]bool, error)
	Attempt(ctx context.Context, k hook.Key) (hook.Attempt, hook.Delivery, error)
	// ExpungeBodies deletes payloads and cancels what is still to be delivered of them.
	ExpungeBodies(ctx context.Context, app hook.Key, keys []hook.Key) (gone map[hook.Key]bool, err error)
	// IDs name applications and messages in results.
	IDs() *hook.IDs
}

// Options of a Runner. All are needed.
type Options struct {
	Store Store
	// Due is told that deliveries of an endpoint became due.
	Due func(endpoint hook.Key, at time.Time)
	// Ended is told of a task that finished or failed, after that was kept. It must
	// not block.
	Ended func(t hook.Task)
	Log   *slog.Logger
}

// Runner works on tasks. Make one with New; it runs once.
type Runner struct {
	Options
	wake chan struct{}
	// pause is how long a task that met trouble waits for its next step.
	pause time.Duration

	mu sync.Mutex
	// busy are the tasks that a worker has now.
	busy map[hook.Key]bool
	// last is the task that got the last turn: turns go round, so that a long
	// task does not keep others from beginning.
	last hook.Key
	// delays are those of tasks that could not make their last step.
	delays map[hook.Key]delay
}

const (
	// workers is how many tasks are worked on at once: few, because requests
	// share the store with them.
	workers = 2
	// turn is how many steps a task makes before another one has its turn.
	turn = 20
	// lookEvery is how often tasks are looked for that nobody told of.
	lookEvery = 30 * time.Second
)

// New makes a Runner.
func New(o Options) *Runner {
	return &Runner{
		Options: o, wake: make(chan struct{}, workers), pause: troublePause, busy: map[hook.Key]bool{}, delays: map[hook.Key]delay{},
	}
}

// Wake says that there is a task to work on that was not there before.
func (r *Runner) Wake() {
	select {
	case r.wake <- struct{}{}:
	default: // as many as there are workers will look already
	}
}

// Run works on tasks, those of before the start first, until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() { r.work(ctx) })
	}
	all.Wait()
	return nil
}

func (r *Runner) work(ctx context.Context) {
	for ctx.Err() == nil {
		t, again, err := r.next(ctx)
		if err != nil {
			r.Log.Warn("tasks not read", "error", err)
			again = r.pause
		}
		if t != nil {
			r.take(ctx, t)
			continue
		}
		r.wait(ctx, again)
	}
}

// wait returns when there is a new task, or after a time; 0 is none that is known.
func (r *Runner) wait(ctx context.Context, again time.Duration) {
	if again == 0 || again > lookEvery {
		again = lookEvery
	}
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-time.After(again):
	}
}

// next takes the task whose turn it is; nil when there is none now. again is how
// long it takes until one that must wait can have its next step; 0 when there is none.
func (r *Runner) next(ctx context.Context) (t *hook.Task, again time.Duration, err error) {
	r.mu.Lock() // over the reading, too: a list from before another worker's turn shows its task as it was
	defer r.mu.Unlock()
	list, err := r.Store.RunningTasks(ctx)
	if ctx.Err() != nil {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read tasks: %w", err)
	}
	now := time.Now()
	for i := range list {
		c := &list[i]
		if wait := max(r.delays[c.ID].until.Sub(now), c.NextAt.Sub(now)); wait > 0 {
			if again == 0 || wait < again {
				again = wait
			}
			continue
		}
		if r.busy[c.ID] || t != nil && (t.ID > r.last || c.ID <= r.last) {
			continue // the first behind the last one, or else the first of all
		}
		t = c
	}
	if t != nil {
		r.busy[t.ID], r.last = true, t.ID
	}
	return t, again, nil
}

// take gives a task its turn.
func (r *Runner) take(ctx context.Context, t *hook.Task) {
	defer func() {
		r.mu.Lock()
		delete(r.busy, t.ID)
		r.mu.Unlock()
	}()
	for range turn {
		err := r.step(ctx, t)
		if ctx.Err() != nil {
			return // the rest is for the next start
		}
		if !r.goesOn(ctx, t, err) {
			return
		}
	}
}
