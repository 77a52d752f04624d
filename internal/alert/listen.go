package alert

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	// learnEach and learnAll bound how many steps one go learns, of one source and
	// of all. A step is two look-ups in an index and passes over seven minutes at
	// least, so fifteen days are learned in half an hour at the most.
	learnEach = 500
	learnAll  = 20_000
	// grace is how long after the start no silence is told of: what was sent while
	// the server was down comes again.
	grace = time.Hour
)

// ear is what was learned of one source so far.
type ear struct {
	first hook.Key   // the first event that is known; 0 for none
	at    hook.Key   // the event up to which gaps are known
	gaps  []hook.Gap // of the last fifteen days
	told  hook.Key   // the last event before the silence that was told of; 0 for none
}

// Listen learns when the events of each source come, and tells of those that have
// been silent for longer than usual, of each silence once. It is called now and
// then, by one node at a time, and does a bounded part of the work.
func (a *Alerts) Listen(ctx context.Context) error {
	if a.Silence == 0 {
		return nil
	}
	sources, err := a.Store.Sources(ctx)
	if err != nil {
		return err
	}
	now, left, there := time.Now(), learnAll, make(map[hook.Key]bool, len(sources))
	for i := range sources {
		x := &sources[i]
		if x.Disabled {
			continue
		}
		there[x.ID] = true
		if left <= 0 {
			continue // those before know more the next time, and take less
		}
		e := a.ears[x.ID]
		if e == nil {
			e = &ear{at: hook.KeyAt(now.Add(-history))}
			a.ears[x.ID] = e
		}
		more, err := a.learn(ctx, e, x, now)
		switch {
		case err != nil:
			return err
		case more:
			left -= learnEach
			continue
		}
		left--
		if err := a.hear(ctx, e, x, now); err != nil {
			return err
		}
	}
	for id := range a.ears {
		if !there[id] {
			delete(a.ears, id)
		}
	}
	return nil
}

// learn goes on with the gaps of a source; more says that there are more already.
func (a *Alerts) learn(ctx context.Context, e *ear, x *hook.Source, now time.Time) (more bool, err error) {
	if e.first == 0 {
		if _, e.at, more, err = a.Store.MessageGaps(ctx, x.App, e.at, leastGap, 0); err != nil || !more {
			return false, err
		}
		e.first = e.at
	}
	gaps, at, more, err := a.Store.MessageGaps(ctx, x.App, e.at, leastGap, learnEach)
	if err != nil {
		return false, err
	}
	e.at, e.gaps = at, append(e.gaps, gaps...)
	old := now.Add(-history)
	e.gaps = slices.DeleteFunc(e.gaps, func(g hook.Gap) bool { return g.To.Before(old) })
	return more, nil
}

// hear tells of a source when it is silent for longer than usual.
func (a *Alerts) hear(ctx context.Context, e *ear, x *hook.Source, now time.Time) error {
	newest, _, err := a.Store.ListMessagesOf(ctx, hook.MessageQuery{App: x.App, Page: hook.Page{Limit: 1}})
	if err != nil || len(newest) == 0 { // none, or too many of others came since: then it is looked at later
		return err
	}
	last := newest[0].ID
	if e.told != 0 && last > e.told {
		a.Log.InfoContext(ctx, "ingest source is heard again", "source", x.Name)
		e.told = 0
	}
	if now.Sub(last.Time()) <= a.Silence || last == e.told || now.Sub(a.began) < grace {
		return nil
	}
	r := rhythm{since: e.first.Time(), gaps: e.gaps}
	if old := now.Add(-history); r.since.Before(old) {
		r.since = old
	}
	if r.events, err = a.Store.CountIndexed(ctx, x.App, r.since, enoughEvents); err != nil {
		return err
	}
	if usual, yes := r.silent(last.Time(), now, a.Silence); yes && a.SourceSilent(ctx, x, last, usual, now) {
		e.told = last
	}
	return nil
}

// silentData is what an operational webhook says of a silent source.
type silentData struct {
	SourceID      string     `json:"sourceId"`
	SourceUID     string     `json:"sourceUid,omitempty"`
	LastMsgID     string     `json:"lastMsgId"`
	LastMessageAt *time.Time `json:"lastMessageAt"`
	SilentSeconds int64      `json:"silentSeconds"`
	UsualSeconds  int64      `json:"usualSeconds"` // longer than this is unusual at this time
}

// SourceSilent tells that nothing has come to a source since an event, which is
// longer than usual at this time. Of one silence it is told once. It says whether
// that was done, by anyone.
func (a *Alerts) SourceSilent(ctx context.Context, x *hook.Source, last hook.Key, usual time.Duration, now time.Time) bool {
	c := hook.AlertClaim{About: x.ID, Org: x.Org, Kind: hook.AlertSourceSilent, Mark: int64(last)}
	return a.once(ctx, c, func(ctx context.Context) error {
		silence, id := now.Sub(last.Time()), a.IDs.Public(hook.KindSource, x.ID)
		return a.Raise(ctx, hook.Alert{
			Kind: hook.AlertSourceSilent, Severity: hook.Warning, Org: x.Org, At: now, About: id, Name: "source " + x.Name, Since: last.Time(),
			Title: fmt.Sprintf("Nothing has come to source %s for %s", x.Name, lasting(silence)),
			Why:   fmt.Sprintf("At this time of the week up to %s without an event is usual.", lasting(usual)),
			Next:  "See at the provider whether it still sends, and to which URL; `sigpost source list` shows the right one.",
			Look:  "sigpost message list --source " + id,
			Data: silentData{
				SourceID: id, SourceUID: x.UID, LastMsgID: a.IDs.Public(hook.KindMessage, last), LastMessageAt: instant(last.Time()),
				SilentSeconds: int64(silence.Seconds()), UsualSeconds: int64(usual.Seconds()),
			},
		})
	})
}
