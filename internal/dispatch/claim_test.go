package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// manyDue is a store in which every endpoint has deliveries due.
type manyDue struct {
	Store
	mu     sync.Mutex
	due    map[hook.Key]int
	claims atomic.Int32 // under way
	most   atomic.Int32 // that were at once
}

func (s *manyDue) Incarnation() hook.Key { return 1 }

func (s *manyDue) Holds(holder hook.Key) bool { return holder == 1 }

func (s *manyDue) Message(context.Context, hook.Key) (*hook.Message, error) {
	return &hook.Message{Body: []byte("{}")}, nil
}

func (s *manyDue) Record(context.Context, []*hook.Record) error { return nil }

// Claim takes a while, as one does when many want the store.
func (s *manyDue) Claim(_ context.Context, endpoint hook.Key, now time.Time, limit int) (claimed []hook.Delivery, next time.Time, err error) {
	s.most.Store(max(s.most.Load(), s.claims.Add(1)))
	defer s.claims.Add(-1)
	time.Sleep(10 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(limit, s.due[endpoint])
	if s.due[endpoint] -= n; s.due[endpoint] > 0 {
		next = now
	}
	for range n {
		claimed = append(claimed, hook.Delivery{Endpoint: endpoint, State: hook.Pending, NextAt: now, Since: now, Holder: 1})
	}
	return claimed, next, nil
}

func (s *manyDue) left() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, due := range s.due {
		n += due
	}
	return n
}

// afterOutage is a dispatcher with endpoints of which each has deliveries due, and none
// is answered before answer is closed.
func afterOutage(endpoints, each int) (d *Dispatcher, s *manyDue, answer chan struct{}) {
	s, answer = &manyDue{due: map[hook.Key]int{}}, make(chan struct{})
	d = New(Options{Store: s, Sweep: 24 * time.Hour, Log: slog.New(slog.DiscardHandler), Observe: func(*Target, *hook.Message, *hook.Record) {}})
	for id := range hook.Key(endpoints) {
		s.due[id] = each
		d.endpoints[id] = newEndpoint(&Target{Endpoint: hook.Endpoint{ID: id}, Attempt: func(context.Context, *hook.Message, *hook.Delivery) *hook.Attempt {
			<-answer
			return &hook.Attempt{Status: 200, Outcome: hook.OutcomeDelivered}
		}}, 1, &d.underWay)
	}
	return d, s, answer
}

// runFor runs it while something is done, and ends it when everything is recorded.
func runFor(d *Dispatcher, do func()) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(ctx)
	}()
	do()
	stop()
	<-ended
	d.Drain(context.Background())
}

// After an outage of ours every endpoint has something due. Claims then take turns, so
// that whatever else is to be written does not stand behind thousands of them.
func TestClaimsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, s, answer := afterOutage(300, 5)
		close(answer)
		runFor(d, func() {
			for range 3 {
				for id := range d.endpoints {
					d.Due(id, time.Now())
				}
				synctest.Wait()
				if d.mu.RLock(); len(d.line) > len(d.endpoints) {
					t.Errorf("%d stand in line, some twice", len(d.line))
				}
				d.mu.RUnlock()
			}
			time.Sleep(time.Second)
			synctest.Wait()
		})
		if s.left() != 0 || s.most.Load() != mostClaims {
			t.Errorf("%d deliveries were not claimed; %d claims were under way at once, %d may be", s.left(), s.most.Load(), mostClaims)
		}
		if d.claims != 0 || len(d.line) != 0 || d.claimed.Load() != 0 {
			t.Errorf("at the end %d claims are under way, %d endpoints in line, %d jobs in memory", d.claims, len(d.line), d.claimed.Load())
		}
	})
}

// However many endpoints have however much due, what is in memory is bounded: by a
// number for all, and by a few for each endpoint beyond it. None gets nothing.
func TestWhatIsClaimedIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const endpoints, each = 1000, 200
		d, s, answer := afterOutage(endpoints, each)
		runFor(d, func() {
			for id := range d.endpoints {
				d.Due(id, time.Now())
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := int(d.claimed.Load()); n != endpoints*each-s.left() || n < mostClaimed || n > mostClaimed+endpoints*probeJobs {
				t.Errorf("%d jobs are in memory, %d were claimed; about %d may be", n, endpoints*each-s.left(), mostClaimed)
			}
			for id, e := range d.endpoints {
				if e.reserved < probeJobs || e.reserved > each {
					t.Errorf("endpoint %d has %d jobs in memory", id, e.reserved)
				}
			}
			close(answer)
			time.Sleep(time.Hour)
			synctest.Wait()
		})
		if s.left() != 0 || d.claimed.Load() != 0 {
			t.Errorf("%d deliveries were not claimed, %d jobs are in memory", s.left(), d.claimed.Load())
		}
	})
}
