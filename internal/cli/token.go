package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/server"
	"github.com/sigpost/sigpost/internal/telemetry"
)

func (p *program) tokenCommand() *cobra.Command {
	var l place
	var org string
	c := &cobra.Command{Use: "token", Short: "Make, list and revoke keys of the API"}
	l.flags(c)
	c.PersistentFlags().StringVar(&org, "org", "", "organization (org_…; made on first use; default the one of the configuration file)")
	c.AddCommand(p.tokenCreate(&l, &org), p.tokenList(&l, &org), p.tokenRevoke(&l, &org))
	return c
}

func (p *program) tokenCreate(l *place, org *string) *cobra.Command {
	var app, scope, name, expires string
	c := &cobra.Command{
		Use: "create", Short: "Make a key; it is shown once", Args: cobra.NoArgs,
		Long: "Scopes: admin (everything), developer (everything but keys and settings), viewer (read, no secrets),\n" +
			"send (create messages, nothing else), app (one application, as its portal sees it).",
		Example: "  sigpost token create --scope send --name billing --expires 90d\n  sigpost token create --scope app --app app_…",
		RunE: func(c *cobra.Command, _ []string) error {
			if name == "" {
				name = "made by the command line"
			}
			in := api.TokenIn{Name: name, Scope: scope}
			if app != "" {
				in.AppID = &app
			}
			if expires != "" {
				at, err := expiry(expires, time.Now())
				if err != nil {
					return err
				}
				in.ExpiresAt = &at
			}
			var made api.TokenCreatedOut
			if err := p.askAs(c.Context(), l, *org, http.MethodPost, "/api/v1/auth/token", nil, in, &made); err != nil {
				return err
			}
			if l.json {
				return p.printJSON(made)
			}
			fmt.Fprintln(p.out, made.Token)
			fmt.Fprintf(p.err, "this is key %s with scope %s; it is not shown again\n", made.ID, made.Scope)
			return nil
		},
	}
	c.Flags().StringVar(&scope, "scope", string(hook.ScopeDeveloper), "admin, developer, viewer, send or app")
	c.Flags().StringVar(&app, "app", "", "the one application that it reaches, with --scope app: its id or uid")
	c.Flags().StringVar(&name, "name", "", "what it is for")
	c.Flags().StringVar(&expires, "expires", "", "when it ends: 12h, 90d, or a date like 2027-01-31 (default never)")
	return c
}

// expiry reads a duration with days, or a date.
func expiry(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36500 {
			return now.AddDate(0, 0, n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil && at.After(now) {
			return at, nil
		}
	}
	return time.Time{}, usage("--expires %q is neither a time from now, like 12h or 90d, nor a date to come, like 2027-01-31", text)
}

func (p *program) tokenList(l *place, org *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the keys", Args: cobra.NoArgs, Example: "  sigpost token list",
		RunE: func(c *cobra.Command, _ []string) error {
			all := []api.TokenOut{}
			q := url.Values{"limit": {"250"}}
			for {
				var page api.ListOut[api.TokenOut]
				if err := p.askAs(c.Context(), l, *org, http.MethodGet, "/api/v1/auth/token", q, nil, &page); err != nil {
					return err
				}
				all = append(all, page.Data...)
				if page.Done || page.Iterator == nil {
					break
				}
				q.Set("iterator", *page.Iterator)
			}
			if l.json {
				return p.printJSON(all)
			}
			return p.table("ID\tSCOPE\tNAME\tMADE\tENDS", func(w io.Writer) {
				for _, t := range all {
					ends := "never"
					if t.ExpiresAt != nil {
						ends = t.ExpiresAt.Format(time.DateOnly)
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.ID, t.Scope, t.Name, t.CreatedAt.Format(time.DateOnly), ends)
				}
			})
		},
	}
}

func (p *program) tokenRevoke(l *place, org *string) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Make a key useless, at once", Args: cobra.ExactArgs(1), Example: "  sigpost token revoke key_…",
		RunE: func(c *cobra.Command, args []string) error {
			if err := p.askAs(c.Context(), l, *org, http.MethodDelete, "/api/v1/auth/token/"+url.PathEscape(args[0]), nil, nil, nil); err != nil {
				return err
			}
			fmt.Fprintln(p.out, args[0], "is revoked")
			return nil
		},
	}
}

func (p *program) masterKeyCommand() *cobra.Command {
	var l place
	c := &cobra.Command{Use: "master-key", Short: "Change the key under which secrets are sealed"}
	l.flags(c)
	c.AddCommand(&cobra.Command{
		Use: "rotate", Short: "Seal everything under a new master key", Args: cobra.NoArgs,
		Long: "Needs a stopped server. The key in the data directory (master.key) is replaced. A key from SIGPOST_MASTER_KEY\n" +
			"is yours to change: set it to the new and the old one with a comma between, run this, then take the old one away.",
		Example: "  sigpost master-key rotate --data ./sigpost-data",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, _, err := p.locate(&l)
			if err != nil {
				return err
			}
			if key, ok := p.env("SIGPOST_MASTER_KEY"); ok && cfg.MasterKey == "" {
				cfg.MasterKey = hook.Secret(key)
			}
			log, err := telemetry.NewLog(p.err, "text", "warn")
			if err != nil {
				return err
			}
			defer log.Close()
			n, err := server.RotateMasterKey(c.Context(), cfg, log.Logger)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.out, "sealed anew: %d\n", n)
			return nil
		},
	})
	return c
}

// askAs makes a request to the API as the administrator of an organization.
func (p *program) askAs(ctx context.Context, l *place, org, method, path string, query url.Values, in, out any) (err error) {
	c, err := p.connect(ctx, l)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := c.close(); err == nil {
			err = cerr
		}
	}()
	header := http.Header{}
	if org != "" {
		header.Set(api.OrganizationHeader, org)
	}
	return c.send(ctx, method, path, query, header, in, out)
}
