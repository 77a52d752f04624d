package hook

import (
	"math"
	"time"
)

// Count is how often something happened to an organization within a span of time: a
// minute, or for what is older than a day an hour.
type Count struct {
	Org   Key
	At    time.Time // the beginning
	About Key       // the source, of CountRejected
	Kind  CountKind
	N     int64
}

// CountKind is what is counted.
type CountKind int

// The kinds. Deliveries that arrived are counted by how long they took: the kinds from
// CountDelivered on are one for each step of LatencyStep.
const (
	CountReceived  CountKind = 1 // messages that were kept, without duplicates
	CountFailed    CountKind = 2 // deliveries that were given up
	CountRejected  CountKind = 3 // requests to a source that were refused
	CountDelivered CountKind = 16
)

// latencySteps of a factor of √2 reach from a millisecond to seven days.
const latencySteps = 60

// CountLatency is the kind of a delivery that arrived after a time.
func CountLatency(took time.Duration) CountKind {
	ms := float64(took) / float64(time.Millisecond)
	if ms <= 1 {
		return CountDelivered
	}
	return CountDelivered + CountKind(min(latencySteps-1, int(math.Ceil(2*math.Log2(ms)))))
}

// Delivered says whether a kind counts deliveries that arrived.
func (k CountKind) Delivered() bool {
	return k >= CountDelivered && k < CountDelivered+latencySteps
}

// Bounds are how long those of a kind took: more than the first, and not more than the second.
func (k CountKind) Bounds() (low, high time.Duration) {
	step := func(n CountKind) time.Duration {
		return time.Duration(math.Pow(2, float64(n)/2) * float64(time.Millisecond))
	}
	n := k - CountDelivered
	if n <= 0 {
		return 0, time.Millisecond
	}
	return step(n - 1), step(n)
}

// Latencies are how many deliveries took how long.
type Latencies map[CountKind]int64

// Quantile is how long the given part of them took at most, for example 0.99 of them; 0 without
// any. It is exact but for where within a step of √2 it is, which is taken as even.
func (l Latencies) Quantile(part float64) time.Duration {
	var all int64
	for _, n := range l {
		all += n
	}
	if all == 0 {
		return 0
	}
	rank, before := part*float64(all), int64(0)
	for k := CountDelivered; k < CountDelivered+latencySteps; k++ {
		if n := l[k]; n > 0 {
			if float64(before+n) >= rank {
				low, high := k.Bounds()
				return low + time.Duration((rank-float64(before))/float64(n)*float64(high-low))
			}
			before += n
		}
	}
	return 0
}

// Backlog is what is on its way to the endpoints of an organization.
type Backlog struct {
	N    int
	More bool // there are more than N
	// Oldest is the delivery that has been due the longest; its ID is 0 when none is due.
	Oldest Delivery
}
