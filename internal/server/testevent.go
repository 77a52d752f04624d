package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/signature"
)

// TestEvent answers the API: it signs a sample of a source's provider with the source's newest
// secret and takes it in through the front door. Without a name it is the first sample.
func (s *Server) TestEvent(ctx context.Context, x hook.Source, name string) (api.TestEvent, error) {
	d, sample, err := s.sampleOf(&x, name)
	if err != nil {
		return api.TestEvent{}, err
	}
	secret, client, err := s.builder.Load().newest(ctx, &x)
	if err != nil {
		return api.TestEvent{}, err
	}
	sample, signed := d.Fresh(sample)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.sourceURL(x), http.NoBody)
	if err != nil {
		return api.TestEvent{}, fmt.Errorf("make test event: %w", err)
	}
	r.RequestURI, r.RemoteAddr, r.ContentLength = r.URL.RequestURI(), "127.0.0.1:0", int64(len(sample.Body))
	r.Header = sample.Header
	if d.Signed() {
		fields, err := d.Scheme.Sign(signature.Content{ID: signed, Timestamp: time.Now(), Method: r.Method, URL: s.sourceURL(x), Body: sample.Body}, secret.Reveal())
		if err != nil {
			return api.TestEvent{}, hook.Errorf(hook.CodeConflict, "the test event cannot be signed as %s signs: %w", d.Title, err)
		}
		for _, f := range fields {
			r.Header.Set(f.Name, f.Value)
		}
	}
	if client != "" {
		r.Header.Set(d.AuthClientHeader, client.Reveal())
	}
	t, err := s.intake.Try(r, sample.Body, x.ID)
	return api.TestEvent{Sample: sample.EventType, Receipt: t.Receipt, Reason: t.Reason, Why: t.Why}, err
}

func (s *Server) sampleOf(x *hook.Source, name string) (*provider.Definition, provider.Sample, error) {
	d, err := s.builder.Load().providers.Lookup(x.Provider)
	if err != nil {
		return nil, provider.Sample{}, err
	}
	if name != "" {
		sample, err := d.Sample(name)
		return d, sample, err
	}
	all := d.Samples()
	if len(all) == 0 {
		return nil, provider.Sample{}, hook.Errorf(hook.CodeInvalid, "the provider %s has no samples", d.Name)
	}
	return d, all[0], nil
}

// newest is the secret of a source that was given last, and its client key.
func (b *builder) newest(ctx context.Context, x *hook.Source) (secret, client hook.Secret, err error) {
	if x.ManagedByFile {
		c := b.fileSource(x.Name)
		if c == nil {
			return "", "", hook.Errorf(hook.CodeConflict, "the source %s is not in the configuration at hand", x.Name)
		}
		if len(c.Secrets) > 0 {
			secret = c.Secrets[0]
		}
		return secret, c.AuthClient, nil
	}
	live, err := b.s.store.Secrets(ctx, x.ID, time.Now())
	if err != nil || len(live) == 0 {
		return "", "", err
	}
	return live[0].Value, "", nil
}
