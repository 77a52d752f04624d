package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
)

// usersPath is that of the people who may sign in.
const usersPath = "/api/v1/user"

func (p *program) userCommand() *cobra.Command {
	var l place
	c := &cobra.Command{Use: "user", Short: "Add, list and disable the people who sign in to the dashboard",
		Long: "Works through the running server, or on its data directory when it is stopped."}
	l.flags(c)
	l.orgFlag(c)
	c.AddCommand(p.userAdd(&l), p.userList(&l), p.userLink(&l), p.userState(&l, true), p.userState(&l, false))
	return c
}

func (p *program) userAdd(l *place) *cobra.Command {
	var role string
	c := &cobra.Command{
		Use: "add NAME", Short: "Add a person, and print the link with which he signs in first", Args: cobra.ExactArgs(1),
		Long: "The link works once, for 15 minutes; the person then sets a password. `sigpost user link` makes another.\n" +
			"Roles: admin (everything), developer (everything but people, keys and settings), viewer (read, no secrets).",
		Example: "  sigpost user add ana@example.com --role viewer",
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), l, func(cl *client) error {
				var made api.UserCreatedOut
				if err := cl.ask(c.Context(), http.MethodPost, usersPath, api.UserIn{Name: args[0], Role: role}, &made); err != nil {
					return err
				}
				if l.json {
					return p.printJSON(made)
				}
				return p.printLink(made.Name, &made.LinkOut)
			})
		},
	}
	c.Flags().StringVar(&role, "role", string(hook.ScopeViewer), "admin, developer or viewer")
	return c
}

// printLink prints a link alone on standard output, and what it is beside it.
func (p *program) printLink(name string, link *api.LinkOut) error {
	fmt.Fprintln(p.out, link.Link)
	if strings.HasPrefix(link.Link, "/") { // without a configuration nobody knows where we are seen
		fmt.Fprintln(p.err, "put the server's URL in front of it, or give the configuration with --config")
	}
	fmt.Fprintf(p.err, "%s signs in with it once, until %s\n", name, link.ExpiresAt.Local().Format(time.TimeOnly))
	return nil
}

// users are all people of the organization.
func users(ctx context.Context, cl *client) ([]api.UserOut, error) {
	const many = 1 << 20
	list, err := readList[api.UserOut](ctx, cl, usersPath, url.Values{}, many)
	return list.Data, err
}

// userNamed finds a person by his name or id.
func userNamed(ctx context.Context, cl *client, name string) (api.UserOut, error) {
	list, err := users(ctx, cl)
	if err != nil {
		return api.UserOut{}, err
	}
	for _, u := range list {
		if u.ID == name || strings.EqualFold(u.Name, name) {
			return u, nil
		}
	}
	return api.UserOut{}, fmt.Errorf("there is no user %q; `sigpost user list` shows them", name)
}

func (p *program) userList(l *place) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the people", Args: cobra.NoArgs, Example: "  sigpost user list",
		RunE: func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), l, func(cl *client) error {
				list, err := users(c.Context(), cl)
				if err != nil {
					return err
				}
				if l.json {
					return p.printJSON(list)
				}
				return p.table("ID\tNAME\tROLE\tSTATE\tLAST SEEN", func(w io.Writer) {
					for _, u := range list {
						state, seen := "enabled", "never"
						if u.Disabled {
							state = "disabled"
						}
						if u.LastSeenAt != nil {
							seen = u.LastSeenAt.Format(time.DateOnly)
						}
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", u.ID, u.Name, u.Role, state, seen)
					}
				})
			})
		},
	}
}

func (p *program) userLink(l *place) *cobra.Command {
	return &cobra.Command{
		Use: "link NAME", Short: "Print a new link with which a person signs in once; earlier ones are void", Args: cobra.ExactArgs(1),
		Example: "  sigpost user link admin",
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), l, func(cl *client) error {
				u, err := userNamed(c.Context(), cl, args[0])
				if err != nil {
					return err
				}
				var made api.LinkOut
				if err := cl.ask(c.Context(), http.MethodPost, usersPath+"/"+u.ID+"/link", nil, &made); err != nil {
					return err
				}
				if l.json {
					return p.printJSON(made)
				}
				return p.printLink(u.Name, &made)
			})
		},
	}
}

// userState is the command that disables a person, or enables him again.
func (p *program) userState(l *place, disabled bool) *cobra.Command {
	name, short := "enable", "Let a person sign in again"
	if disabled {
		name, short = "disable", "Sign a person out everywhere, and let him sign in no more"
	}
	return &cobra.Command{
		Use: name + " NAME", Short: short, Args: cobra.ExactArgs(1), Example: "  sigpost user " + name + " ana@example.com",
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), l, func(cl *client) error {
				u, err := userNamed(c.Context(), cl, args[0])
				if err != nil {
					return err
				}
				if err := cl.ask(c.Context(), http.MethodPatch, usersPath+"/"+u.ID, api.UserPatch{Disabled: &disabled}, &u); err != nil {
					return err
				}
				fmt.Fprintln(p.out, u.Name, "is", name+"d")
				return nil
			})
		},
	}
}
