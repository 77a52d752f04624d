package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/strictyaml"
	"github.com/sigpost/sigpost/signature"
)

// providerFlags name a provider, built in or from a configuration.
type providerFlags struct {
	name   string
	config string
}

func (f *providerFlags) register(c *cobra.Command) {
	c.Flags().StringVarP(&f.name, "provider", "p", "", "`NAME` of the provider, built in or from the configuration")
	f.registerConfig(c)
}

func (f *providerFlags) registerConfig(c *cobra.Command) {
	c.Flags().StringVarP(&f.config, "config", "c", "", "configuration `FILE` with providers of your own (default $SIGPOST_CONFIG)")
}

// providerOf is the provider that the flags name.
func (p *program) providerOf(f *providerFlags) (*provider.Definition, error) {
	set, err := p.providerSet(f.config)
	if err != nil {
		return nil, err
	}
	return lookup(set, f.name)
}

func lookup(set *provider.Set, name string) (*provider.Definition, error) {
	if name == "" {
		return nil, usage("--provider is missing; there are %s", strings.Join(set.Names(), ", "))
	}
	d, err := set.Lookup(name)
	if err != nil {
		return nil, usage("--provider: %w", err)
	}
	return d, nil
}

// schemeOf is how the provider that the flags name signs. Schemes of the
// library that belong to no provider, such as slack, are taken too.
func (p *program) schemeOf(f *providerFlags) (signature.Scheme, error) {
	set, err := p.providerSet(f.config)
	if err != nil {
		return signature.Scheme{}, err
	}
	d, err := lookup(set, f.name)
	if err != nil {
		if scheme, ok := signature.Lookup(f.name); ok {
			return scheme, nil
		}
		return signature.Scheme{}, err
	}
	if !d.Signed() {
		return signature.Scheme{}, usage("--provider %s: it signs nothing, so there is no signature to make or to verify", f.name)
	}
	scheme := d.Scheme
	scheme.Name = d.Name
	return scheme, nil
}

// providerSet is the built-in providers and those of a configuration file,
// where one is named. Nothing else of the file is looked at, so it may need
// variables that are not set here.
func (p *program) providerSet(config string) (*provider.Set, error) {
	set, err := provider.Builtin()
	if config == "" {
		config, _ = p.env("SIGPOST_CONFIG")
	}
	if err != nil || config == "" {
		return set, err
	}
	content, err := p.readFile("--config", config)
	if err != nil {
		return nil, err
	}
	var file map[string]strictyaml.Raw
	if err := (strictyaml.Decoder{Scalar: p.expand}).Decode(content, &file); err != nil {
		return nil, usage("--config %s:\n%w", config, err)
	}
	var own []strictyaml.Raw
	if err := file["providers"].Decode(&own); err != nil {
		return nil, usage("--config %s:\n%w", config, err)
	}
	var faults strictyaml.Faults
	for _, raw := range own {
		if err := set.Define(raw); err != nil {
			more, ok := errors.AsType[strictyaml.Faults](err)
			if !ok {
				return nil, fmt.Errorf("read provider of %s: %w", config, err)
			}
			faults = slices.Concat(faults, more)
		}
	}
	if len(faults) > 0 {
		return nil, usage("--config %s:\n%w", config, faults)
	}
	return set, nil
}

// expand puts the environment into one value of the configuration: ${NAME} for
// a variable, $$ for a dollar sign. `sigpost config check` is stricter.
func (p *program) expand(_, value string) (string, error) {
	var missing error
	expanded := os.Expand(value, func(name string) string {
		if name == "$" {
			return name
		}
		v, ok := p.env(name)
		if !ok {
			missing = fmt.Errorf("the environment variable %s is not set", name)
		}
		return v
	})
	return expanded, missing
}
