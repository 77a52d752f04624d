package store

import (
	"context"
	"errors"
	"time"
)

// aloneEvery is how often a node asks for work that one node does for all, and how
// often the one that has it makes sure that it still has.
const aloneEvery = 5 * time.Second

// RunAlone runs work on one of the nodes that share the store, until ctx ends. Its
// context ends when this node cannot be sure any more to be the one: others take
// over when it was silent for as long as makes it dead, and before that it has
// stopped. It then waits again. On SQLite there is one process, so it just runs.
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

var errDutyLost = errors.New("another node may do it by now")

// lead runs work when nobody living does; else it returns at once.
func (s *Store) lead(ctx context.Context, name string, work func(ctx context.Context) error) error {
	mine, err := s.takeDuty(ctx, name)
	if err != nil || !mine {
		return err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- work(working) }()
	tick := time.NewTicker(aloneEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		}
		try, cancel := context.WithTimeout(ctx, aloneEvery)
		mine, err := s.takeDuty(try, name)
		cancel()
		if err == nil && mine || ctx.Err() != nil {
			continue
		}
		stop()
		<-ended
		return errors.Join(errDutyLost, err)
	}
}

// takeDuty takes work that nobody living does, or makes sure that this node still
// does it. What it says holds for as long as two rounds of lead take: a node that was
// not seen for half the time after which it is dead gets and keeps nothing.
func (s *Store) takeDuty(ctx context.Context, name string) (mine bool, err error) {
	res, err := s.write.ExecContext(ctx, s.pg.sqlTakeDuty(), name, s.Incarnation())
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}
