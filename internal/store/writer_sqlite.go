package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"github.com/sigpost/sigpost/internal/hook"
)

// On SQLite a transaction is written to the log without waiting for the disk
// (synchronous=NORMAL), and the log is then synced here (disk.go). Nobody is answered before
// that, so an acknowledged unit is on disk, as with synchronous=FULL. But while one batch
// is on its way to the disk the next is being written, and grows until the disk is
// free: neither waits for the other, and batches are as large as the disk is slow.

// tryLocal runs the batch in one transaction, together with what queues while the disk is
// busy with the one before. It returns the batch as it became.
func (w *writer) tryLocal(batch []*write) (_ []*write, err error) {
	if err := w.disk.broken(); err != nil {
		return batch, err
	}
	ctx := context.Background() // never cut a transaction short
	clear(w.fresh)
	clear(w.freshRequests)
	w.forget()
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return batch, storeError("begin", err)
	}
	defer func() {
		if err != nil {
			if _, rerr := w.conn.ExecContext(ctx, "ROLLBACK"); rerr != nil {
				w.log.Error("roll back failed", "error", rerr)
			}
		}
	}()
	if err := w.apply(ctx, batch); err != nil {
		return batch, err
	}
	for w.disk.busy() {
		grown := w.disk.wait(batch)
		if len(grown) == len(batch) {
			continue
		}
		fresh := grown[len(batch):]
		batch = grown
		if err := w.apply(ctx, fresh); err != nil {
			return batch, err
		}
	}
	if err := w.disk.broken(); err != nil { // the sync of the one before failed
		return batch, err
	}
	if err := w.countAll(ctx, batch); err != nil {
		return batch, storeError("count", err)
	}
	if _, err := w.commit.ExecContext(ctx); err != nil {
		return batch, storeError("commit", err)
	}
	w.remember(batch)
	w.tell()
	select {
	case w.wrote <- struct{}{}:
	default:
	}
	return batch, nil
}

// apply does the work of units within the running transaction. It is ordered by table, not by
// arrival: the rows of one table are written together.
func (w *writer) apply(ctx context.Context, batch []*write) error {
	for _, u := range batch {
		u.err = nil
	}
	w.lanes = laneBatch{}
	if err := w.appendAll(ctx, batch); err != nil {
		return storeError("append", err)
	}
	if err := w.recordAll(ctx, batch); err != nil {
		return storeError("record", err)
	}
	if err := w.advanceAll(ctx); err != nil {
		return storeError("advance lanes", err)
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
	return nil
}

// prepared is a statement, which is prepared the first time.
func (w *writer) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if s := w.stmts[text]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	if w.stmts == nil {
		w.stmts = map[string]*sql.Stmt{}
	}
	w.stmts[text] = s
	return s, nil
}

// remember takes what was committed into memory: hashes, and states.
func (w *writer) remember(batch []*write) {
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
	for _, u := range batch {
		if a := u.append; a != nil && u.err == nil && !a.Repeated && !a.Duplicate {
			w.recent.add(&a.Message)
		}
	}
}

// tell says what a transaction did that is committed now.
func (w *writer) tell() {
	for _, f := range w.after {
		f()
	}
	w.forget()
}

// forget drops what is to be told: it did not happen.
func (w *writer) forget() {
	clear(w.after)
	w.after = w.after[:0]
}
