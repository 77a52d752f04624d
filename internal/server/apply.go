package server

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/intake"
	"github.com/sigpost/sigpost/internal/pipeline"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/send"
	"github.com/sigpost/sigpost/internal/store"
	"github.com/sigpost/sigpost/signature"
)

// apply makes a configuration the one in force: the store's rows first, then
// the way out, then the way in, so that nothing is accepted that has no route.
func (s *Server) apply(ctx context.Context, cfg *config.Config, providers *provider.Set) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	file, err := fileSources(cfg, providers)
	if err != nil {
		return err
	}
	if err := s.store.ApplyFile(ctx, file, s.o.Prune); err != nil {
		return err
	}
	a := applied{s: s, cfg: cfg, providers: providers, secrets: map[hook.Key][]hook.Secret{}, routes: pipeline.Routes{}}
	a.client = send.NewClient(send.Options{AllowNets: config.Prefixes(cfg.AllowNets), Own: s.isOwn, Proxy: proxyURL(cfg), UserAgent: "Sigpost/" + s.o.Version})
	if err := a.read(ctx); err != nil {
		return err
	}
	if s.client != nil {
		defer s.client.Close() // lets go of idle connections; attempts under way end with it
	}
	s.client = a.client
	s.config.Store(cfg)
	s.secrets.Store(&a.secrets)
	if err := s.dispatch.Update(ctx, a.targets); err != nil {
		return err
	}
	s.pipeline.Update(a.routes)
	s.intake.SetSources(a.sources)
	return nil
}

// fileSources is the configuration in the store's words.
func fileSources(cfg *config.Config, providers *provider.Set) ([]store.FileSource, error) {
	var file []store.FileSource
	for i := range cfg.Sources {
		c := &cfg.Sources[i]
		p, err := providers.Lookup(c.Provider)
		if err != nil {
			return nil, fmt.Errorf("sources[%d].provider: %w", i, err)
		}
		f := store.FileSource{Name: c.Name, Provider: p.Name, Token: c.Token}
		if f.Token == "" && p.Signed() {
			f.Token = hook.Secret(c.Name) // the signature protects it, so the URL need not
		}
		for j := range c.Endpoints {
			e, err := fileEndpoint(&c.Endpoints[j], providers)
			if err != nil {
				return nil, fmt.Errorf("sources[%d].endpoints[%d]: %w", i, j, err)
			}
			f.Endpoints = append(f.Endpoints, e)
		}
		file = append(file, f)
	}
	return file, nil
}

func fileEndpoint(c *config.Endpoint, providers *provider.Set) (hook.Endpoint, error) {
	e := hook.Endpoint{
		Name: endpointName(c), URL: c.URL, EventTypes: c.EventTypes, Timeout: c.Timeout, Concurrency: c.Concurrency, Schedule: c.Retries, OfSource: true,
	}
	for name, value := range c.Headers {
		e.Headers = append(e.Headers, hook.Header{Name: name, Value: value})
	}
	if c.Signature != nil {
		e.SchemeName = c.Signature.Scheme
	}
	if c.Paused {
		e.State, e.Reason = hook.Paused, "paused in the configuration file"
	}
	if c.Policy == "" {
		return e, nil
	}
	p, err := providers.Lookup(c.Policy)
	if err != nil {
		return e, fmt.Errorf("policy: %w", err)
	}
	usePolicy(&e, p.Send)
	return e, nil
}

// usePolicy lets an endpoint be sent to the way a provider does it; what the
// endpoint says itself comes first.
func usePolicy(e *hook.Endpoint, p *provider.SendPolicy) {
	if p == nil {
		return
	}
	if e.Timeout == 0 {
		e.Timeout = p.Timeout
	}
	e.SuccessCodes, e.Window = p.Success, p.Window
	if len(e.Schedule) > 0 {
		return
	}
	e.Schedule = append(e.Schedule, p.Schedule...)
	if p.Interval > 0 {
		e.Schedule = append(e.Schedule, p.Interval)
	} else if e.Window == 0 {
		for _, wait := range p.Schedule { // the schedule says when it ends
			e.Window += wait
		}
	}
	if p.NoRetry {
		e.Window = time.Millisecond
	}
}

// endpointName is what an endpoint is known by within its source.
func endpointName(c *config.Endpoint) string {
	if c.Name != "" {
		return c.Name
	}
	return c.URL
}

// applied gathers what the running parts need, from the store's rows and the
// file's secrets.
type applied struct {
	s         *Server
	cfg       *config.Config
	providers *provider.Set
	client    *send.Client
	secrets   map[hook.Key][]hook.Secret
	targets   []dispatch.Target
	routes    pipeline.Routes
	sources   []*intake.Source
}

func (a *applied) read(ctx context.Context) error {
	sources, err := a.s.store.Sources(ctx)
	if err != nil {
		return err
	}
	endpoints, err := a.s.store.Endpoints(ctx)
	if err != nil {
		return err
	}
	for i := range sources {
		x := &sources[i]
		c := a.fileSource(x.Name)
		for _, e := range endpoints {
			if e.App != x.App {
				continue
			}
			if err := a.addEndpoint(ctx, x, c, e); err != nil {
				return fmt.Errorf("source %s: endpoint %s: %w", x.Name, e.Name, err)
			}
		}
		if c == nil || x.Disabled {
			continue
		}
		if err := a.addSource(*x, c); err != nil {
			return fmt.Errorf("source %s: %w", x.Name, err)
		}
	}
	return nil
}

func (a *applied) fileSource(name string) *config.Source {
	for i := range a.cfg.Sources {
		if a.cfg.Sources[i].Name == name {
			return &a.cfg.Sources[i]
		}
	}
	return nil
}

// addEndpoint makes a target of an endpoint, also of one that left the file:
// what it still had to get is held. Only those in the file get new messages.
func (a *applied) addEndpoint(ctx context.Context, x *hook.Source, c *config.Source, e hook.Endpoint) error {
	var own *config.Endpoint
	if c != nil {
		for i := range c.Endpoints {
			if endpointName(&c.Endpoints[i]) == e.Name {
				own = &c.Endpoints[i]
			}
		}
	}
	if own == nil {
		e.State = hook.Disabled
		a.targets = append(a.targets, dispatch.Target{Endpoint: e})
		return nil
	}
	secrets, err := a.endpointSecrets(ctx, e, own)
	if err != nil {
		return err
	}
	scheme, err := schemeOf(e.SchemeName, a.providers)
	if err != nil {
		return err
	}
	signer, err := signature.NewSigner(scheme, reveal(secrets)...)
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	target, err := send.NewTarget(a.client, e, signer, a.s.store.IDs(), x.Name)
	if err != nil {
		return err
	}
	a.secrets[e.ID] = secrets
	a.targets = append(a.targets, dispatch.Target{Endpoint: e, Attempt: target.Attempt})
	a.routes[e.App] = append(a.routes[e.App], e)
	return nil
}

// endpointSecrets are the file's, or the one that we make where it has none.
func (a *applied) endpointSecrets(ctx context.Context, e hook.Endpoint, c *config.Endpoint) ([]hook.Secret, error) {
	if c.Signature != nil && c.Signature.Secret != "" {
		return []hook.Secret{c.Signature.Secret}, nil
	}
	if len(c.Secrets) > 0 {
		return c.Secrets, nil
	}
	made, err := a.s.store.OwnSecret(ctx, e.Org, e.ID, newEndpointSecret)
	return []hook.Secret{made}, err
}

func (a *applied) addSource(x hook.Source, c *config.Source) error {
	p, err := a.providers.Lookup(c.Provider)
	if err != nil {
		return err
	}
	src := &intake.Source{
		Source: x, Classify: p.Classify, AuthClientHeader: p.AuthClientHeader, AuthClient: c.AuthClient, FlowID: c.FlowID, FlowOf: p.FlowID,
		AllowIPs: config.Prefixes(c.AllowIPs), MaxBody: int64(c.MaxBody), Quarantine: c.OnBadSignature == "quarantine", Redeliver: c.OnDuplicate == "forward",
		Base: baseURL(a.cfg), SecretHeaders: p.SecretHeaders, AllowHeaders: c.ForwardHeaders,
	}
	if c.ProviderIPs {
		src.AllowIPs = append(src.AllowIPs, p.Addresses...)
	}
	if p.Signed() {
		v, err := signature.NewVerifier(p.Scheme, reveal(c.Secrets)...)
		if err != nil {
			return fmt.Errorf("secrets: %w", err)
		}
		src.Verifier = v
		known := make([]signature.KnownSecret, len(c.Secrets))
		for i, secret := range c.Secrets {
			known[i] = signature.KnownSecret{Value: secret.Reveal(), Name: fmt.Sprintf("secrets[%d]", i)}
		}
		src.Explain = func(r signature.Request, now time.Time) signature.Explanation {
			return signature.Explain(p.Scheme, r, known, now)
		}
	}
	a.sources = append(a.sources, src)
	return nil
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

// endpointSecrets answers the API: the secrets applied, or the one that we
// made for an endpoint whose configuration is not at hand.
func (s *Server) endpointSecrets(ctx context.Context, e hook.Endpoint) ([]hook.Secret, error) {
	if secrets := (*s.secrets.Load())[e.ID]; len(secrets) > 0 {
		return secrets, nil
	}
	made, err := s.store.OwnSecret(ctx, e.Org, e.ID, func() (string, error) {
		return "", hook.Errorf(hook.CodeNotFound, "the secret of endpoint %s stands in the configuration file; give it with --config", e.Name)
	})
	if err != nil {
		return nil, err
	}
	return []hook.Secret{made}, nil
}

// sourceURL is where a source's provider is to post to; only the path when no
// configuration is at hand.
func (s *Server) sourceURL(x hook.Source) string {
	cfg := s.config.Load()
	return baseURL(cfg) + "/in/" + url.PathEscape(x.Token.Reveal())
}

// baseURL is what the world sees of us; empty when no configuration is at hand.
func baseURL(cfg *config.Config) string {
	switch {
	case cfg.PublicURL != "":
		return strings.TrimSuffix(cfg.PublicURL, "/")
	case cfg.Listen == "":
		return ""
	case cfg.TLS.Cert != "":
		return "https://" + cfg.Listen
	}
	return "http://" + cfg.Listen
}

func proxyURL(cfg *config.Config) *url.URL {
	if cfg.EgressProxy == "" {
		return nil
	}
	u, err := url.Parse(cfg.EgressProxy)
	if err != nil {
		return nil // config refused it before
	}
	return u
}

// Reload reads the configuration again and applies its sources and endpoints.
// Listeners, directories, the log and trusted proxies stay as they are until a
// restart, and that is logged. After an error the old configuration stays in force.
func (s *Server) Reload(ctx context.Context) error {
	if s.o.Reload == nil {
		return hook.Errorf(hook.CodeInvalid, "this server was started without a configuration file")
	}
	cfg, providers, err := s.o.Reload()
	if err != nil {
		return err
	}
	if keys := needRestart(s.config.Load(), cfg); len(keys) > 0 {
		s.o.Log.Warn("some changes need a restart", "keys", strings.Join(keys, ", "))
	}
	return s.apply(ctx, cfg, providers)
}

// needRestart are the keys that differ and that Reload does not apply.
func needRestart(old, fresh *config.Config) (keys []string) {
	for key, same := range map[string]bool{
		"listen": old.Listen == fresh.Listen, "intake_listen": old.IntakeListen == fresh.IntakeListen, "data": old.Data == fresh.Data,
		"tls": old.TLS == fresh.TLS, "control_socket": old.ControlSocket == fresh.ControlSocket, "log": old.Log == fresh.Log,
		"trusted_proxies": slices.Equal(old.TrustedProxies, fresh.TrustedProxies), "shutdown_timeout": old.ShutdownTimeout == fresh.ShutdownTimeout,
	} {
		if !same {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
