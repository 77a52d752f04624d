package dispatch

import (
	"context"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// finished is a job whose attempt has ended.
type finished struct {
	endpoint *endpoint
	target   *Target
	job      *job
	record   *hook.Record
}

// recordAll records finished jobs until there will be no more. What finishes
// while the disk is busy is the next batch.
func (d *Dispatcher) recordAll() {
	defer close(d.recorded)
	batch := make([]finished, 0, recordBatch)
	records := make([]*hook.Record, 0, recordBatch)
	for f := range d.finished {
		batch = append(batch[:0], f)
		for more := true; more && len(batch) < recordBatch; {
			select {
			case f, open := <-d.finished:
				if more = open; open {
					batch = append(batch, f)
				}
			default:
				more = false
			}
		}
		records = records[:0]
		for i := range batch {
			records = append(records, batch[i].record)
		}
		if d.record(records) {
			for i := range batch {
				d.settle(&batch[i])
			}
		}
		clear(batch)
	}
}

// record writes until it is written: an attempt that was made must not be
// forgotten because the disk was full for a while. While it waits, the
// deliveries stay this incarnation's; if the process ends first, they are sent again.
func (d *Dispatcher) record(records []*hook.Record) bool {
	for {
		err := d.store.Record(context.Background(), records)
		if err == nil {
			return true
		}
		d.log.Warn("record failed", "error", err)
		select {
		case <-d.attempts.Done():
			return false
		case <-time.After(recordRetry):
		}
	}
}

// settle frees what a recorded job had, and notes when it is due again.
func (d *Dispatcher) settle(f *finished) {
	e, r := f.endpoint, f.record
	if e == nil { // there was no attempt, for there is no endpoint
		return
	}
	d.release(e, f.job)
	if r.Next != nil {
		d.goOn(e, r.Next)
	}
	if r.State == hook.Pending && !r.Refused {
		d.Due(e.id, r.NextAt)
	}
	if e.wantsClaim(d.room()) {
		d.Due(e.id, time.Now())
	}
	d.observe(f.target, f.job.message, r)
}

// release gives back the room that a job had in memory.
func (d *Dispatcher) release(e *endpoint, j *job) {
	e.unreserve(j.size)
	d.bytes.Add(-int64(j.size))
	if j.claimed {
		d.claimed.Add(-1)
	}
}
