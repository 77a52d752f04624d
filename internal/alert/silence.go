package alert

import (
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// When is a silence longer than usual? The longest gap of two weeks says little:
// for most sources it is a weekend. So a silence is told of when it is longer than
// all of these:
//
//   - two and a half times the longest gap of the last fifteen days, when the
//     longest 4 % of all gaps, at most one a day, are left out: those may be nights
//     and weekends;
//   - three times as long as it was silent at this time of the day, an hour more or less,
//     on the last fourteen days, when the four longest are left out: those may be
//     weekends;
//   - twice as long as it was silent at this time of the week, an hour more or less,
//     one and two weeks ago: at a weekend, weekends are no surprise.
//
// TestSteadySourcesAreSeldomTakenForSilent has the figures: how often that is wrong,
// and how long it takes to be right.

const (
	day  = 24 * time.Hour
	week = 7 * day
	// history is how far back gaps are looked at: two weeks and the hour before.
	history = 15 * day
	// leastHistory and leastEvents are what must be known before anything is usual.
	leastHistory = week
	leastEvents  = 50
	// One gap of so many is left out, up to one a day; so many events need to be
	// counted for that.
	leftOutOf    = 25
	enoughEvents = leftOutOf * int(history/day)
	// leastGap is the shortest gap that can matter: what is shorter is, two and a
	// half times, less than the shortest silence.
	leastGap = 6 * time.Minute
	// freeDays is how many of fourteen days may be unlike the others.
	freeDays = 4
)

// rhythm is what is known of when a source's events come.
type rhythm struct {
	since  time.Time  // the oldest event that is known
	events int        // how many there are, counted up to enoughEvents
	gaps   []hook.Gap // at least leastGap long, the oldest first
}

// usual is the longest silence that is no surprise at a moment; known is false
// while too little is known.
func (r *rhythm) usual(now time.Time, least time.Duration) (limit time.Duration, known bool) {
	if r.events < leastEvents || now.Sub(r.since) < leastHistory {
		return 0, false
	}
	return max(least, r.typical()*5/2, 3*r.onOtherDays(now), 2*max(r.ageAround(now.Add(-week)), r.ageAround(now.Add(-2*week)))), true
}

// typical is the longest gap when the longest few are left out; 0 when that is
// shorter than leastGap.
func (r *rhythm) typical() time.Duration {
	lengths := make([]time.Duration, len(r.gaps))
	for i, g := range r.gaps {
		lengths[i] = g.Length()
	}
	slices.Sort(lengths)
	if n := len(lengths) - 1 - min(r.events, enoughEvents)/leftOutOf; n >= 0 {
		return lengths[n]
	}
	return 0
}

// onOtherDays is how long it had been silent at this time of the day on the last
// fourteen days, when those that were unlike the others are left out.
func (r *rhythm) onOtherDays(now time.Time) time.Duration {
	var ages [14]time.Duration
	for i := range ages {
		ages[i] = r.ageAround(now.Add(-time.Duration(i+1) * day))
	}
	slices.Sort(ages[:])
	return ages[len(ages)-1-freeDays]
}

// ageAround is how long it had been silent at the most at a time, or within an hour
// of it.
func (r *rhythm) ageAround(at time.Time) (longest time.Duration) {
	from, to := at.Add(-time.Hour), at.Add(time.Hour)
	first, _ := slices.BinarySearchFunc(r.gaps, from, func(g hook.Gap, at time.Time) int { return g.To.Compare(at) })
	for _, g := range r.gaps[first:] {
		if !g.From.Before(to) {
			break
		}
		end := g.To
		if end.After(to) {
			end = to
		}
		longest = max(longest, end.Sub(g.From))
	}
	return longest
}

// silent says whether a source whose last event came at last is silent for longer
// than usual.
func (r *rhythm) silent(last, now time.Time, least time.Duration) (limit time.Duration, yes bool) {
	limit, known := r.usual(now, least)
	return limit, known && now.Sub(last) > limit
}
