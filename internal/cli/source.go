package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/api"
)

const sourcesPath = "/ingest/api/v1/source"

// sourceRow is a source with its endpoints.
type sourceRow struct {
	api.IngestSourceOut
	Endpoints []endpointRow `json:"endpoints"`
}

// endpointRow is an endpoint as the lists of sources and of applications have it.
type endpointRow struct {
	api.IngestEndpointOut
	EventTypes []string `json:"eventTypes,omitempty"` // of an application's
	Source     string   `json:"source,omitempty"`     // the name of its source

	path string
}

// is says whether an endpoint is called so.
func (e *endpointRow) is(name string) bool {
	return e.ID == name || e.URL == name || e.Name != nil && *e.Name == name || e.UID != nil && *e.UID == name
}

// label is what an endpoint is called in a table.
func (e *endpointRow) label() string {
	switch {
	case e.Name != nil:
		return *e.Name
	case e.UID != nil:
		return *e.UID
	}
	return e.URL
}

// health is its state, and since when it fails, if it does.
func (e *endpointRow) health() string {
	state := e.State
	if e.FailingSince != nil {
		state += ", failing since " + e.FailingSince.Format(time.RFC3339)
	}
	if e.Reason != nil {
		state += " (" + *e.Reason + ")"
	}
	return state
}

// types are the event types that it gets.
func (e *endpointRow) types() string {
	switch {
	case len(e.EventTypePatterns) > 0:
		return strings.Join(e.EventTypePatterns, ", ")
	case len(e.EventTypes) > 0:
		return strings.Join(e.EventTypes, ", ")
	}
	return "all"
}

// sources are all of an organization, in the order in which they were made.
func (c *client) sources(ctx context.Context) (api.ListOut[sourceRow], error) {
	return readList[sourceRow](ctx, c, sourcesPath, url.Values{"order": {"ascending"}}, math.MaxInt)
}

// endpoints are all below a path, in the order in which they were made.
func (c *client) endpoints(ctx context.Context, path, source string) ([]endpointRow, error) {
	found, err := readList[endpointRow](ctx, c, path, url.Values{"order": {"ascending"}}, math.MaxInt)
	for i := range found.Data {
		e := &found.Data[i]
		e.Source, e.path = source, path+"/"+e.ID
	}
	return found.Data, err
}

// endpointsOf are those that a message can be sent to.
func (c *client) endpointsOf(ctx context.Context, m *api.OrgMessageDetailOut) ([]endpointRow, error) {
	if m.SourceID != nil {
		return c.endpoints(ctx, sourcesPath+"/"+*m.SourceID+"/endpoint", *m.Source)
	}
	return c.endpoints(ctx, "/api/v1/app/"+m.AppID+"/endpoint", "")
}

// withEndpoints are the sources, each with its endpoints.
func (c *client) withEndpoints(ctx context.Context) (api.ListOut[sourceRow], error) {
	found, err := c.sources(ctx)
	if err != nil {
		return found, err
	}
	for i := range found.Data {
		s := &found.Data[i]
		if s.Endpoints, err = c.endpoints(ctx, sourcesPath+"/"+s.ID+"/endpoint", s.Name); err != nil {
			return found, err
		}
	}
	return found, nil
}

func (p *program) sourceCommand() *cobra.Command {
	var l place
	c := &cobra.Command{Use: "source", Short: "List sources with the URLs to paste at their providers", Args: cobra.NoArgs}
	l.flags(c)
	l.orgFlag(c)
	c.AddCommand(&cobra.Command{
		Use: "list", Short: "List sources", Args: cobra.NoArgs, Example: "  sigpost source list",
		RunE: func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), &l, func(cl *client) error {
				found, err := cl.withEndpoints(c.Context())
				switch {
				case err != nil:
					return err
				case l.json:
					return p.printJSON(found)
				}
				return p.table("NAME\tPROVIDER\tURL\tENDPOINTS", func(w io.Writer) {
					for _, s := range found.Data {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Name, s.Provider, s.address(), s.labels())
					}
				})
			})
		},
	})
	return c
}

// address is where the provider is to post to.
func (s *sourceRow) address() string {
	switch {
	case s.Disabled:
		return "(disabled: not in the configuration any more)"
	case s.IngestURL == nil:
		return ""
	}
	return *s.IngestURL
}

func (s *sourceRow) labels() string {
	names := make([]string, len(s.Endpoints))
	for i := range s.Endpoints {
		names[i] = s.Endpoints[i].label()
	}
	return strings.Join(names, ", ")
}

func (p *program) endpointCommand() *cobra.Command {
	var l place
	var app string
	c := &cobra.Command{Use: "endpoint", Short: "List endpoints, show their secrets, send them messages again", Args: cobra.NoArgs}
	l.flags(c)
	l.orgFlag(c)
	c.PersistentFlags().StringVar(&app, "app", "", "those of this application (its uid or id), instead of those of sources")
	c.AddCommand(p.endpointList(&l, &app), p.endpointSecret(&l, &app))
	c.AddCommand(p.endpointRecover(&l, &app), p.endpointReplay(&l, &app), p.endpointReplayMissing(&l, &app), p.endpointCancelPending(&l, &app))
	return c
}

// endpointsAt are those of an application, or of all sources, or of one of them.
func (c *client) endpointsAt(ctx context.Context, app, source string) ([]endpointRow, error) {
	if app != "" {
		path, err := pathOf("/api/v1/app", app)
		if err != nil {
			return nil, err
		}
		return c.endpoints(ctx, path+"/endpoint", "")
	}
	found, err := c.withEndpoints(ctx)
	if err != nil {
		return nil, err
	}
	all := []endpointRow{}
	for _, s := range found.Data {
		if source == "" || s.Name == source || s.ID == source || s.UID != nil && *s.UID == source {
			all = append(all, s.Endpoints...)
		}
	}
	return all, nil
}

func (p *program) endpointList(l *place, app *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the endpoints of sources, or of an application", Args: cobra.NoArgs,
		Example: "  sigpost endpoint list\n  sigpost endpoint list --app acme",
		RunE: func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), l, func(cl *client) error {
				rows, err := cl.endpointsAt(c.Context(), *app, "")
				switch {
				case err != nil:
					return err
				case l.json:
					return p.printJSON(api.ListOut[endpointRow]{Data: rows, Done: true})
				}
				return p.table("ID\tNAME\tSOURCE\tURL\tEVENT TYPES\tSTATE", func(w io.Writer) {
					for _, e := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.label(), e.Source, e.URL, e.types(), e.health())
					}
				})
			})
		},
	}
}

func (p *program) endpointSecret(l *place, app *string) *cobra.Command {
	var source string
	c := &cobra.Command{
		Use: "secret ENDPOINT", Short: "Show the secret with which an endpoint's requests are signed", Args: cobra.ExactArgs(1),
		Long:    "ENDPOINT is a name, a URL, a uid or an id. Give the secret to the receiver, which verifies with it; of a key pair it is the public half.",
		Example: "  sigpost endpoint secret http://127.0.0.1:3000/hook\n  sigpost endpoint secret --app acme ep_2Xk…",
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), l, func(cl *client) error {
				rows, err := cl.endpointsAt(c.Context(), *app, source)
				if err != nil {
					return err
				}
				e, err := oneOf(rows, args[0])
				if err != nil {
					return err
				}
				var s api.EndpointSecretOut
				if err := cl.call(c.Context(), http.MethodGet, e.path+"/secret", nil, &s); err != nil {
					return err
				}
				if l.json {
					return p.printJSON(s)
				}
				fmt.Fprintln(p.out, s.Key)
				return nil
			})
		},
	}
	c.Flags().StringVar(&source, "source", "", "the endpoint's source, when several have one of this name")
	return c
}

// oneOf is the one endpoint that is called so.
func oneOf(rows []endpointRow, name string) (endpointRow, error) {
	var found []endpointRow
	for _, e := range rows {
		if e.is(name) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return endpointRow{}, fmt.Errorf("there is no endpoint %q; `sigpost endpoint list` shows those there are", name)
	case 1:
		return found[0], nil
	}
	return endpointRow{}, fmt.Errorf("%d endpoints are called %q; say which with --source, or use the id", len(found), name)
}
