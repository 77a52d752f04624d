package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Bounds of one transaction.
const (
	batchOps   = 256
	batchBytes = 8 << 20
)

// queueLength is how many writes may wait; more wait in their own goroutines.
const queueLength = 1024

var errClosed = hook.Errorf(hook.CodeUnavailable, "the store is closed")

// write is one unit of work for the writer: exactly one of its kinds.
type write struct {
	append  *hook.Append
	records []*hook.Record
	other   func(ctx context.Context, tx *sql.Conn) error
	// between runs outside any transaction.
	between func(ctx context.Context) error
	// Of append, encoded by whoever asked.
	headers, subjects, channels, tags string

	size int
	err  error
	done chan struct{}
}

// writer owns the one connection that writes. The files of its engine say how a
// batch is written: append.go and record.go on SQLite, postgres_write.go on PostgreSQL. Everything it has is used by its
// own goroutine only, so nothing here is locked.
type writer struct {
	conn     *sql.Conn
	queue    chan *write
	closing  chan struct{}
	finished chan struct{}
	keys     *hook.KeySequence
	seen     *memory // of table dedupe
	requests *memory // of table idempotency
	// Of the running transaction, not yet in seen and requests.
	fresh         map[hook.Hash]hook.Key
	freshRequests map[hook.Hash]request

	rows      rowWriters
	begin     *sql.Stmt
	commit    *sql.Stmt
	pg        *pgWriter // nil on SQLite, which has all of the above
	log       *slog.Logger
	committed func(rows int, took time.Duration)
	wrote     chan struct{} // something was, since the checkpointer looked
}

func (s *Store) startWriter(ctx context.Context, o Options) error {
	last, err := s.lastKey(ctx)
	if err != nil {
		return err
	}
	seen, requests := newMemory(dedupeTable, o.generation), newMemory(idempotencyTable, o.generation)
	s.memories = []*memory{seen, requests}
	for _, m := range s.memories {
		if err := loadMemory(ctx, s.read, m, time.Now(), s.tellKept); err != nil {
			return err
		}
	}
	if s.block, err = s.read.PrepareContext(ctx, sqlBlock); err != nil {
		return fmt.Errorf("prepare look-up: %w", err)
	}
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect writer: %w", err)
	}
	w := newWriter(o, hook.NewKeySequence(o.Node, last))
	w.conn, w.seen, w.requests = conn, seen, requests
	w.fresh, w.freshRequests = map[hook.Hash]hook.Key{}, map[hook.Hash]request{}
	s.writer = w
	if w.begin, err = conn.PrepareContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("prepare writer: %w", err)
	}
	if w.commit, err = conn.PrepareContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("prepare writer: %w", err)
	}
	if w.rows, err = prepareRows(ctx, conn); err != nil {
		return fmt.Errorf("prepare writer: %w", err)
	}
	go w.run()
	return nil
}

func newWriter(o Options, keys *hook.KeySequence) *writer {
	return &writer{
		queue:     make(chan *write, queueLength),
		closing:   make(chan struct{}),
		finished:  make(chan struct{}),
		keys:      keys,
		log:       o.Log,
		committed: o.Committed,
		wrote:     make(chan struct{}, 1),
	}
}

// do queues one unit of work and waits until it is on disk or has failed. Once
// queued it is not abandoned: whoever gives up waiting could not know whether
// it was done. ctx bounds the wait for a place in the queue,
// and so does patience.
func (w *writer) do(ctx context.Context, u *write) error {
	u.done = make(chan struct{})
	select {
	case w.queue <- u:
	default:
		if err := w.enqueue(ctx, u); err != nil {
			return err
		}
	}
	select {
	case <-u.done:
		return u.err
	case <-w.finished:
	}
	select { // it may have been done just before the end
	case <-u.done:
		return u.err
	default:
		return errClosed
	}
}

// patience is how long a unit may wait for a place in the queue. Providers wait
// five seconds for their answer.
const patience = 4 * time.Second

// enqueue waits for a place in the queue.
func (w *writer) enqueue(ctx context.Context, u *write) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case w.queue <- u:
		return nil
	case <-ctx.Done():
		return hook.Errorf(hook.CodeUnavailable, "the store has more to write than it can take now: %w", ctx.Err())
	case <-w.closing:
		return errClosed
	}
}

// exec runs f in the next transaction.
func (w *writer) exec(ctx context.Context, f func(ctx context.Context, tx *sql.Conn) error) error {
	return w.do(ctx, &write{other: f})
}

func (w *writer) run() {
	defer close(w.finished)
	batch := make([]*write, 0, batchOps)
	for {
		select {
		case u := <-w.queue:
			w.yield()
			batch = w.collect(append(batch[:0], u))
			w.transact(batch)
			clear(batch)
		case <-w.closing:
			for batch = w.collect(batch[:0]); len(batch) > 0; batch = w.collect(batch[:0]) {
				w.transact(batch)
			}
			return
		}
	}
}

// yields bounds how often the writer lets others run before a transaction.
const yields = 8

// yield lets goroutines run that are ready to, for as long as that brings more
// work: requests answered by the last commit are often about to queue their
// next. It waits for nothing, so a lone event is not delayed; under load
// batches grow.
func (w *writer) yield() {
	for range yields {
		n := len(w.queue)
		runtime.Gosched()
		if len(w.queue) == n {
			return
		}
	}
}

// collect takes what is queued and never waits for more.
func (w *writer) collect(batch []*write) []*write {
	bytes := 0
	for _, u := range batch {
		bytes += u.size
	}
	for len(batch) < batchOps && bytes < batchBytes {
		select {
		case u := <-w.queue:
			batch = append(batch, u)
			bytes += u.size
		default:
			return batch
		}
	}
	return batch
}

// transact commits the batch. When one unit spoils it, each is tried alone, so
// that nobody fails for another's fault.
func (w *writer) transact(batch []*write) {
	start := time.Now()
	err := w.try(batch)
	switch {
	case err == nil:
	case len(batch) > 1 && !ownTrouble(err):
		w.log.Warn("transaction split", "rows", len(batch), "error", err)
		for i := range batch {
			if err := w.try(batch[i : i+1]); err != nil {
				batch[i].err = err
			}
		}
	default:
		for _, u := range batch {
			u.err = err
		}
	}
	if w.committed != nil {
		w.committed(len(batch), time.Since(start))
	}
	for _, u := range batch {
		if u.between != nil && u.err == nil {
			u.err = u.between(context.Background())
		}
		close(u.done)
	}
}

// try runs the batch in one transaction. Work is ordered by table, not by
// arrival: the rows of one table are written together.
func (w *writer) try(batch []*write) (err error) {
	if w.pg != nil {
		return w.pg.try(batch)
	}
	ctx := context.Background() // never cut a transaction short
	clear(w.fresh)
	clear(w.freshRequests)
	for _, u := range batch {
		u.err = nil
	}
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return storeError("begin", err)
	}
	defer func() {
		if err != nil {
			if _, rerr := w.conn.ExecContext(ctx, "ROLLBACK"); rerr != nil {
				w.log.Error("roll back failed", "error", rerr)
			}
		}
	}()
	if err := w.appendAll(ctx, batch); err != nil {
		return storeError("append", err)
	}
	if err := w.recordAll(ctx, batch); err != nil {
		return storeError("record", err)
	}
	for _, u := range batch {
		if u.other == nil {
			continue
		}
		if err := u.other(ctx, w.conn); refused(err) {
			u.err = err // it wrote nothing, and is nobody else's trouble
		} else if err != nil {
			return storeError("write", err)
		}
	}
	if _, err := w.commit.ExecContext(ctx); err != nil {
		return storeError("commit", err)
	}
	w.remember()
	select {
	case w.wrote <- struct{}{}:
	default:
	}
	return nil
}

// remember takes what was committed into memory.
func (w *writer) remember() {
	if len(w.fresh) > 0 {
		w.seen.add(maps.All(w.fresh))
	}
	if len(w.freshRequests) > 0 {
		w.requests.add(func(yield func(hook.Hash, hook.Key) bool) {
			for hash, x := range w.freshRequests {
				if !yield(hash, x.id) {
					return
				}
			}
		})
	}
}

// refused says that a unit decided against writing. Units decide before they write.
func refused(err error) bool {
	e, ok := errors.AsType[*hook.Error](err)
	return ok && e.Code != hook.CodeUnavailable && e.Code != hook.CodeInternal
}

// storeError marks err as own trouble, unless it says more itself.
func storeError(verb string, err error) error {
	if _, ok := errors.AsType[*hook.Error](err); ok {
		return err
	}
	return hook.Errorf(hook.CodeUnavailable, "%s: %w", verb, err)
}

func (w *writer) stop() {
	close(w.closing)
	<-w.finished
}

func (w *writer) close() error { return w.conn.Close() }
