package provider

import (
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// Definition is what is known of one provider. It does not change once it is
// in a Set, and all its methods may be called at once from many goroutines.
type Definition struct {
	// Name is how configuration and command line call it: [a-z0-9_-]+.
	Name string
	// Aliases are other names for it in Lookup.
	Aliases []string
	// Title is its name for people; Docs the URL of its own documentation.
	Title, Docs string
	// About says in a sentence or two what it sends; Notes are traps and open questions.
	About string
	Notes []string
	// Kind is what it is for in one word, for example identity; Setup says in steps, in Markdown, where
	// {url} is to be pasted; Webhooks are those that it has apart from each other. All may be empty.
	Kind     string
	Setup    []string
	Webhooks []Webhook

	// Scheme is how it signs; the zero value when it does not (see Signed).
	Scheme signature.Scheme
	// AuthClientHeader carries a key of the integration that a source may
	// compare with its own; empty when there is none.
	AuthClientHeader string
	// SecretHeaders carry secrets in clear. They are neither forwarded nor stored.
	SecretHeaders []string
	// Addresses are the networks it sends from, as far as it publishes them.
	Addresses []netip.Prefix
	// Secret are the rules for secrets of this provider.
	Secret SecretRules

	// Receive is what it demands of our URL.
	Receive Receive
	// Send is how it delivers, for emulation and for endpoints that name it;
	// nil when that is not known.
	Send *SendPolicy

	// Primary is the kind of subject that its events are about first of all.
	Primary string
	// ID are the places of the event id, tried in order; empty when it sends none.
	ID []Path
	// FlowPath is the place of the flow id that a source may insist on; see FlowID.
	FlowPath *Path
	// FormField is the field that holds the JSON of a form-encoded body; empty
	// when bodies are JSON only.
	FormField string
	// Rules recognise its events, in order.
	Rules []Rule
	// Types are the event types that are known of; it may send others.
	Types []EventType
	// Codes say what the codes in its events mean.
	Codes []CodeTable

	subjects []SubjectRule // of events that no rule recognises
	time     []Path
	root     *node // all body paths, for the scanner
	types    map[string]EventType
	samples  []Sample
	scanners sync.Pool // of *scanner
}

// Receive is what a provider demands of the URL that it posts to.
type Receive struct {
	// Status is the only status that it takes for "received"; 0 when any 2xx will do.
	Status int `yaml:"status"`
	// Within is how long it waits for the answer; 0 when it does not say.
	Within time.Duration `yaml:"within"`
	// HTTPS: it posts to https URLs only.
	HTTPS bool `yaml:"https"`
	// CustomPort: the URL may have a port other than 443.
	CustomPort bool `yaml:"custom_port"`
}

// SendPolicy is how a provider delivers.
type SendPolicy struct {
	// Timeout is for the whole exchange; 0 when it is not known.
	Timeout time.Duration `yaml:"timeout"`
	// Success are the statuses that end the retries; any 2xx when empty.
	Success []int `yaml:"success"`
	// Window is how long it goes on trying after the first attempt; 0 when
	// the schedule says it all, or it is not known.
	Window time.Duration `yaml:"window"`
	// Schedule are the waits after each failed attempt. Without a schedule and
	// an interval the waits are not known, and the usual ones are to be used.
	Schedule []time.Duration `yaml:"schedule"`
	// Interval is the wait between attempts once the schedule is used up, to
	// the end of the window; 0 for no further attempts.
	Interval time.Duration `yaml:"interval"`
	// NoRetry: it tries once and never again.
	NoRetry bool `yaml:"no_retry"`
}

// EventType is one event type of a provider.
type EventType struct {
	Name  string `yaml:"name"`
	About string `yaml:"about"`
	// Rank orders events that carry no time: lower came first; 0 leaves it to the rule.
	Rank int `yaml:"rank"`
	// Final: no other type of its family follows in the ordinary course of things.
	Final bool `yaml:"final"`
}

// CodeTable says what the codes at certain places mean. Tables are open: a
// provider may send codes that no table has.
type CodeTable struct {
	Title    string            `yaml:"title"`
	From     []Path            `yaml:"from"` // every place where such a code may stand
	Meanings map[string]string `yaml:"meanings"`
}

// Sample is an example of one event type, as the provider would send it, of
// people who do not exist.
type Sample struct {
	EventType string
	Body      []byte
	// Header is what comes with it apart from the signature. An event id in a
	// header is left to the sender: two samples with one id are duplicates.
	Header http.Header
}

// Signed reports whether the provider signs its requests.
func (d *Definition) Signed() bool { return d.Scheme.Header != "" }

// Type is what is known of the event type called name; false for one that the
// definition does not list.
func (d *Definition) Type(name string) (EventType, bool) {
	t, ok := d.types[name]
	return t, ok
}

// SubjectKinds are the kinds of subjects that events may name, the primary one first.
func (d *Definition) SubjectKinds() []string {
	var all []string
	add := func(rules []SubjectRule) {
		for _, s := range rules {
			if !slices.Contains(all, s.Kind) {
				all = append(all, s.Kind)
			}
		}
	}
	add(d.subjects)
	for i := range d.Rules {
		add(d.Rules[i].Subjects)
	}
	return all
}

// Samples are all samples, by event type. They are the caller's to change.
func (d *Definition) Samples() []Sample {
	all := make([]Sample, len(d.samples))
	for i, s := range d.samples {
		all[i] = Sample{EventType: s.EventType, Body: slices.Clone(s.Body), Header: s.Header.Clone()}
	}
	return all
}

// Sample is the sample of eventType. Its error has the code invalid and names
// the samples that there are.
func (d *Definition) Sample(eventType string) (Sample, error) {
	names := make([]string, 0, len(d.samples))
	for _, s := range d.Samples() {
		if s.EventType == eventType {
			return s, nil
		}
		names = append(names, s.EventType)
	}
	return Sample{}, hook.Errorf(hook.CodeInvalid, "provider %s has no sample of event type %q%s", d.Name, eventType, wayOut(eventType, names))
}
