package cli

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/signature"
)

// providerView is a provider as `sigpost providers --json` prints it.
type providerView struct {
	Name       string          `json:"name"`
	Aliases    []string        `json:"aliases,omitempty"`
	Title      string          `json:"title"`
	About      string          `json:"about"`
	Docs       string          `json:"docs,omitempty"`
	Notes      []string        `json:"notes,omitempty"`
	Scheme     *schemeView     `json:"scheme"` // null when it signs nothing
	AuthClient string          `json:"authClientHeader,omitempty"`
	Addresses  []netip.Prefix  `json:"addresses,omitempty"`
	Secret     secretView      `json:"secret"`
	Receive    receiveView     `json:"receive"`
	Send       *sendView       `json:"send"` // null when it is not known
	EventID    []string        `json:"eventId"`
	Primary    string          `json:"primarySubject,omitempty"`
	Subjects   []subjectView   `json:"subjects"`
	EventTypes []eventTypeView `json:"eventTypes"`
	Codes      []codeTableView `json:"codes"`
}

// schemeView is a scheme with its tolerance in words.
type schemeView struct {
	signature.Scheme
	Tolerance string `json:"tolerance,omitempty"`
}

type secretView struct {
	About string           `json:"about,omitempty"`
	Forms []secretFormView `json:"forms"`
}

type secretFormView struct {
	Prefix  string                    `json:"prefix,omitempty"`
	Base64  bool                      `json:"base64"`
	Min     int                       `json:"min,omitempty"`
	Max     int                       `json:"max,omitempty"`
	Require []provider.CharacterClass `json:"require,omitempty"`
}

type receiveView struct {
	Status     int    `json:"status,omitempty"` // absent when any 2xx will do
	Within     string `json:"within,omitempty"`
	HTTPS      bool   `json:"https"`
	CustomPort bool   `json:"customPort"`
}

type sendView struct {
	Timeout  string   `json:"timeout,omitempty"`
	Success  []int    `json:"success,omitempty"` // absent when any 2xx will do
	Schedule []string `json:"schedule,omitempty"`
	Interval string   `json:"interval,omitempty"`
	Window   string   `json:"window,omitempty"`
	Retries  bool     `json:"retries"`
}

type subjectView struct {
	Kind string   `json:"kind"`
	At   []string `json:"at"` // every place where the id may stand
}

type eventTypeView struct {
	Name   string `json:"name"`
	About  string `json:"about"`
	Family string `json:"family,omitempty"` // of its sample
	Rank   int    `json:"rank,omitempty"`
	Final  bool   `json:"final"`
}

type codeTableView struct {
	Title    string        `json:"title"`
	At       []string      `json:"at"`
	Meanings []meaningView `json:"meanings"`
}

type meaningView struct {
	Code    string `json:"code"`
	Meaning string `json:"meaning"`
}

func newProviderView(d *provider.Definition) providerView {
	v := providerView{
		Name: d.Name, Aliases: d.Aliases, Title: d.Title, About: d.About, Docs: d.Docs, Notes: d.Notes,
		AuthClient: d.AuthClientHeader, Addresses: d.Addresses, EventID: places(d.ID), Primary: d.Primary, Subjects: subjectViews(d),
		Receive:    receiveView{d.Receive.Status, spell(d.Receive.Within), d.Receive.HTTPS, d.Receive.CustomPort},
		Secret:     secretView{About: d.Secret.About, Forms: []secretFormView{}},
		EventTypes: []eventTypeView{}, Codes: []codeTableView{},
	}
	if d.Signed() {
		v.Scheme = &schemeView{d.Scheme, spell(d.Scheme.Tolerance)}
	}
	for _, f := range d.Secret.Forms {
		v.Secret.Forms = append(v.Secret.Forms, secretFormView{f.Prefix, f.Base64, f.Min, f.Max, f.Require})
	}
	if s := d.Send; s != nil {
		v.Send = &sendView{Timeout: spell(s.Timeout), Success: s.Success, Interval: spell(s.Interval), Window: spell(s.Window), Retries: !s.NoRetry}
		for _, wait := range s.Schedule {
			v.Send.Schedule = append(v.Send.Schedule, spell(wait))
		}
	}
	for _, t := range d.Types {
		v.EventTypes = append(v.EventTypes, newEventTypeView(d, t))
	}
	for _, t := range d.Codes {
		v.Codes = append(v.Codes, codeTableView{t.Title, places(t.From), meaningViews(t.Meanings)})
	}
	return v
}

// newEventTypeView takes family and rank from the sample where the type has
// none of its own: rules, not types, carry them.
func newEventTypeView(d *provider.Definition, t provider.EventType) eventTypeView {
	v := eventTypeView{Name: t.Name, About: t.About, Rank: t.Rank, Final: t.Final}
	if s, err := d.Sample(t.Name); err == nil {
		event := d.Classify(s.Header, s.Body)
		v.Family, v.Rank = event.Family, event.Rank
	}
	return v
}

// subjectViews are the kinds of subjects of all rules, each with every place.
func subjectViews(d *provider.Definition) []subjectView {
	views := []subjectView{}
	for _, rule := range d.Rules {
		for _, s := range rule.Subjects {
			i := slices.IndexFunc(views, func(v subjectView) bool { return v.Kind == s.Kind })
			if i < 0 {
				i = len(views)
				views = append(views, subjectView{Kind: s.Kind})
			}
			for _, at := range places(s.From) {
				if !slices.Contains(views[i].At, at) {
					views[i].At = append(views[i].At, at)
				}
			}
		}
	}
	return views
}

// meaningViews are the codes in the order of people: numbers by size, then texts.
func meaningViews(meanings map[string]string) []meaningView {
	codes := slices.SortedFunc(maps.Keys(meanings), func(a, b string) int {
		x, errX := strconv.Atoi(a)
		y, errY := strconv.Atoi(b)
		if errX == nil && errY == nil {
			return x - y
		}
		return strings.Compare(a, b)
	})
	views := make([]meaningView, len(codes))
	for i, code := range codes {
		views[i] = meaningView{code, meanings[code]}
	}
	return views
}

func places(paths []provider.Path) []string {
	all := make([]string, len(paths))
	for i, p := range paths {
		all[i] = p.String()
	}
	return all
}
