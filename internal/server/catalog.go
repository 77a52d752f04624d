package server

import (
	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/strictyaml"
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
	return cfg, set, nil
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
		HasSendPolicy: d.Send != nil, CheckSecret: d.CheckSecret,
	}, nil
}
