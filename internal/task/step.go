package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	// mostTrouble is how often in a row a step is tried.
	mostTrouble  = 10
	troublePause = 10 * time.Second
	// A task whose endpoint has enough to do looks again after a moment, which
	// doubles until it finds room.
	shortestRest = 50 * time.Millisecond
	longestRest  = time.Second
)

// delay is why a task has no step for a while.
type delay struct {
	times int           // that a step met trouble, in a row
	rest  time.Duration // the last time that there was no room
	until time.Time     // no step before
}

var (
	// errMoved: the task was paused, canceled, or is further than was thought.
	errMoved = errors.New("the task is not where it was")
	// errNoRoom: the endpoint has enough to do.
	errNoRoom = errors.New("the endpoint has enough to do")
)

// planned is the next step of a task.
type planned struct {
	hook.TaskStep
	// endpoint has deliveries that are due from this time on, when the step is made;
	// the zero time is never.
	endpoint hook.Key
	due      time.Time
}

// step makes one step and keeps how far the task is, both or neither.
func (r *Runner) step(ctx context.Context, t *hook.Task) error {
	step, err := r.plan(ctx, t)
	if err != nil {
		return err
	}
	kept, err := r.Store.StepTask(ctx, step.TaskStep)
	switch {
	case err != nil && hook.CodeOf(err) == hook.CodeConflict:
		return errMoved
	case err != nil:
		return fmt.Errorf("keep task: %w", err)
	}
	*t = kept
	if !step.due.IsZero() {
		r.Due(step.endpoint, step.due)
	}
	return nil
}

// plan is the next step of a task of its kind.
func (r *Runner) plan(ctx context.Context, t *hook.Task) (planned, error) {
	switch t.Kind {
	case hook.TaskRecover, hook.TaskBulkReplay, hook.TaskReplayMissing, hook.TaskCancelPending:
		return r.planJob(ctx, t)
	case hook.TaskAppStats:
		return gathered(ctx, t, r.appStats)
	case hook.TaskAggregateEventTypes:
		return gathered(ctx, t, r.aggregate)
	case hook.TaskPurgeContent:
		return gathered(ctx, t, r.purge)
	}
	return planned{}, hook.Errorf(hook.CodeInvalid, "this version does not know tasks of the kind %q; ask again for what was wanted", t.Kind)
}

// gathered is the step of a task that changes no deliveries: f moves a copy of it.
func gathered(ctx context.Context, t *hook.Task, f func(context.Context, *hook.Task) (done bool, err error)) (planned, error) {
	next := *t
	done, err := f(ctx, &next)
	if done {
		next.Status = hook.TaskFinished
	}
	return planned{TaskStep: hook.TaskStep{From: *t, Keep: func(int) hook.Task { return next }}}, err
}

// goesOn says whether a task has another step in its turn, after one with this error.
func (r *Runner) goesOn(ctx context.Context, t *hook.Task, err error) bool {
	switch {
	case err == nil:
		r.settle(t.ID)
		if t.Status == hook.TaskRunning {
			return !t.NextAt.After(time.Now())
		}
	case errors.Is(err, errMoved):
		r.settle(t.ID)
		return false // the next turn reads it anew
	case errors.Is(err, errNoRoom):
		r.rest(t.ID)
		return false
	default:
		if err = r.troubled(ctx, t, err); err == nil {
			return false
		}
	}
	r.tell(t, err)
	return false
}

// troubled decides what becomes of a task that could not make its step: it is
// tried again, or it has failed for good. The error is nil when that is not for this
// task to say any more.
func (r *Runner) troubled(ctx context.Context, t *hook.Task, cause error) error {
	message := "something went wrong here; ask again for what was wanted"
	e, known := errors.AsType[*hook.Error](cause)
	switch {
	case known && (e.Code == hook.CodeNotFound || e.Code == hook.CodeInvalid):
		message = e.Message
	case r.tryAgain(t.ID):
		return cause
	}
	failed := *t
	failed.Status, failed.Data = hook.TaskFailed, withError(t.Data, message)
	_, err := r.Store.StepTask(ctx, hook.TaskStep{From: *t, Keep: func(int) hook.Task { return failed }})
	switch code := hook.CodeOf(err); {
	case err == nil || code == hook.CodeNotFound:
		r.settle(t.ID)
		t.Status = hook.TaskFailed
		return cause
	case code == hook.CodeConflict:
		r.settle(t.ID)
		return nil
	}
	r.tryAgain(t.ID)
	return errors.Join(cause, fmt.Errorf("keep task: %w", err))
}

// withError is the result so far of a task that failed: how far it came stays known.
func withError(data json.RawMessage, message string) json.RawMessage {
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(data, &fields) != nil {
		clear(fields)
	}
	fields["error"], _ = json.Marshal(message) // text has no error
	out, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	return out
}

// tryAgain notes that a step was not made, and says whether it is worth another try.
func (r *Runner) tryAgain(id hook.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	times := r.delays[id].times + 1
	r.delays[id] = delay{times: times, until: time.Now().Add(r.pause)}
	return times < mostTrouble
}

// rest has a task wait for room.
func (r *Runner) rest(id hook.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := min(longestRest, max(shortestRest, 2*r.delays[id].rest))
	r.delays[id] = delay{rest: rest, until: time.Now().Add(rest)}
}

func (r *Runner) settle(id hook.Key) {
	r.mu.Lock()
	delete(r.delays, id)
	r.mu.Unlock()
}

// tell logs what became of a task.
func (r *Runner) tell(t *hook.Task, err error) {
	if t.Status == hook.TaskFinished || t.Status == hook.TaskFailed {
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
