package role

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
)

// appendFile is what a journal writes to. Sync returns when everything written is on the disk.
type appendFile interface {
	Write([]byte) (int, error)
	Sync() error
}

// errClosed says that a record came after Close.
var errClosed = errors.New("journal is closed")

// journal appends records with group commit: whatever queued while the last batch was
// written and synced is the next batch, so it needs no timer and no tuning.
type journal struct {
	file appendFile
	done chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	queued  sync.Cond // signalled when pending is no longer empty, and by Close
	pending *batch
	spare   []byte // the buffer of an earlier batch, to be used again
	closed  bool
}

// batch is records that are written and synced together.
type batch struct {
	buf  []byte
	kept chan struct{} // closed after the sync
	err  error         // set before kept is closed
}

// openJournal starts a journal on file. The caller closes it, then the file.
func openJournal(file appendFile) *journal {
	j := &journal{file: file, done: make(chan struct{})}
	j.queued.L = &j.mu
	j.pending = &batch{kept: make(chan struct{})}
	go j.write()
	return j
}

// Append writes one record, its length before it, and returns after it has been synced.
func (j *journal) Append(record []byte) error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return errClosed
	}
	b := j.pending
	b.buf = binary.LittleEndian.AppendUint32(b.buf, uint32(len(record)))
	b.buf = append(b.buf, record...)
	j.queued.Signal()
	j.mu.Unlock()
	<-b.kept
	return b.err
}

// Close waits for the last batch. Later records are refused.
func (j *journal) Close() {
	j.mu.Lock()
	j.closed = true
	j.queued.Signal()
	j.mu.Unlock()
	<-j.done
}

// write is the one writer.
func (j *journal) write() {
	defer close(j.done)
	for b := j.take(); b != nil; b = j.take() {
		if _, b.err = j.file.Write(b.buf); b.err == nil {
			b.err = j.file.Sync()
		}
		j.mu.Lock()
		j.spare = b.buf[:0]
		j.mu.Unlock()
		close(b.kept)
	}
}

// take waits for records and takes all that have queued; nil after the last.
func (j *journal) take() *batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.pending.buf) == 0 {
		if j.closed {
			return nil
		}
		j.queued.Wait()
	}
	b := j.pending
	j.pending = &batch{buf: j.spare, kept: make(chan struct{})}
	j.spare = nil
	return b
}

// syncedFile is an *os.File whose Sync leaves out metadata that reading does not need.
type syncedFile struct{ *os.File }

func (f syncedFile) Sync() error { return datasync(f.File) }
