package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) secretCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "secret",
		Short: "Generate and check secrets by a provider's rules",
		Args:  noArguments,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(p.secretGenerate(), p.secretCheck())
	return c
}

func (p *program) secretGenerate() *cobra.Command {
	var f providerFlags
	c := &cobra.Command{
		Use:   "generate --provider NAME",
		Short: "Print a random secret that obeys the provider's rules",
		Long: `Prints a random secret that obeys the rules of the provider. Where the provider issues
the secret itself, a generated one is for tests only: ` + "`sigpost providers NAME`" + ` says so.`,
		Example: `  sigpost secret generate --provider metamap
  export VERIFF_SECRET="$(sigpost secret generate --provider veriff)"`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			d, err := p.providerOf(&f)
			if err != nil {
				return err
			}
			secret, err := d.GenerateSecret()
			if err != nil {
				return usage("--provider: %w", err)
			}
			fmt.Fprintln(p.out, secret)
			return nil
		},
	}
	f.register(c)
	return c
}

func (p *program) secretCheck() *cobra.Command {
	var f providerFlags
	var secret string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check --provider NAME",
		Short: "Say what is wrong with a secret by the provider's rules",
		Long: `Reads a secret from standard input, or takes that of --secret, and says what is wrong
with it by the rules of the provider, one problem a line. The exit code is 0 when it is
fine and 1 when it is not. The secret itself is never printed.`,
		Example: `  sigpost secret check --provider metamap < secret.txt
  sigpost secret check --provider standard-webhooks --secret "$APP_WEBHOOK_SECRET"`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := p.providerOf(&f)
			if err != nil {
				return err
			}
			if !c.Flags().Changed("secret") {
				content, err := p.readFile("--secret", stdin)
				if err != nil {
					return err
				}
				// The end of the line is the shell's, not the secret's.
				secret = strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
			}
			return p.reportSecret(d.Name, d.CheckSecret(secret), asJSON)
		},
	}
	f.register(c)
	c.Flags().StringVar(&secret, "secret", "", "the `SECRET` (default standard input)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (p *program) reportSecret(provider string, problems []string, asJSON bool) error {
	fine := len(problems) == 0
	switch {
	case asJSON:
		report := struct {
			Fine     bool     `json:"fine"`
			Provider string   `json:"provider"`
			Problems []string `json:"problems"`
		}{fine, provider, append([]string{}, problems...)}
		if err := p.printJSON(report); err != nil {
			return err
		}
	case fine:
		fmt.Fprintf(p.out, "fine: it obeys the rules of %s\n", provider)
	default:
		for _, problem := range problems {
			fmt.Fprintln(p.out, problem)
		}
	}
	if !fine {
		return &exitError{code: ExitInvalid}
	}
	return nil
}
