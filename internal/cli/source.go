package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/control"
)

func (p *program) sourceCommand() *cobra.Command {
	var l place
	c := &cobra.Command{Use: "source", Short: "List sources with the URLs to paste at their providers", Args: cobra.NoArgs}
	l.flags(c)
	c.AddCommand(&cobra.Command{
		Use: "list", Short: "List sources", Args: cobra.NoArgs, Example: "  sigpost source list",
		RunE: func(c *cobra.Command, _ []string) error {
			var list control.List[control.Source]
			if err := p.ask(c.Context(), &l, http.MethodGet, "/sources", nil, &list); err != nil {
				return err
			}
			if l.json {
				return p.printJSON(list)
			}
			return p.table("NAME\tPROVIDER\tURL\tENDPOINTS", func(w io.Writer) {
				for _, s := range list.Data {
					endpoints := make([]string, len(s.Endpoints))
					for i, e := range s.Endpoints {
						endpoints[i] = e.Name
					}
					at := s.URL
					if s.Disabled {
						at = "(disabled: not in the configuration any more)"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Name, s.Provider, at, strings.Join(endpoints, ", "))
				}
			})
		},
	})
	return c
}

func (p *program) endpointCommand() *cobra.Command {
	var l place
	c := &cobra.Command{Use: "endpoint", Short: "List endpoints and show what their requests are signed with", Args: cobra.NoArgs}
	l.flags(c)
	c.AddCommand(p.endpointList(&l), p.endpointSecret(&l))
	return c
}

func (p *program) endpointList(l *place) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List endpoints", Args: cobra.NoArgs, Example: "  sigpost endpoint list",
		RunE: func(c *cobra.Command, _ []string) error {
			var list control.List[control.Endpoint]
			if err := p.ask(c.Context(), l, http.MethodGet, "/endpoints", nil, &list); err != nil {
				return err
			}
			if l.json {
				return p.printJSON(list)
			}
			return p.table("ID\tNAME\tSOURCE\tURL\tEVENT TYPES\tSTATE", func(w io.Writer) {
				for _, e := range list.Data {
					types, state := "all", e.State
					if len(e.EventTypes) > 0 {
						types = strings.Join(e.EventTypes, ", ")
					}
					if e.Reason != "" {
						state += " (" + e.Reason + ")"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.Name, e.Source, e.URL, types, state)
				}
			})
		},
	}
}

func (p *program) endpointSecret(l *place) *cobra.Command {
	var source string
	c := &cobra.Command{
		Use: "secret ENDPOINT", Short: "Show the secret with which an endpoint's requests are signed", Args: cobra.ExactArgs(1),
		Long:    "ENDPOINT is a name, a URL or an id. Give the secret to the receiver, which verifies with it.",
		Example: "  sigpost endpoint secret http://127.0.0.1:3000/hook",
		RunE: func(c *cobra.Command, args []string) error {
			q := url.Values{"endpoint": {args[0]}}
			add(q, "source", source)
			var s control.Secrets
			if err := p.ask(c.Context(), l, http.MethodGet, "/endpoints/secret", q, &s); err != nil {
				return err
			}
			if l.json {
				return p.printJSON(s)
			}
			for _, secret := range s.Secrets {
				fmt.Fprintln(p.out, secret)
			}
			return nil
		},
	}
	c.Flags().StringVar(&source, "source", "", "the endpoint's source, when several have one of this name")
	return c
}
