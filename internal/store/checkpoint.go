package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// checkpointer copies the write-ahead log into the database from a connection
// of its own, so that commits need not wait for it. Only the last few pages,
// written while it copied, are left to the writer; then the log begins anew
// instead of growing.
type checkpointer struct {
	db     *sql.DB
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{}
}

// checkpointPause is how long after a commit the length of the log is looked at.
// Without commits nothing runs.
const checkpointPause = 200 * time.Millisecond

// bringHome copies the log that an earlier process left into the database and begins it anew.
// Its last sync may have failed, and then the system can show pages that are not on the disk
// and never will be: what is written after them would be on disk and, after a power cut,
// behind a gap where reading the log ends. Copied, they are written once more.
func bringHome(ctx context.Context, db *sql.DB) error {
	var busy, length, copied int
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &length, &copied); err != nil {
		return fmt.Errorf("copy write-ahead log: %w", err)
	}
	if busy != 0 {
		return errors.New("copy write-ahead log: another program reads the database; end it")
	}
	return nil
}

func newCheckpointer(path string, log *slog.Logger) (*checkpointer, error) {
	db, err := openSQLite(path, true)
	if err != nil {
		return nil, err
	}
	if _, err := db.Exec("PRAGMA cache_size(-512)"); err != nil {
		db.Close()
		return nil, err
	}
	return &checkpointer{db: db, log: log, done: make(chan struct{})}, nil
}

func (c *checkpointer) start(w *writer) {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go c.run(ctx, w)
}

func (c *checkpointer) run(ctx context.Context, w *writer) {
	defer close(c.done)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wrote:
		}
		pause.Reset(checkpointPause)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		if err := c.step(w); err != nil {
			c.log.Warn("checkpoint failed", "error", err)
		}
	}
}

func (c *checkpointer) step(w *writer) error {
	ctx := context.Background()
	length, _, err := checkpoint(ctx, c.db, "NOOP")
	if err != nil || length < walPages {
		return err
	}
	length, copied, err := checkpoint(ctx, c.db, "PASSIVE")
	if err != nil || length == copied {
		return err
	}
	return w.checkpoint(ctx)
}

// checkpoint runs between two transactions of the writer, when nobody adds to the log.
func (w *writer) checkpoint(ctx context.Context) error {
	return w.do(ctx, &write{between: func(ctx context.Context) error {
		_, _, err := checkpoint(ctx, w.conn, "PASSIVE")
		return err
	}})
}

// checkpoint says how many pages the log has and how many of them are home.
func checkpoint(ctx context.Context, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, mode string) (length, copied int, err error) {
	var busy int
	err = db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &length, &copied)
	return length, copied, err
}

func (c *checkpointer) stop() {
	c.cancel()
	<-c.done
}

func (c *checkpointer) close() error { return c.db.Close() }
