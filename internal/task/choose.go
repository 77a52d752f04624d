package task

import (
	"context"
	"slices"
	"sort"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// lot is what a step looks at.
type lot struct {
	items []item
	next  hook.Key // where the next lot begins, 0 at the end
}

// item is what a task decides about at once: a delivery, or a message with its
// deliveries to the endpoint.
type item struct {
	at   hook.Key // the cursor behind it
	of   *hook.Message
	rows []hook.Delivery
}

// look reads the next lot, in the way that leads past the least that does not fit.
func (j *job) look(ctx context.Context) (lot, error) {
	switch {
	case len(j.in.Messages) > 0:
		return j.chosenMessages(ctx)
	case j.in.Subject != nil:
		return j.messagesAbout(ctx)
	case j.task.Kind == hook.TaskReplayMissing:
		return j.messages(ctx)
	}
	return j.deliveries(ctx)
}

func (j *job) page() hook.Page {
	return hook.Page{After: j.task.Cursor, Ascending: true, Limit: batch}
}

func (j *job) deliveries(ctx context.Context) (l lot, err error) {
	rows, next, err := j.Store.ListDeliveries(ctx, hook.DeliveryQuery{
		Endpoint: j.to.ID, States: j.in.States, Types: j.in.Types, Channel: j.in.Channel, Tag: j.in.Tag,
		Range: hook.Range{Since: j.in.Since, Until: began(&j.task).Add(time.Millisecond)}, // one made late may be of an older message
		Page:  j.page(),
	})
	for i := range rows {
		l.items = append(l.items, item{rows[i].ID, rows[i].Of, []hook.Delivery{rows[i].Delivery}})
	}
	l.next = next
	return l, err
}

func (j *job) messages(ctx context.Context) (lot, error) {
	list, next, err := j.Store.ListMessagesOf(ctx, hook.MessageQuery{
		App: j.in.App, Types: j.in.Types, Channel: j.in.Channel, Tag: j.in.Tag,
		Range: hook.Range{Since: j.in.Since, Until: j.until()}, Page: j.page(),
	})
	if err != nil {
		return lot{}, err
	}
	return j.withDeliveries(ctx, list, next)
}

// messagesAbout are those about a subject, of whichever application.
func (j *job) messagesAbout(ctx context.Context) (lot, error) {
	page := j.page()
	page.After = max(page.After, hook.KeyAt(j.in.Since)-1)
	list, next, err := j.Store.ListBySubject(ctx, j.task.Org, j.in.Subject.Kind, j.in.Subject.ID, page)
	if err != nil {
		return lot{}, err
	}
	if next >= hook.KeyAt(j.until()) {
		next = 0
	}
	return j.withDeliveries(ctx, list, next)
}

// chosenMessages are the next of those that were asked for, without those that were
// deleted meanwhile.
func (j *job) chosenMessages(ctx context.Context) (lot, error) {
	keys, next := j.in.Messages, hook.Key(0)
	keys = keys[sort.Search(len(keys), func(i int) bool { return keys[i] > j.task.Cursor }):]
	if len(keys) > batch {
		keys, next = keys[:batch], keys[batch-1]
	}
	var list []hook.Message
	for _, k := range keys {
		m, _, err := j.Store.MessageInfo(ctx, j.in.App, k)
		switch {
		case err == nil:
			list = append(list, m)
		case hook.CodeOf(err) != hook.CodeNotFound:
			return lot{}, err
		}
	}
	return j.withDeliveries(ctx, list, next)
}

// withDeliveries are messages with their deliveries to the endpoint.
func (j *job) withDeliveries(ctx context.Context, list []hook.Message, next hook.Key) (lot, error) {
	l := lot{next: next}
	for i := range list {
		m := &list[i]
		it := item{at: m.ID, of: m}
		if j.concerns(m) {
			all, err := j.Store.Deliveries(ctx, m)
			if err != nil {
				return lot{}, err
			}
			it.rows = slices.DeleteFunc(all, func(d hook.Delivery) bool { return d.Endpoint != j.to.ID })
		}
		l.items = append(l.items, it)
	}
	return l, nil
}

// concerns says whether a message is one of those that the task is about.
func (j *job) concerns(m *hook.Message) bool {
	return m.App == j.in.App && m.ID >= hook.KeyAt(j.in.Since) && m.ID < min(hook.KeyAt(j.in.Until), j.task.ID) && j.in.Takes(m)
}

// decide puts what is to become of an item into the step.
func (j *job) decide(ctx context.Context, it *item) error {
	if !j.concerns(it.of) {
		return nil
	}
	if j.task.Kind == hook.TaskReplayMissing {
		return j.decideMissing(ctx, it)
	}
	for i := range it.rows {
		d := &it.rows[i]
		fits, err := j.fits(ctx, d)
		if err == nil && fits && !j.cancels() {
			fits, err = j.hasBody(ctx, j.in.App, d.Message)
		}
		switch {
		case err != nil:
			return err
		case !fits:
		case j.in.DryRun:
			j.would = append(j.would, d.Message)
		case j.cancels():
			j.step.Cancel = append(j.step.Cancel, d.ID)
		default:
			j.step.Again = append(j.step.Again, hook.Redelivery{Delivery: d.ID, At: j.due()})
		}
	}
	j.step.If.States = j.in.States
	return nil
}

// fits says whether a delivery is one of those that the task is about. One whose
// retry window began after the task did was sent again by hand meanwhile, or is not
// to be sent yet; the store looks at that once more when it changes the delivery. What
// waits for its turn in a lane is sent when that comes, so only a task that cancels is
// about it.
func (j *job) fits(ctx context.Context, d *hook.Delivery) (bool, error) {
	if j.busy[d.ID] || d.State == hook.Waiting && !j.cancels() {
		return false, nil
	}
	newer := !d.Since.Before(began(&j.task))
	if d.ID > j.task.ID || newer && (!j.cancels() || d.Trigger != hook.Scheduled) {
		return false, nil
	}
	if len(j.in.States) > 0 && !slices.Contains(j.in.States, d.State) {
		return false, nil
	}
	if j.in.Class == nil {
		return true, nil
	}
	if d.LastAttempt == 0 {
		return false, nil
	}
	a, _, err := j.Store.Attempt(ctx, d.LastAttempt)
	if hook.CodeOf(err) == hook.CodeNotFound {
		return false, nil // it was deleted
	}
	return err == nil && class(a.Status) == *j.in.Class, err
}

// decideMissing gives the endpoint a message that it wants and never had, and one
// that is still held although the endpoint is enabled.
func (j *job) decideMissing(ctx context.Context, it *item) error {
	held := func(d hook.Delivery) bool { return d.State == hook.Held && d.LastAttempt == 0 }
	had := slices.ContainsFunc(it.rows, func(d hook.Delivery) bool { return !held(d) })
	switch {
	case had || len(it.rows) > 0 && j.to.State != hook.Enabled:
		return nil // held until the endpoint is enabled
	case len(it.rows) == 0 && !j.to.Wants(it.of.Type, it.of.Channels):
		return nil
	}
	if has, err := j.hasBody(ctx, j.in.App, it.of.ID); err != nil || !has {
		return err
	}
	if len(it.rows) == 0 && !j.in.DryRun {
		at := j.due()
		j.step.Make = append(j.step.Make, hook.Delivery{Org: it.of.Org, Message: it.of.ID, Endpoint: j.to.ID, NextAt: at, Since: at, Trigger: hook.Replay, Lane: j.to.Order.Lane(it.of.Subjects)})
	}
	if len(it.rows) == 0 && j.in.DryRun {
		j.would = append(j.would, it.of.ID)
	}
	j.step.If.States = []hook.DeliveryState{hook.Held}
	for i := range it.rows {
		fits, err := j.fits(ctx, &it.rows[i])
		switch {
		case err != nil:
			return err
		case !fits:
		case j.in.DryRun:
			j.would = append(j.would, it.of.ID)
		default:
			j.step.Again = append(j.step.Again, hook.Redelivery{Delivery: it.rows[i].ID, At: j.due()})
		}
	}
	return nil
}

// hasBody says whether there is something to send: payloads are deleted in time.
func (r *Runner) hasBody(ctx context.Context, app, message hook.Key) (bool, error) {
	_, has, err := r.Store.MessageInfo(ctx, app, message)
	if hook.CodeOf(err) == hook.CodeNotFound {
		return false, nil
	}
	return has, err
}

// class is the class of an HTTP status as the wire API has it.
func class(status int) int {
	switch {
	case status < 100:
		return 0
	case status >= 500:
		return 500
	}
	return status / 100 * 100
}
