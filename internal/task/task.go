// Package task works on tasks: what was asked for in one request and goes on
// after its answer, such as sending a week of messages again. Each task moves in
// bounded steps, and how far it is stands in the store after each of them, so a
// task goes on after a restart where it was.
//
// It makes deliveries due and counts; sending is the dispatcher's affair.
package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Store is what tasks read and change.
type Store interface {
	// RunningTasks are those that are not done, the oldest first.
	RunningTasks(ctx context.Context) ([]hook.Task, error)
	StepTask(ctx context.Context, t hook.Task) error
	Application(ctx context.Context, org, id hook.Key) (hook.Application, error)
	Applications(ctx context.Context, org hook.Key, page hook.Page, f hook.AppFilter) ([]hook.Application, error)
	Endpoint(ctx context.Context, app, id hook.Key) (hook.Endpoint, error)
	EndpointsOf(ctx context.Context, app hook.Key) ([]hook.Endpoint, error)
	MessageInfo(ctx context.Context, app, id hook.Key) (m hook.Message, hasBody bool, err error)
	ListMessagesOf(ctx context.Context, q hook.MessageQuery) (list []hook.Message, next hook.Key, err error)
	ListDeliveries(ctx context.Context, q hook.DeliveryQuery) (list []hook.DeliveryRow, next hook.Key, err error)
	Deliveries(ctx context.Context, m *hook.Message) ([]hook.Delivery, error)
	CountDeliveries(ctx context.Context, endpoint hook.Key, r hook.Range) (int64, error)
	Attempt(ctx context.Context, k hook.Key) (hook.Attempt, hook.Delivery, error)
	// Resend is refused with CodeConflict while an attempt may be under way.
	Resend(ctx context.Context, delivery hook.Key, now time.Time) error
	Deliver(ctx context.Context, d hook.Delivery) (hook.Key, error)
	// ExpungeBodies deletes payloads and cancels what is still to be delivered of them.
	ExpungeBodies(ctx context.Context, app hook.Key, keys []hook.Key) (gone map[hook.Key]bool, err error)
	// IDs name applications in results.
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
	// trouble is what tasks met that could not make their last step.
	trouble map[hook.Key]trouble
}

type trouble struct {
	times int
	until time.Time // no step before
}

const (
	// workers is how many tasks are worked on at once: few, because requests
	// share the store with them.
	workers = 2
	// turn is how many steps a task makes before another one has its turn.
	turn = 20
	// mostTrouble is how often in a row a step is tried.
	mostTrouble  = 10
	troublePause = 10 * time.Second
)

// New makes a Runner.
func New(o Options) *Runner {
	return &Runner{
		Options: o, wake: make(chan struct{}, workers), pause: troublePause, busy: map[hook.Key]bool{}, trouble: map[hook.Key]trouble{},
	}
}

// Wake says that there is a new task.
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

// wait returns when there is a new task, or after a time; 0 is no time.
func (r *Runner) wait(ctx context.Context, again time.Duration) {
	var timer <-chan time.Time
	if again > 0 {
		timer = time.After(again)
	}
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-timer:
	}
}

// next takes the task whose turn it is; nil when there is none now. again is when
// one that met trouble can have its next step; 0 when there is none.
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
		if wait := r.trouble[c.ID].until.Sub(now); wait > 0 {
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
		if err != nil {
			err = r.troubled(ctx, t, err)
		} else {
			r.settle(t.ID)
		}
		if err != nil || t.Status != hook.TaskRunning {
			r.tell(t, err)
			return
		}
	}
}

// step makes one step and keeps how far the task is.
func (r *Runner) step(ctx context.Context, t *hook.Task) error {
	next := *t
	done, err := r.kind(ctx, &next)
	if err != nil {
		return err
	}
	if done {
		next.Status = hook.TaskFinished
	}
	if err := r.Store.StepTask(ctx, next); err != nil {
		return fmt.Errorf("keep task: %w", err)
	}
	*t = next
	return nil
}

// kind makes one step of a task of its kind.
func (r *Runner) kind(ctx context.Context, t *hook.Task) (done bool, err error) {
	switch t.Kind {
	case hook.TaskRecover, hook.TaskBulkReplay:
		return r.resend(ctx, t)
	case hook.TaskReplayMissing:
		return r.replayMissing(ctx, t)
	case hook.TaskAppStats:
		return r.appStats(ctx, t)
	case hook.TaskAggregateEventTypes:
		return r.aggregate(ctx, t)
	case hook.TaskPurgeContent:
		return r.purge(ctx, t)
	}
	return false, hook.Errorf(hook.CodeInvalid, "this version does not know tasks of the kind %q; ask again for what was wanted", t.Kind)
}

// troubled decides what becomes of a task that could not make its step: it is
// tried again, or it has failed for good.
func (r *Runner) troubled(ctx context.Context, t *hook.Task, cause error) error {
	message := "something went wrong here; ask again for what was wanted"
	e, known := errors.AsType[*hook.Error](cause)
	switch {
	case known && (e.Code == hook.CodeNotFound || e.Code == hook.CodeInvalid):
		message = e.Message
	case r.tryAgain(t.ID):
		return cause
	}
	t.Status = hook.TaskFailed
	t.Data, _ = json.Marshal(hook.TaskError{Error: message}) // text has no error
	if err := r.Store.StepTask(ctx, *t); err != nil && hook.CodeOf(err) != hook.CodeNotFound {
		t.Status = hook.TaskRunning
		r.tryAgain(t.ID)
		return errors.Join(cause, fmt.Errorf("keep task: %w", err))
	}
	r.settle(t.ID)
	return cause
}

// tryAgain notes that a step was not made, and says whether it is worth another try.
func (r *Runner) tryAgain(id hook.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	times := r.trouble[id].times + 1
	r.trouble[id] = trouble{times, time.Now().Add(r.pause)}
	return times < mostTrouble
}

func (r *Runner) settle(id hook.Key) {
	r.mu.Lock()
	delete(r.trouble, id)
	r.mu.Unlock()
}

// tell logs what became of a task, and tells when it has ended.
func (r *Runner) tell(t *hook.Task, err error) {
	if t.Status != hook.TaskRunning {
		r.Ended(*t)
	}
	log := r.Log.With("task", r.Store.IDs().Public(hook.KindTask, t.ID), "kind", string(t.Kind))
	switch {
	case t.Status == hook.TaskFailed:
		log.Warn("task failed", "error", err)
	case err != nil:
		log.Warn("task is tried again", "error", err)
	default:
		log.Info("task finished")
	}
}
