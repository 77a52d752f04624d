package task

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// batch is how many deliveries or messages one step looks at.
const batch = 100

// began is when a task was asked for. What was made or sent later is not its affair.
func began(t *hook.Task) time.Time { return t.ID.Time() }

// load reads the input of a task and its result so far.
func load[I, D any](t *hook.Task) (in I, data D, err error) {
	if err := json.Unmarshal(t.Input, &in); err != nil {
		return in, data, hook.Errorf(hook.CodeInvalid, "what the task was asked for cannot be read; ask for it again")
	}
	if err := json.Unmarshal(t.Data, &data); err != nil {
		return in, data, hook.Errorf(hook.CodeInvalid, "how far the task is cannot be read; ask for it again")
	}
	return in, data, nil
}

// keep puts the result so far into a task, and where it goes on; 0 is its end.
func keep(t *hook.Task, next hook.Key, data any) (done bool, err error) {
	if t.Data, err = json.Marshal(data); err != nil {
		return false, fmt.Errorf("write result: %w", err)
	}
	if next != 0 {
		t.Cursor = next
	}
	return next == 0, nil
}

// resend makes an endpoint's deliveries due again: those that its input chooses, of
// messages in its range.
func (r *Runner) resend(ctx context.Context, t *hook.Task) (bool, error) {
	in, data, err := load[hook.EndpointTask, hook.SentData](t)
	if err != nil {
		return false, err
	}
	e, err := r.Store.Endpoint(ctx, in.App, in.Endpoint)
	if err != nil {
		return false, err
	}
	rows, next, err := r.Store.ListDeliveries(ctx, hook.DeliveryQuery{
		Endpoint: e.ID, States: in.States, Types: in.Types, Channel: in.Channel, Tag: in.Tag,
		Range: hook.Range{Since: in.Since, Until: began(t).Add(time.Millisecond)}, // a delivery is never older than its message
		Page:  hook.Page{After: t.Cursor, Ascending: true, Limit: batch},
	})
	if err != nil {
		return false, err
	}
	now, sent := time.Now(), int64(0)
	for i := range rows {
		made, err := r.sendAgain(ctx, t, &in, &rows[i], now)
		if err != nil {
			r.due(e.ID, now, sent)
			return false, err
		}
		if made {
			sent++
		}
	}
	r.due(e.ID, now, sent)
	data.MessagesSent += sent
	return keep(t, next, data)
}

// sendAgain makes a delivery due now when it is wanted.
func (r *Runner) sendAgain(ctx context.Context, t *hook.Task, in *hook.EndpointTask, d *hook.DeliveryRow, now time.Time) (bool, error) {
	if wanted, err := r.wanted(ctx, t, in, d); err != nil || !wanted {
		return false, err
	}
	err := r.Store.Resend(ctx, d.ID, now)
	if hook.CodeOf(err) == hook.CodeConflict {
		return false, nil // it is being attempted or waits for its turn, which is as good
	}
	return err == nil, err
}

// due says that n deliveries of an endpoint became due.
func (r *Runner) due(endpoint hook.Key, at time.Time, n int64) {
	if n > 0 {
		r.Due(endpoint, at)
	}
}

// wanted says whether a delivery is to be sent again. One whose retry window
// began after the task did was sent again already, by this task in a step that
// was cut off, or by hand; or it is not to be sent yet.
func (r *Runner) wanted(ctx context.Context, t *hook.Task, in *hook.EndpointTask, d *hook.DeliveryRow) (bool, error) {
	if !d.Since.Before(began(t)) || !within(t, in, d.Message) {
		return false, nil
	}
	if in.Class != nil {
		if d.LastAttempt == 0 {
			return false, nil
		}
		a, _, err := r.Store.Attempt(ctx, d.LastAttempt)
		if hook.CodeOf(err) == hook.CodeNotFound {
			return false, nil // it was deleted
		}
		if err != nil || class(a.Status) != *in.Class {
			return false, err
		}
	}
	return r.hasBody(ctx, in.App, d.Message)
}

// within says whether a message was made in the range of a task, and before it.
func within(t *hook.Task, in *hook.EndpointTask, message hook.Key) bool {
	return message >= hook.KeyAt(in.Since) && message < min(hook.KeyAt(in.Until), t.ID)
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

// hasBody says whether there is something to send: payloads are deleted in time.
func (r *Runner) hasBody(ctx context.Context, app, message hook.Key) (bool, error) {
	_, has, err := r.Store.MessageInfo(ctx, app, message)
	if hook.CodeOf(err) == hook.CodeNotFound {
		return false, nil
	}
	return has, err
}

// replayMissing gives an endpoint the messages that it wants and never had.
func (r *Runner) replayMissing(ctx context.Context, t *hook.Task) (bool, error) {
	in, data, err := load[hook.EndpointTask, hook.SentData](t)
	if err != nil {
		return false, err
	}
	e, err := r.Store.Endpoint(ctx, in.App, in.Endpoint)
	if err != nil {
		return false, err
	}
	list, next, err := r.Store.ListMessagesOf(ctx, hook.MessageQuery{
		App: in.App, Range: hook.Range{Since: in.Since, Until: in.Until}, Page: hook.Page{After: t.Cursor, Ascending: true, Limit: batch},
	})
	if err != nil {
		return false, err
	}
	now, sent := time.Now(), int64(0)
	for i := range list {
		if !within(t, &in, list[i].ID) {
			continue
		}
		made, err := r.deliverMissing(ctx, &e, &list[i], now)
		if err != nil {
			r.due(e.ID, now, sent)
			return false, err
		}
		if made {
			sent++
		}
	}
	r.due(e.ID, now, sent)
	data.MessagesSent += sent
	return keep(t, next, data)
}

// deliverMissing gives a message to an endpoint that wants it and never had it; one that is
// ordered gets it after what waits already.
func (r *Runner) deliverMissing(ctx context.Context, e *hook.Endpoint, m *hook.Message, now time.Time) (bool, error) {
	if !e.Wants(m.Type, m.Channels) {
		return false, nil
	}
	there, err := r.Store.Deliveries(ctx, m)
	if err != nil || slices.ContainsFunc(there, func(d hook.Delivery) bool { return d.Endpoint == e.ID }) {
		return false, err
	}
	if has, err := r.hasBody(ctx, e.App, m.ID); err != nil || !has {
		return false, err
	}
	d := hook.Delivery{Org: m.Org, Message: m.ID, Endpoint: e.ID, State: hook.Pending, NextAt: now, Since: now, Trigger: hook.Manual, Lane: e.Order.Lane(m.Subjects)}
	if e.State != hook.Enabled {
		d.State = hook.Held
	}
	_, err = r.Store.Deliver(ctx, d)
	return err == nil, err
}
