package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Of requests with an idempotency key that make no message the first node that has
// one does it. It says so in table requests, by a row under its incarnation that goes
// in the transaction that keeps the answer. So the row of a node that dies
// is anybody's, like a delivery that it held, and nobody waits with a
// connection in hand.

// How often a node asks whether a request is done that another one does.
const (
	soonestAsk = 25 * time.Millisecond
	latestAsk  = 500 * time.Millisecond
)

// beginShared is BeginRequest on PostgreSQL.
func (s *Store) beginShared(ctx context.Context, i *hook.Idempotency) (known hook.Answer, answered bool, err error) {
	i.Try = 0
	for wait := soonestAsk; ; wait = min(2*wait, latestAsk) {
		known, answered, err = s.sharedAnswer(ctx, s.read, i.Hash)
		if err == nil && !answered {
			i.Try, known, answered, err = s.tryRequest(ctx, i.Hash)
		}
		if answered || i.Try != 0 || err != nil && ctx.Err() == nil {
			return known, answered, err
		}
		again := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			again.Stop()
			return known, false, hook.Errorf(hook.CodeUnavailable, "another node is doing the request with this idempotency key; send it again in a moment")
		case <-again.C:
		}
	}
}

// tryRequest takes a request unless another node has it, or has just done it: then
// try is 0. A node that is dead gets nothing.
func (s *Store) tryRequest(ctx context.Context, hash hook.Hash) (try hook.Key, known hook.Answer, answered bool, err error) {
	var taken hook.Key
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		try, answered = 0, false
		taken = s.writer.key(time.Now(), 1)
		res, err := tx.ExecContext(ctx, s.pg.sqlTakeRequest(), hash[:], taken, s.Incarnation())
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if known, answered, err = s.sharedAnswer(ctx, tx, hash); err != nil {
			return err
		}
		if answered {
			return dropRequest(ctx, tx, hash, taken)
		}
		try = taken
		return nil
	})
	if err != nil {
		s.pg.left.add(hash, taken) // it may be ours all the same
		return 0, known, false, fmt.Errorf("begin request: %w", err)
	}
	return try, known, answered, nil
}

func dropRequest(ctx context.Context, tx *sql.Conn, hash hook.Hash, try hook.Key) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM requests WHERE hash = ? AND id = ?", hash[:], try)
	return err
}

// dropShared is DropRequest on PostgreSQL.
func (s *Store) dropShared(ctx context.Context, hash hook.Hash, try hook.Key) error {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error { return dropRequest(ctx, tx, hash, try) })
	if err != nil {
		s.pg.left.add(hash, try)
		return fmt.Errorf("drop request: %w", err)
	}
	return nil
}

// leftovers are requests that this node does no more and could not say so: the
// database did not answer. The heartbeat drops them, for under an
// incarnation that lives they would keep their keys from everybody.
type leftovers struct {
	mu    sync.Mutex
	tries map[hook.Key]hook.Hash
}

func (l *leftovers) add(hash hook.Hash, try hook.Key) {
	if try == 0 {
		return // it was never asked for
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tries == nil {
		l.tries = map[hook.Key]hook.Hash{}
	}
	l.tries[try] = hash
}

func (l *leftovers) take() map[hook.Key]hook.Hash {
	l.mu.Lock()
	defer l.mu.Unlock()
	tries := l.tries
	l.tries = nil
	return tries
}

// dropLeftovers drops them; those that cannot be dropped now stay for another time.
func (s *Store) dropLeftovers(ctx context.Context) error {
	var errs []error
	for try, hash := range s.pg.left.take() {
		errs = append(errs, s.dropShared(ctx, hash, try))
	}
	return errors.Join(errs...)
}

// sharedAnswer is Idempotent on PostgreSQL.
func (s *Store) sharedAnswer(ctx context.Context, db querier, hash hook.Hash) (hook.Answer, bool, error) {
	var a hook.Answer
	var request, kept []byte
	const q = "SELECT request, message_id, status, answer FROM idempotency WHERE hash = ? AND id >= ?"
	err := db.QueryRowContext(ctx, q, hash[:], hook.KeyAt(s.keyTime(time.Now()).Add(-hook.IdempotencyWindow))).Scan(&request, &a.Message, &a.Status, &kept)
	if errors.Is(err, sql.ErrNoRows) {
		return hook.Answer{}, false, nil
	}
	if err != nil {
		return hook.Answer{}, false, fmt.Errorf("read answer: %w", err)
	}
	if len(request) != len(a.Request) {
		return hook.Answer{}, false, fmt.Errorf("read answer: the hash of the request has %d bytes", len(request))
	}
	a.Request = hook.Hash(request)
	if a.Message != 0 {
		a.Status = 0
		return a, true, nil
	}
	if a.Body, err = s.openBlob(kept, answerContext); err != nil {
		return hook.Answer{}, false, fmt.Errorf("read answer: %w", err)
	}
	return a, true, nil
}

// keepSharedAnswer is KeepAnswer on PostgreSQL; answer is sealed.
func (s *Store) keepSharedAnswer(ctx context.Context, org hook.Key, i hook.Idempotency, status int, answer []byte) error {
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		now := time.Now()
		if i.Try != 0 {
			if err := dropRequest(ctx, tx, i.Hash, i.Try); err != nil {
				return err
			}
		}
		const q = `INSERT INTO idempotency AS o (id, org_id, hash, request, message_id, status, answer) VALUES (?, ?, ?, ?, 0, ?, ?)
			ON CONFLICT (hash) DO UPDATE SET id = excluded.id, org_id = excluded.org_id, request = excluded.request, message_id = 0,
				status = excluded.status, answer = excluded.answer WHERE o.id < ?`
		res, err := tx.ExecContext(ctx, q, s.writer.key(now, 1), org, i.Hash[:], i.Request[:], status, answer, hook.KeyAt(s.keyTime(now).Add(-hook.IdempotencyWindow)))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		var request []byte
		var message hook.Key
		if err := tx.QueryRowContext(ctx, "SELECT request, message_id FROM idempotency WHERE hash = ?", i.Hash[:]).Scan(&request, &message); err != nil {
			return err
		}
		if !bytes.Equal(request, i.Request[:]) || message != 0 {
			return otherRequest()
		}
		return nil
	})
	if err != nil {
		s.pg.left.add(i.Hash, i.Try)
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}
