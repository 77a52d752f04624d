package cli

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/signature"
)

// signFlags are what `sigpost sign` is told.
type signFlags struct {
	provider providerFlags
	secret   secretFlags
	at       string
	id       string
	method   string
	url      string
	json     bool
}

func (p *program) signCommand() *cobra.Command {
	var f signFlags
	c := &cobra.Command{
		Use:   "sign --provider NAME --secret SECRET FILE",
		Short: "Print the headers with which a provider signs a body",
		Long: `Signs the exact bytes of FILE (or of standard input, -) as the provider does, and
prints the headers, one "Name: value" a line.

Without --secret and --secret-file the secret is that of $SIGPOST_SECRET.`,
		Example: `  sigpost sign --provider veriff --secret "$VERIFF_SECRET" body.json
  sigpost sign --provider stripe --secret-file secret.txt --at 1772442000 body.json

  # sign and post; curl must send the same bytes, so --data-binary
  curl -H @<(sigpost sign --provider meeva body.json) -H 'Content-Type: application/json' --data-binary @body.json "$URL"

  # both secrets while one is being rotated, where the provider's header can hold two
  sigpost sign --provider standard-webhooks --secret "$NEW" --secret "$OLD" body.json`,
		Args: oneFile,
		RunE: func(_ *cobra.Command, args []string) error { return p.sign(&f, args[0]) },
	}
	f.provider.register(c)
	f.secret.register(c)
	c.Flags().StringVar(&f.at, "at", "", "`TIME` of signing, in Unix seconds or RFC 3339 (default now)")
	c.Flags().StringVar(&f.id, "id", "", "`ID` of the message, where the provider signs one (default a random one)")
	c.Flags().StringVar(&f.method, "method", http.MethodPost, "method of the request, where the provider signs it")
	c.Flags().StringVar(&f.url, "url", "", "`URL` of the request, where the provider signs it")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return c
}

func (p *program) sign(f *signFlags, file string) error {
	scheme, err := p.schemeOf(&f.provider)
	if err != nil {
		return err
	}
	at, err := readTime("--at", f.at)
	if err != nil {
		return err
	}
	if err := f.fit(scheme); err != nil {
		return err
	}
	if err := onlyOnce(append(f.secret.files, file)...); err != nil {
		return err
	}
	secrets, err := p.needSecrets(&f.secret)
	if err != nil {
		return err
	}
	signer, err := signature.NewSigner(scheme, secrets...)
	if err != nil {
		return usage("--secret: %w", err)
	}
	body, err := p.readFile("FILE", file)
	if err != nil {
		return err
	}
	content := signature.Content{ID: f.id, Timestamp: at, Method: f.method, URL: f.url, Body: body}
	if content.ID == "" && scheme.IDHeader != "" {
		content.ID = newMessageID()
	}
	fields, err := signer.Sign(content)
	if err != nil {
		return usage("sign as %s does: %w", scheme.Name, err)
	}
	return p.printHeaders(fields, f.json)
}

// fit refuses what the scheme would silently leave out of the headers, and
// what it cannot do without.
func (f *signFlags) fit(scheme signature.Scheme) error {
	switch {
	case f.id != "" && scheme.IDHeader == "":
		return usage("--id: %s signs no id; leave it out", scheme.Name)
	case f.url == "" && strings.Contains(scheme.Content, "{url}"):
		return usage("--url is missing; %s signs the URL of the request", scheme.Name)
	}
	return nil
}

func (p *program) printHeaders(fields []signature.HeaderField, asJSON bool) error {
	if !asJSON {
		for _, h := range fields {
			fmt.Fprintf(p.out, "%s: %s\n", h.Name, h.Value)
		}
		return nil
	}
	type line struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	lines := make([]line, len(fields))
	for i, h := range fields {
		lines[i] = line{h.Name, h.Value}
	}
	return p.printJSON(struct {
		Headers []line `json:"headers"`
	}{lines})
}

// newMessageID is a random id in the form that Standard Webhooks uses.
func newMessageID() string { return "msg_" + rand.Text() }
