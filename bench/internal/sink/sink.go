// Package sink is where delivered events arrive: a receiver that verifies nothing, notes
// when it saw each event, and answers 200 at once; and a receiver that never answers.
// Both live in the bench's own process, so that a delivery is timed by the same clock as
// the request that caused it.
package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sigpost/sigpost/bench/internal/event"
)

// Sink counts events. Its times are durations since the zero that Listen was given.
type Sink struct {
	template *event.Template
	zero     time.Time
	server   *http.Server
	addr     string
	buffers  sync.Pool

	mu       sync.Mutex
	arrivals []time.Duration // by number; 0 is "not yet"
	unique   int
	repeated int
	foreign  int
}

// Listen opens a sink on a free loopback port. The caller closes it.
func Listen(zero time.Time) (*Sink, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the sink: %w", err)
	}
	s := &Sink{
		template: event.NewTemplate(),
		zero:     zero,
		addr:     ln.Addr().String(),
		buffers:  sync.Pool{New: func() any { return new([event.Size + 1]byte) }},
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go s.server.Serve(ln) //nolint:errcheck // it always ends with ErrServerClosed, by Close
	return s, nil
}

// URL is where events are to be delivered.
func (s *Sink) URL() string { return "http://" + s.addr + "/hook" }

// Close ends the sink and its connections.
func (s *Sink) Close() error { return s.server.Close() }

// ServeHTTP notes one event: 200 for one of ours, 400 for anything else.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buf := s.buffers.Get().(*[event.Size + 1]byte)
	defer s.buffers.Put(buf)
	n, err := io.ReadFull(r.Body, buf[:]) // one byte more than an event, to notice longer ones
	at := time.Since(s.zero)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return // the sender broke off: it will try again
	}
	number, err := s.template.Number(buf[:n])
	if !s.note(number, at, err == nil) {
		w.WriteHeader(http.StatusBadRequest)
	}
}

// note records an arrival and says whether it was one of ours.
func (s *Sink) note(number uint64, at time.Duration, ours bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ours {
		s.foreign++
		return false
	}
	for uint64(len(s.arrivals)) <= number {
		s.arrivals = append(s.arrivals, 0)
	}
	if s.arrivals[number] != 0 {
		s.repeated++
		return true
	}
	s.arrivals[number] = at
	s.unique++
	return true
}

// Arrival is when event number was first seen; false if it was not.
func (s *Sink) Arrival(number uint64) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number >= uint64(len(s.arrivals)) || s.arrivals[number] == 0 {
		return 0, false
	}
	return s.arrivals[number], true
}

// Counts are the events seen, those seen again, and the requests that were no events.
func (s *Sink) Counts() (unique, repeated, foreign int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unique, s.repeated, s.foreign
}

// Await waits until every one of numbers has arrived and returns the time of the last of
// them. It gives up, with an error that says how many are missing, when nothing new has
// come for patience.
func (s *Sink) Await(ctx context.Context, numbers []uint64, patience time.Duration) (time.Duration, error) {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	seen, since := -1, time.Now()
	for {
		unique, _, _ := s.Counts()
		if unique >= len(numbers) {
			if last, missing := s.last(numbers); missing == 0 {
				return last, nil
			}
		}
		if unique != seen {
			seen, since = unique, time.Now()
		}
		if time.Since(since) > patience {
			_, missing := s.last(numbers)
			return 0, fmt.Errorf("await deliveries: %d of %d accepted events never arrived (nothing new for %s)",
				missing, len(numbers), patience)
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-poll.C:
		}
	}
}

// last is the latest arrival among numbers, and how many of them are missing.
func (s *Sink) last(numbers []uint64) (latest time.Duration, missing int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range numbers {
		if n >= uint64(len(s.arrivals)) || s.arrivals[n] == 0 {
			missing++
			continue
		}
		latest = max(latest, s.arrivals[n])
	}
	return latest, missing
}
