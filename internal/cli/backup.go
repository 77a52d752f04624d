package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/store"
)

func (p *program) backupCommand() *cobra.Command {
	var l place
	c := &cobra.Command{
		Use: "backup TARGET", Short: "Copy a data directory while the server runs", Args: cobra.ExactArgs(1),
		Long: "Copies the database as of one instant, and the master key, into a new directory, or into a file when TARGET ends in .tar.\n" +
			"The copy is checked. The server may run, and takes in and delivers meanwhile.\n" +
			"Who has the backup can read everything in it, for the key is with it: keep it like a password.",
		Example: "  sigpost backup /backups/monday --data ./sigpost-data\n  sigpost backup /backups/monday.tar --data ./sigpost-data",
		RunE: func(c *cobra.Command, args []string) error {
			cfg, _, err := p.locate(&l)
			if err != nil {
				return err
			}
			shared, err := p.shared(cfg)
			if err != nil {
				return err
			}
			if shared != nil || cfg.DatabaseURL != "" {
				return usage("the data is in PostgreSQL, which has backups of its own (pg_dump, or a base backup with its log); sigpost backup is for a data directory")
			}
			b, err := store.BackUp(c.Context(), cfg.Data, args[0])
			if err != nil {
				return err
			}
			return p.showBackup(&l, &b, "backed up to "+args[0], "SIGPOST_MASTER_KEY is not in it: keep it where the backup is not")
		},
	}
	l.flags(c)
	return c
}

func (p *program) restoreCommand() *cobra.Command {
	var l place
	c := &cobra.Command{
		Use: "restore BACKUP", Short: "Put a backup into an empty data directory", Args: cobra.ExactArgs(1),
		Long: "Checks that the backup is whole and puts it into a data directory that is missing or empty; nothing is overwritten.\n" +
			"What was waiting when the backup was made is delivered once the server starts: receivers may get again what they had since.",
		Example: "  sigpost restore /backups/monday --data ./sigpost-data\n  sigpost restore /backups/monday.tar --data ./sigpost-data",
		RunE: func(c *cobra.Command, args []string) error {
			cfg, _, err := p.locate(&l)
			if err != nil {
				return err
			}
			b, err := store.Restore(c.Context(), args[0], cfg.Data)
			if err != nil {
				return err
			}
			return p.showBackup(&l, &b, "restored to "+cfg.Data, "start with the SIGPOST_MASTER_KEY that the server had then")
		},
	}
	l.flags(c)
	return c
}

// showBackup says what is in a backup, and what to know when the key is not.
func (p *program) showBackup(l *place, b *store.Backup, done, withoutKey string) error {
	if l.json {
		return p.printJSON(b)
	}
	fmt.Fprintf(p.out, "%s\nmade      %s\nsize      %d bytes\nmessages  %d\n", done, b.MadeAt.Format(time.RFC3339), b.Size, b.Messages)
	if !b.Keys {
		fmt.Fprintln(p.err, withoutKey)
	}
	return nil
}
