// Package provider holds what is known of webhook senders: how they sign,
// where their events carry type, id, subjects and time, what they demand of
// our URL, how they deliver, what their codes mean, and a sample of every
// event. All of that is data – builtin/*.yaml, samples/, and what users write
// in their configuration with the same keys; this package reads it and
// classifies events by it. It verifies nothing and sends nothing.
package provider

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/strictyaml"
)

//go:embed builtin samples
var files embed.FS

// Set is the providers that are known: the built-in ones and those of the user.
// It is filled while the configuration is read, by one goroutine; after that
// any number may read it.
type Set struct {
	definitions []*Definition // in the order of their making
}

// Builtin is a new set of the built-in providers. An error is a fault in this program.
func Builtin() (*Set, error) {
	set := new(Set)
	entries, err := files.ReadDir("builtin")
	if err != nil {
		return nil, fmt.Errorf("read built-in providers: %w", err)
	}
	for _, entry := range entries {
		data, err := files.ReadFile(path.Join("builtin", entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read built-in provider: %w", err)
		}
		var raw strictyaml.Raw
		if err := strictyaml.Decode(data, &raw); err != nil {
			return nil, fmt.Errorf("read built-in provider %s: %w", entry.Name(), err)
		}
		d, err := compile(raw, set)
		if err != nil {
			return nil, fmt.Errorf("read built-in provider %s: %w", entry.Name(), err)
		}
		if err := d.addSampleFiles(); err != nil {
			return nil, fmt.Errorf("read samples of %s: %w", d.Name, err)
		}
		set.definitions = append(set.definitions, d)
	}
	return set, nil
}

// Define adds a provider that a user describes with the same keys as ours.
// The error is strictyaml.Faults and names every faulty key: those that cannot
// be read, or when all can, those that make no sense. A name that is taken is
// a fault.
func (s *Set) Define(raw strictyaml.Raw) error {
	d, err := compile(raw, s)
	if err != nil {
		return err
	}
	for i := range d.samples {
		if len(d.samples[i].Body) == 0 {
			return strictyaml.Faults{raw.Fault(fmt.Sprintf("samples[%d].body", i), "this is missing; write what the provider sends")}
		}
	}
	s.definitions = append(s.definitions, d)
	return nil
}

// Lookup finds a provider by its name or an alias. The error has the code
// invalid and names the provider that was probably meant.
func (s *Set) Lookup(name string) (*Definition, error) {
	if d := s.find(name); d != nil {
		return d, nil
	}
	known := s.Names()
	for _, d := range s.definitions {
		known = append(known, d.Aliases...)
	}
	return nil, hook.Errorf(hook.CodeInvalid, "provider %q is not known%s", name, wayOut(name, known))
}

func (s *Set) find(name string) *Definition {
	for _, d := range s.definitions {
		if d.Name == name || slices.Contains(d.Aliases, name) {
			return d
		}
	}
	return nil
}

// Names are the names of all providers, sorted, without aliases.
func (s *Set) Names() []string {
	names := make([]string, len(s.definitions))
	for i, d := range s.definitions {
		names[i] = d.Name
	}
	slices.Sort(names)
	return names
}

// wayOut ends an error about a name that is not among known.
func wayOut(got string, known []string) string {
	if hint := strictyaml.DidYouMean(got, known); hint != "" {
		return "; " + hint
	}
	if len(known) == 0 {
		return ""
	}
	return "; there are " + strings.Join(known, ", ")
}
