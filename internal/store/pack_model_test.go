package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// seenModel is what a store should know: which message was the newest to be kept with each
// hash, and with each key of a request.
type seenModel struct {
	t      *testing.T
	store  *seenStore
	random *rand.Rand
	events map[hook.Hash]hook.Key
	asked  map[hook.Hash]hook.Key
	hashes []hook.Hash
}

// What a store knows over twenty days is what a map would, whatever happens in between.
func TestSeenIsWhatAModelKnows(t *testing.T) {
	t.Parallel()
	for range 2 {
		seed := uint64(time.Now().UnixNano())
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				m := &seenModel{t: t, random: rand.New(rand.NewPCG(seed, 0)), events: map[hook.Hash]hook.Key{}, asked: map[hook.Hash]hook.Key{}}
				time.Sleep(24 * time.Hour) // of the bubble's clock: away from the beginning of keys
				m.store = openSeen(t, dir)
				for began := time.Now(); time.Since(began) < 20*24*time.Hour && !t.Failed(); {
					m.step()
				}
				m.store.packAll(t)
				m.compare()
				m.store = m.store.restart(t, true)
				m.compare()
				if err := m.store.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func (m *seenModel) step() {
	switch n := m.random.IntN(100); {
	case n < 30:
		m.append(1 + m.random.IntN(40))
	case n < 60:
		m.again()
	case n < 70:
		m.store.pack(m.t, m.random.IntN(40))
	case n < 76:
		m.store.packAll(m.t)
	case n < 80:
		m.store.pack(m.t, m.random.IntN(20))
		m.store = m.store.restart(m.t, true)
	case n < 83:
		m.store = m.store.restart(m.t, n%2 == 0)
	case n < 86:
		m.forget()
	case n < 96:
		time.Sleep(time.Duration(m.random.Int64N(int64(3 * time.Hour))))
	default:
		time.Sleep(time.Duration(m.random.Int64N(int64(30 * time.Hour))))
	}
}

// append appends new hashes.
func (m *seenModel) append(n int) {
	for range n {
		var h hook.Hash
		for i := range h {
			h[i] = byte(m.random.Uint32())
		}
		m.hashes = append(m.hashes, h)
	}
	m.try(m.hashes[len(m.hashes)-n:])
}

// again appends hashes that were there once, at times at the very end of their window.
func (m *seenModel) again() {
	if len(m.hashes) == 0 {
		return
	}
	h := m.hashes[m.random.IntN(len(m.hashes))]
	if m.random.IntN(4) == 0 {
		if k := m.events[h]; time.Since(k.Time()) > 0 {
			if left := time.Until(k.Time().Add(hook.DedupeWindow)); left > 0 && left < 20*time.Hour {
				time.Sleep(left + time.Duration(m.random.IntN(3)-1)*time.Millisecond)
			}
		}
	}
	m.try([]hook.Hash{h})
}

func (m *seenModel) try(hashes []hook.Hash) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, h := range hashes {
		wg.Go(func() {
			now := time.Now()
			event, duplicate := m.store.appendHash(m.t, h)
			request, repeated := m.store.appendRequest(m.t, h)
			mu.Lock()
			defer mu.Unlock()
			m.expect("event", m.events, h, event, duplicate, now, hook.DedupeWindow)
			m.expect("request", m.asked, h, request, repeated, now, hook.IdempotencyWindow)
		})
	}
	wg.Wait()
}

// expect compares one answer with the model, and adds to it. The key of a message is a little
// older than that of its request; in the bubble both have the same millisecond, unless
// many came at once.
func (m *seenModel) expect(what string, known map[hook.Hash]hook.Key, h hook.Hash, got hook.Key, again bool, now time.Time, window time.Duration) {
	k, had := known[h]
	want := had && k >= hook.KeyAt(now.Add(-window))
	if again != want || want && got != k {
		m.t.Errorf("%s of %v ago (message %d): known %v as %d", what, now.Sub(k.Time()), k, again, got)
	}
	if !again {
		known[h] = got
	}
}

func (m *seenModel) forget() {
	ctx := context.Background()
	if _, err := m.store.ForgetDedupe(ctx, time.Now()); err != nil {
		m.t.Error(err)
	}
	if _, err := m.store.ForgetIdempotency(ctx, time.Now()); err != nil {
		m.t.Error(err)
	}
}

// compare looks all up that there ever was.
func (m *seenModel) compare() {
	now := time.Now()
	for i, known := range []map[hook.Hash]hook.Key{m.events, m.asked} {
		memory, runs := m.store.memories[i], 0
		for h, k := range known {
			_, got, err := memory.find(context.Background(), m.store.block, h, now)
			if want := k >= hook.KeyAt(now.Add(-memory.table.window)); got != want || err != nil {
				m.t.Errorf("%s of %v ago: known %v, %v", memory.table.name, now.Sub(k.Time()), got, err)
			}
		}
		if runs = len(memory.list()); runs > 20 {
			m.t.Errorf("%d runs of %s", runs, memory.table.name)
		}
	}
	if len(m.hashes) < 500 {
		m.t.Errorf("only %d hashes in twenty days", len(m.hashes))
	}
}

// However many come at once with the same hash, one is the first, also while the generation of
// it is packed.
func TestEqualEventsAtOnceMakeOneMessageWhileHashesArePacked(t *testing.T) {
	t.Parallel()
	s := openSeen(t, t.TempDir())
	defer s.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				s.packAll(t)
			}
		}
	}()
	var hashes []hook.Hash
	for range 30 {
		h := randomHash()
		var fresh atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if _, known := s.appendHash(t, h); !known {
					fresh.Add(1)
				}
				if len(hashes) > 0 {
					if _, known := s.appendHash(t, hashes[rand.IntN(len(hashes))]); !known {
						t.Error("an event from before is new")
					}
				}
			})
		}
		wg.Wait()
		if n := fresh.Load(); n != 1 {
			t.Errorf("%d of 64 equal events were the first", n)
		}
		hashes = append(append(hashes, h), s.fill(t, generationOfTests/2)...)
	}
	close(stop)
	<-stopped
	if len(s.writer.seen.list()) == 0 {
		t.Error("nothing was packed")
	}
}
