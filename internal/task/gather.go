package task

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// apps is how many applications one step looks at. The result so far is written
// after each step, so steps are not too small.
const apps = 100

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

// applications are the next applications of an organization, and where to go on; 0
// is the end.
func (r *Runner) applications(ctx context.Context, t *hook.Task) ([]hook.Application, hook.Key, error) {
	list, err := r.Store.Applications(ctx, t.Org, hook.Page{After: t.Cursor, Ascending: true, Limit: apps}, hook.AppFilter{})
	if err != nil || len(list) < apps {
		return list, 0, err
	}
	return list, list[len(list)-1].ID, nil
}

// chosen are the next of the applications that were asked for. Those that were
// deleted meanwhile are left out.
func (r *Runner) chosen(ctx context.Context, t *hook.Task, keys []hook.Key) (list []hook.Application, next hook.Key, err error) {
	keys = keys[sort.Search(len(keys), func(i int) bool { return keys[i] > t.Cursor }):]
	if len(keys) > apps {
		keys, next = keys[:apps], keys[apps-1]
	}
	for _, k := range keys {
		a, err := r.Store.Application(ctx, t.Org, k)
		switch {
		case hook.CodeOf(err) == hook.CodeNotFound:
			continue
		case err != nil:
			return nil, 0, err
		}
		list = append(list, a)
	}
	return list, next, nil
}

// appStats counts what applications were sent.
func (r *Runner) appStats(ctx context.Context, t *hook.Task) (bool, error) {
	in, data, err := load[hook.StatsTask, hook.AppStatsData](t)
	if err != nil {
		return false, err
	}
	list, next, err := r.chosen(ctx, t, in.Apps)
	if in.All {
		list, next, err = r.applications(ctx, t)
	}
	if err != nil {
		return false, err
	}
	if data.AppStats == nil {
		data.AppStats = []hook.AppStat{}
	}
	for _, a := range list {
		s := hook.AppStat{AppID: r.Store.IDs().Public(hook.KindApplication, a.ID)}
		if a.UID != "" {
			s.AppUID = &a.UID
		}
		endpoints, err := r.Store.EndpointsOf(ctx, a.ID)
		if err != nil {
			return false, err
		}
		for _, e := range endpoints {
			n, err := r.Store.CountDeliveries(ctx, e.ID, hook.Range{Since: in.Since, Until: in.Until})
			if err != nil {
				return false, err
			}
			s.MessageDestinations += n
		}
		data.AppStats = append(data.AppStats, s)
	}
	return keep(t, next, data)
}

// aggregate gathers the event types that the endpoints of each application ask
// for. Applications without endpoints have nothing to say.
func (r *Runner) aggregate(ctx context.Context, t *hook.Task) (bool, error) {
	_, data, err := load[struct{}, hook.SubscribedData](t)
	if err != nil {
		return false, err
	}
	list, next, err := r.applications(ctx, t)
	if err != nil {
		return false, err
	}
	if data.EventTypes == nil {
		data.EventTypes = []hook.Subscribed{}
	}
	for _, a := range list {
		endpoints, err := r.Store.EndpointsOf(ctx, a.ID)
		if err != nil {
			return false, err
		}
		if len(endpoints) == 0 {
			continue
		}
		s := subscribed(endpoints)
		s.AppID = r.Store.IDs().Public(hook.KindApplication, a.ID)
		data.EventTypes = append(data.EventTypes, s)
	}
	return keep(t, next, data)
}

// subscribed sums up what endpoints ask for. Patterns stand as they are written.
func subscribed(endpoints []hook.Endpoint) hook.Subscribed {
	s := hook.Subscribed{EventTypes: []string{}}
	for _, e := range endpoints {
		everything := func(p string) bool { return p != "" && strings.Trim(p, "*") == "" }
		s.CatchAll = s.CatchAll || len(e.EventTypes) == 0 || slices.ContainsFunc(e.EventTypes, everything)
		for _, p := range e.EventTypes {
			if !everything(p) {
				s.EventTypes = append(s.EventTypes, p)
			}
		}
	}
	slices.Sort(s.EventTypes)
	s.EventTypes = slices.Compact(s.EventTypes)
	return s
}

// purge deletes the payloads of an application's messages: of those that there
// were when it was asked for. Younger ones are still to be delivered.
func (r *Runner) purge(ctx context.Context, t *hook.Task) (bool, error) {
	in, data, err := load[hook.AppTask, hook.PurgedData](t)
	if err != nil {
		return false, err
	}
	list, next, err := r.Store.ListMessagesOf(ctx, hook.MessageQuery{
		App: in.App, Range: hook.Range{Until: began(t).Add(time.Millisecond)}, Page: hook.Page{After: t.Cursor, Ascending: true, Limit: batch},
	})
	if err != nil {
		return false, err
	}
	var keys []hook.Key
	for _, m := range list {
		has, err := r.hasBody(ctx, in.App, m.ID)
		if err != nil {
			return false, err
		}
		if has && m.ID < t.ID {
			keys = append(keys, m.ID)
		}
	}
	gone, err := r.Store.ExpungeBodies(ctx, in.App, keys)
	if err != nil {
		return false, err
	}
	data.MessagesPurged += int64(len(gone))
	return keep(t, next, data)
}
