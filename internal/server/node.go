package server

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/intake"
	"github.com/sigpost/sigpost/internal/store"
)

// Nodes that share a PostgreSQL database tell each other what changed. What they
// tell is a wake-up: after a lost connection a node reads everything again, and
// every half minute it does so anyway.

const (
	// notifyTask says that there is a new task.
	notifyTask = "task"
	// sharedWatch is how often a node looks for others that died: with the 20 s after
	// which a silent node is dead, its work goes on within 30 s.
	sharedWatch = 5 * time.Second
	// streamsEvery is how often live streams look for what other nodes kept.
	streamsEvery = time.Second
	// followEvery is how often a node follows the store without being told.
	followEvery = 30 * time.Second
)

// shared says whether other nodes may share the store.
func (s *Server) shared() bool { return s.o.Config.DatabaseURL != "" }

// watchEvery is how often the dispatcher looks for nodes that died; 0 is never.
func (s *Server) watchEvery() time.Duration {
	if s.shared() {
		return sharedWatch
	}
	return 0
}

// heartbeat keeps this node alive until ctx ends, and its share of the endpoints
// what the number of nodes asks for.
func (s *Server) heartbeat(ctx context.Context) error {
	return s.store.RunHeartbeat(ctx, s.dispatch.Share)
}

// listener hears what other nodes tell, until ctx ends.
func (s *Server) listener(ctx context.Context) error { return s.store.RunListener(ctx, s.hear) }

// news is what was heard and not yet followed.
type news struct {
	mu      sync.Mutex
	apps    map[hook.Key]bool
	own     map[hook.Key]bool // applications that were changed here
	sources map[hook.Key]bool
	health  map[hook.Key]bool // endpoints
	all     bool
	wake    chan struct{}
}

func newNews() *news {
	return &news{apps: map[hook.Key]bool{}, own: map[hook.Key]bool{}, sources: map[hook.Key]bool{}, health: map[hook.Key]bool{}, wake: make(chan struct{}, 1)}
}

// changed notes that an application was changed here, and not by the API, which
// follows by itself. It does not block.
func (s *Server) changed(app hook.Key) {
	s.news.mu.Lock()
	s.news.own[app] = true
	s.news.mu.Unlock()
	s.news.nudge()
}

func (n *news) nudge() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// hear notes what another node told. It does not block: what is told often is
// followed once.
func (s *Server) hear(kind string, key hook.Key) {
	n := s.news
	switch kind {
	case store.NotifyDue:
		s.dispatch.Due(key, time.Now())
		return
	case notifyTask:
		s.tasks.Wake()
		return
	}
	n.mu.Lock()
	switch kind {
	case store.NotifyApp:
		n.apps[key] = true
	case store.NotifySource:
		n.sources[key] = true
	case store.NotifyHealth:
		n.health[key] = true
	case store.NotifyLost:
		n.all = true
		s.tasks.Wake() // there may be one
	}
	n.mu.Unlock()
	n.nudge()
}

func (n *news) take() (apps, sources map[hook.Key]bool, all bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	apps, sources, all = n.apps, n.sources, n.all
	n.apps, n.sources, n.all = map[hook.Key]bool{}, map[hook.Key]bool{}, false
	return apps, sources, all
}

func (n *news) takeHealth() map[hook.Key]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	health := n.health
	n.health = map[hook.Key]bool{}
	return health
}

func (n *news) takeOwn() map[hook.Key]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	own := n.own
	n.own = map[hook.Key]bool{}
	return own
}

// follow does what other nodes' news ask for, until ctx ends.
func (s *Server) follow(ctx context.Context) error {
	tick, streams := time.NewTicker(followEvery), time.NewTicker(streamsEvery)
	defer tick.Stop()
	defer streams.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-streams.C:
			if s.shared() {
				s.hub.Wake()
			}
			continue
		case <-s.news.wake:
		case <-tick.C:
			if s.shared() {
				s.news.mu.Lock()
				s.news.all = true
				s.news.mu.Unlock()
				s.tasks.Wake()
			}
		}
		for app := range s.news.takeOwn() {
			if err := s.AppChanged(ctx, app); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("routes not renewed", "error", err)
			}
		}
		for endpoint := range s.news.takeHealth() {
			if err := s.dispatch.FollowHealth(ctx, endpoint); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("health of an endpoint not followed", "error", err) // the sweep does it
			}
		}
		apps, sources, all := s.news.take()
		if err := s.followAll(ctx, apps, sources, all); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("changes not followed yet", "error", err)
			s.again(ctx, apps, sources, all)
		}
	}
}

// again notes what could not be followed, and waits a moment before it is tried again.
func (s *Server) again(ctx context.Context, apps, sources map[hook.Key]bool, all bool) {
	n := s.news
	n.mu.Lock()
	maps.Copy(n.apps, apps)
	maps.Copy(n.sources, sources)
	n.all = n.all || all
	n.mu.Unlock()
	pause := time.NewTimer(time.Second)
	defer pause.Stop()
	select {
	case <-ctx.Done():
	case <-pause.C:
	}
	n.nudge()
}

func (s *Server) followAll(ctx context.Context, apps, sources map[hook.Key]bool, all bool) error {
	if all {
		return s.renew(ctx)
	}
	for app := range apps {
		if err := s.followApp(ctx, app); err != nil {
			return err
		}
	}
	if len(sources) == 0 {
		return nil
	}
	known, err := s.store.Sources(ctx)
	if err != nil {
		return err
	}
	for i := range known {
		if sources[known[i].ID] {
			delete(sources, known[i].ID)
			if err := s.followSource(ctx, known[i].Org, known[i].ID); err != nil {
				return err
			}
		}
	}
	for gone := range sources {
		s.intake.RemoveSource(gone)
	}
	return nil
}

// renew makes the running parts what the store says, whatever was missed.
func (s *Server) renew(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	made, err := s.builder.Load().all(ctx)
	if err != nil {
		return err
	}
	if err := s.dispatch.Update(ctx, made.targets); err != nil {
		return err
	}
	s.pipeline.Update(made.routes)
	s.intake.SetSources(made.sources)
	return nil
}

// lookupShared is lookup where other nodes may make sources, else nil.
func (s *Server) lookupShared() func(context.Context, string) (*intake.Source, error) {
	if !s.shared() {
		return nil
	}
	return s.lookup
}

// lookup finds a source that another node made a moment ago.
func (s *Server) lookup(ctx context.Context, token string) (*intake.Source, error) {
	x, err := s.store.SourceByToken(ctx, token, time.Now())
	if err != nil && hook.CodeOf(err) == hook.CodeNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.followSource(ctx, x.Org, x.ID); err != nil {
		return nil, err
	}
	return s.intake.Source(token), nil
}

// background is what one node does for all.
func (s *Server) background(ctx context.Context) error {
	return s.store.RunAlone(ctx, "background", func(ctx context.Context) error {
		var both sync.WaitGroup
		var failed error
		both.Go(func() { failed = s.tasks.Run(ctx) })
		both.Go(func() { s.judge(ctx) })
		err := s.upkeep(ctx)
		both.Wait()
		if err == nil {
			err = failed
		}
		return err
	})
}
