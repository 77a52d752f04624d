package alert

import (
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// When is a silence longer than usual? The longest gap of two weeks alone says
// little: for most sources it is a weekend. So there are two measures, and a silence
// is told of when it is longer than both:
//
//   - twice the longest gap of the last fifteen days, when the longest 2 % of all
//     gaps, at most one a day, are left out: those may be nights and weekends;
//   - one and a half times how long it was silent at this time of the week, an hour
//     more or less, one and two weeks ago: then nights and weekends are no surprise.
//
// Who sends at random is told of after some eight to ten times his usual gap, which
// happens by itself about once in half a year; who sends in office hours, within
// minutes to an hour of them. TestSteadySourcesAreSeldomTakenForSilent measures it.

const (
	day  = 24 * time.Hour
	week = 7 * day
	// history is how far back gaps are looked at: two weeks and the hour before.
	history = 15 * day
	// leastHistory and leastEvents are what must be known before anything is usual.
	leastHistory = week
	leastEvents  = 50
	// enoughEvents is how many need to be counted: one gap of 50 may be left out, up
	// to one a day.
	enoughEvents = leastEvents * int(history/day)
	// leastGap is the shortest gap that can matter: half of the shortest silence.
	leastGap = 7 * time.Minute
)

// rhythm is what is known of when a source's events come.
type rhythm struct {
	since  time.Time  // the oldest event that is known
	events int        // how many there are, counted up to enoughEvents
	gaps   []hook.Gap // at least leastGap long
}

// usual is the longest silence that is no surprise at a moment; known is false
// while too little is known.
func (r *rhythm) usual(now time.Time, least time.Duration) (limit time.Duration, known bool) {
	if r.events < leastEvents || now.Sub(r.since) < leastHistory {
		return 0, false
	}
	return max(least, 2*r.typical(), r.atThisTime(now)*3/2), true
}

// typical is the longest gap when the longest few are left out; 0 when that is
// shorter than leastGap.
func (r *rhythm) typical() time.Duration {
	lengths := make([]time.Duration, len(r.gaps))
	for i, g := range r.gaps {
		lengths[i] = g.Length()
	}
	slices.Sort(lengths)
	if n := len(lengths) - 1 - min(r.events, enoughEvents)/leastEvents; n >= 0 {
		return lengths[n]
	}
	return 0
}

// atThisTime is how long it had been silent at most, one and two weeks ago, within
// an hour of this time of the week.
func (r *rhythm) atThisTime(now time.Time) (longest time.Duration) {
	for weeks := range 2 {
		then := now.Add(-time.Duration(weeks+1) * week)
		from, to := then.Add(-time.Hour), then.Add(time.Hour)
		for _, g := range r.gaps {
			if g.From.Before(to) && g.To.After(from) {
				end := g.To
				if end.After(to) {
					end = to
				}
				longest = max(longest, end.Sub(g.From))
			}
		}
	}
	return longest
}

// silent says whether a source whose last event came at last is silent for longer
// than usual.
func (r *rhythm) silent(last, now time.Time, least time.Duration) (limit time.Duration, yes bool) {
	limit, known := r.usual(now, least)
	return limit, known && now.Sub(last) > limit
}
