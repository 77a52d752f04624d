package cli

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/signature"
)

// verifyFlags are what `sigpost verify` is told.
type verifyFlags struct {
	provider providerFlags
	secret   secretFlags
	headers  []string
	method   string
	url      string
	at       string
	json     bool
}

func (p *program) verifyCommand() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify --provider NAME --secret SECRET --header 'NAME: VALUE' FILE",
		Short: "Verify a signature, or explain why it is not valid",
		Long: `Verifies a request over the exact bytes of FILE (or of standard input, -). When it is
not valid, tries what usually goes wrong – another secret, a body that was parsed and
written anew, the header of another provider, a clock that is off – and says what would
have made it valid.

The exit code is 0 when the signature is valid, 1 when it is not, 2 when the command was
used in a wrong way. Without --secret and --secret-file the secret is that of
$SIGPOST_SECRET. Secrets and expected signatures are never printed.`,
		Example: `  sigpost verify --provider veriff --secret "$VERIFF_SECRET" --header "X-HMAC-SIGNATURE: 01fa3d…" body.json
  sigpost verify --provider stripe --secret-file secret.txt --header @headers.txt --at 1772442000 body.json

  # what was signed here verifies here
  sigpost sign --provider meeva body.json > headers.txt && sigpost verify --provider meeva --header @headers.txt body.json`,
		Args: oneFile,
		RunE: func(_ *cobra.Command, args []string) error { return p.verify(&f, args[0]) },
	}
	f.provider.register(c)
	f.secret.register(c)
	c.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "header of the request, as `'NAME: VALUE'`, or @FILE with one a line")
	c.Flags().StringVar(&f.method, "method", http.MethodPost, "method of the request, where the provider signs it")
	c.Flags().StringVar(&f.url, "url", "", "`URL` of the request, where the provider signs it")
	c.Flags().StringVar(&f.at, "at", "", "`TIME` when the request came, in Unix seconds or RFC 3339 (default now)")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return c
}

func (p *program) verify(f *verifyFlags, file string) error {
	scheme, err := p.schemeOf(&f.provider)
	if err != nil {
		return err
	}
	at, err := readTime("--at", f.at)
	if err != nil {
		return err
	}
	if err := onlyOnce(append(append(f.headers, f.secret.files...), file)...); err != nil {
		return err
	}
	header, err := p.readHeaders(f.headers)
	if err != nil {
		return err
	}
	secrets, err := p.needSecrets(&f.secret)
	if err != nil {
		return err
	}
	verifier, err := signature.NewVerifier(scheme, secrets...)
	if err != nil {
		return usage("--secret: %w", err)
	}
	body, err := p.readFile("FILE", file)
	if err != nil {
		return err
	}
	req := signature.Request{Method: f.method, URL: f.url, Header: header, Body: body}
	result, err := verifier.Verify(req, at)
	v := verdict{Valid: err == nil, Provider: scheme.Name, secrets: len(secrets)}
	if err != nil {
		v.explain(scheme, req, secrets, at, err)
		return p.report(&v, f.json)
	}
	v.Secret, v.ID = result.Secret+1, result.ID
	if !result.Timestamp.IsZero() {
		signedAt := result.Timestamp.UTC()
		v.SignedAt = &signedAt
	}
	return p.report(&v, f.json)
}

// verdict is what `sigpost verify` says.
type verdict struct {
	Valid    bool                `json:"valid"`
	Provider string              `json:"provider"`
	Secret   int                 `json:"secret,omitempty"`   // which of those given, from 1
	ID       string              `json:"id,omitempty"`       // that is signed, where the scheme has one
	SignedAt *time.Time          `json:"signedAt,omitempty"` // where the scheme says it
	Reason   string              `json:"reason,omitempty"`   // why it is not valid
	Findings []signature.Finding `json:"findings,omitempty"`
	secrets  int
}

func (v *verdict) explain(scheme signature.Scheme, req signature.Request, secrets []string, at time.Time, err error) {
	v.Reason = err.Error()
	known := make([]signature.KnownSecret, len(secrets))
	for i, secret := range secrets {
		known[i] = signature.KnownSecret{Value: secret, Name: fmt.Sprintf("secret %d", i+1)}
	}
	v.Findings = signature.Explain(scheme, req, known, at).Findings
	late, ok := errors.AsType[*signature.TimestampError](err)
	if !ok {
		return
	}
	for i := range v.Findings {
		if v.Findings[i].Code == signature.CodeClockSkew {
			v.Findings[i].Fix += fmt.Sprintf("; --at %d verifies it at its own time", late.Timestamp.Unix())
		}
	}
}

func (p *program) report(v *verdict, asJSON bool) error {
	switch {
	case asJSON:
		if err := p.printJSON(v); err != nil {
			return err
		}
	case v.Valid:
		fmt.Fprintf(p.out, "valid: signed as %s signs, with secret %d of %d%s\n", v.Provider, v.Secret, v.secrets, v.signedAt())
	default:
		fmt.Fprintf(p.out, "invalid: %s\n", v.Reason)
		for _, finding := range v.Findings {
			fmt.Fprintf(p.out, "  %s\n", finding.Message)
			if finding.Fix != "" {
				fmt.Fprintf(p.out, "    → %s\n", finding.Fix)
			}
		}
	}
	if !v.Valid {
		return &exitError{code: ExitInvalid}
	}
	return nil
}

// signedAt ends the line about a valid request, where the scheme says when it was signed.
func (v *verdict) signedAt() string {
	if v.SignedAt == nil {
		return ""
	}
	return ", at " + v.SignedAt.Format(time.RFC3339)
}
