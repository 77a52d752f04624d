package cli

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/signature"
)

// triggerFlags are what `sigpost trigger` is told.
type triggerFlags struct {
	provider   providerFlags
	secret     secretFlags
	to         string
	set        []string
	count      int
	rate       float64
	headers    []string
	authClient string
	same       bool
	retry      bool
	list       bool
	json       bool
}

func (p *program) triggerCommand() *cobra.Command {
	var f triggerFlags
	c := &cobra.Command{
		Use:   "trigger EVENT_TYPE --to URL --secret SECRET",
		Short: "Send a sample event as its provider would",
		Long: `Sends the sample of an event type: its compact body, signed by the provider's scheme,
with its headers, its timeout and its idea of success. One line is printed for each
attempt: number, status, time and answer. The exit code is 1 when an event was not taken.

Every event gets ids of its own, for itself and for whom it is about, so that none is
taken for a duplicate of another; --same sends the sample's own ids every time.
The URL may be on any network and on any port.

Without --secret and --secret-file the secret is that of $SIGPOST_SECRET.`,
		Example: `  sigpost trigger --list
  sigpost trigger veriff.decision.approved --to http://127.0.0.1:8080/in/veriff-prod --secret "$VERIFF_SECRET"
  sigpost trigger veriff.decision.declined --to "$URL" --secret "$S" --set verification.reasonCode=106 --set verification.vendorData=me
  sigpost trigger meeva.booking.created --to "$URL" --secret "$S" --count 1000 --rate 50
  sigpost trigger invoice.paid --provider standard-webhooks --to "$URL" --secret "$S" --retry`,
		RunE: func(c *cobra.Command, args []string) error {
			if f.list {
				return p.listSamples(&f)
			}
			if len(args) != 1 {
				return usage("trigger takes one EVENT_TYPE, it got %d; `sigpost trigger --list` shows them", len(args))
			}
			return p.trigger(c.Context(), &f, args[0])
		},
	}
	f.provider.register(c)
	f.secret.register(c)
	flags := c.Flags()
	flags.StringVar(&f.to, "to", "", "`URL` to post to")
	flags.StringArrayVar(&f.set, "set", nil, "change the body, as `PATH=VALUE`; the value is JSON if it can be read as such, else text")
	flags.IntVar(&f.count, "count", 1, "send `N` events")
	flags.Float64Var(&f.rate, "rate", 0, "send `R` events a second (default one after the other, as fast as they are answered)")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "header in place of the provider's or beside them, as `'NAME: VALUE'`, or @FILE with one a line")
	flags.StringVar(&f.authClient, "auth-client", "", "`KEY` of the integration, where the provider sends one in clear (Veriff's X-AUTH-CLIENT)")
	flags.BoolVar(&f.same, "same", false, "send the sample's own ids, so that all events are the same one")
	flags.BoolVar(&f.retry, "retry", false, "retry what is not taken on the provider's schedule, which may last for days")
	flags.BoolVar(&f.list, "list", false, "list the event types that there are samples of, and send nothing")
	flags.BoolVar(&f.json, "json", false, "print one JSON object a line")
	return c
}

func (p *program) trigger(ctx context.Context, f *triggerFlags, eventType string) error {
	set, err := p.providerSet(f.provider.config)
	if err != nil {
		return err
	}
	d, sample, err := findSample(set, f.provider.name, eventType)
	if err != nil {
		return err
	}
	if err := f.check(d); err != nil {
		return err
	}
	e := &emulation{
		provider: d, sample: sample, to: f.to, authClient: f.authClient, same: f.same,
		client: newTriggerClient(), agent: "Sigpost/" + p.version,
	}
	defer e.client.CloseIdleConnections()
	if e.header, err = p.readHeaders(f.headers); err != nil {
		return err
	}
	if e.signer, err = p.signerOf(d, &f.secret); err != nil {
		return err
	}
	for _, assignment := range f.set {
		if e.sample.Body, err = setPath(e.sample.Body, assignment); err != nil {
			return usage("--set: %w", err)
		}
	}
	e.ids = d.GeneratedIDs(sample)
	if _, err := e.event(1); err != nil && f.count > 1 {
		return usage("--count %d: %w; use --same to send it several times as it is", f.count, err)
	}
	return p.send(ctx, e, f)
}

// check refuses flags that make no sense, alone or for the provider.
func (f *triggerFlags) check(d *provider.Definition) error {
	to, err := url.Parse(f.to)
	switch {
	case f.to == "":
		return usage("--to is missing; give the URL to post to, for example http://127.0.0.1:8080/in/%s", d.Name)
	case err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https":
		return usage("--to %q is no http or https URL; write it like http://127.0.0.1:8080/in/%s", f.to, d.Name)
	case f.count < 1:
		return usage("--count %d: at least 1 is needed", f.count)
	case f.rate < 0 || f.rate > maxRate:
		return usage("--rate %g: give 0 to %d events a second", f.rate, maxRate)
	case f.authClient != "" && d.AuthClientHeader == "":
		return usage("--auth-client: %s sends no such key; leave it out", d.Name)
	case f.retry && d.Send != nil && d.Send.NoRetry:
		return usage("--retry: %s tries once and never again; leave it out", d.Name)
	}
	return onlyOnce(slices.Concat(f.secret.files, f.headers)...)
}

// maxRate is the most events a second that trigger is meant for; bench has a load generator.
const maxRate = 1000

// signerOf signs as d does; it is nil when d signs nothing.
func (p *program) signerOf(d *provider.Definition, f *secretFlags) (*signature.Signer, error) {
	if !d.Signed() {
		if len(f.values)+len(f.files) > 0 {
			return nil, usage("--secret: %s signs nothing; leave it out", d.Name)
		}
		return nil, nil
	}
	secrets, err := p.needSecrets(f)
	if err != nil {
		return nil, err
	}
	signer, err := signature.NewSigner(d.Scheme, secrets...)
	if err != nil {
		return nil, usage("--secret: %w", err)
	}
	return signer, nil
}

// newTriggerClient posts to where it is told, on any network, without proxy and redirects.
func newTriggerClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: maxUnderWay, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
