package cli

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/provider"
)

// inspection is what `sigpost inspect` prints. The order of the keys is part
// of its interface.
type inspection struct {
	Type       string         `json:"type"`
	ID         *string        `json:"id"` // null when the provider sends none
	DedupeKey  string         `json:"dedupeKey"`
	Family     *string        `json:"family"` // null when it replaces nothing
	Subjects   []hook.Subject `json:"subjects"`
	OccurredAt *time.Time     `json:"occurredAt"` // null when it carries no time
	Rank       int            `json:"rank"`       // 0 when unknown
	Meanings   []hook.Meaning `json:"meanings"`
}

func (p *program) inspectCommand() *cobra.Command {
	var f providerFlags
	var headers []string
	c := &cobra.Command{
		Use:   "inspect --provider NAME FILE",
		Short: "Show what an event is about and what its codes mean",
		Long: `Reads the body of a webhook from FILE (or from standard input, -) as Sigpost does after
it has verified one, and prints as JSON: its type, its id, the key by which duplicates
are recognised, the family of types that replace each other, whom it is about, when it
happened or its rank among events without a time, and what the codes in it mean.
Nothing is verified.`,
		Example: `  sigpost inspect --provider veriff decision.json
  sigpost inspect --provider github --header 'X-GitHub-Event: push' push.json
  curl -s "$URL" | sigpost inspect --provider metamap -`,
		Args: oneFile,
		RunE: func(_ *cobra.Command, args []string) error { return p.inspect(&f, headers, args[0]) },
	}
	f.register(c)
	c.Flags().StringArrayVarP(&headers, "header", "H", nil, "header of the request, as `'NAME: VALUE'`, or @FILE with one a line")
	return c
}

func (p *program) inspect(f *providerFlags, headers []string, file string) error {
	d, err := p.providerOf(f)
	if err != nil {
		return err
	}
	if err := onlyOnce(append(headers, file)...); err != nil {
		return err
	}
	header, err := p.readHeaders(headers)
	if err != nil {
		return err
	}
	body, err := p.readFile("FILE", file)
	if err != nil {
		return err
	}
	event := d.Inspect(header, body)
	if strings.HasSuffix(event.Type, ".unknown") {
		p.sayUnknown(d, header)
	}
	return p.printJSON(newInspection(event))
}

func newInspection(e hook.Event) inspection {
	v := inspection{Type: e.Type, DedupeKey: e.DedupeKey, Subjects: e.Subjects, Rank: e.Rank, Meanings: e.Meanings}
	if e.ID != "" {
		v.ID = &e.ID
	}
	if e.Family != "" {
		v.Family = &e.Family
	}
	if !e.OccurredAt.IsZero() {
		v.OccurredAt = &e.OccurredAt
	}
	if v.Subjects == nil {
		v.Subjects = []hook.Subject{}
	}
	if v.Meanings == nil {
		v.Meanings = []hook.Meaning{}
	}
	return v
}

// sayUnknown says why no rule may have fitted, where that can be told.
func (p *program) sayUnknown(d *provider.Definition, header http.Header) {
	for _, rule := range d.Rules {
		for _, condition := range rule.When {
			for _, place := range condition.From {
				if place.Header != "" && header.Get(place.Header) == "" {
					fmt.Fprintf(p.err, "note: %s tells its events apart by the header %s; give it with --header '%s: …'\n", d.Name, place.Header, place.Header)
					return
				}
			}
		}
	}
	fmt.Fprintf(p.err, "note: no rule of %s fits this body; Sigpost would keep and forward it as %s.unknown\n", d.Name, d.Name)
}
