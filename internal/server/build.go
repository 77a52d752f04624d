package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/intake"
	"github.com/sigpost/sigpost/internal/pipeline"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/send"
	"github.com/sigpost/sigpost/signature"
)

// builder makes what the running parts need from the store's rows, under one
// configuration: ways to reach endpoints, and sources that can receive.
type builder struct {
	s         *Server
	cfg       *config.Config
	providers *provider.Set
	// trusted reaches the networks that the operator allows, untrusted no private one.
	trusted, untrusted *send.Client
}

func (s *Server) newBuilder(cfg *config.Config, providers *provider.Set) *builder {
	o := send.Options{AllowNets: config.Prefixes(cfg.AllowNets), Own: s.isOwn, Proxy: proxyURL(cfg), UserAgent: "Sigpost/" + s.o.Version}
	b := &builder{s: s, cfg: cfg, providers: providers, trusted: send.NewClient(o)}
	o.AllowNets = nil
	b.untrusted = send.NewClient(o)
	return b
}

func (b *builder) close() {
	b.trusted.Close()
	b.untrusted.Close()
}

// built is what the store's rows became.
type built struct {
	targets     []dispatch.Target
	routes      pipeline.Routes
	sources     []*intake.Source
	fileSecrets map[hook.Key][]hook.Secret
	// throttles are those of applications that have one.
	throttles map[hook.Key]int
}

// all builds everything.
func (b *builder) all(ctx context.Context) (*built, error) {
	sources, err := b.s.store.Sources(ctx)
	if err != nil {
		return nil, err
	}
	endpoints, err := b.s.store.Endpoints(ctx)
	if err != nil {
		return nil, err
	}
	throttles, err := b.s.store.Throttles(ctx, 0)
	if err != nil {
		return nil, err
	}
	made := &built{routes: pipeline.Routes{}, fileSecrets: map[hook.Key][]hook.Secret{}, throttles: throttles}
	byApp := map[hook.Key]*hook.Source{}
	for i := range sources {
		x := &sources[i]
		byApp[x.App] = x
		err := b.addSource(ctx, made, x)
		if err != nil && (x.ManagedByFile || unread(err)) {
			return nil, fmt.Errorf("source %s: %w", x.Name, err)
		}
		if err != nil { // one row of the API's must not keep everything else from running
			b.s.o.Log.Error("source not served", "source", x.Name, "error", err)
		}
	}
	names := map[hook.Key]hook.HeaderNames{}
	for _, e := range endpoints {
		if _, known := names[e.Org]; !known {
			if names[e.Org], err = b.headerNames(ctx, e.Org); err != nil {
				return nil, err
			}
		}
		err := b.addEndpoint(ctx, made, byApp[e.App], e, names[e.Org])
		if err != nil && (e.ManagedByFile || unread(err)) {
			return nil, fmt.Errorf("endpoint %s: %w", e.Label(), err)
		}
		if err != nil {
			b.hold(made, e, err)
		}
	}
	return made, nil
}

// unread says that the store did not answer: that is no fault of the row for which it
// was asked, which goes on as it was until it is read again.
func unread(err error) bool { return hook.CodeOf(err) == hook.CodeUnavailable }

// app builds one application.
func (b *builder) app(ctx context.Context, app hook.Key) (*built, error) {
	endpoints, err := b.s.store.EndpointsOf(ctx, app)
	if err != nil {
		return nil, err
	}
	throttles, err := b.s.store.Throttles(ctx, app)
	if err != nil {
		return nil, err
	}
	made := &built{routes: pipeline.Routes{}, fileSecrets: map[hook.Key][]hook.Secret{}, throttles: throttles}
	var source *hook.Source
	var names hook.HeaderNames
	for i, e := range endpoints {
		if i == 0 {
			if source, err = b.sourceOf(ctx, e); err != nil {
				return nil, err
			}
			if names, err = b.headerNames(ctx, e.Org); err != nil {
				return nil, err
			}
		}
		if err := b.addEndpoint(ctx, made, source, e, names); unread(err) {
			return nil, fmt.Errorf("endpoint %s: %w", e.Label(), err)
		} else if err != nil {
			b.hold(made, e, err)
		}
	}
	return made, nil
}

// hold keeps an endpoint that cannot be served from harming others: what is for
// it is held until it is mended.
func (b *builder) hold(made *built, e hook.Endpoint, err error) {
	b.s.o.Log.Error("endpoint not served", "endpoint", e.Label(), "error", err)
	e.State = hook.Disabled
	made.targets = append(made.targets, dispatch.Target{Endpoint: e})
	made.routes[e.App] = append(made.routes[e.App], e)
}

// sourceOf is the source whose application an endpoint is in; nil for others.
func (b *builder) sourceOf(ctx context.Context, e hook.Endpoint) (*hook.Source, error) {
	if !e.OfSource {
		return nil, nil
	}
	x, err := b.s.store.SourceByApp(ctx, e.Org, e.App)
	if err != nil && hook.CodeOf(err) == hook.CodeNotFound {
		return nil, nil
	}
	return &x, err
}

// headerNames are those that an organization chose, or else the server's.
func (b *builder) headerNames(ctx context.Context, org hook.Key) (hook.HeaderNames, error) {
	o, err := b.s.store.Organization(ctx, org)
	if err != nil {
		return "", err
	}
	if o.Settings.SignatureHeaders != "" {
		return o.Settings.SignatureHeaders, nil
	}
	return hook.HeaderNames(b.cfg.SignatureHeaders), nil
}

// addEndpoint makes a target of an endpoint. One that left the file is kept
// without a way to reach it: what it still had to get is held, and it gets no new
// messages.
func (b *builder) addEndpoint(ctx context.Context, made *built, x *hook.Source, e hook.Endpoint, names hook.HeaderNames) error {
	var secrets []hook.Secret
	var err error
	if e.ManagedByFile {
		c := b.fileEndpoint(x, e.Name)
		if c == nil {
			e.State = hook.Disabled
			made.targets = append(made.targets, dispatch.Target{Endpoint: e})
			return nil
		}
		if secrets, err = b.fileSecrets(ctx, e, c); err == nil {
			made.fileSecrets[e.ID] = secrets
		}
	} else {
		secrets, err = b.liveSecrets(ctx, e.ID, func(ctx context.Context) error { return b.s.AppChanged(ctx, e.App) })
		if err == nil && len(secrets) == 0 { // it was deleted after it was listed
			return nil
		}
		if p, lerr := b.providers.Lookup(e.Policy); e.Policy != "" && lerr == nil {
			usePolicy(&e, p.Send)
		}
	}
	if err != nil {
		return err
	}
	t, err := b.target(e, secrets, x, names)
	if err != nil {
		return err
	}
	t.AppThrottle = made.throttles[e.App]
	made.targets = append(made.targets, t)
	made.routes[e.App] = append(made.routes[e.App], e)
	return nil
}

// target is an endpoint with the way to reach it.
func (b *builder) target(e hook.Endpoint, secrets []hook.Secret, x *hook.Source, names hook.HeaderNames) (dispatch.Target, error) {
	scheme, err := schemeOf(e.SchemeName, b.providers)
	if err != nil {
		return dispatch.Target{}, err
	}
	if scheme.Multi == signature.MultiNone || scheme.Multi == "" {
		// One signature only: the old secret signs until its grace ends, so that
		// the receiver has that long to learn the new one.
		secrets = secrets[max(0, len(secrets)-1):]
	}
	signer, err := signature.NewSigner(scheme, reveal(secrets)...)
	if err != nil {
		return dispatch.Target{}, fmt.Errorf("secret: %w", err)
	}
	o := send.TargetOptions{Client: b.trusted, Signer: signer, IDs: b.s.store.IDs(), Names: names, Stale: b.s.stale}
	if e.Untrusted {
		o.Client = b.untrusted
	}
	if x != nil {
		o.Source = x.Name
	}
	t, err := send.NewTarget(e, o)
	if err != nil {
		return dispatch.Target{}, err
	}
	return dispatch.Target{Endpoint: e, Attempt: t.Attempt}, nil
}

// liveSecrets are those of an endpoint or source that the API made, the newest
// first. When the first of them expires, again is called.
func (b *builder) liveSecrets(ctx context.Context, owner hook.Key, again func(context.Context) error) ([]hook.Secret, error) {
	live, err := b.s.store.Secrets(ctx, owner, time.Now())
	if err != nil {
		return nil, err
	}
	list := make([]hook.Secret, len(live))
	var end time.Time
	for i, l := range live {
		list[i] = l.Value
		if !l.ExpiresAt.IsZero() && (end.IsZero() || l.ExpiresAt.Before(end)) {
			end = l.ExpiresAt
		}
	}
	b.s.expiries.set(owner, end, again)
	return list, nil
}

func (b *builder) fileSource(name string) *config.Source {
	for i := range b.cfg.Sources {
		if b.cfg.Sources[i].Name == name {
			return &b.cfg.Sources[i]
		}
	}
	return nil
}

// fileEndpoint is an endpoint as the file has it; nil when it left the file.
func (b *builder) fileEndpoint(x *hook.Source, name string) *config.Endpoint {
	if x == nil || !x.ManagedByFile {
		return nil
	}
	c := b.fileSource(x.Name)
	if c == nil {
		return nil
	}
	for i := range c.Endpoints {
		if endpointName(&c.Endpoints[i]) == name {
			return &c.Endpoints[i]
		}
	}
	return nil
}

// fileSecrets are the file's, or the one that we make where it has none.
func (b *builder) fileSecrets(ctx context.Context, e hook.Endpoint, c *config.Endpoint) ([]hook.Secret, error) {
	if c.Signature != nil && c.Signature.Secret != "" {
		return []hook.Secret{c.Signature.Secret}, nil
	}
	if len(c.Secrets) > 0 {
		return c.Secrets, nil
	}
	made, err := b.s.store.OwnSecret(ctx, e.Org, e.ID, newEndpointSecret)
	return []hook.Secret{made}, err
}

// addSource makes a source ready to receive, unless it is disabled or left the file.
func (b *builder) addSource(ctx context.Context, made *built, x *hook.Source) error {
	if x.Disabled {
		return nil
	}
	src, err := b.source(ctx, x)
	if err != nil || src == nil {
		return err
	}
	made.sources = append(made.sources, src)
	return nil
}

// errUnknownProvider says that a source's provider is not there any more: it was
// defined in a configuration file that has changed.
var errUnknownProvider = errors.New("its provider is not known any more")

func (b *builder) source(ctx context.Context, x *hook.Source) (*intake.Source, error) {
	p, err := b.providers.Lookup(x.Provider)
	if err != nil {
		if !x.ManagedByFile { // one row must not keep the server from starting
			b.s.o.Log.Error("source not served", "source", x.Name, "provider", x.Provider, "error", errUnknownProvider)
			return nil, nil
		}
		return nil, err
	}
	src := &intake.Source{
		Source: *x, Classify: p.Classify, AuthClientHeader: p.AuthClientHeader, FlowOf: p.FlowID, Base: baseURL(b.cfg), SecretHeaders: p.SecretHeaders,
	}
	var secrets []hook.Secret
	providerIPs := x.Settings.ProviderIPs
	if x.ManagedByFile {
		c := b.fileSource(x.Name)
		if c == nil {
			return nil, nil
		}
		secrets, providerIPs = c.Secrets, c.ProviderIPs
		src.AuthClient, src.FlowID, src.AllowIPs, src.MaxBody = c.AuthClient, c.FlowID, config.Prefixes(c.AllowIPs), int64(c.MaxBody)
		src.Quarantine, src.Redeliver, src.AllowHeaders = c.OnBadSignature == "quarantine", c.OnDuplicate == "forward", c.ForwardHeaders
	} else {
		if secrets, err = b.liveSecrets(ctx, x.ID, func(ctx context.Context) error { return b.s.SourceChanged(ctx, x.Org, x.ID) }); err != nil {
			return nil, err
		}
		s := &x.Settings
		src.FlowID, src.AllowIPs, src.MaxBody, src.AllowHeaders = s.FlowID, prefixes(s.AllowIPs), s.MaxBody, s.ForwardHeaders
		src.Quarantine, src.Redeliver = s.Quarantine, s.Redeliver
	}
	if !x.ManagedByFile {
		again := func(ctx context.Context) error { return b.s.SourceChanged(ctx, x.Org, x.ID) }
		var end time.Time
		if src.OldTokens, end, err = b.s.store.OldTokens(ctx, x.ID, time.Now()); err != nil {
			return nil, err
		}
		b.s.expiries.set(-x.ID, end, again) // apart from its secrets, which have their own
	}
	if providerIPs {
		src.AllowIPs = append(src.AllowIPs, p.Addresses...)
	}
	return src, verifyWith(src, p, secrets)
}

// verifyWith gives a source of a provider that signs its verifier.
func verifyWith(src *intake.Source, p *provider.Definition, secrets []hook.Secret) error {
	if !p.Signed() {
		return nil
	}
	v, err := signature.NewVerifier(p.Scheme, reveal(secrets)...)
	if err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	src.Verifier = v
	known := make([]signature.KnownSecret, len(secrets))
	for i, secret := range secrets {
		known[i] = signature.KnownSecret{Value: secret.Reveal(), Name: fmt.Sprintf("secrets[%d]", i)}
	}
	src.Explain = func(r signature.Request, now time.Time) signature.Explanation {
		return signature.Explain(p.Scheme, r, known, now)
	}
	return nil
}

// prefixes are networks that were checked when they were given.
func prefixes(texts []string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		var n config.Network
		if n.UnmarshalText([]byte(text)) == nil {
			list = append(list, n.Prefix)
		}
	}
	return list
}

// schemeOf finds a scheme by name: a scheme of the library, or a provider's.
func schemeOf(name string, providers *provider.Set) (signature.Scheme, error) {
	if name == "" {
		return signature.StandardWebhooks(), nil
	}
	if s, ok := signature.Lookup(name); ok {
		return s, nil
	}
	p, err := providers.Lookup(name)
	if err != nil {
		return signature.Scheme{}, err
	}
	return p.Scheme, nil
}

func reveal(secrets []hook.Secret) []string {
	out := make([]string, len(secrets))
	for i, s := range secrets {
		out[i] = s.Reveal()
	}
	return out
}
