package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// pgLanes reads and writes lanes on PostgreSQL: a statement for all of them, and a round
// trip for all statements. The row of a lane is its lock. It is taken before any
// delivery of the lane is changed, and those of several lanes in the order of their keys,
// so nodes wait for each other but not crosswise; places are given under it, so on whichever
// node a message is accepted after another, it stands behind it.
type pgLanes struct{ writer *pgWriter }

// laneColumns are keys of lanes as arrays.
type laneColumns struct{ endpoint, number, org []int64 }

func columnsOf(lanes []*lane) (c laneColumns) {
	for _, l := range lanes {
		c.endpoint, c.number, c.org = append(c.endpoint, int64(l.endpoint)), append(c.number, l.number), append(c.org, int64(l.org))
	}
	return c
}

func (e *pgLanes) queueLock(pipe *pgx.Batch, lanes []*lane) {
	c := columnsOf(lanes)
	pipe.Queue(sqlLockLanes, c.endpoint, c.number, c.org)
}

func (e *pgLanes) lock(ctx context.Context, lanes []*lane) error {
	var pipe pgx.Batch
	e.queueLock(&pipe, lanes)
	return e.writer.send(ctx, &pipe)
}

// queueRead adds what read reads.
func (e *pgLanes) queueRead(pipe *pgx.Batch, lanes []*lane) {
	c := columnsOf(lanes)
	pipe.Queue(sqlReadLanes, c.endpoint, c.number).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var n int64
			var f row
			h := &f.head
			if err := rows.Scan(&n, &h.delivery, &h.message, &h.place, &h.occurred, &h.rank, &h.family, &h.final, &f.last); err != nil {
				return err
			}
			lanes[n-1].found, lanes[n-1].there = f, true
		}
		return rows.Err()
	})
	e.queueTurns(pipe, lanes, 1)
	endpoints := slices.Clone(c.endpoint)
	slices.Sort(endpoints)
	pipe.Queue(sqlReadEndpoints, slices.Compact(endpoints)).Query(func(rows pgx.Rows) error {
		found := map[hook.Key]*hook.Endpoint{}
		for rows.Next() {
			var x hook.Endpoint
			var settings string
			if err := rows.Scan(&x.ID, &x.State, &settings); err != nil {
				return err
			}
			if err := decodeSettings([]byte(settings), &x); err != nil {
				return err
			}
			found[x.ID] = &x
		}
		for _, l := range lanes {
			x := found[l.endpoint]
			if x == nil { // it was deleted
				x = &hook.Endpoint{}
			}
			l.at(x)
		}
		return rows.Err()
	})
}

func (e *pgLanes) queueTurns(pipe *pgx.Batch, lanes []*lane, most int) {
	c := columnsOf(lanes)
	pipe.Queue(sqlReadTurns, c.endpoint, c.number, int64(most)).Query(func(rows pgx.Rows) error {
		for _, l := range lanes {
			l.waiting = nil
		}
		for rows.Next() {
			var n int64
			var t turn
			if err := rows.Scan(&n, &t.delivery, &t.message, &t.place, &t.occurred, &t.rank, &t.family, &t.final); err != nil {
				return err
			}
			l := lanes[n-1]
			l.waiting = append(l.waiting, t)
		}
		for _, l := range lanes {
			l.more = len(l.waiting) == most
		}
		return rows.Err()
	})
}

func (e *pgLanes) read(ctx context.Context, lanes []*lane) error {
	var pipe pgx.Batch
	e.queueRead(&pipe, lanes)
	return e.writer.send(ctx, &pipe)
}

func (e *pgLanes) look(ctx context.Context, lanes []*lane) error {
	var pipe pgx.Batch
	e.queueTurns(&pipe, lanes, looked)
	e.queueLatest(&pipe, lanes)
	living := map[hook.Key]bool{}
	pipe.Queue(e.writer.store.pg.living()).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var k hook.Key
			if err := rows.Scan(&k); err != nil {
				return err
			}
			living[k] = true
		}
		return rows.Err()
	})
	e.queueHeads(&pipe, lanes, living)
	return e.writer.send(ctx, &pipe)
}

func (e *pgLanes) queueLatest(pipe *pgx.Batch, lanes []*lane) {
	lanes = slices.DeleteFunc(slices.Clone(lanes), func(l *lane) bool { return !l.order.LatestOnly })
	if len(lanes) == 0 {
		return
	}
	c := columnsOf(lanes)
	pipe.Queue(sqlReadLatest, c.endpoint, c.number).Query(func(rows pgx.Rows) error {
		for _, l := range lanes {
			l.latest = map[family]turn{}
		}
		for rows.Next() {
			var n int64
			var s turn
			if err := rows.Scan(&n, &s.family, &s.final, &s.delivery, &s.message, &s.place, &s.occurred, &s.rank); err != nil {
				return err
			}
			lanes[n-1].latest[family{s.family, s.final}] = s
		}
		return rows.Err()
	})
}

func (e *pgLanes) queueHeads(pipe *pgx.Batch, lanes []*lane, living map[hook.Key]bool) {
	of := map[hook.Key]*lane{}
	var heads []int64
	for _, l := range lanes {
		if h := l.found.head.delivery; h != 0 {
			of[h], heads = l, append(heads, int64(h))
		}
	}
	if len(heads) == 0 {
		return
	}
	pipe.Queue(sqlReadHeads, heads).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var id, holder hook.Key
			var state hook.DeliveryState
			var attempts int
			var at int64
			if err := rows.Scan(&id, &state, &attempts, &at, &holder); err != nil {
				return err
			}
			l := of[id]
			l.state, l.attempts = state, attempts
			l.headIs(true, at, living[holder])
			delete(of, id)
		}
		for _, l := range of {
			l.headIs(false, 0, false)
		}
		return rows.Err()
	})
}

// touchedLanes are the lanes that the events and records of a batch touch. It is nil where
// there are none; that does nothing.
type touchedLanes struct {
	laneBatch
	engine pgLanes
}

func (p *pgWriter) touched(events *eventBatch, batch []*write) *touchedLanes {
	t := &touchedLanes{engine: pgLanes{p}}
	for _, u := range events.units {
		for i := range u.append.Deliveries {
			if d := &u.append.Deliveries[i]; d.Lane != 0 {
				t.lane(laneKey{d.Endpoint, d.Lane}, d.Org)
			}
		}
	}
	for _, u := range batch {
		for _, r := range u.records {
			if d := &r.Delivery; d.Lane != 0 {
				t.lane(laneKey{d.Endpoint, d.Lane}, d.Org)
			}
		}
	}
	if len(t.list) == 0 {
		return nil
	}
	slices.SortFunc(t.list, compareLanes)
	return t
}

func (t *touchedLanes) lock(pipe *pgx.Batch) {
	if t != nil {
		t.engine.queueLock(pipe, t.list)
	}
}

func (t *touchedLanes) read(pipe *pgx.Batch) {
	if t != nil {
		t.engine.queueRead(pipe, t.list)
	}
}

// advance lets them go on, after it is known which events were new and which records
// were taken.
func (t *touchedLanes) advance(ctx context.Context, events *eventBatch, batch []*write, now time.Time) error {
	if t == nil {
		return nil
	}
	for _, u := range events.units {
		a := u.append
		if u.err != nil || a.Repeated || a.Duplicate && !a.Redeliver {
			continue
		}
		for i := range a.Deliveries {
			if d := &a.Deliveries[i]; d.Lane != 0 {
				t.arrive(d, &a.Message)
			}
		}
	}
	for _, u := range batch {
		for _, r := range u.records {
			if r.Delivery.Lane != 0 && !r.Refused {
				t.record(r)
			}
		}
	}
	return t.engine.writer.store.writer.advance(ctx, &t.engine, t.list, now)
}
