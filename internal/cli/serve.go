package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/server"
	"github.com/sigpost/sigpost/internal/telemetry"
)

// load reads the configuration: file, environment, flags.
func (p *program) load(file string, flags map[string]string) (*config.Config, *provider.Set, error) {
	cfg, providers, err := server.Load(config.Options{File: file, Env: p.env, Environ: os.Environ(), Flags: flags})
	if err != nil {
		return nil, nil, &exitError{ExitUsage, fmt.Errorf("the configuration has faults:\n%w", err)}
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(p.err, "sigpost: warning:", w)
	}
	return cfg, providers, nil
}

// serveFlags are the flags of serve that set a key of the configuration.
var serveFlags = []struct{ name, usage string }{
	{"listen", "address that serves everything (default 127.0.0.1:8080)"},
	{"intake-listen", "further address that serves webhooks alone, for the public side"},
	{"data", "data directory (default ./sigpost-data)"},
	{"database-url", "PostgreSQL database that nodes share, postgres://… (default a file in the data directory)"},
	{"database-notify", "how nodes tell each other what changed: listen, or poll behind a pooler such as PgBouncer (default listen)"},
	{"public-url", "what the world sees of us, for the URLs that we show"},
	{"allow-nets", "private networks that endpoints may be on, separated by commas"},
	{"log-level", "debug, info, warn or error (default info)"},
	{"log-format", "text or json (default text)"},
}

func (p *program) serveCommand() *cobra.Command {
	var file, profile string
	var prune bool
	values := map[string]*string{}
	c := &cobra.Command{
		Use: "serve", Short: "Receive, keep and forward webhooks", Args: cobra.NoArgs,
		Long: "Runs until it is told to stop (SIGTERM, SIGINT), then delivers what is queued and ends.\n" +
			"SIGHUP applies the sources and endpoints of the configuration again. New values of environment variables\n" +
			"need a restart; secrets from files (secrets_file, secret_file) do not.\n" +
			"Flags come before the environment (SIGPOST_…), that before the file.",
		Example: "  sigpost config example > sigpost.yaml\n  sigpost serve --config sigpost.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			flags := map[string]string{}
			for name, v := range values {
				if c.Flags().Changed(name) {
					flags[strings.ReplaceAll(name, "-", "_")] = *v
				}
			}
			end, err := profileTo(profile)
			if err != nil {
				return err
			}
			return errors.Join(p.serve(c.Context(), file, flags, prune), end())
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file (default $SIGPOST_CONFIG)")
	c.Flags().StringVar(&profile, "cpu-profile", "", "write a CPU profile of the whole run to this file, for go tool pprof")
	c.Flags().BoolVar(&prune, "prune", false, "delete sources and endpoints that left the file, instead of disabling them")
	for _, f := range serveFlags {
		values[f.name] = c.Flags().String(f.name, "", f.usage)
	}
	return c
}

// profileTo begins a CPU profile that end writes; without a path it does nothing.
func profileTo(path string) (end func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, usage("cpu-profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

func (p *program) serve(ctx context.Context, file string, flags map[string]string, prune bool) error {
	cfg, providers, err := p.load(file, flags)
	if err != nil {
		return err
	}
	log, err := telemetry.NewLog(p.err, cfg.Log.Format, cfg.Log.Level)
	if err != nil {
		return usage("log: %w", err)
	}
	defer log.Close()
	if len(cfg.Sources) == 0 {
		log.Info("the configuration file has no source; the dashboard and the API make them, and `sigpost config example` shows a configuration")
	}
	kept := p.tune()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	s, err := server.Open(ctx, server.Options{
		Config: cfg, Providers: providers, Log: log.Logger, Version: p.version, Prune: prune, Kept: kept,
		Reload: func() (*config.Config, *provider.Set, error) { return p.load(file, flags) },
	})
	if err != nil {
		return err
	}
	if err := p.firstAccess(ctx, s, cfg.Data, log.Logger); err != nil {
		return errors.Join(err, s.Close())
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				if err := s.Reload(ctx); err != nil {
					log.Error("configuration not applied; the old one stays in force", "error", err)
				} else {
					log.Info("configuration applied")
				}
			}
		}
	}()
	debug.FreeOSMemory() // starting left garbage that would stay for as long as nothing happens
	err = s.Run(ctx)
	return errors.Join(err, s.Close())
}

// What the first start hands out when there is no terminal to show it on.
const (
	firstKeyFile  = "admin.key"    // the first key of the API
	firstLinkFile = "sign-in-link" // with which the first person signs in to the dashboard
)

// firstAccess hands out the key and the link of the first administrator, at the first start.
func (p *program) firstAccess(ctx context.Context, s *server.Server, dir string, log *slog.Logger) error {
	key, err := s.FirstKey(ctx)
	if err != nil {
		return err
	}
	if key != "" {
		err := p.handOut(key, filepath.Join(dir, firstKeyFile), "The key of the API's administrator, shown this once:",
			"the key of the API's administrator was written to a file; keep it elsewhere and delete the file", log)
		if err != nil {
			return fmt.Errorf("write the administrator's key: %w", err)
		}
	}
	link, err := s.FirstLink(ctx)
	if err != nil || link == "" {
		return err
	}
	err = p.handOut(link, filepath.Join(dir, firstLinkFile), "Sign in to the dashboard with this link, once, within 15 minutes (`sigpost user link "+server.FirstUser+"` makes another):",
		"a link that signs in to the dashboard, once, within 15 minutes, was written to a file; `sigpost user link "+server.FirstUser+"` makes another", log)
	if err != nil {
		return fmt.Errorf("write the link that signs in: %w", err)
	}
	return nil
}

// handOut shows a secret on the terminal, or writes it to a file that only its owner reads.
func (p *program) handOut(secret hook.Secret, path, shown, written string, log *slog.Logger) error {
	if f, ok := p.err.(*os.File); ok && isTerminal(f) {
		fmt.Fprintf(f, "\n%s\n\n  %s\n\n", shown, secret.Reveal())
		return nil
	}
	// One that is there already may be readable by others.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(path, []byte(secret.Reveal()+"\n"), 0o600); err != nil {
		return err
	}
	log.Info(written, "path", path)
	return nil
}

// isTerminal says whether people look at f. The null device is one of characters, too.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// tune sets what the runtime cannot know. One more processor than there are: while
// a commit waits for the disk it keeps one without using it. And a garbage
// collector that runs less often: what is live is small and what passes
// through is not, so memory buys time cheaply. GOMAXPROCS and GOGC in the
// environment come first. kept is to be told what the store keeps; nil when that does not matter.
func (p *program) tune() (kept func(bytes int64)) {
	if _, ok := p.env("GOMAXPROCS"); !ok {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	if _, ok := p.env("GOGC"); ok {
		return nil
	}
	kept = func(bytes int64) { debug.SetGCPercent(garbage(bytes)) }
	kept(0)
	return kept
}

const (
	garbagePercent = 300
	// usuallyLive is about what is live at least, in bytes, but for what the store keeps.
	usuallyLive = 8 << 20
)

// garbage is how much garbage there may be, in percent of what is live, when so many bytes of
// it are kept for long and make none: as much as if they were not there.
func garbage(kept int64) int {
	return int(garbagePercent * usuallyLive / (usuallyLive + kept))
}

func (p *program) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check a configuration, or print an example", Args: cobra.NoArgs}
	var file string
	check := &cobra.Command{
		Use: "check [FILE]", Short: "Report all faults of a configuration together", Args: cobra.MaximumNArgs(1),
		Example: "  sigpost config check sigpost.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				file = args[0]
			}
			if name, _ := p.env("SIGPOST_CONFIG"); file == "" && name == "" {
				return usage("give the FILE to check, for example sigpost.yaml")
			}
			cfg, _, err := p.load(file, nil)
			if err != nil {
				e, _ := errors.AsType[*exitError](err)
				return &exitError{ExitInvalid, e.err}
			}
			endpoints := 0
			for _, s := range cfg.Sources {
				endpoints += len(s.Endpoints)
			}
			fmt.Fprintf(p.out, "no faults; sources: %d, endpoints: %d\n", len(cfg.Sources), endpoints)
			if len(cfg.Sources) == 0 {
				fmt.Fprintln(p.err, "sigpost: warning: there is no source, so nothing can be received")
			}
			return nil
		},
	}
	check.Flags().StringVarP(&file, "config", "c", "", "configuration file (default $SIGPOST_CONFIG)")
	c.AddCommand(check, &cobra.Command{
		Use: "example", Short: "Print a commented configuration", Args: cobra.NoArgs, Example: "  sigpost config example > sigpost.yaml",
		RunE: func(*cobra.Command, []string) error {
			_, err := p.out.Write(config.Example())
			return err
		},
	})
	return c
}

func fileExists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return err == nil, err
}
