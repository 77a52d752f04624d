package role

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
)

// queueLength is how many bodies a relay holds in memory: enough that its senders are never
// idle while requests come in. When it is full, requests wait.
const queueLength = 4096

// relay forwards bodies from a bounded queue.
type relay struct {
	queue   chan *[]byte
	bodies  sync.Pool
	senders sync.WaitGroup
	lost    atomic.Int64
}

// startRelay starts the senders.
func startRelay(post func(context.Context, []byte) error) *relay {
	r := &relay{
		queue:  make(chan *[]byte, queueLength),
		bodies: sync.Pool{New: func() any { return new([]byte) }},
	}
	for range senders {
		r.senders.Go(func() {
			for body := range r.queue {
				if err := post(context.Background(), *body); err != nil {
					r.lost.Add(1)
					slog.Error("forward", "error", err)
				}
				r.bodies.Put(body)
			}
		})
	}
	return r
}

// enqueue copies body into the queue and waits while that is full.
func (r *relay) enqueue(body []byte) error {
	kept := r.bodies.Get().(*[]byte)
	*kept = append(slices.Grow((*kept)[:0], len(body)), body...)
	r.queue <- kept
	return nil
}

// drain sends what is queued and ends the senders. Nothing may be enqueued any more.
func (r *relay) drain() error {
	close(r.queue)
	r.senders.Wait()
	if n := r.lost.Load(); n > 0 {
		return fmt.Errorf("forward: %d events were lost", n)
	}
	return nil
}
