package alert

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Rate says how many of a source's requests may fail to verify before that is
// told of: at least Failures of them and more than Percent of all within Window.
// Failures 0 tells of none.
type Rate struct {
	Failures int
	Percent  int
	Window   time.Duration
}

const (
	// rateEvery is how often the counts are looked at.
	rateEvery = 30 * time.Second
	// rateAgain is how long after an alert the same source is told of again.
	rateAgain = time.Hour
)

// exceeded says whether so many failures among so many requests are too many.
func (r Rate) exceeded(failures, requests int64) bool {
	return r.Failures > 0 && failures >= int64(r.Failures) && failures*100 > requests*int64(r.Percent)
}

// rateState is what was told of a source.
type rateState struct {
	failing bool
	told    time.Time
}

// verdict is what a look at the counts leads to.
type verdict int

const (
	nothing verdict = iota
	tellFailing
	noteRecovered
)

// judge decides, from what was told and what was counted in the window that ends
// now. A source that goes on failing, or begins again, is told of at most hourly.
func (r Rate) judge(was rateState, failures, requests int64, now time.Time) (rateState, verdict) {
	if !r.exceeded(failures, requests) {
		if was.failing {
			return rateState{told: was.told}, noteRecovered
		}
		return was, nothing
	}
	if was.told.IsZero() || now.Sub(was.told) >= rateAgain {
		return rateState{true, now}, tellFailing
	}
	return rateState{true, was.told}, nothing
}

// tallySlots are the parts of a window.
const tallySlots = 10

// tally counts the requests of one source. It is written by the requests
// themselves, so it has no lock: a slot that is taken over while another request
// counts in it may miss that one.
type tally struct {
	source atomic.Pointer[hook.Source]
	slots  [tallySlots]tallySlot
	state  rateState // only who watches touches it
}

type tallySlot struct {
	number    atomic.Int64 // of the part of a window, since 1970
	good, bad atomic.Int64
}

func (t *tally) add(now time.Time, window time.Duration, bad bool) {
	n := now.UnixNano() / int64(window/tallySlots)
	s := &t.slots[n%tallySlots]
	if was := s.number.Load(); was != n && s.number.CompareAndSwap(was, n) {
		s.good.Store(0)
		s.bad.Store(0)
	}
	if bad {
		s.bad.Add(1)
	} else {
		s.good.Add(1)
	}
}

// sums are the counts of the window that ends now. Its first part has begun to
// leave it.
func (t *tally) sums(now time.Time, window time.Duration) (failures, requests int64) {
	n := now.UnixNano() / int64(window/tallySlots)
	for i := range t.slots {
		s := &t.slots[i]
		if s.number.Load() > n-tallySlots {
			failures += s.bad.Load()
			requests += s.bad.Load() + s.good.Load()
		}
	}
	return failures, requests
}

// Count counts a request to a source that verified, or did not. It is called in
// the request, so it costs a look-up and two additions. Each node counts its own.
func (a *Alerts) Count(x *hook.Source, verified bool) {
	if a.Rate.Failures == 0 {
		return
	}
	v, ok := a.tallies.Load(x.ID)
	if !ok {
		v, _ = a.tallies.LoadOrStore(x.ID, &tally{})
	}
	t := v.(*tally)
	if t.source.Load() != x {
		t.source.Store(x)
	}
	t.add(time.Now(), a.Rate.Window, !verified)
}

// WatchRates looks at the counts of all sources, and forgets those of which
// nothing came for a while.
func (a *Alerts) WatchRates(ctx context.Context) {
	now := time.Now()
	a.tallies.Range(func(id, v any) bool {
		t := v.(*tally)
		failures, requests := t.sums(now, a.Rate.Window)
		var what verdict
		t.state, what = a.Rate.judge(t.state, failures, requests, now)
		x := t.source.Load()
		switch {
		case what == tellFailing:
			a.tellFailing(ctx, x, failures, requests, now)
		case what == noteRecovered:
			a.Log.InfoContext(ctx, "ingest source verifies again", "source", x.Name)
		case requests == 0 && now.Sub(t.state.told) >= rateAgain:
			a.tallies.Delete(id)
		}
		return ctx.Err() == nil
	})
}

// failingData is what an operational webhook says of a source whose requests do
// not verify.
type failingData struct {
	SourceID      string `json:"sourceId"`
	SourceUID     string `json:"sourceUid,omitempty"`
	Failures      int64  `json:"failures"`
	Requests      int64  `json:"requests"`
	WindowSeconds int    `json:"windowSeconds"`
	Reason        string `json:"reason,omitempty"`     // of the newest one that was kept
	RejectedID    string `json:"rejectedId,omitempty"` // the newest one that was kept
}

func (a *Alerts) tellFailing(ctx context.Context, x *hook.Source, failures, requests int64, now time.Time) {
	c := hook.AlertClaim{About: x.ID, Org: x.Org, Kind: hook.AlertSourceFailing, Mark: now.UnixMilli(), Step: (rateAgain - rateEvery).Milliseconds()}
	a.once(ctx, c, func(ctx context.Context) error {
		d := failingData{SourceID: a.IDs.Public(hook.KindSource, x.ID), SourceUID: x.UID, Failures: failures, Requests: requests, WindowSeconds: int(a.Rate.Window.Seconds())}
		y := hook.Alert{
			Kind: hook.AlertSourceFailing, Severity: hook.Critical, Org: x.Org, At: now, About: d.SourceID, Name: "source " + x.Name,
			Title: fmt.Sprintf("Requests to source %s do not verify: %d of %d within %s", x.Name, failures, requests, lasting(a.Rate.Window)),
			Next:  "They are kept apart and not forwarded. Mend the source's secrets; `sigpost rejected accept` then lets in what was kept.",
			Look:  "sigpost rejected list --source " + d.SourceID,
		}
		if kept, err := a.Store.ListRejected(ctx, x.ID, 0, 1); err == nil && len(kept) > 0 {
			d.Reason, d.RejectedID = kept[0].Reason, a.IDs.Public(hook.KindRejected, kept[0].ID)
			y.Why, y.Look = "The newest one that was kept: "+d.Reason+".", "sigpost rejected show "+d.RejectedID
		}
		y.Data = d
		return a.Raise(ctx, y)
	})
}
