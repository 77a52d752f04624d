package store

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"
)

// aloneEvery is how often a node asks for work that one node does for all, and how
// often the one that has it makes sure that it still has.
const aloneEvery = 5 * time.Second

// RunAlone runs work on one of the nodes that share the store, until ctx ends. Its
// context ends when this node cannot be sure any more to be the one: its
// connection to the database, which holds a lock, is lost. Another node then takes
// over, and this one waits again. On SQLite there is one process, so it just runs.
func (s *Store) RunAlone(ctx context.Context, name string, work func(ctx context.Context) error) error {
	if s.pg == nil {
		return work(ctx)
	}
	for {
		err := s.lead(ctx, name, work)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.pg.log.Warn("shared work stopped here", "work", name, "error", err)
		}
		wait := time.NewTimer(aloneEvery)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
	}
}

// lead runs work when the lock can be had; else it returns at once.
func (s *Store) lead(ctx context.Context, name string, work func(ctx context.Context) error) error {
	conn, err := pgx.ConnectConfig(ctx, s.pg.config.Copy())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var mine bool
	asking, cancel := context.WithTimeout(ctx, answerTime)
	err = conn.QueryRow(asking, "SELECT pg_try_advisory_lock($1)", lockKey(name)).Scan(&mine)
	cancel()
	if err != nil || !mine {
		return err
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- work(working) }()
	tick := time.NewTicker(aloneEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			stop()
			return err
		case <-tick.C:
		}
		if err := tryConn(ctx, conn); err != nil && ctx.Err() == nil {
			stop()
			<-ended
			return fmt.Errorf("keep the lock: %w", err)
		}
	}
}

func lockKey(name string) int64 {
	h := fnv.New64a()
	h.Write([]byte("sigpost " + name))
	return int64(h.Sum64())
}
