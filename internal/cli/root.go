// Package cli is the command line: each command in a file of its own, all of
// them values built here. It prints results on standard output and everything
// else on standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	ExitOK      = 0
	ExitInvalid = 1 // the thing asked about is not valid, or the work failed
	ExitUsage   = 2 // the command was used in a wrong way
)

// program is what the commands share.
type program struct {
	version string
	in      io.Reader
	out     io.Writer
	err     io.Writer
	env     func(string) (string, bool)
}

// exitError ends the program with a code; a nil err prints nothing more.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage makes an error of wrong use.
func usage(format string, args ...any) error {
	return &exitError{ExitUsage, fmt.Errorf(format, args...)}
}

// Run runs one command line and returns its exit code. env looks up environment
// variables.
func Run(ctx context.Context, version string, args []string, in io.Reader, out, errOut io.Writer, env func(string) (string, bool)) int {
	p := &program{version: version, in: in, out: out, err: errOut, env: env}
	root := p.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	code := ExitInvalid
	if e, ok := errors.AsType[*exitError](err); ok {
		code = e.code
		err = e.err
	}
	if err != nil {
		fmt.Fprintln(errOut, "sigpost:", err)
	}
	return code
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "sigpost",
		Short:         "Signed webhooks, in and out",
		Long:          "Sigpost receives webhooks from providers, verifies and keeps them, and forwards them until your application has them.",
		Example:       "  sigpost dev --once                     # see it work, without any configuration\n  sigpost serve --config sigpost.yaml    # run it\n  sigpost verify --provider veriff --secret \"$SECRET\" --header \"X-HMAC-SIGNATURE: …\" body.json",
		Version:       p.version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%w; `%s --help` shows how it is used", err, c.CommandPath())
	})
	root.AddCommand(
		p.serveCommand(), p.healthCommand(), p.devCommand(), p.configCommand(),
		p.sourceCommand(), p.endpointCommand(), p.messageCommand(), p.taskCommand(), p.rejectedCommand(), p.tokenCommand(), p.userCommand(), p.masterKeyCommand(), p.alertCommand(),
		p.backupCommand(), p.restoreCommand(), p.migrateCommand(),
		p.verifyCommand(), p.signCommand(), p.inspectCommand(), p.triggerCommand(), p.providersCommand(), p.secretCommand(),
	)
	p.strict(root)
	return root
}

// strict makes every misuse of arguments and unknown command one of wrong use,
// and a command that only has others under it show its help.
func (p *program) strict(c *cobra.Command) {
	if args := c.Args; args != nil && !c.HasSubCommands() {
		c.Args = func(c *cobra.Command, given []string) error {
			if err := args(c, given); err != nil {
				return usage("%w; `%s --help` shows how it is used", err, c.CommandPath())
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.RunE == nil {
		c.SuggestionsMinimumDistance = 2
		c.Args = func(c *cobra.Command, given []string) error {
			if len(given) == 0 {
				return nil
			}
			hint := fmt.Sprintf("`%s --help` lists those there are", c.CommandPath())
			if near := c.SuggestionsFor(given[0]); len(near) > 0 {
				hint = fmt.Sprintf("did you mean %q?", near[0])
			}
			return usage("there is no command %q; %s", c.CommandPath()+" "+given[0], hint)
		}
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	for _, sub := range c.Commands() {
		p.strict(sub)
	}
}
