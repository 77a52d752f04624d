package server

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
	"github.com/sigpost/sigpost/signature"
)

// What follows is what the API tells: it changed the store, and the running
// parts must follow before it answers.

// AppChanged puts the endpoints of an application to work as the store has them,
// here and on the other nodes.
func (s *Server) AppChanged(ctx context.Context, app hook.Key) error {
	if s.o.ReadState {
		return nil // nothing runs that could follow
	}
	ctx, cancel := settled(ctx)
	defer cancel()
	if err := s.followApp(ctx, app); err != nil {
		s.later(store.NotifyApp, app, err)
	}
	s.tell(ctx, store.NotifyApp, app)
	return nil
}

// followTime is how long the running parts may take to follow a change before its
// request is answered; then they follow in the background.
const followTime = 10 * time.Second

// settled is a context for what must follow a change that was kept: the change
// holds whether or not its caller still waits.
func settled(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), followTime)
}

// later has a change followed again, for it was kept.
func (s *Server) later(kind string, key hook.Key, err error) {
	s.o.Log.Error("change kept but not followed yet", "kind", kind, "error", err)
	s.hear(kind, key)
}

// tell tells other nodes; what they do not hear they find a moment later.
func (s *Server) tell(ctx context.Context, kind string, key hook.Key) {
	if err := s.store.Notify(ctx, kind, key); err != nil {
		s.o.Log.Warn("other nodes not told", "kind", kind, "error", err)
	}
}

func (s *Server) followApp(ctx context.Context, app hook.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	made, err := s.builder.Load().app(ctx, app)
	if err != nil {
		return err
	}
	s.pipeline.UpdateApp(app, made.routes[app])
	return s.dispatch.UpdateApp(ctx, app, made.targets)
}

// SourceChanged lets a source receive as the store has it, here and on the other nodes.
func (s *Server) SourceChanged(ctx context.Context, org, source hook.Key) error {
	if s.o.ReadState {
		return nil
	}
	ctx, cancel := settled(ctx)
	defer cancel()
	if err := s.followSource(ctx, org, source); err != nil {
		s.later(store.NotifySource, source, err)
	}
	s.tell(ctx, store.NotifySource, source)
	return nil
}

func (s *Server) followSource(ctx context.Context, org, source hook.Key) error {
	s.mu.Lock() // before it is read: who comes last must have read last
	defer s.mu.Unlock()
	x, err := s.store.Source(ctx, org, source)
	if err != nil && hook.CodeOf(err) == hook.CodeNotFound {
		s.intake.RemoveSource(source)
		return nil
	}
	if err != nil {
		return err
	}
	made, err := s.builder.Load().source(ctx, &x)
	switch {
	case err != nil:
		return err
	case made == nil || x.Disabled:
		s.intake.RemoveSource(source)
	default:
		s.intake.SetSource(made)
	}
	return nil
}

// OrgChanged follows a change of an organization's settings.
func (s *Server) OrgChanged(ctx context.Context, org hook.Key) error {
	ctx, cancel := settled(ctx)
	defer cancel()
	endpoints, err := s.store.Endpoints(ctx)
	if err != nil {
		return err
	}
	done := map[hook.Key]bool{}
	for _, e := range endpoints {
		if e.Org != org || done[e.App] {
			continue
		}
		done[e.App] = true
		if err := s.AppChanged(ctx, e.App); err != nil {
			return err
		}
	}
	return nil
}

// Due says that deliveries of an endpoint became due.
func (s *Server) Due(endpoint hook.Key, at time.Time) { s.dispatch.Due(endpoint, at) }

// stale says whether a newer state than a message has been accepted. Where that cannot be
// found out, the message goes out as one that is not known to be stale.
func (s *Server) stale(ctx context.Context, m *hook.Message) bool {
	newer, err := s.store.Newer(ctx, m)
	if err != nil && ctx.Err() == nil {
		s.o.Log.Warn("not known whether a message is stale", "message", s.store.IDs().Public(hook.KindMessage, m.ID), "error", err)
	}
	return newer
}

// TaskAdded wakes who works on tasks, on whichever node.
func (s *Server) TaskAdded() {
	s.tasks.Wake()
	s.tell(context.Background(), notifyTask, 0)
}

// SourceURL is where a source's provider is to post to.
func (s *Server) SourceURL(x hook.Source) string { return s.sourceURL(x) }

// CheckURL says whether an endpoint may have this URL. It is a courtesy: the
// dialer has the last word.
func (s *Server) CheckURL(text string, untrusted bool) error {
	u, err := hook.CheckURL(text)
	if err != nil {
		return err
	}
	if untrusted {
		if config.PrivateHost(u.Hostname(), nil) != nil {
			return hook.Errorf(hook.CodeInvalid, "%s is on a private network, where endpoints that were made with an application's token never are", u.Hostname())
		}
		return nil
	}
	return config.PrivateHost(u.Hostname(), s.builder.Load().cfg.AllowNets)
}

// CheckPolicy says whether it is known how a provider delivers.
func (s *Server) CheckPolicy(name string) error {
	p, err := s.builder.Load().providers.Lookup(name)
	if err != nil {
		return err
	}
	if p.Send == nil {
		return hook.Errorf(hook.CodeInvalid, "it is not known how %s delivers; leave policy out", name)
	}
	return nil
}

// CheckSubject says whether events of a provider name subjects of a kind.
func (s *Server) CheckSubject(name, kind string) error {
	p, err := s.builder.Load().providers.Lookup(name)
	if err != nil {
		return err
	}
	kinds := p.SubjectKinds()
	switch {
	case len(kinds) == 0:
		return hook.Errorf(hook.CodeInvalid, "events of %s name no subject; leave it out", name)
	case kind != "" && !slices.Contains(kinds, kind):
		return hook.Errorf(hook.CodeInvalid, "events of %s name no subject of the kind %q; there are %s", name, kind, strings.Join(kinds, ", "))
	}
	return nil
}

// CheckSource says whether a source of a provider can verify with these secrets.
func (s *Server) CheckSource(name string, secrets []hook.Secret) error {
	p, err := s.builder.Load().providers.Lookup(name)
	if err != nil {
		return hook.Errorf(hook.CodeNotFound, "%v", err)
	}
	if !p.Signed() {
		return nil
	}
	if len(secrets) == 0 {
		return hook.Errorf(hook.CodeInvalid, "is missing: %s signs its webhooks, and its secret is needed to verify them", name)
	}
	for _, secret := range secrets {
		if problems := p.CheckSecret(secret.Reveal()); len(problems) > 0 {
			return hook.Errorf(hook.CodeInvalid, "%s", strings.Join(problems, "; "))
		}
	}
	_, err = signature.NewVerifier(p.Scheme, reveal(secrets)...)
	return err
}

// CheckSettings says whether a provider's webhooks have what a source's settings
// ask for; field is the one that is at fault.
func (s *Server) CheckSettings(name string, settings hook.SourceSettings) (field string, err error) {
	p, err := s.builder.Load().providers.Lookup(name)
	if err != nil {
		return "provider", hook.Errorf(hook.CodeNotFound, "%v", err)
	}
	switch {
	case settings.FlowID != "" && p.FlowPath == nil:
		return "flowId", hook.Errorf(hook.CodeInvalid, "the webhooks of %s carry no flow; leave it out", name)
	case settings.ProviderIPs && len(p.Addresses) == 0:
		return "providerIps", hook.Errorf(hook.CodeInvalid, "%s publishes no addresses; list them in allowIps", name)
	}
	return "", nil
}

// EndpointSecret checks a secret for a scheme, or makes one.
func (s *Server) EndpointSecret(scheme string, given hook.Secret) (hook.Secret, error) {
	b := s.builder.Load()
	known, err := schemeOf(scheme, b.providers)
	if err != nil {
		return "", err
	}
	if given == "" {
		made, err := newEndpointSecret()
		return hook.Secret(made), err
	}
	if strings.HasPrefix(given.Reveal(), "whpk_") {
		return "", hook.Errorf(hook.CodeInvalid, "is a public key; signing needs the private one (whsk_…)")
	}
	if scheme != "" {
		if p, err := b.providers.Lookup(scheme); err == nil {
			if problems := p.CheckSecret(given.Reveal()); len(problems) > 0 {
				return "", hook.Errorf(hook.CodeInvalid, "%s", strings.Join(problems, "; "))
			}
		}
	} else if err := checkStandard(given.Reveal()); err != nil {
		return "", err
	}
	if _, err := signature.NewSigner(known, given.Reveal()); err != nil {
		return "", hook.Errorf(hook.CodeInvalid, "%v", err)
	}
	return given, nil
}

// checkStandard holds secrets to what the Standard Webhooks specification says
// of their length; a key without a prefix is one of whsec_.
func checkStandard(text string) error {
	if strings.HasPrefix(text, "whsk_") {
		return nil // its length is the algorithm's
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(raw) < 24 || len(raw) > 64 {
		return hook.Errorf(hook.CodeInvalid, "is not whsec_ and 24 to 64 bytes in base64; leave it out and one is made")
	}
	return nil
}

// ShownSecret is a secret as its owner may see it.
func (s *Server) ShownSecret(secret hook.Secret) string {
	if public := publicKey(secret); public != nil {
		return "whpk_" + base64.StdEncoding.EncodeToString(public)
	}
	return secret.Reveal()
}

// publicKey is the public half of an Ed25519 key, nil for other secrets.
func publicKey(secret hook.Secret) ed25519.PublicKey {
	text, ok := strings.CutPrefix(secret.Reveal(), "whsk_")
	if !ok {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) < ed25519.SeedSize {
		return nil
	}
	return ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize]).Public().(ed25519.PublicKey)
}

// expiries calls back when secrets end, so that what signs and verifies with
// them is made anew.
type expiries struct {
	mu     sync.Mutex
	timers map[hook.Key]*time.Timer
	ctx    context.Context
	failed func(error)
}

// set replaces the call of one owner; a zero time takes it away.
func (x *expiries) set(owner hook.Key, at time.Time, call func(context.Context) error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if t := x.timers[owner]; t != nil {
		t.Stop()
		delete(x.timers, owner)
	}
	if at.IsZero() || x.ctx.Err() != nil {
		return
	}
	x.timers[owner] = time.AfterFunc(time.Until(at)+time.Millisecond, func() {
		if err := call(x.ctx); err != nil && x.ctx.Err() == nil {
			x.failed(err)
		}
	})
}

// stop takes all calls away.
func (x *expiries) stop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, t := range x.timers {
		t.Stop()
	}
	clear(x.timers)
}
