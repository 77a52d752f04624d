package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/dispatch"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/intake"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/server"
	"github.com/sigpost/sigpost/internal/telemetry"
	"github.com/sigpost/sigpost/signature"
)

// devSamples are the providers that dev shows, each with the event that it sends.
var devSamples = []struct{ provider, event string }{
	{"veriff", "veriff.decision.approved"},
	{"metamap", "metamap.verification_completed"},
	{"meeva", "meeva.booking.created"},
	{"meetbot", "meetbot.recording.finalized"},
}

const (
	devListen = "127.0.0.1:8080"
	// devPatience is how long a sample may take from the first byte to its delivery.
	devPatience = 10 * time.Second
)

// devNets are open to the endpoints of dev: it is the developer's own machine.
const devNets = "127.0.0.0/8 ::1/128 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"

func (p *program) devCommand() *cobra.Command {
	d := dev{program: p}
	c := &cobra.Command{
		Use: "dev", Short: "See it work without any configuration", Args: cobra.NoArgs,
		Long: "Makes a source for each of Veriff, MetaMap, Meeva and meetbot with secrets of its own, sends a sample of each through\n" +
			"the real HTTP path, and says what happened. Then it stays up, so that you can send more or put a tunnel in front.\n" +
			"Nothing is kept after it ends.",
		Example: "  sigpost dev --once\n  sigpost dev --forward http://127.0.0.1:3000/hook",
		RunE:    func(c *cobra.Command, _ []string) error { return d.run(c.Context()) },
	}
	c.Flags().StringVar(&d.forward, "forward", "", "URL of your application (default a small receiver that verifies and says what came)")
	c.Flags().BoolVar(&d.once, "once", false, "end after the samples: 0 when all were delivered, else 1")
	c.Flags().StringVar(&d.endpoint, "forward-secret", "", "what forwarded requests are signed with, whsec_… (default a new one)")
	c.Flags().StringVar(&d.listen, "listen", "", "address to listen on (default "+devListen+", or a free port when that is taken)")
	return c
}

// dev is one run of the command.
type dev struct {
	*program
	forward string
	once    bool
	listen  string

	providers *provider.Set
	secrets   map[string]string // by provider
	endpoint  string            // the secret of the receiver
	server    *server.Server
	settled   chan settled
	receiver  *receiver // nil with --forward
}

// settled is what became of a delivery.
type settled struct {
	message hook.Key
	record  hook.Record
	at      time.Time
}

func (d *dev) run(ctx context.Context) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "sigpost-dev-")
	if err != nil {
		return fmt.Errorf("make a directory for the data: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if d.forward != "" {
		if u, err := url.Parse(d.forward); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return usage("--forward: %q is not an http or https URL, for example http://127.0.0.1:3000/hook", d.forward)
		}
	}
	cfg, err := d.configuration(dir)
	if err != nil {
		return err
	}
	if d.forward == "" {
		close, err := d.receive(cfg)
		if err != nil {
			return err
		}
		defer close()
	}
	log, err := telemetry.NewLog(d.err, "text", "error")
	if err != nil {
		return err
	}
	defer log.Close()
	d.settled = make(chan settled, 64)
	d.server, err = server.Open(ctx, server.Options{Config: cfg, Providers: d.providers, Log: log.Logger, Version: d.version, OnAttempt: d.observe, OnIntake: func(source string, o intake.Outcome) { d.refused(cfg.Data, source, o) }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.server.Close()) }()
	return d.serve(ctx, cfg)
}

// serve runs the server, shows the samples, and stays up unless it is to end.
func (d *dev) serve(ctx context.Context, cfg *config.Config) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- d.server.Run(ctx) }()
	if err := d.ready(ctx, ended); err != nil {
		return err
	}
	failed := d.showAll(ctx)
	if !d.once && ctx.Err() == nil {
		d.invite(cfg)
		if d.receiver != nil {
			d.receiver.quiet.Store(false)
		}
		go d.follow(ctx)
		<-ctx.Done()
	}
	stop()
	if err := <-ended; err != nil {
		return err
	}
	if d.once && failed > 0 {
		return &exitError{ExitInvalid, fmt.Errorf("%d of %d samples were not delivered", failed, len(devSamples))}
	}
	return nil
}

// ready waits until the server listens.
func (d *dev) ready(ctx context.Context, ended <-chan error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for d.server.Addr() == "" {
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// configuration is what a user would write into a file.
func (d *dev) configuration(dir string) (*config.Config, error) {
	set, err := provider.Builtin()
	if err != nil {
		return nil, err
	}
	d.providers, d.secrets = set, map[string]string{}
	if d.endpoint == "" {
		if d.endpoint, err = generate(set, "standard-webhooks"); err != nil {
			return nil, err
		}
	} else if _, err := signature.NewSigner(signature.StandardWebhooks(), d.endpoint); err != nil {
		return nil, usage("--forward-secret: %w; `sigpost secret generate --provider standard-webhooks` makes a good one", err)
	}
	cfg := config.Default()
	cfg.Data, cfg.ControlSocket = dir, filepath.Join(dir, config.SocketName)
	cfg.Listen = d.address()
	for text := range strings.FieldsSeq(devNets) {
		cfg.AllowNets = append(cfg.AllowNets, config.Network{Prefix: netip.MustParsePrefix(text)})
	}
	for _, s := range devSamples {
		if d.secrets[s.provider], err = generate(set, s.provider); err != nil {
			return nil, err
		}
		cfg.Sources = append(cfg.Sources, config.Source{
			Name: s.provider, Provider: s.provider, Secrets: []hook.Secret{hook.Secret(d.secrets[s.provider])},
			Endpoints: []config.Endpoint{{Name: "application", URL: d.forward, Secrets: []hook.Secret{hook.Secret(d.endpoint)}}},
		})
	}
	return cfg, nil
}

func generate(set *provider.Set, name string) (string, error) {
	p, err := set.Lookup(name)
	if err != nil {
		return "", err
	}
	return p.GenerateSecret()
}

// address is where to listen: the usual port if it is free, else any.
func (d *dev) address() string {
	if d.listen != "" {
		return d.listen
	}
	l, err := net.Listen("tcp", devListen)
	if err != nil || d.once {
		if err == nil {
			l.Close()
		}
		return "127.0.0.1:0"
	}
	l.Close()
	return devListen
}

// receive starts the small receiver and makes it the endpoint of every source.
func (d *dev) receive(cfg *config.Config) (close func(), err error) {
	r, err := newReceiver(d.program, d.endpoint)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the receiver: %w", err)
	}
	r.quiet.Store(true) // until the samples are through
	d.receiver = r
	srv := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(l)
	for i := range cfg.Sources {
		cfg.Sources[i].Endpoints[0].URL = "http://" + l.Addr().String() + "/hook"
	}
	return func() { srv.Close() }, nil
}

// observe hands attempts on to whoever waits for them.
func (d *dev) observe(_ *dispatch.Target, m *hook.Message, r *hook.Record) {
	if m == nil {
		return
	}
	select {
	case d.settled <- settled{m.ID, *r, time.Now()}:
	default: // nobody looks
	}
}

// refused says that a request did not verify, and where the explanation is.
func (d *dev) refused(data, source string, o intake.Outcome) {
	if o == intake.BadSignature {
		fmt.Fprintf(d.out, "%s  REFUSED   at /in/%s: the signature does not verify; `sigpost rejected list --data %s`, then `rejected show` explains why\n", time.Now().Format("15:04:05"), source, data)
	}
}

// invite says what can be done now.
func (d *dev) invite(cfg *config.Config) {
	base := "http://" + d.server.Addr()
	fmt.Fprintf(d.out, "\nSigpost stays up at %s. Each provider has a URL and a secret:\n\n", base)
	for _, s := range devSamples {
		fmt.Fprintf(d.out, "  %-8s %s/in/%-8s  %s\n", s.provider, base, s.provider, d.secrets[s.provider])
	}
	first := devSamples[0]
	fmt.Fprintf(d.out, "\nSend one more:\n  sigpost trigger veriff.decision.declined --to %s/in/%s --secret %s\n", base, first.provider, d.secrets[first.provider])
	fmt.Fprintf(d.out, "Look at what is kept:\n  sigpost message list --data %s\n", cfg.Data)
	fmt.Fprintf(d.out, "What is forwarded is signed for %s with\n  %s\n\nEnd with Ctrl-C; the data goes with it.\n\n", cfg.Sources[0].Endpoints[0].URL, d.endpoint)
}
