// Package server puts the parts together: it opens the store, applies the
// configuration, starts what runs long and ends it in the right order. It is
// the one place that knows all packages.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sigpost/sigpost/internal/alert"
	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/intake"
	"github.com/sigpost/sigpost/internal/mail"
	"github.com/sigpost/sigpost/internal/password"
	"github.com/sigpost/sigpost/internal/pipeline"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
	"github.com/sigpost/sigpost/internal/strictyaml"
	"github.com/sigpost/sigpost/internal/task"
	"github.com/sigpost/sigpost/internal/telemetry"
	"github.com/sigpost/sigpost/web"
)

// Options of a Server.
type Options struct {
	Config *config.Config
	// Providers has the built-in providers and those of the configuration.
	Providers *provider.Set
	Log       *slog.Logger
	Version   string
	// ReadState leaves sources and endpoints as the store has them, because no
	// configuration is at hand. Such a server cannot Run.
	ReadState bool
	// Prune deletes what left the configuration file instead of disabling it.
	Prune bool
	// Reload reads the configuration again; nil when it cannot change.
	Reload func() (*config.Config, *provider.Set, error)
	// OnAttempt is told of each attempt after it was recorded; may be nil.
	OnAttempt dispatch.Observer
	// OnIntake is told of each request to a source; may be nil.
	OnIntake func(source string, outcome intake.Outcome)
	// Kept is told how much memory the store keeps; may be nil. See store.Options.
	Kept func(bytes int64)
}

// Server is a whole Sigpost: Open it, Run it, Close it. An open server that
// does not run serves Control, which is how the command line works on the data
// directory of a stopped server.
type Server struct {
	o         Options
	store     *store.Store
	dispatch  *dispatch.Dispatcher
	pipeline  *pipeline.Pipeline
	intake    *intake.Handler
	metrics   *telemetry.Metrics
	api       *api.API
	dashboard *web.Handler
	tasks     *task.Runner
	expiries  expiries
	hub       *api.Hub
	mail      *mail.Mailer // nil: there is no e-mail
	alerts    *alert.Alerts
	news      *news // of other nodes
	rejects   rejects
	// builder makes what runs, under the configuration in force.
	builder atomic.Pointer[builder]

	mu     sync.Mutex // one apply at a time
	config atomic.Pointer[config.Config]
	// secrets of endpoints as applied.
	secrets atomic.Pointer[map[hook.Key][]hook.Secret]
	own     atomic.Pointer[[]netip.AddrPort]
	faces   []*face
}

// Open opens the data directory and applies the configuration.
func Open(ctx context.Context, o Options) (*Server, error) {
	s := &Server{o: o}
	s.expiries = expiries{timers: map[hook.Key]*time.Timer{}, ctx: context.Background(), failed: func(err error) {
		o.Log.Error("secret that expired is still used", "error", err)
	}}
	s.metrics = telemetry.NewMetrics(s.oldestDue)
	var err error
	if s.dashboard, err = web.New(web.Options{FrameAncestors: s.frameAncestors}); err != nil {
		return nil, err
	}
	if s.mail, err = newMailer(o.Config, o.Log); err != nil {
		return nil, err
	}
	ring, err := masterKey(ctx, o.Config)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Config.Data, 0o700); err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "make data directory %s: %w; name a directory that this user can write to with --data", o.Config.Data, err)
	}
	s.store, err = store.Open(ctx, store.Options{Dir: o.Config.Data, URL: o.Config.DatabaseURL.Reveal(), Poll: o.Config.DatabaseNotify == config.NotifyPoll, Log: o.Log, Committed: s.metrics.Committed, Kept: o.Kept, Due: s.Due, Seal: ring})
	if err != nil {
		return nil, err
	}
	s.dispatch = dispatch.New(dispatch.Options{Store: s.store, Log: o.Log, Observe: s.observeAttempt, Disabled: s.endpointGone, Warned: s.endpointWarned, Switched: s.endpointSwitched, Watch: s.watchEvery()})
	s.dispatch.Share(s.store.Nodes())
	hub := api.NewHub()
	s.pipeline = pipeline.New(s.store, s.dispatch, func(m *hook.Message) {
		hub.Publish(api.Event{Key: m.ID, Org: m.Org, App: m.App, Kind: api.EventMessage, Type: m.Type})
	})
	s.hub, s.news = hub, newNews()
	s.alerts = s.newAlerts()
	s.intake = intake.New(intake.Options{
		Pipeline: s.pipeline, Store: s.store, IDs: s.store.IDs(), Log: o.Log,
		TrustedProxies: config.Prefixes(o.Config.TrustedProxies), Observe: s.observeIntake, Lookup: s.lookupShared(),
	})
	s.tasks = task.New(task.Options{Store: s.store, Due: s.Due, Ended: s.alerts.TaskEnded, Log: o.Log})
	s.api = api.New(api.Options{
		Store: s.store, Pipeline: s.pipeline, Runtime: s, Alerts: s.alerts, Intake: s.intake, IDs: s.store.IDs(), Log: o.Log, Version: o.Version, Hub: hub,
		JWTSecret: o.Config.JWTSecret, PublicURL: s.baseURL, ParseYAML: strictyaml.Plain, Passwords: password.New(), Remote: s.intake.Remote,
	})
	s.config.Store(o.Config)
	s.secrets.Store(&map[hook.Key][]hook.Secret{})
	if o.ReadState {
		builtin, err := provider.Builtin()
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.builder.Store(s.newBuilder(o.Config, builtin))
		return s, nil
	}
	if err := s.apply(ctx, o.Config, o.Providers); err != nil {
		return nil, errors.Join(err, s.store.Close())
	}
	return s, nil
}

// masterKey is the key of the configuration, or that of the data directory.
func masterKey(ctx context.Context, cfg *config.Config) (*seal.Ring, error) {
	switch {
	case cfg.MasterKey != "":
	case cfg.DatabaseURL != "":
		return nil, hook.Errorf(hook.CodeInvalid, "master_key is missing: what is sealed in a database that nodes share must open on each of them; set SIGPOST_MASTER_KEY to the same value on all (`openssl rand -base64 32` makes one)")
	default:
		return fileKey(ctx, cfg.Data)
	}
	return seal.NewRing(strings.Split(cfg.MasterKey.Reveal(), ",")...)
}

// fileKey is the key in a data directory. It is made where nothing is sealed yet;
// where something is, a new one would open nothing.
func fileKey(ctx context.Context, dir string) (*seal.Ring, error) {
	_, err := os.Stat(filepath.Join(dir, seal.FileName))
	if errors.Is(err, os.ErrNotExist) {
		sealed, err := store.Sealed(ctx, dir)
		if err != nil {
			return nil, err
		}
		if sealed {
			return nil, hook.Errorf(hook.CodeConflict, "the master key is missing: secrets in %s are sealed, and %s is not there; put it back, or give the key in SIGPOST_MASTER_KEY", dir, filepath.Join(dir, seal.FileName))
		}
	}
	return seal.FromFile(dir)
}

// API is the HTTP API.
func (s *Server) API() *api.API { return s.api }

// Control is what the command line talks to: the HTTP API as an administrator.
func (s *Server) Control() http.Handler { return s.api.Trusted(store.DefaultOrg) }

// Close ends a server that does not run any more, or never did.
func (s *Server) Close() error {
	s.expiries.stop()
	if b := s.builder.Load(); b != nil {
		b.close()
	}
	return s.store.Close()
}

// Run serves until ctx ends, then ends gracefully: it takes nothing new,
// answers what it has begun to read, delivers what is queued as far as the
// shutdown timeout allows, and leaves the rest in the store.
func (s *Server) Run(ctx context.Context) error {
	if err := s.listen(); err != nil {
		return err
	}
	cfg := s.config.Load()
	s.o.Log.Info("running", "version", s.o.Version, "data", cfg.Data, "sources_in_file", len(cfg.Sources))
	work, stop := context.WithCancel(context.Background())
	defer stop()
	failed := make(chan error, len(s.faces)+9)
	var running sync.WaitGroup
	for name, run := range map[string]func(context.Context) error{"dispatch": s.dispatch.Run, "intake": s.intake.Run,
		"background": s.background, "lists": s.store.RunIndexer, "hashes": s.store.RunPacker, "alerts": s.alerts.Run, "mail": s.runMail, "heartbeat": s.heartbeat, "follow": s.follow, "listener": s.listener, "rejects": s.countRejects,
	} {
		running.Go(func() {
			if err := run(work); err != nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	for _, f := range s.faces {
		running.Go(func() {
			if err := f.serve(); err != nil {
				failed <- err
			}
		})
	}
	var err error
	patience := s.o.Config.ShutdownTimeout
	select {
	case <-ctx.Done():
		s.o.Log.Info("stopping")
	case err = <-failed:
		s.o.Log.Error("stopping after a failure", "error", err)
	case <-s.store.Failed():
		err = hook.Errorf(hook.CodeUnavailable, "the disk of %s did not take what was written; nothing that was acknowledged is lost: look at the disk, and start again", cfg.Data)
		s.o.Log.Error("stopping after a failure", "error", err)
		patience = min(patience, brokenTimeout)
	}
	end, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.stopFaces(end)
	stop()
	running.Wait()
	s.dispatch.Drain(end)
	s.drainAlerts(end)
	s.keepRejects(end)
	s.o.Log.Info("stopped")
	return err
}

// brokenTimeout is how long a stop may take when nothing can be recorded any more: what
// would be delivered comes again after the next start anyway.
const brokenTimeout = time.Second

// stopFaces closes the listeners and answers what has begun, for at most half of
// the time that is left: who sends slowly must not cost the deliveries theirs.
func (s *Server) stopFaces(end context.Context) {
	s.hub.Close() // streams do not end by themselves
	deadline, _ := end.Deadline()
	half, cancel := context.WithTimeout(end, time.Until(deadline)/2)
	defer cancel()
	var stopping sync.WaitGroup
	for _, f := range s.faces {
		stopping.Go(func() { f.stop(half) })
	}
	stopping.Wait()
}

func (s *Server) oldestDue() time.Duration {
	now := time.Now()
	at, err := s.store.OldestDue(context.Background(), now)
	if err != nil || at.IsZero() {
		return 0
	}
	return now.Sub(at)
}

func (s *Server) observeIntake(source *hook.Source, outcome intake.Outcome, took time.Duration) {
	name := ""
	if source != nil {
		name = source.Name
		s.countVerified(source, outcome)
		s.rejects.count(source, outcome, time.Now())
	}
	if s.o.OnIntake != nil {
		s.o.OnIntake(name, outcome)
	}
	switch outcome {
	case intake.Accepted:
		s.metrics.Accepted(name, took)
	case intake.Duplicate:
		s.metrics.Duplicate(name)
	default:
		s.metrics.Rejected(name, string(outcome))
	}
}

// observeAttempt writes the one log line of an attempt and counts it.
func (s *Server) observeAttempt(t *dispatch.Target, m *hook.Message, r *hook.Record) {
	if s.o.OnAttempt != nil {
		s.o.OnAttempt(t, m, r)
	}
	if r.State != hook.Pending {
		s.metrics.Settled(r.State.String())
	}
	if r.Attempt == nil {
		return
	}
	a := r.Attempt
	event := api.Event{Key: a.ID, Org: r.Delivery.Org, App: t.App, Kind: api.EventAttempt}
	if m != nil {
		event.Type = m.Type
	}
	s.hub.Publish(event)
	s.alerts.Attempt(&t.Endpoint, m, r)
	s.metrics.Attempt(string(a.Outcome))
	level := slog.LevelInfo
	if r.State == hook.Delivered {
		s.metrics.Delivered(time.Since(r.Delivery.Since))
	} else {
		level = slog.LevelWarn
	}
	ctx := context.Background()
	if !s.o.Log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String("endpoint", t.Label()), slog.String("outcome", string(a.Outcome)), slog.Int("status", a.Status),
		slog.Int("attempt", a.Number), slog.Duration("took", a.Duration),
		slog.String("message", s.store.IDs().Public(hook.KindMessage, a.Message)), slog.String("state", r.State.String()))
	if r.State == hook.Pending {
		attrs = append(attrs, slog.Time("next", r.NextAt))
	}
	if a.Reason != "" {
		attrs = append(attrs, slog.String("reason", a.Reason))
	}
	if r.Refused {
		attrs = append(attrs, slog.Bool("refused", true))
	}
	s.o.Log.LogAttrs(ctx, level, "attempt", attrs...)
}

// IDs turns the store's keys into public ids and back.
func (s *Server) IDs() *hook.IDs { return s.store.IDs() }
