package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/sigpost/sigpost/internal/alert"
	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/intake"
	"github.com/sigpost/sigpost/internal/mail"
	"github.com/sigpost/sigpost/internal/store"
)

// newMailer makes what sends alerts by e-mail; nil when that is not configured.
func newMailer(cfg *config.Config, log *slog.Logger) (*mail.Mailer, error) {
	e := &cfg.Alerts.Email
	if e.SMTP == "" {
		return nil, nil
	}
	at, err := e.Server()
	if err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "alerts.email.smtp: %w", err)
	}
	o := mail.Options{
		Host: at.Host, Port: at.Port, TLS: at.TLS, User: at.User, Password: at.Password, From: e.From, To: e.To, Interval: e.MinInterval, Name: baseURL(cfg), Log: log,
	}
	for _, k := range e.Kinds {
		o.Kinds = append(o.Kinds, hook.AlertKind(k))
	}
	m, err := mail.New(o)
	if err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "alerts.email.%w", err)
	}
	return m, nil
}

// newAlerts makes what tells of what somebody may have to act on.
func (s *Server) newAlerts() *alert.Alerts {
	c := &s.o.Config.Alerts
	o := alert.Options{
		Store: s.store, Pipeline: s.pipeline, IDs: s.store.IDs(), Log: s.o.Log, Silence: c.Silence,
		Rate: alert.Rate{Failures: c.Verification.Failures, Percent: c.Verification.Percent, Window: c.Verification.Window},
	}
	if s.mail != nil {
		o.Mail = s.mail
	}
	return alert.New(o)
}

func (s *Server) runMail(ctx context.Context) error {
	if s.mail == nil {
		<-ctx.Done()
		return nil
	}
	return s.mail.Run(ctx)
}

// flushTime is how long the last mail may take at the end.
const flushTime = 5 * time.Second

// drainAlerts tells, after everything else has ended, what is still to be told.
func (s *Server) drainAlerts(end context.Context) {
	s.alerts.Drain(end)
	if s.mail != nil {
		ctx, cancel := context.WithTimeout(end, flushTime)
		defer cancel()
		s.mail.Flush(ctx)
	}
}

// Alerts tells of what somebody may have to act on.
func (s *Server) Alerts() *alert.Alerts { return s.alerts }

// endpointGone follows what the dispatcher did: it disabled an endpoint that said
// that it is gone, or has been failing since a time. It must not block.
func (s *Server) endpointGone(t *dispatch.Target, since time.Time) {
	s.alerts.EndpointDisabled(t.Endpoint, t.Reason, since)
	s.changed(t.App)
}

// endpointWarned tells of an endpoint that will be disabled if it goes on failing.
func (s *Server) endpointWarned(t *dispatch.Target, h hook.Health, percent int, at time.Time) {
	if t.OfSource {
		at = time.Time{} // those are never disabled by rule
	}
	s.alerts.EndpointWarned(t.Endpoint, percent, h.FailingSince, at)
}

// endpointSwitched tells other nodes that the breaker of an endpoint opened or closed: what
// one of them found out need not cost the others attempts.
func (s *Server) endpointSwitched(endpoint hook.Key) {
	s.tell(context.Background(), store.NotifyHealth, endpoint)
}

// countVerified counts what became of a request to a source, when its signature
// decided about it.
func (s *Server) countVerified(x *hook.Source, outcome intake.Outcome) {
	switch outcome {
	case intake.Accepted, intake.Duplicate:
		s.alerts.Count(x, true)
	case intake.BadSignature, intake.Quarantined, intake.QuarantineFull:
		s.alerts.Count(x, false)
	}
}
