package load

import "time"

// pace puts the numbers 0…count-1 into queue, each when it is due, until stop is closed.
// queue must hold them all.
func pace(zero time.Time, count int, due func(int) time.Duration, queue chan<- int, stop <-chan struct{}) {
	defer steady()()
	for i := range count {
		for wait := due(i) - time.Since(zero); wait > 0; wait = due(i) - time.Since(zero) {
			select {
			case <-stop:
				return
			default:
			}
			// Short naps, so that a stop is noticed soon even at low rates.
			nap(min(wait, 50*time.Millisecond))
		}
		queue <- i
	}
}
