package server

import (
	"context"
	"time"

	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
)

// notice is something of which an organization may want an operational webhook.
type notice struct {
	endpoint hook.Endpoint
	record   *hook.Record // of an attempt; nil: the endpoint was disabled by rule
}

// noticeQueue is how many may wait. What comes from the goroutine that records
// attempts must not wait for a webhook about one of them.
const noticeQueue = 1024

// note queues a notice of an attempt that an organization may want to know of.
func (s *Server) note(t *dispatch.Target, r *hook.Record) {
	failed := r.Attempt.Outcome != hook.OutcomeDelivered
	if r.Refused || t.OfSource || !failed && r.Delivery.Failures == 0 {
		return // most attempts: delivered at once
	}
	s.queue(notice{t.Endpoint, r})
}

// noteWarned logs that an endpoint will be disabled if it goes on failing.
func (s *Server) noteWarned(t *dispatch.Target, h hook.Health, percent int, at time.Time) {
	s.o.Log.Warn("endpoint keeps failing", "endpoint", t.Label(), "since", h.FailingSince, "failures", h.Failures, "percent", percent, "disabled_at", at)
}

// noteDisabled queues a notice of an endpoint that said that it is gone.
func (s *Server) noteDisabled(t *dispatch.Target) { s.queue(notice{endpoint: t.Endpoint}) }

func (s *Server) queue(n notice) {
	select {
	case s.notices <- n:
	default:
		s.o.Log.Warn("operational webhook dropped: too many are waiting", "endpoint", n.endpoint.Label())
	}
}

// notify sends operational webhooks until ctx ends.
func (s *Server) notify(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case n := <-s.notices:
			if n.record != nil {
				s.api.TellAttempt(ctx, n.endpoint, n.record)
				continue
			}
			s.api.TellDisabled(ctx, n.endpoint)
			if err := s.AppChanged(ctx, n.endpoint.App); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("routes not renewed", "endpoint", n.endpoint.Label(), "error", err)
			}
		}
	}
}
