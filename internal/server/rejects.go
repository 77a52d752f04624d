package server

import (
	"context"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/intake"
)

// rejects counts requests to sources that were refused, until they are added up in the
// store: a flood of them must not cost a write each. A node that is killed forgets what it
// counted since. The zero value is ready.
type rejects struct {
	mu     sync.Mutex
	counts map[rejectKey]int64
}

type rejectKey struct {
	org, source hook.Key
	minute      time.Time
}

// keepRejectsEvery is how often they are added up.
const keepRejectsEvery = 2 * time.Second

// count counts a request to a source, if it was refused for what it was: not our own trouble.
func (r *rejects) count(x *hook.Source, outcome intake.Outcome, now time.Time) {
	switch outcome {
	case intake.Accepted, intake.Duplicate, intake.Overloaded, intake.NotKept, intake.UnknownSource:
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[rejectKey]int64{}
	}
	r.counts[rejectKey{x.Org, x.ID, now.Truncate(time.Minute)}]++
}

// take is what was counted since the last time.
func (r *rejects) take() []hook.Count {
	r.mu.Lock()
	counts := r.counts
	r.counts = nil
	r.mu.Unlock()
	list := make([]hook.Count, 0, len(counts))
	for k, n := range counts {
		list = append(list, hook.Count{Org: k.org, About: k.source, Kind: hook.CountRejected, At: k.minute, N: n})
	}
	return list
}

// giveBack keeps what could not be added up for the next time.
func (r *rejects) giveBack(list []hook.Count) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[rejectKey]int64{}
	}
	for _, c := range list {
		r.counts[rejectKey{c.Org, c.About, c.At}] += c.N
	}
}

func (s *Server) countRejects(ctx context.Context) error {
	tick := time.NewTicker(keepRejectsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.keepRejects(ctx)
		}
	}
}

func (s *Server) keepRejects(ctx context.Context) {
	list := s.rejects.take()
	if err := s.store.AddCounts(ctx, list); err != nil {
		s.rejects.giveBack(list)
		s.o.Log.Warn("rejected requests not counted yet", "error", err)
	}
}

// rollCounts makes hours of old minutes.
func (s *Server) rollCounts(ctx context.Context) error {
	orgs, err := s.store.Organizations(ctx)
	if err != nil {
		return err
	}
	for _, o := range orgs {
		if err := s.store.RollCounts(ctx, o.ID, time.Now()); err != nil {
			return err
		}
	}
	return nil
}
