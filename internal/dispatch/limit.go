package dispatch

import "time"

// A limit is how many attempts an endpoint may have under way. It begins small,
// grows with each success and shrinks with what speaks of overload: a failure that says so
// halves it (additive increase, multiplicative decrease, as TCP does), and so does
// latency that has grown to twice what is usual for the endpoint (as TCP Vegas and
// Netflix's concurrency-limits do). An endpoint that is slow at all times keeps its places.
type limit struct {
	most   int // the endpoint's bound
	places float64
	// Moving averages of how long successes take: over some ten and some hundred of them.
	lately, usually time.Duration
}

const (
	// firstPlaces is what an endpoint of which nothing is known begins with.
	firstPlaces = 8
	// noticeable is the latency below which growth says nothing: it is noise.
	noticeable = 50 * time.Millisecond
	// latencyBackoff is what is left of the places when latency has grown.
	latencyBackoff = 0.9
)

func newLimit(most int) limit {
	return limit{most: most, places: float64(min(most, firstPlaces))}
}

// setMost changes the bound. Places that were lost stay lost until successes bring them back.
func (l *limit) setMost(most int) {
	l.most = most
	l.places = min(l.places, float64(most))
}

// now is how many may be under way, at least one.
func (l *limit) now() int { return int(l.places) }

// succeeded notes a success that took so long, with so many under way.
func (l *limit) succeeded(took time.Duration, running int) {
	if l.usually == 0 {
		l.lately, l.usually = took, took
	}
	l.lately += (took - l.lately) / 10
	l.usually += (took - l.usually) / 100
	if l.usually > 2*l.lately { // it has become quicker for good
		l.usually -= l.usually / 20
	}
	switch {
	case l.lately > noticeable && l.lately > 2*l.usually && 2*running >= l.now():
		l.places = max(1, l.places*latencyBackoff)
	case l.now() < l.most:
		l.places = min(float64(l.most), l.places+1)
	}
}

// overloaded notes that the endpoint asked for less, or did not answer.
func (l *limit) overloaded() { l.places = max(1, float64(l.now()/2)) }
