package provider

import (
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/sigpost/sigpost/internal/strictyaml"
)

// document is a provider as it is written in YAML.
type document struct {
	Name    string   `yaml:"name"`
	Aliases []string `yaml:"aliases"`
	Title   string   `yaml:"title"`
	Docs    string   `yaml:"docs"`
	About   string   `yaml:"about"`
	Notes   []string `yaml:"notes"`

	Kind     string    `yaml:"kind"`
	Setup    []string  `yaml:"setup"`
	Webhooks []Webhook `yaml:"webhooks"`

	Scheme           strictyaml.Raw `yaml:"scheme"` // a name, or a whole signature.Scheme
	AuthClientHeader string         `yaml:"auth_client_header"`
	SecretHeaders    []string       `yaml:"secret_headers"`
	Addresses        []netip.Prefix `yaml:"addresses"`
	Secret           SecretRules    `yaml:"secret"`

	Receive Receive     `yaml:"receive"`
	Send    *SendPolicy `yaml:"send"`

	Primary   string        `yaml:"primary"`
	ID        []Path        `yaml:"id"`
	Flow      *Path         `yaml:"flow"`
	FormField string        `yaml:"form_field"`
	Subjects  []SubjectRule `yaml:"subjects"`
	Time      []Path        `yaml:"time"`
	Rules     []Rule        `yaml:"rules"`
	Types     []EventType   `yaml:"types"`
	Codes     []CodeTable   `yaml:"codes"`

	Samples []sampleDocument `yaml:"samples"`
}

// sampleDocument is a sample as it is written in YAML. Ours have their bodies
// in files of their own.
type sampleDocument struct {
	Type   string            `yaml:"type"`
	Body   string            `yaml:"body"`
	Header map[string]string `yaml:"header"`
}

// compile reads a provider, checks it and makes it ready for use. set is for
// names that are taken. The error is strictyaml.Faults with every fault.
func compile(raw strictyaml.Raw, set *Set) (*Definition, error) {
	var doc document
	if err := raw.Decode(&doc); err != nil {
		return nil, err
	}
	c := checker{raw: raw}
	scheme := c.scheme(doc.Scheme, set)
	c.document(&doc, set)
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	d := doc.definition()
	d.Scheme = scheme
	d.link()
	return d, nil
}

func (doc *document) definition() *Definition {
	d := &Definition{
		Name: doc.Name, Aliases: doc.Aliases, Title: doc.Title, Docs: doc.Docs, About: doc.About, Notes: doc.Notes, Kind: doc.Kind, Setup: doc.Setup, Webhooks: doc.Webhooks,
		AuthClientHeader: doc.AuthClientHeader, SecretHeaders: doc.SecretHeaders, Addresses: doc.Addresses, Secret: doc.Secret,
		Receive: doc.Receive, Send: doc.Send,
		Primary: doc.Primary, ID: doc.ID, FlowPath: doc.Flow, FormField: doc.FormField,
		Rules: doc.Rules, Types: doc.Types, Codes: doc.Codes,
		subjects: doc.Subjects, time: doc.Time,
	}
	if d.Title == "" {
		d.Title = d.Name
	}
	if d.Primary == "" && len(d.subjects) > 0 {
		d.Primary = d.subjects[0].Kind
	}
	for _, s := range doc.Samples {
		d.samples = append(d.samples, s.sample())
	}
	return d
}

func (s sampleDocument) sample() Sample {
	header := http.Header{"Content-Type": {"application/json"}}
	for name, value := range s.Header {
		header.Set(name, value)
	}
	return Sample{EventType: s.Type, Body: []byte(s.Body), Header: header}
}

// addSampleFiles reads the bodies of a built-in provider's samples. A file is
// called by its event type.
func (d *Definition) addSampleFiles() error {
	dir := path.Join("samples", d.Name)
	entries, err := files.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		body, err := files.ReadFile(path.Join(dir, entry.Name()))
		if err != nil {
			return err
		}
		eventType := strings.TrimSuffix(entry.Name(), ".json")
		i := slices.IndexFunc(d.samples, func(s Sample) bool { return s.EventType == eventType })
		if i < 0 {
			d.samples = append(d.samples, sampleDocument{Type: eventType}.sample())
			i = len(d.samples) - 1
		}
		d.samples[i].Body = body
	}
	slices.SortFunc(d.samples, func(a, b Sample) int { return strings.Compare(a.EventType, b.EventType) })
	return nil
}
