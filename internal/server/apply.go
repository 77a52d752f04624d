package server

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/store"
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
	b := s.newBuilder(cfg, providers)
	made, err := b.all(ctx)
	if err != nil {
		return err
	}
	if old := s.builder.Swap(b); old != nil {
		defer old.close() // lets go of idle connections; attempts under way end with it
	}
	s.config.Store(cfg)
	s.secrets.Store(&made.fileSecrets)
	if err := s.dispatch.Update(ctx, made.targets); err != nil {
		return err
	}
	s.pipeline.Update(made.routes)
	s.intake.SetSources(made.sources)
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
		Name: endpointName(c), URL: c.URL, EventTypes: c.EventTypes, Timeout: c.Timeout, Concurrency: c.Concurrency, Schedule: c.Retries, Order: c.Ordering(), OfSource: true, Throttle: c.Throttle,
	}
	for _, r := range c.RetriesFor {
		e.Schedules = append(e.Schedules, hook.TypeSchedule{EventTypes: r.EventTypes, Waits: r.Retries})
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

// FileSecret answers the API: the secret in force of an endpoint that the
// configuration file manages, as it was applied. Where that is not known – no
// configuration is at hand, or the endpoint left it – it is the one that we made;
// CodeNotFound when we made none.
func (s *Server) FileSecret(ctx context.Context, e hook.Endpoint) (hook.Secret, error) {
	if secrets := (*s.secrets.Load())[e.ID]; len(secrets) > 0 {
		return secrets[0], nil
	}
	why := "stood in the configuration file, which has it no more"
	if s.o.ReadState {
		why = "stands in the configuration file; give it with --config"
	}
	return s.store.OwnSecret(ctx, e.Org, e.ID, func() (string, error) {
		return "", hook.Errorf(hook.CodeNotFound, "the secret of endpoint %s %s", e.Label(), why)
	})
}

// sourceURL is where a source's provider is to post to; only the path when no
// configuration is at hand.
func (s *Server) sourceURL(x hook.Source) string {
	return s.baseURL() + "/in/" + url.PathEscape(x.Token.Reveal())
}

// baseURL is what the world sees of us. Where the port was left to the system, it
// is the one that the system gave.
func (s *Server) baseURL() string {
	cfg := s.config.Load()
	if at := s.Addr(); cfg.PublicURL == "" && at != "" && strings.HasSuffix(cfg.Listen, ":0") {
		given := *cfg
		given.Listen = at
		cfg = &given
	}
	return baseURL(cfg)
}

// baseURL is what a configuration says of that; empty when no configuration is at hand.
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
		"alerts":       reflect.DeepEqual(old.Alerts, fresh.Alerts),
		"database_url": old.DatabaseURL == fresh.DatabaseURL, "database_notify": old.DatabaseNotify == fresh.DatabaseNotify,
		"trusted_proxies": slices.Equal(old.TrustedProxies, fresh.TrustedProxies), "shutdown_timeout": old.ShutdownTimeout == fresh.ShutdownTimeout,
	} {
		if !same {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
