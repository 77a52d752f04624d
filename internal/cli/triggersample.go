package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/strictyaml"
)

// findSample is the sample of eventType and its provider: the one named, else
// the one whose name begins the type, else the only one that has such a sample.
func findSample(set *provider.Set, name, eventType string) (*provider.Definition, provider.Sample, error) {
	if name == "" {
		name = ownerOf(set, eventType)
	}
	if name == "" {
		var all []string
		for _, s := range allSamples(set, set.Names()) {
			all = append(all, s.EventType)
		}
		hint := strictyaml.DidYouMean(eventType, all)
		if hint == "" {
			hint = "`sigpost trigger --list` shows what there is"
		}
		return nil, provider.Sample{}, usage("EVENT_TYPE %q: no provider has a sample of it; %s", eventType, hint)
	}
	d, err := lookup(set, name)
	if err != nil {
		return nil, provider.Sample{}, err
	}
	sample, err := d.Sample(eventType)
	if err != nil {
		return nil, provider.Sample{}, usage("EVENT_TYPE: %w", err)
	}
	return d, sample, nil
}

func ownerOf(set *provider.Set, eventType string) string {
	prefix, _, _ := strings.Cut(eventType, ".")
	if d, err := set.Lookup(prefix); err == nil {
		return d.Name
	}
	owner := ""
	for _, s := range allSamples(set, set.Names()) {
		if s.EventType != eventType {
			continue
		}
		if owner != "" {
			return ""
		}
		owner = s.Provider
	}
	return owner
}

// sampleLine is one sample as `trigger --list` shows it.
type sampleLine struct {
	Provider  string `json:"provider"`
	EventType string `json:"eventType"`
	About     string `json:"about"`
}

func allSamples(set *provider.Set, names []string) []sampleLine {
	lines := []sampleLine{}
	for _, name := range names {
		d, err := set.Lookup(name)
		if err != nil {
			continue
		}
		for _, s := range d.Samples() {
			t, _ := d.Type(s.EventType)
			lines = append(lines, sampleLine{d.Name, s.EventType, t.About})
		}
	}
	return lines
}

func (p *program) listSamples(f *triggerFlags) error {
	set, err := p.providerSet(f.provider.config)
	if err != nil {
		return err
	}
	names := set.Names()
	if f.provider.name != "" {
		d, err := lookup(set, f.provider.name)
		if err != nil {
			return err
		}
		names = []string{d.Name}
	}
	lines := allSamples(set, names)
	if f.json {
		return p.printJSON(lines)
	}
	return p.table("PROVIDER\tEVENT TYPE\tMEANING", func(w io.Writer) {
		for _, l := range lines {
			fmt.Fprintf(w, "%s\t%s\t%s\n", l.Provider, l.EventType, l.About)
		}
	})
}
