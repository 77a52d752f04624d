package dispatch

import (
	"container/heap"
	"time"
)

// agenda is when each endpoint has its turn, because the store has something due for
// it or what is queued may go on, the earliest first. An endpoint stands in it once.
type agenda []*endpoint

// add notes that e has its turn at a time, and says whether that is now
// the first of all. A later time than the one noted changes nothing.
func (a *agenda) add(e *endpoint, at time.Time) (first bool) {
	switch {
	case e.place < 0:
		e.at = at
		heap.Push(a, e)
	case at.Before(e.at):
		e.at = at
		heap.Fix(a, e.place)
	}
	return e.place == 0
}

// due takes out the endpoints whose time has come.
func (a *agenda) due(now time.Time) (ready []*endpoint) {
	for len(*a) > 0 && !(*a)[0].at.After(now) {
		ready = append(ready, heap.Pop(a).(*endpoint))
	}
	return ready
}

// next is when the first endpoint's time comes; zero when there is none.
func (a agenda) next() time.Time {
	if len(a) == 0 {
		return time.Time{}
	}
	return a[0].at
}

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at.Before(a[j].at) }

func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i, j
}

// Push and Pop are for container/heap only.
func (a *agenda) Push(x any) {
	e := x.(*endpoint)
	e.place = len(*a)
	*a = append(*a, e)
}

func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	e.place = -1
	return e
}
