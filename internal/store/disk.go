package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// disk brings the write-ahead log to the disk while the writer works on the next batch.
//
// A sync that fails is the end: the system may have dropped what it could not write and
// report success from then on (P. Rebello et al., Can Applications Recover from fsync
// Failures?, 2020). What waits is refused, nothing is taken any more, and the process should
// end and read anew what is really there.
type disk struct {
	w    *writer
	log  *os.File
	work chan committed
	done chan struct{} // a sync has ended
	// syncing is the writer's own knowledge that one is under way.
	syncing bool
	failure atomic.Pointer[hook.Error]
	failed  chan struct{} // closed when failure is set
	stopped chan struct{}
}

// committed is a batch that is in the log and not yet on disk.
type committed struct {
	batch []*write
	start time.Time
}

// newDisk opens the log of a database a second time: to sync a file, any way to it will do.
func newDisk(w *writer, database string) (*disk, error) {
	log, err := os.OpenFile(database+"-wal", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open write-ahead log: %w", err)
	}
	if err := syncDir(filepath.Dir(database)); err != nil { // the log may be new
		log.Close()
		return nil, fmt.Errorf("sync data directory: %w", err)
	}
	d := &disk{w: w, log: log, work: make(chan committed, 1), done: make(chan struct{}, 1), failed: make(chan struct{}), stopped: make(chan struct{})}
	go d.run()
	return d, nil
}

// run syncs one batch after another.
func (d *disk) run() {
	defer close(d.stopped)
	for c := range d.work {
		d.toDisk(c.batch)
		d.w.answer(c.batch, c.start)
		d.done <- struct{}{}
	}
}

// toDisk syncs the log, and fails the batch when that fails.
func (d *disk) toDisk(batch []*write) error {
	err := datasync(d.log)
	if err != nil {
		d.fail(err)
		for _, u := range batch {
			u.err = d.failure.Load()
		}
	}
	return err
}

func (d *disk) fail(err error) {
	d.w.log.Error("the disk did not take what was written; the store takes nothing any more", "error", err)
	e := hook.Errorf(hook.CodeUnavailable, "sync write-ahead log: %w", err)
	if d.failure.CompareAndSwap(nil, e) {
		close(d.failed)
	}
}

// broken is the failure of a sync, after which nothing is written any more.
func (d *disk) broken() error {
	if e := d.failure.Load(); e != nil {
		return e
	}
	return nil
}

// busy says whether a sync is under way.
func (d *disk) busy() bool { return d.syncing }

// wait returns when the sync under way has ended, or with a larger batch when more
// units queued that have room in it.
func (d *disk) wait(batch []*write) []*write {
	queue := d.w.queue
	if len(batch) >= batchOps || sizeOf(batch) >= batchBytes || slices.ContainsFunc(batch, apart) {
		queue = nil
	}
	select {
	case <-d.done:
		d.syncing = false
		return batch
	case u := <-queue:
		return d.w.collect(append(batch, u))
	}
}

// settle has a batch synced and answered, while the writer goes on. What must run between
// two transactions runs before it does.
func (d *disk) settle(batch []*write, start time.Time) {
	d.drain() // of the batch before, where this one failed before it waited
	switch {
	case !slices.ContainsFunc(batch, func(u *write) bool { return u.err == nil }):
		d.w.answer(batch, start) // nothing was written
	case slices.ContainsFunc(batch, apart):
		if err := d.toDisk(batch); err == nil {
			d.w.between(batch)
		}
		d.w.answer(batch, start)
	default:
		d.syncing = true
		d.work <- committed{slices.Clone(batch), start}
	}
}

// drain waits until no sync is under way.
func (d *disk) drain() {
	if d.syncing {
		<-d.done
		d.syncing = false
	}
}

func (d *disk) stop() {
	d.drain()
	close(d.work)
	<-d.stopped
}

func (d *disk) close() error { return d.log.Close() }

// apart says that a unit runs outside any transaction.
func apart(u *write) bool { return u.between != nil }

// between runs the units that do, when nothing is on its way to the disk.
func (w *writer) between(batch []*write) {
	for _, u := range batch {
		if apart(u) && u.err == nil {
			u.err = u.between(context.Background())
		}
	}
}

// Failed is closed when the disk did not take what was written: the process should end, so
// that the next one reads what is there. On PostgreSQL that is its own affair, and never happens.
func (s *Store) Failed() <-chan struct{} {
	if s.writer.disk == nil {
		return nil
	}
	return s.writer.disk.failed
}
