package hook

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreWithinAStepOfTheTruth(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 10, 5000} {
		l, all := Latencies{}, []time.Duration{}
		for range n {
			took := time.Duration(rng.ExpFloat64() * float64(200*time.Millisecond))
			l[CountLatency(took)]++
			all = append(all, took)
		}
		slices.Sort(all)
		for _, part := range []float64{0.5, 0.99} {
			got, want := l.Quantile(part), all[min(n-1, int(part*float64(n)))]
			if n == 5000 && (float64(got) < 0.8*float64(want) || float64(got) > 1.25*float64(want)) || got > 2*all[n-1]+time.Millisecond {
				t.Errorf("%v of %d: %v, %v is right", part, n, got, want)
			}
		}
	}
	if got := (Latencies{}).Quantile(0.5); got != 0 {
		t.Errorf("of none: %v", got)
	}
}

func TestEveryLatencyHasAStepThatHoldsIt(t *testing.T) {
	t.Parallel()
	for _, took := range []time.Duration{-time.Second, 0, time.Microsecond, time.Millisecond, time.Millisecond + 1, 1500 * time.Microsecond, time.Second, time.Hour, 168 * time.Hour} {
		k := CountLatency(took)
		low, high := k.Bounds()
		if !k.Delivered() || took > high || took > 0 && took <= low && low > 0 {
			t.Errorf("%v is counted as %d, from %v to %v", took, k, low, high)
		}
	}
	if k := CountLatency(1000 * 24 * time.Hour); !k.Delivered() {
		t.Errorf("what takes years is counted as %d", k)
	}
	for _, k := range []CountKind{CountReceived, CountFailed, CountRejected, CountDelivered + latencySteps} {
		if k.Delivered() {
			t.Errorf("%d counts deliveries that arrived", k)
		}
	}
}
