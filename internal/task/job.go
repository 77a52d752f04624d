package task

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	// batch is how many deliveries or messages one step looks at.
	batch = 100
	// stepTime is how much of its pace a step makes due ahead: all that still goes
	// out after a task was paused or canceled.
	stepTime = 250 * time.Millisecond
	// together is the time within which deliveries of a fast pace are due at once: at the
	// fastest, 25 are, which is fewer than an endpoint takes side by side.
	together = 25 * time.Millisecond
	// passPause is how long a task waits before it comes back to deliveries that it
	// could not cancel because an attempt may be under way.
	passPause = 5 * time.Second
	// examples is how many messages a dry run names.
	examples = 5
)

// job is the next step of a task about the deliveries of an endpoint, while it is planned.
type job struct {
	*Runner
	task hook.Task
	in   hook.EndpointTask
	data hook.JobData
	to   hook.Endpoint
	now  time.Time

	step   hook.TaskStep
	looked int
	would  []hook.Key        // messages, of a dry run
	busy   map[hook.Key]bool // deliveries that a step would leave alone, of a dry run
}

// planJob looks at the next deliveries of a task and says what becomes of them.
func (r *Runner) planJob(ctx context.Context, t *hook.Task) (planned, error) {
	j := job{Runner: r, task: *t, now: time.Now()}
	var err error
	if j.in, j.data, err = load[hook.EndpointTask, hook.JobData](t); err != nil {
		return planned{}, err
	}
	if j.to, err = r.Store.Endpoint(ctx, j.in.App, j.in.Endpoint); err != nil {
		return planned{}, err
	}
	most, err := j.room(ctx)
	if err != nil {
		return planned{}, err
	}
	if err := j.count(ctx); err != nil {
		return planned{}, err
	}
	lot, err := j.look(ctx)
	if err != nil {
		return planned{}, err
	}
	if err := j.findBusy(ctx, &lot); err != nil {
		return planned{}, err
	}
	next, err := j.choose(ctx, &lot, most)
	if err != nil {
		return planned{}, err
	}
	return j.planned(next), nil
}

func (j *job) cancels() bool { return j.task.Kind == hook.TaskCancelPending }

// paced says whether the step makes deliveries due that go out.
func (j *job) paced() bool { return !j.cancels() && !j.in.DryRun && j.to.State == hook.Enabled }

func (j *job) pace() int {
	if j.in.Pace > 0 {
		return j.in.Pace
	}
	return hook.DefaultPace
}

// gap is the time between two deliveries.
func (j *job) gap() time.Duration {
	if !j.paced() {
		return 0
	}
	return time.Second / time.Duration(j.pace())
}

// room is how many deliveries the step may change. A task adds nothing while more
// is due at the endpoint than it takes at once, and never more than as much again:
// what comes in meanwhile stands behind few that were replayed, however slow the
// endpoint is.
func (j *job) room(ctx context.Context) (int, error) {
	if !j.paced() {
		return batch, nil
	}
	atOnce := hook.DefaultConcurrency
	if j.to.Concurrency > 0 {
		atOnce = j.to.Concurrency
	}
	due, err := j.Store.CountDue(ctx, j.to.ID, j.now, 2*atOnce)
	if err != nil {
		return 0, err
	}
	if due > atOnce {
		j.Due(j.to.ID, j.now) // nobody was told of a step whose outcome was not known
		return 0, errNoRoom
	}
	ahead := max(1, j.pace()*int(stepTime/time.Millisecond)/1000)
	return min(batch, ahead, 2*atOnce-due), nil
}

// count finds out at the beginning how much there is to look at, where that is a
// matter of counting.
func (j *job) count(ctx context.Context) (err error) {
	if j.task.Cursor != 0 || j.data.Pass > 0 || j.data.Progress.Total != nil {
		return nil
	}
	var n int64
	made := hook.Range{Since: j.in.Since, Until: j.until()}
	switch {
	case len(j.in.Messages) > 0:
		n = int64(len(j.in.Messages))
	case len(j.in.Types) > 0 || j.in.Channel != "" || j.in.Tag != "" || j.in.Subject != nil:
		return nil // the lists leave out what does not fit
	case j.task.Kind == hook.TaskReplayMissing:
		n, err = j.Store.CountMessages(ctx, j.in.App, made)
	case len(j.in.States) == 0:
		n, err = j.Store.CountDeliveries(ctx, j.to.ID, made)
	default:
		var of hook.DeliveryCount
		of, err = j.Store.EndpointStats(ctx, j.to.ID, made)
		for _, s := range j.in.States {
			n += of[s]
		}
	}
	j.data.Progress.Total = &n
	return err
}

// until is the end of the time in which what is looked at was made: what came after
// the task is not its affair.
func (j *job) until() time.Time {
	end := began(&j.task).Add(time.Millisecond)
	if j.in.Until.Before(end) {
		return j.in.Until
	}
	return end
}

// findBusy has a dry run count what the store will change, and no more. One that cancels
// comes back for what is in memory.
func (j *job) findBusy(ctx context.Context, l *lot) (err error) {
	if !j.in.DryRun || j.cancels() {
		return nil
	}
	var keys []hook.Key
	for i := range l.items {
		for _, d := range l.items[i].rows {
			keys = append(keys, d.ID)
		}
	}
	j.busy, err = j.Store.InMemory(ctx, keys)
	return err
}

// choose decides about what was looked at, until the step has enough to do, and
// gives the key after which the task goes on; 0 at its end.
func (j *job) choose(ctx context.Context, l *lot, most int) (next hook.Key, err error) {
	for i := range l.items {
		if len(j.step.Again)+len(j.step.Make)+len(j.step.Cancel) >= most {
			return l.items[i-1].at, nil
		}
		if err := j.decide(ctx, &l.items[i]); err != nil {
			return 0, err
		}
		j.looked++
	}
	return l.next, nil
}

// due is when the next delivery that the step makes due is due. Where the pace is fast,
// several are due together: each moment costs a claim and commits of its own, and the
// disk that is busy with those keeps live messages waiting.
func (j *job) due() time.Time {
	at := j.ahead()
	if j.gap() < together {
		at = at.Truncate(together)
	}
	return j.now.Add(at)
}

// ahead is how far ahead of now the pace is with what the step makes due.
func (j *job) ahead() time.Duration {
	return time.Duration(len(j.step.Again)+len(j.step.Make)) * j.gap()
}

// planned is the step, after which the task goes on after next.
func (j *job) planned(next hook.Key) planned {
	s := &j.step
	s.From, s.State = j.task, hook.Pending
	if j.to.State != hook.Enabled {
		s.State = hook.Held
	}
	for i := range s.Make {
		s.Make[i].State = s.State
	}
	s.If.Before = began(&j.task)
	s.Keep = func(n int) hook.Task { return j.kept(n, next) }
	p := planned{TaskStep: *s, endpoint: j.to.ID}
	if s.State == hook.Pending && len(s.Again)+len(s.Make) > 0 {
		p.due = j.now
	}
	return p
}

// kept is how the task stands when the step has changed n deliveries.
func (j *job) kept(n int, next hook.Key) hook.Task {
	t, data := j.task, j.data
	if data.Pass == 0 { // later passes look at the same again
		data.Progress.Looked += int64(j.looked)
	}
	if t.Cursor == 0 {
		data.UnderWay = 0
	}
	switch {
	case j.in.DryRun:
		j.counted(&data)
	case j.cancels():
		data.MessagesCanceled += int64(n)
		data.UnderWay += int64(len(j.step.Cancel) - n)
	default:
		data.MessagesSent += int64(n)
		data.Progress.Sent = data.MessagesSent
	}
	t.NextAt = time.Time{}
	if j.paced() && n > 0 {
		t.NextAt = j.now.Add(j.ahead())
	}
	switch {
	case next != 0:
		t.Cursor = next
	case data.UnderWay > 0: // the attempt may fail, and then there is something to cancel
		t.Cursor, t.NextAt = 0, j.now.Add(passPause)
		data.Pass++
	default:
		t.Status = hook.TaskFinished
	}
	t.Data, _ = json.Marshal(data) // numbers and ids have no error
	return t
}

// counted adds what a dry run found.
func (j *job) counted(data *hook.JobData) {
	data.DryRun = true
	would := &data.WouldSend
	if j.cancels() {
		would = &data.WouldCancel
	}
	n := int64(len(j.would))
	if *would != nil {
		n += **would
	}
	*would = &n
	data.Examples = slices.Clone(data.Examples)
	for _, k := range j.would[:min(len(j.would), examples-len(data.Examples))] {
		data.Examples = append(data.Examples, j.Store.IDs().Public(hook.KindMessage, k))
	}
}
