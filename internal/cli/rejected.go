package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/control"
)

func (p *program) rejectedCommand() *cobra.Command {
	var l place
	c := &cobra.Command{Use: "rejected", Short: "List, explain and accept requests that did not verify", Args: cobra.NoArgs,
		Long: "Works through the running server, or on its data directory when it is stopped (then with --config, for the secrets)."}
	l.flags(c)
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
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			add(q, "source", source)
			add(q, "before", before)
			var list control.List[control.Rejected]
			if err := p.ask(c.Context(), l, http.MethodGet, "/rejected", q, &list); err != nil {
				return err
			}
			if l.json {
				return p.printJSON(list)
			}
			if len(list.Data) == 0 {
				fmt.Fprintln(p.err, "no rejected requests")
				return nil
			}
			return p.table("ID\tRECEIVED\tSOURCE\tREASON\tFROM\tSIZE\tACCEPTED AS", func(w io.Writer) {
				for _, r := range list.Data {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, clock(r.ReceivedAt), r.Source, r.Reason, r.Remote, r.Size, r.Accepted)
				}
			})
		},
	}
	c.Flags().StringVar(&source, "source", "", "only of this source")
	c.Flags().IntVar(&limit, "limit", 50, "how many, 1 to 250")
	c.Flags().StringVar(&before, "before", "", "only older than this request: the next page")
	return c
}

func (p *program) rejectedShow(l *place) *cobra.Command {
	var body bool
	c := &cobra.Command{
		Use: "show ID", Short: "Show a rejected request and explain why it did not verify", Args: cobra.ExactArgs(1),
		Example: "  sigpost rejected show rej_2Xk…",
		RunE: func(c *cobra.Command, args []string) error {
			var r control.Rejected
			if err := p.ask(c.Context(), l, http.MethodGet, "/rejected/"+url.PathEscape(args[0]), nil, &r); err != nil {
				return err
			}
			switch {
			case body:
				_, err := p.out.Write(bytesOf(r.Body, r.BodyBase64))
				return err
			case l.json:
				return p.printJSON(r)
			}
			p.showRejected(&r)
			return nil
		},
	}
	c.Flags().BoolVar(&body, "body", false, "print the bytes of the body that were kept and nothing else")
	return c
}

func (p *program) showRejected(r *control.Rejected) {
	fmt.Fprintf(p.out, "%s  %s\n  source    %s\n  received  %s from %s\n  request   %s %s, %d bytes\n", r.ID, r.Reason, r.Source,
		r.ReceivedAt.Format(time.RFC3339Nano), r.Remote, r.Method, r.URL, r.Size)
	if r.Accepted != "" {
		fmt.Fprintf(p.out, "  accepted  as %s\n", r.Accepted)
	}
	fmt.Fprintln(p.out, "\nWhy:")
	if r.ValidNow {
		fmt.Fprintf(p.out, "  With the secrets that the source has now it verifies. Let it in:\n    sigpost rejected accept %s\n", r.ID)
	}
	for _, f := range r.Explanation {
		fmt.Fprintf(p.out, "  %s\n", f.Message)
		if f.Fix != "" {
			fmt.Fprintf(p.out, "    → %s\n", f.Fix)
		}
	}
	if !r.ValidNow && len(r.Explanation) == 0 {
		fmt.Fprintf(p.out, "  %s\n", r.Reason)
	}
	fmt.Fprintln(p.out)
	for _, h := range r.Headers {
		fmt.Fprintf(p.out, "%s: %s\n", h.Name, h.Value)
	}
	fmt.Fprintf(p.out, "\n%s\n", bytesOf(r.Body, r.BodyBase64))
	if r.Kept < r.Size {
		fmt.Fprintf(p.out, "(the first %d of %d bytes)\n", r.Kept, r.Size)
	}
}

func (p *program) rejectedAccept(l *place) *cobra.Command {
	return &cobra.Command{
		Use: "accept ID…", Short: "Verify rejected requests again and let in those that are good now", Args: cobra.MinimumNArgs(1),
		Long:    "Verifies each request again, at the time when it came, against the secrets that its source has now. Mend the secret first: SIGHUP applies a changed file, a restart a changed environment variable.",
		Example: "  sigpost rejected accept rej_2Xk…",
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := p.connect(c.Context(), l)
			if err != nil {
				return err
			}
			defer cl.close()
			for _, id := range args {
				var a control.Accepted
				if err := cl.call(c.Context(), http.MethodPost, "/rejected/"+url.PathEscape(id)+"/accept", nil, &a); err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
				switch {
				case l.json:
					if err := p.printJSON(a); err != nil {
						return err
					}
				case a.Duplicate:
					fmt.Fprintf(p.out, "%s was there already: %s\n", id, a.Message)
				default:
					fmt.Fprintf(p.out, "%s is now %s, on its way to %d endpoints\n", id, a.Message, a.Deliveries)
				}
			}
			return nil
		},
	}
}
