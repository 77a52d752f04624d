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
	addrs    []string
	buffers  sync.Pool

	mu       sync.Mutex
	arrivals []time.Duration // by number; 0 is "not yet"
	unique   int
	repeated int
	foreign  int
	first    time.Duration // arrival after the last Mark; 0 is "none yet"
}

// Listen opens a sink on a free loopback port. The caller closes it.
func Listen(zero time.Time) (*Sink, error) { return ListenOn(zero, 1) }

// ListenOn is Listen on several ports: to who delivers, these are as many hosts.
func ListenOn(zero time.Time, ports int) (*Sink, error) {
	s := &Sink{
		template: event.NewTemplate(),
		zero:     zero,
		buffers:  sync.Pool{New: func() any { return new([event.Size + 1]byte) }},
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	for range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("open the sink: %w", err)
		}
		s.addrs = append(s.addrs, ln.Addr().String())
		go s.server.Serve(ln) //nolint:errcheck // it always ends with ErrServerClosed, by Close
	}
	return s, nil
}

// URL is where events are to be delivered; of several ports, at the first.
func (s *Sink) URL() string { return s.URLs()[0] }

// URLs are those of all ports.
func (s *Sink) URLs() []string {
	urls := make([]string, len(s.addrs))
	for i, addr := range s.addrs {
		urls[i] = "http://" + addr + "/hook"
	}
	return urls
}

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
	if s.first == 0 {
		s.first = at
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

// Total is how many events were seen, again or not.
func (s *Sink) Total() int {
	unique, repeated, _ := s.Counts()
	return unique + repeated
}

// Mark has First wait for the next event from now on.
func (s *Sink) Mark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = 0
}

// First waits for the first event after Mark, seen before or not, and returns when it came.
// It gives up, with an error, after patience.
func (s *Sink) First(ctx context.Context, patience time.Duration) (time.Duration, error) {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		s.mu.Lock()
		first := s.first
		s.mu.Unlock()
		if first != 0 {
			return first, nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-end.C:
			return 0, fmt.Errorf("await deliveries: none came for %s", patience)
		case <-poll.C:
		}
	}
}

// Quiet waits until nothing has come for a time.
func (s *Sink) Quiet(ctx context.Context, d time.Duration) error {
	for {
		s.Mark()
		if _, err := s.First(ctx, d); err != nil {
			return context.Cause(ctx)
		}
	}
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
