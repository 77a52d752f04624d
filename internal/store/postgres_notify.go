package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// Kinds of what nodes tell each other.
const (
	// NotifyApp says that an application, its endpoints or secrets have changed.
	NotifyApp = "app"
	// NotifySource says that a source has changed.
	NotifySource = "source"
	// NotifyDue says that an endpoint has deliveries that nobody holds.
	NotifyDue = "due"
	// NotifyHealth says that the breaker of an endpoint opened or closed.
	NotifyHealth = "health"
	// NotifyLost comes to a listener that begins, or begins again: what was told
	// before is not known, so it looks at everything. Its key is 0.
	NotifyLost = "lost"
)

// Notify tells all nodes, this one too, that something has happened to the row
// with a key. It is a wake-up and no more: it may be lost, so whoever listens also
// looks by himself now and then. On SQLite there is nobody to tell.
func (s *Store) Notify(ctx context.Context, kind string, key hook.Key) error {
	if s.pg == nil {
		return nil
	}
	if s.pg.polls.Load() {
		return s.tellByTable(ctx, kind, key)
	}
	if _, err := s.write.ExecContext(ctx, sqlNotify, channel, kind+":"+strconv.FormatInt(int64(key), 10)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// RunListener calls heard with what nodes tell each other until ctx ends, and then
// returns nil. It has a connection of its own and makes another when that breaks;
// each begins with [NotifyLost]. Where there is no LISTEN, or Options say so, it looks
// twice a second instead. heard must not block. On SQLite nothing is heard.
func (s *Store) RunListener(ctx context.Context, heard func(kind string, key hook.Key)) error {
	if s.pg == nil {
		<-ctx.Done()
		return nil
	}
	const shortest, longest = 50 * time.Millisecond, 5 * time.Second
	pause := shortest
	for {
		began := time.Now()
		err := s.listen(ctx, heard)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > longest {
			pause = shortest
		}
		s.pg.log.Warn("listener lost its connection", "error", err, "again_in", pause)
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return nil
		case <-again.C:
		}
		pause = min(2*pause, longest)
	}
}

// silence is how long nothing may be heard before the connection is tried: one whose
// other end is gone without a word would wait for ever.
const silence = 15 * time.Second

func (s *Store) listen(ctx context.Context, heard func(kind string, key hook.Key)) error {
	if s.pg.polls.Load() {
		return s.poll(ctx, heard)
	}
	conn, err := pgx.ConnectConfig(ctx, s.pg.config.Copy())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	begin, cancel := context.WithTimeout(ctx, answerTime)
	_, err = conn.Exec(begin, s.pg.sqlListen)
	cancel()
	if noListen(err) {
		s.pg.log.Warn("the database has no LISTEN; nodes tell each other through a table, as with database_notify: poll", "error", err)
		s.pg.polls.Store(true)
		return s.poll(ctx, heard)
	}
	if err != nil {
		return err
	}
	heard(NotifyLost, 0)
	for {
		wait, cancel := context.WithTimeout(ctx, silence)
		n, err := conn.WaitForNotification(wait)
		quiet := wait.Err() != nil
		cancel()
		switch {
		case err == nil:
			if kind, number, ok := strings.Cut(n.Payload, ":"); ok {
				if key, err := strconv.ParseInt(number, 10, 64); err == nil {
					heard(kind, hook.Key(key))
				}
			}
		case quiet && ctx.Err() == nil && !conn.IsClosed():
			if err := tryConn(ctx, conn); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

func tryConn(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return conn.Ping(ctx)
}
