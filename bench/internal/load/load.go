package load

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sigpost/sigpost/bench/internal/event"
)

// Options say where the events go.
type Options struct {
	Addrs []string // host:port, of one server or of several, among which connections are divided
	Path  string
	Paths []string // where there are some, event n goes to the one at n modulo their number instead
	// Token makes the requests those of the API: with it, and with an idempotency key of
	// its own for each, in place of a signature. An accepted event is then answered 202.
	Token       string
	Book        *event.Book // the run ends early when it has no more events
	Connections int
	Zero        time.Time // all times in the Result count from here
}

// Answer is one accepted event.
type Answer struct {
	Number   uint64
	Due      time.Duration // when it was to be sent: in a closed loop, when it was
	Sent     time.Duration // when it really was
	Answered time.Duration // when the answer had been read
}

// Result is what a run came to. Every event that was sent has been answered.
type Result struct {
	Accepted []Answer // answered 200, or 202 by the API; in no order
	Refused  int      // answered 503: not accepted, not sent again
	Began    time.Duration
	Ended    time.Duration // the last answer
}

// Numbers are the numbers of the accepted events.
func (r Result) Numbers() []uint64 {
	numbers := make([]uint64, len(r.Accepted))
	for i, a := range r.Accepted {
		numbers[i] = a.Number
	}
	return numbers
}

// overloadPause is how long a connection waits after a 503, so that a refusing server is
// not drowned in requests that cost it nothing.
const overloadPause = 10 * time.Millisecond

// Closed sends for d, each connection its next event as soon as the last was answered.
// An answer that is neither acceptance nor 503 and a broken connection end the run with an error.
func Closed(ctx context.Context, opt Options, d time.Duration) (Result, error) {
	var next atomic.Uint64
	next.Store(opt.Book.First())
	end := opt.Book.First() + uint64(opt.Book.Len())
	return run(ctx, opt, d, func(began time.Duration) loop {
		return func(w *worker) error {
			for {
				now := time.Since(opt.Zero)
				n := next.Add(1) - 1
				if now >= began+d || n >= end {
					return nil
				}
				if err := w.post(n, now); err != nil {
					return err
				}
			}
		}
	})
}

// Open sends rate events a second for d, whether or not earlier ones were answered: event i
// is due at i/rate, and goes out on whichever connection is free. If none is, it waits, and
// the wait counts, because Due does not move.
func Open(ctx context.Context, opt Options, rate int, d time.Duration) (Result, error) {
	count := min(int(int64(rate)*int64(d)/int64(time.Second)), opt.Book.Len())
	queue := make(chan int, count)
	stop := make(chan struct{})
	var pacer sync.WaitGroup
	defer pacer.Wait()
	defer close(stop)
	return run(ctx, opt, d, func(began time.Duration) loop {
		due := func(i int) time.Duration { return began + time.Duration(i)*time.Second/time.Duration(rate) }
		pacer.Go(func() {
			defer close(queue)
			pace(opt.Zero, count, due, queue, stop)
		})
		return func(w *worker) error {
			for i := range queue {
				if err := w.post(opt.Book.First()+uint64(i), due(i)); err != nil {
					return err
				}
			}
			return nil
		}
	})
}

// loop is what each connection does, in a goroutine of its own.
type loop func(*worker) error

// run opens the connections, then starts the clock, lets every connection do its loop, and
// gathers what they saw. The first error ends all.
func run(ctx context.Context, opt Options, d time.Duration, start func(began time.Duration) loop) (Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d+answerLimit,
		fmt.Errorf("requests were still unanswered %s after the end of the run", answerLimit))
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	workers := make([]*worker, opt.Connections)
	for i := range workers {
		c, err := dial(&opt, opt.Addrs[i%len(opt.Addrs)])
		if err != nil {
			return Result{}, fmt.Errorf("connection %d: %w", i+1, err)
		}
		defer c.close()
		workers[i] = &worker{conn: c, ctx: ctx, zero: opt.Zero}
	}
	result := Result{Began: time.Since(opt.Zero)}
	do := start(result.Began)
	for _, w := range workers {
		group.Go(func() error {
			return do(w)
		})
	}
	err := group.Wait()
	for _, w := range workers {
		result.Accepted = append(result.Accepted, w.accepted...)
		result.Refused += w.refused
		result.Ended = max(result.Ended, w.last)
	}
	return result, err
}

// worker is a connection with what it has seen.
type worker struct {
	conn     *conn
	ctx      context.Context //nolint:containedctx // it lives as long as one call of run
	zero     time.Time
	accepted []Answer
	refused  int
	last     time.Duration
}

// post sends event n, due at the given time, and notes the answer.
func (w *worker) post(n uint64, due time.Duration) error {
	sent := time.Since(w.zero)
	status, err := w.send(n)
	w.last = time.Since(w.zero)
	if err != nil {
		if cause := context.Cause(w.ctx); cause != nil {
			return cause
		}
		return err
	}
	switch status {
	case w.conn.accepts:
		w.accepted = append(w.accepted, Answer{Number: n, Due: due, Sent: sent, Answered: w.last})
		return nil
	case http.StatusServiceUnavailable:
		w.refused++
		select {
		case <-time.After(overloadPause):
		case <-w.ctx.Done():
		}
		return nil
	default:
		return fmt.Errorf("event %d was answered %d, want %d", n, status, w.conn.accepts)
	}
}
