package server

import (
	"fmt"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/strictyaml"
	"github.com/sigpost/sigpost/signature"
)

// Load reads a configuration together with the providers that it may name: the
// built-in ones and its own.
func Load(o config.Options) (*config.Config, *provider.Set, error) {
	set, err := provider.Builtin()
	if err != nil {
		return nil, nil, err
	}
	o.Catalog = catalog{set}
	cfg, err := config.Load(o)
	if err != nil {
		return nil, nil, err
	}
	if faults := buildFaults(cfg, set); len(faults) > 0 {
		return nil, nil, faults
	}
	return cfg, set, nil
}

// buildFaults are the faults that show only when signers and verifiers are
// built. Finding them here means that a configuration which was loaded can be
// applied as a whole.
func buildFaults(cfg *config.Config, set *provider.Set) (faults strictyaml.Faults) {
	fault := func(err error, format string, args ...any) {
		if err != nil {
			faults = append(faults, strictyaml.Fault{Path: fmt.Sprintf(format, args...), Message: err.Error()})
		}
	}
	for i := range cfg.Sources {
		s := &cfg.Sources[i]
		p, err := set.Lookup(s.Provider)
		if err != nil {
			fault(err, "sources[%d].provider", i)
			continue
		}
		if p.Signed() {
			_, err := signature.NewVerifier(p.Scheme, reveal(s.Secrets)...)
			fault(err, "sources[%d].secrets", i)
		}
		for j := range s.Endpoints {
			e := &s.Endpoints[j]
			if e.Signature == nil {
				continue
			}
			scheme, err := schemeOf(e.Signature.Scheme, set)
			if err == nil {
				_, err = signature.NewSigner(scheme, e.Signature.Secret.Reveal())
			}
			fault(err, "sources[%d].endpoints[%d].signature", i, j)
		}
	}
	return faults
}

// catalog tells the configuration what it must know of providers.
type catalog struct{ set *provider.Set }

func (c catalog) Define(raw strictyaml.Raw) error { return c.set.Define(raw) }

func (c catalog) Facts(name string) (config.ProviderFacts, error) {
	d, err := c.set.Lookup(name)
	if err != nil {
		return config.ProviderFacts{}, err
	}
	return config.ProviderFacts{
		Signed: d.Signed(), AuthClient: d.AuthClientHeader != "", FlowID: d.FlowPath != nil, HasAddresses: len(d.Addresses) > 0,
		HasSendPolicy: d.Send != nil, CheckSecret: d.CheckSecret, HTTPSOnly: d.Receive.HTTPS, StandardPort: !d.Receive.CustomPort, Subjects: d.SubjectKinds(),
	}, nil
}
