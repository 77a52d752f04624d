package alert

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// monday is the beginning of a week; the tests' history is before it.
var monday = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// series are the events of a source, with the gaps between them.
type series struct {
	events []time.Time
	gaps   []hook.Gap
}

func newSeries(events []time.Time) series {
	s := series{events: events}
	for i := 1; i < len(events); i++ {
		if g := (hook.Gap{From: events[i-1], To: events[i]}); g.Length() >= leastGap {
			s.gaps = append(s.gaps, g)
		}
	}
	return s
}

// at is what is known at a time, as it is learned from the store.
func (s *series) at(now time.Time) (r rhythm, last time.Time) {
	old := now.Add(-history)
	first, _ := slices.BinarySearchFunc(s.events, old, time.Time.Compare)
	end, _ := slices.BinarySearchFunc(s.events, now.Add(1), time.Time.Compare)
	if end > 0 {
		last = s.events[end-1]
	}
	if first < end {
		r.since, r.events = s.events[first], min(end-first, enoughEvents)
	}
	byEnd := func(g hook.Gap, at time.Time) int { return g.To.Compare(at) }
	from, _ := slices.BinarySearchFunc(s.gaps, old, byEnd)
	to, _ := slices.BinarySearchFunc(s.gaps, now.Add(1), byEnd)
	r.gaps = s.gaps[from:max(from, to)]
	return r, last
}

// every makes events at a distance within a time of day, on some days of the week.
func every(from, to time.Time, distance time.Duration, open, closed int, days ...time.Weekday) (list []time.Time) {
	for at := from; at.Before(to); at = at.Add(distance) {
		on := len(days) == 0
		for _, d := range days {
			on = on || at.Weekday() == d
		}
		if on && at.Hour() >= open && at.Hour() < closed {
			list = append(list, at)
		}
	}
	return list
}

var workdays = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}

func TestSilencesAreJudged(t *testing.T) {
	t.Parallel()
	twoWeeks := monday.Add(-15 * day)
	steady := every(twoWeeks, monday, 5*time.Minute, 0, 24)
	office := every(twoWeeks, monday.Add(12*time.Hour), 5*time.Minute, 9, 17, workdays...)
	nightly := every(twoWeeks, monday, 24*time.Hour, 0, 24)
	var batches []time.Time // five events in a minute, at three each night
	for _, n := range nightly {
		for i := range 5 {
			batches = append(batches, n.Add(3*time.Hour+time.Duration(i)*10*time.Second))
		}
	}
	const least = 15 * time.Minute
	for name, c := range map[string]struct {
		events []time.Time
		now    time.Time
		want   bool
	}{
		"never an event":                       {nil, monday, false},
		"too few":                              {every(twoWeeks, monday, 12*time.Hour, 0, 24), monday.Add(10 * day), false},
		"too young":                            {every(monday.Add(-6*day), monday, 5*time.Minute, 0, 24), monday.Add(2 * time.Hour), false},
		"steady, shorter than the least":       {steady, monday.Add(9 * time.Minute), false},
		"steady, longer":                       {steady, monday.Add(11 * time.Minute), true},
		"office: the night":                    {office[:len(office)-36], monday.Add(-2*day - 3*time.Hour), false},
		"office: the weekend":                  {office, monday.Add(-12 * time.Hour), false},
		"office: before it opens":              {office[:len(office)-36], monday.Add(8*time.Hour + 59*time.Minute), false},
		"office: an hour after it should open": {office[:len(office)-36], monday.Add(10*time.Hour + 30*time.Minute), true},
		"office: a break of ten minutes":       {office, monday.Add(12*time.Hour + 5*time.Minute), false},
		"office: a break of half an hour":      {office, monday.Add(12*time.Hour + 25*time.Minute), true},
		"batches: before the next":             {batches, monday.Add(2*time.Hour + 50*time.Minute), false},
		"batches: an hour late":                {batches, monday.Add(4 * time.Hour), false},
		"batches: one night missing":           {batches, monday.Add(26 * time.Hour), false},
		"batches: two nights missing":          {batches, monday.Add(41 * time.Hour), true},
		"nobody has heard of it for months":    {steady, monday.Add(90 * day), false},
	} {
		s := newSeries(c.events)
		r, last := s.at(c.now)
		limit, yes := r.silent(last, c.now, least)
		if yes != c.want {
			t.Errorf("%s: %v after %s, where up to %s is usual (%d events, %d gaps)", name, yes, c.now.Sub(last), limit, r.events, len(r.gaps))
		}
	}
}

// source makes the events of one kind of source for some weeks.
type source struct {
	name  string
	event func(rng *rand.Rand, from, to time.Time) []time.Time
	// late is how long after its last event it is to be told of at the latest, when
	// it stops on a Wednesday at eleven.
	late time.Duration
}

// poisson makes events at random with a mean distance, each kept with a
// probability that depends on its time.
func poisson(mean time.Duration, keep func(time.Time) float64) func(*rand.Rand, time.Time, time.Time) []time.Time {
	return func(rng *rand.Rand, from, to time.Time) (list []time.Time) {
		for at := from; at.Before(to); {
			at = at.Add(time.Duration(rng.ExpFloat64() * float64(mean)))
			if keep == nil || rng.Float64() < keep(at) {
				list = append(list, at)
			}
		}
		return list
	}
}

func inOffice(at time.Time) float64 {
	if d := at.Weekday(); d == time.Saturday || d == time.Sunday || at.Hour() < 8 || at.Hour() >= 18 {
		return 0
	}
	return 1
}

// byDay is the traffic of a shop: little at night, most in the evening.
func byDay(at time.Time) float64 {
	return [24]float64{.2, .1, .05, .03, .03, .05, .1, .2, .4, .5, .5, .5, .6, .5, .5, .5, .6, .7, .9, 1, 1, .9, .6, .4}[at.Hour()]
}

// The figures behind the rule: how often a source that goes on as ever is taken
// for silent, and how long one that has stopped is not.
func TestSteadySourcesAreSeldomTakenForSilent(t *testing.T) {
	t.Parallel()
	const runs, weeks = 2, 8 // of which the first two teach
	for _, c := range []source{
		{"a thousand a day at random", poisson(86*time.Second, nil), time.Hour},
		{"a hundred a day at random", poisson(14*time.Minute, nil), 4 * time.Hour},
		{"ten a day at random", poisson(144*time.Minute, nil), 30 * time.Hour},
		{"office hours, two a minute", poisson(30*time.Second, inOffice), 20 * time.Minute},
		{"office hours, every quarter of an hour", poisson(15*time.Minute, inOffice), 6 * time.Hour},
		{"a shop", poisson(3*time.Minute, byDay), 6 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, 2))
			mistakes, latest := 0, time.Duration(0)
			for range runs {
				stop := monday.Add((weeks-1)*week + 2*day + 11*time.Hour) // a Wednesday
				s := newSeries(c.event(rng, monday, stop))
				for _, g := range s.gaps {
					if _, yes := s.told(g); yes && g.To.After(monday.Add(2*week)) {
						mistakes++
					}
				}
				last := s.events[len(s.events)-1]
				at, yes := s.told(hook.Gap{From: last, To: last.Add(week)})
				if !yes {
					t.Error("it stopped and was not told of")
				}
				latest = max(latest, at.Sub(last))
			}
			t.Logf("mistakes in %d weeks: %d; told at the latest after %s", runs*(weeks-2), mistakes, latest)
			if mistakes > 2 { // over 240 weeks it is 0 to 4, and 15 of the shop, whose nights are long
				t.Errorf("%d mistakes in %d weeks", mistakes, runs*(weeks-2))
			}
			if latest > c.late {
				t.Errorf("told only %s after the last event", latest)
			}
		})
	}
}

// told is when a silence is told of, if it is while it lasts: it is looked at every
// five minutes.
func (s *series) told(g hook.Gap) (time.Time, bool) {
	const least = 15 * time.Minute
	for now := g.From.Add(least).Truncate(5 * time.Minute); now.Before(g.To); now = now.Add(5 * time.Minute) {
		r, _ := s.at(now)
		if _, yes := r.silent(g.From, now, least); yes {
			return now, true
		}
	}
	return time.Time{}, false
}
