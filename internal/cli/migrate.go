package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
	"github.com/sigpost/sigpost/internal/telemetry"
)

func (p *program) migrateCommand() *cobra.Command {
	c := &cobra.Command{Use: "migrate", Short: "Move the data to another kind of store"}
	c.AddCommand(p.migrateToPostgres())
	return c
}

func (p *program) migrateToPostgres() *cobra.Command {
	var l place
	var url string
	var verify bool
	c := &cobra.Command{
		Use: "sqlite-to-postgres", Short: "Copy a data directory into an empty PostgreSQL database", Args: cobra.NoArgs,
		Long: "Needs a stopped server and an empty database. Everything is copied: ids, tokens and keys stay as they are, and what waits\n" +
			"to be delivered waits there. Then both sides are compared, row by row, and the result is shown for each table.\n" +
			"A copy that was cut goes on where it was when the command is run again. The data directory stays as it is.\n" +
			"Do not start a node on the database before the command has said that both sides are the same.",
		Example: "  sigpost migrate sqlite-to-postgres --data ./sigpost-data --database-url postgres://sigpost@db/sigpost",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, _, err := p.locate(&l)
			if err != nil {
				return err
			}
			if cfg.DatabaseURL, err = p.databaseURL(cfg, url); err != nil {
				return err
			}
			ring, howTo, err := p.sealOf(cfg)
			if err != nil {
				return err
			}
			log, err := telemetry.NewLog(p.err, "text", "warn")
			if err != nil {
				return err
			}
			defer log.Close()
			checks, err := store.CopyToPostgres(c.Context(), store.CopyOptions{
				Dir: cfg.Data, URL: cfg.DatabaseURL.Reveal(), Log: log.Logger, Seal: ring, VerifyOnly: verify, Progress: p.progress(time.Now),
			})
			if shown := p.showChecks(&l, checks); err == nil {
				err = shown
			}
			if err != nil || verify {
				return err
			}
			fmt.Fprintf(p.err, "both sides are the same\n%s\n", howTo)
			return nil
		},
	}
	l.flags(c)
	c.Flags().StringVar(&url, "database-url", "", "where to copy to: postgres://user:password@host/database (default the configuration's, or $SIGPOST_DATABASE_URL)")
	c.Flags().BoolVar(&verify, "verify-only", false, "compare what was copied before, copy nothing")
	return c
}

// databaseURL is the target: of the flag, the environment or the configuration.
func (p *program) databaseURL(cfg *config.Config, flag string) (hook.Secret, error) {
	url := hook.Secret(flag)
	if url == "" {
		url = cfg.DatabaseURL
	}
	if env, ok := p.env("SIGPOST_DATABASE_URL"); ok && url == "" {
		url = hook.Secret(env)
	}
	text := url.Reveal()
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		return "", usage("--database-url is missing, or does not begin with postgres://; write it as postgres://user:password@host:5432/database")
	}
	return url, nil
}

// sealOf is what the source is sealed with, and how every node gets it. Unlike a
// server it never makes a key.
func (p *program) sealOf(cfg *config.Config) (ring *seal.Ring, howTo string, err error) {
	key := cfg.MasterKey
	if env, ok := p.env("SIGPOST_MASTER_KEY"); ok && key == "" {
		key = hook.Secret(env)
	}
	if key != "" {
		ring, err = seal.NewRing(strings.Split(key.Reveal(), ",")...)
		return ring, "secrets are sealed under the same master key as before: give every node the master_key (SIGPOST_MASTER_KEY) that is set here", err
	}
	path := filepath.Join(cfg.Data, seal.FileName)
	there, err := fileExists(path)
	if err != nil || !there {
		return nil, "", fmt.Errorf("there is no master key: %s is missing and SIGPOST_MASTER_KEY is not set; set it to the key that the server had, or name the right directory with --data", path)
	}
	ring, err = seal.FromFile(cfg.Data)
	return ring, "secrets are sealed under the same master key as before: give it to every node with\n" +
		"  export SIGPOST_MASTER_KEY=\"$(paste -sd, '" + path + "')\"", err
}

// progress says now and then how far the copy is.
func (p *program) progress(now func() time.Time) func(table string, rows int64) {
	last := ""
	var said time.Time
	return func(table string, rows int64) {
		if table == last && now().Sub(said) < time.Second {
			return
		}
		last, said = table, now()
		fmt.Fprintf(p.err, "copying %s: %d\n", table, rows)
	}
}

// showChecks prints what both sides have.
func (p *program) showChecks(l *place, checks []store.TableCheck) error {
	if l.json {
		type side struct {
			Rows     int64  `json:"rows"`
			Checksum string `json:"checksum"`
		}
		type check struct {
			Table  string `json:"table"`
			Source side   `json:"sqlite"`
			Target side   `json:"postgres"`
			Same   bool   `json:"same"`
		}
		of := func(s store.TableSum) side { return side{s.Rows, fmt.Sprintf("%016x", s.Sum)} }
		list := make([]check, 0, len(checks))
		for _, c := range checks {
			list = append(list, check{c.Table, of(c.Source), of(c.Target), c.Same()})
		}
		return p.printJSON(list)
	}
	if len(checks) == 0 {
		return nil
	}
	return p.table("TABLE\tSQLITE\tPOSTGRESQL\tCHECKSUMS\t", func(w io.Writer) {
		for _, c := range checks {
			verdict := "same"
			if !c.Same() {
				verdict = "DIFFERENT"
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%016x %016x\t%s\n", c.Table, c.Source.Rows, c.Target.Rows, c.Source.Sum, c.Target.Sum, verdict)
		}
	})
}
