package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
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
	keyTime  func(now time.Time) time.Time
	seen     *memory // of table dedupe
	requests *memory // of table idempotency
	recent   *recent
	// Of the running transaction, not yet in seen and requests.
	fresh         map[hook.Hash]hook.Key
	freshRequests map[hook.Hash]request
	lanes         laneBatch
	counts        map[countRow]int64
	after         []func() // what is told when it is committed

	rows        rowWriters
	begin       *sql.Stmt
	commit      *sql.Stmt
	disk        *disk                // nil on PostgreSQL
	pg          *pgWriter            // nil on SQLite, which has all of the above
	incarnation hook.Key             // on SQLite, where it is the only one
	stmts       map[string]*sql.Stmt // those that are prepared when they are needed
	log         *slog.Logger
	committed   func(rows int, took time.Duration)
	due         func(endpoint hook.Key, at time.Time)
	wrote       chan struct{} // something was, since the checkpointer looked
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
	mark, err := s.messagesIndexed(ctx)
	if err != nil {
		return err
	}
	recent, err := loadRecent(ctx, s.read, mark)
	if err != nil {
		return err
	}
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect writer: %w", err)
	}
	w := s.newWriter(o, hook.NewKeySequence(o.Node, last))
	w.conn, w.seen, w.requests, w.recent, w.incarnation = conn, seen, requests, recent, s.Incarnation()
	if w.disk, err = newDisk(w, filepath.Join(o.Dir, databaseName)); err != nil {
		return err
	}
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

// key gives the first of n consecutive keys.
func (w *writer) key(now time.Time, n int) hook.Key { return w.keys.Take(w.keyTime(now), n) }

func (s *Store) newWriter(o Options, keys *hook.KeySequence) *writer {
	return &writer{
		queue:     make(chan *write, queueLength),
		closing:   make(chan struct{}),
		finished:  make(chan struct{}),
		keys:      keys,
		keyTime:   s.keyTime,
		log:       o.Log,
		committed: o.Committed,
		due:       o.Due,
		wrote:     make(chan struct{}, 1),
		counts:    map[countRow]int64{},
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
			batch = w.transact(batch)
			clear(batch)
		case <-w.closing:
			for batch = w.collect(batch[:0]); len(batch) > 0; batch = w.collect(batch[:0]) {
				batch = w.transact(batch)
			}
			if w.disk != nil {
				w.disk.stop()
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
	bytes := sizeOf(batch)
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

func sizeOf(batch []*write) (bytes int) {
	for _, u := range batch {
		bytes += u.size
	}
	return bytes
}

// transact commits the batch, and answers those who wait when it is on disk. When one unit
// spoils it, each is tried alone, so that nobody fails for another's fault, but not for longer than writeTime. It returns
// what became the batch, which on SQLite may have grown.
func (w *writer) transact(batch []*write) []*write {
	start := time.Now()
	var err error
	if w.pg != nil {
		err = w.pg.try(batch)
	} else {
		batch, err = w.tryLocal(batch)
	}
	switch {
	case err == nil:
	case len(batch) > 1 && !ownTrouble(err):
		w.log.Warn("transaction split", "rows", len(batch), "error", err)
		if w.disk != nil {
			w.disk.drain() // or others would join them
		}
		for i := range batch {
			if time.Since(start) > writeTime {
				batch[i].err = err
				continue
			}
			if err := w.alone(batch[i : i+1]); err != nil {
				batch[i].err = err
			}
		}
	default:
		for _, u := range batch {
			u.err = err
		}
	}
	if w.disk != nil {
		w.disk.settle(batch, start)
		return batch
	}
	w.answer(batch, start)
	return batch
}

// alone tries one unit in a transaction of its own.
func (w *writer) alone(one []*write) (err error) {
	if w.pg != nil {
		return w.pg.try(one)
	}
	_, err = w.tryLocal(one)
	return err
}

// answer tells those who wait that their unit is on disk or has failed.
func (w *writer) answer(batch []*write, start time.Time) {
	if w.committed != nil {
		w.committed(len(batch), time.Since(start))
	}
	for _, u := range batch {
		close(u.done)
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

func (w *writer) close() error { return errors.Join(w.conn.Close(), w.disk.close()) }
