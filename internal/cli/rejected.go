package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/api"
)

const rejectedPath = "/api/v1/rejected"

func (p *program) rejectedCommand() *cobra.Command {
	var l place
	c := &cobra.Command{Use: "rejected", Short: "List, explain and accept requests that did not verify", Args: cobra.NoArgs,
		Long: "Works through the running server, or on its data directory when it is stopped (then with --config, for the secrets)."}
	l.flags(c)
	l.orgFlag(c)
	c.AddCommand(p.rejectedList(&l), p.rejectedShow(&l), p.rejectedAccept(&l))
	return c
}

func (p *program) rejectedList(l *place) *cobra.Command {
	var source, before string
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List rejected requests, the newest first", Args: cobra.NoArgs,
		Example: "  sigpost rejected list --source veriff-prod",
		RunE: func(c *cobra.Command, _ []string) error {
			q := url.Values{}
			add(q, "source", source)
			add(q, "iterator", before)
			return p.with(c.Context(), l, func(cl *client) error {
				found, err := readList[api.RejectedOut](c.Context(), cl, rejectedPath, q, limit)
				switch {
				case err != nil:
					return err
				case l.json:
					return p.printJSON(found)
				}
				names, err := cl.sourceNames(c.Context())
				if err != nil {
					return err
				}
				return p.listRejected(&found, names)
			})
		},
	}
	c.Flags().StringVar(&source, "source", "", "only of this source: its name, uid or id")
	c.Flags().IntVar(&limit, "limit", 50, "how many")
	c.Flags().StringVar(&before, "before", "", "only older than this request: the next page")
	return c
}

func (p *program) listRejected(found *api.ListOut[api.RejectedOut], names sourceNames) error {
	if len(found.Data) == 0 {
		fmt.Fprintln(p.err, "no rejected requests")
		return nil
	}
	err := p.table("ID\tRECEIVED\tSOURCE\tREASON\tFROM\tSIZE\tACCEPTED AS", func(w io.Writer) {
		for _, r := range found.Data {
			accepted := ""
			if r.AcceptedMsgID != nil {
				accepted = *r.AcceptedMsgID
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, clock(r.ReceivedAt), names.of(r.SourceID), r.Reason, r.Remote, r.Size, accepted)
		}
	})
	if err == nil && !found.Done && found.Iterator != nil {
		fmt.Fprintf(p.err, "older ones: --before %s\n", *found.Iterator)
	}
	return err
}

// sourceNames are the names of sources by their ids.
type sourceNames map[string]string

// of is the name of a source, or its id when it was deleted.
func (n sourceNames) of(id string) string {
	if name := n[id]; name != "" {
		return name
	}
	return id
}

func (c *client) sourceNames(ctx context.Context) (sourceNames, error) {
	found, err := c.sources(ctx)
	names := sourceNames{}
	for _, s := range found.Data {
		names[s.ID] = s.Name
	}
	return names, err
}

func (p *program) rejectedShow(l *place) *cobra.Command {
	var body bool
	c := &cobra.Command{
		Use: "show ID", Short: "Show a rejected request and explain why it did not verify", Args: cobra.ExactArgs(1),
		Example: "  sigpost rejected show rej_2Xk…",
		RunE: func(c *cobra.Command, args []string) error {
			path, err := pathOf(rejectedPath, args[0])
			if err != nil {
				return err
			}
			return p.with(c.Context(), l, func(cl *client) error {
				var r api.RejectedDetailOut
				if err := cl.call(c.Context(), http.MethodGet, path, nil, &r); err != nil {
					return err
				}
				switch {
				case body:
					_, err := p.out.Write(r.Body)
					return err
				case l.json:
					return p.printJSON(r)
				}
				names, err := cl.sourceNames(c.Context())
				if err != nil {
					return err
				}
				p.showRejected(&r, names.of(r.SourceID))
				return nil
			})
		},
	}
	c.Flags().BoolVar(&body, "body", false, "print the first 64 KiB of the body and nothing else")
	return c
}

func (p *program) showRejected(r *api.RejectedDetailOut, source string) {
	fmt.Fprintf(p.out, "%s  %s\n  source    %s\n  received  %s from %s\n  request   %s, %d bytes\n", r.ID, r.Reason, source,
		r.ReceivedAt.Format(time.RFC3339Nano), r.Remote, r.Method, r.Size)
	if r.AcceptedMsgID != nil {
		fmt.Fprintf(p.out, "  accepted  as %s\n", *r.AcceptedMsgID)
	}
	fmt.Fprintln(p.out, "\nWhy:")
	if r.ValidNow {
		fmt.Fprintf(p.out, "  With the secrets that the source has now it verifies. Let it in:\n    sigpost rejected accept %s\n", r.ID)
	}
	for _, f := range r.Explanation {
		fmt.Fprintf(p.out, "  %s\n", f.Message)
		if f.Fix != nil {
			fmt.Fprintf(p.out, "    → %s\n", *f.Fix)
		}
	}
	if !r.ValidNow && len(r.Explanation) == 0 {
		fmt.Fprintf(p.out, "  %s\n", r.Reason)
	}
	fmt.Fprintln(p.out)
	for _, h := range r.Headers {
		fmt.Fprintf(p.out, "%s: %s\n", h.Name, h.Value)
	}
	fmt.Fprintf(p.out, "\n%s\n", r.Body)
	if len(r.Body) < r.Size {
		fmt.Fprintf(p.out, "(the first %d of %d bytes)\n", len(r.Body), r.Size)
	}
}

func (p *program) rejectedAccept(l *place) *cobra.Command {
	return &cobra.Command{
		Use: "accept ID…", Short: "Verify rejected requests again and let in those that are good now", Args: cobra.MinimumNArgs(1),
		Long:    "Verifies each request again, at the time when it came, against the secrets that its source has now. Mend the secret first: SIGHUP applies a changed file, a restart a changed environment variable.",
		Example: "  sigpost rejected accept rej_2Xk…",
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), l, func(cl *client) error {
				var refused []error
				for _, id := range args {
					if err := p.accept(c.Context(), cl, id, l.json); err != nil {
						refused = append(refused, fmt.Errorf("%s: %w", id, err))
					}
				}
				return errors.Join(refused...)
			})
		},
	}
}

func (p *program) accept(ctx context.Context, cl *client, id string, asJSON bool) error {
	path, err := pathOf(rejectedPath, id)
	if err != nil {
		return err
	}
	var a api.RejectedAcceptOut
	if err := cl.call(ctx, http.MethodPost, path+"/accept", nil, &a); err != nil {
		return err
	}
	switch {
	case asJSON:
		return p.printJSON(a)
	case a.Duplicate:
		fmt.Fprintf(p.out, "%s was there already: %s\n", id, a.MsgID)
	default:
		fmt.Fprintf(p.out, "%s is now %s, on its way to %d endpoints\n", id, a.MsgID, a.Deliveries)
	}
	return nil
}
