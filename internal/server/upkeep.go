package server

import (
	"context"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// upkeepInterval is how often what is out of date is looked for.
const upkeepInterval = 5 * time.Minute

// judgeEvery is how often endpoints are looked at that have been failing.
const judgeEvery = time.Minute

// judge warns about endpoints that keep failing, and disables them by rule, until ctx ends.
func (s *Server) judge(ctx context.Context) {
	tick := time.NewTicker(judgeEvery)
	defer tick.Stop()
	for {
		if err := s.dispatch.Judge(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("health of endpoints not judged", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// upkeep runs what has to be done now and then, at the start first.
func (s *Server) upkeep(ctx context.Context) error {
	tick := time.NewTicker(upkeepInterval)
	defer tick.Stop()
	for {
		for _, job := range s.upkeepJobs() {
			if err := job.run(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("upkeep failed", "job", job.name, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

type upkeepJob struct {
	name string
	run  func(context.Context) error
}

// upkeepJobs are the jobs in their order. Each works in small steps between
// other writes, and goes on another time where it was stopped.
func (s *Server) upkeepJobs() []upkeepJob {
	forget := func(f func(context.Context, time.Time) (int64, error)) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := f(ctx, time.Now())
			return err
		}
	}
	return []upkeepJob{
		{"partitions", func(ctx context.Context) error { return s.store.EnsurePartitions(ctx, time.Now()) }},
		{"dedupe keys", forget(s.store.ForgetDedupe)},
		{"idempotency keys", forget(s.store.ForgetIdempotency)},
		{"states of lanes", forget(s.store.ForgetStates)},
		{"lanes", s.mendLanes},
		{"expired secrets", forget(s.store.ForgetSecrets)},
		{"expired tokens", forget(s.store.ForgetTokens)},
		{"expired sessions", forget(s.store.ForgetSessions)},
		{"expired payloads", forget(s.store.ExpireBodies)},
		{"deliveries without an endpoint", func(ctx context.Context) error {
			_, err := s.store.CancelOrphans(ctx)
			return err
		}},
		{"deleted applications", s.purgeApplications},
		{"retention", s.retain},
		{"audit log", s.retainAudit},
		{"counts", s.rollCounts},
		{"alerts not told", s.alerts.Sweep},
		{"silent sources", s.alerts.Listen},
	}
}

func (s *Server) mendLanes(ctx context.Context) error {
	n, err := s.store.MendLanes(ctx)
	if n > 0 {
		s.o.Log.Warn("lanes mended: was a node with an older version running?", "lanes", n)
	}
	return err
}

func (s *Server) purgeApplications(ctx context.Context) error {
	apps, err := s.store.DeletedApplications(ctx)
	if err != nil {
		return err
	}
	for _, app := range apps {
		n, err := s.store.PurgeApplication(ctx, app)
		if err != nil {
			return err
		}
		s.o.Log.Info("deleted application purged", "application", s.store.IDs().Public(hook.KindApplication, app), "messages", n)
	}
	return nil
}
