package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// laneChanges is what was decided about lanes, as the columns that statements take.
type laneChanges struct {
	canceled, parked struct{ id, by []int64 }
	promoted         struct {
		id, at, holder []int64
		state          []int32
	}
	demoted []int64
	left    struct{ endpoint, number, place []int64 }
	waits   turnColumns
	states  turnColumns
	rows    struct {
		turnColumns
		last []int64
	}
	over laneColumns

	of map[hook.Key]*lane // by the delivery that becomes its head, until it did
}

// turnColumns are turns as arrays.
type turnColumns struct {
	endpoint, number, place, org, delivery, message, occurred, rank []int64
	family                                                          []string
	final                                                           []int32
}

func (c *turnColumns) add(l *lane, t *turn) {
	c.endpoint, c.number, c.org = append(c.endpoint, int64(l.endpoint)), append(c.number, l.number), append(c.org, int64(l.org))
	c.place, c.delivery, c.occurred = append(c.place, t.place), append(c.delivery, int64(t.delivery)), append(c.occurred, t.occurred)
	c.message = append(c.message, int64(t.message))
	c.rank, c.family, c.final = append(c.rank, int64(t.rank)), append(c.family, t.family), append(c.final, int32(truth(t.final)))
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (e *pgLanes) write(ctx context.Context, lanes []*lane) (failed []*lane, err error) {
	c := laneChanges{of: map[hook.Key]*lane{}}
	for _, l := range lanes {
		c.add(l)
	}
	var pipe pgx.Batch
	c.queue(&pipe, e.writer.store.pg)
	if err := e.writer.send(ctx, &pipe); err != nil {
		return nil, err
	}
	for _, l := range c.of {
		failed = append(failed, l)
	}
	return failed, nil
}

func (c *laneChanges) add(l *lane) {
	p := &l.then
	for _, x := range p.cancel {
		c.canceled.id, c.canceled.by = append(c.canceled.id, int64(x.delivery)), append(c.canceled.by, int64(x.by))
		c.leave(l, &x.turn)
	}
	for _, x := range p.parked {
		c.parked.id, c.parked.by = append(c.parked.id, int64(x.delivery)), append(c.parked.by, int64(x.by))
	}
	for i := range p.enqueue {
		c.waits.add(l, &p.enqueue[i])
	}
	if p.demote.delivery != 0 {
		c.demoted = append(c.demoted, int64(p.demote.delivery))
		c.waits.add(l, &p.demote)
	}
	if d := p.promote.delivery; d != 0 {
		c.promoted.id, c.promoted.at = append(c.promoted.id, int64(d)), append(c.promoted.at, ms(p.at))
		c.promoted.state, c.promoted.holder = append(c.promoted.state, int32(p.state)), append(c.promoted.holder, int64(p.holder))
		c.leave(l, &p.promote)
		c.of[d] = l
	}
	for i := range p.states {
		c.states.add(l, &p.states[i])
	}
	switch {
	case p.over:
		c.over.endpoint, c.over.number = append(c.over.endpoint, int64(l.endpoint)), append(c.over.number, l.number)
	case l.row != l.found:
		c.rows.add(l, &l.head)
		c.rows.last = append(c.rows.last, l.last)
	}
}

func (c *laneChanges) leave(l *lane, t *turn) {
	c.left.endpoint, c.left.number, c.left.place = append(c.left.endpoint, int64(l.endpoint)), append(c.left.number, l.number), append(c.left.place, t.place)
}

func (c *laneChanges) queue(pipe *pgx.Batch, p *postgres) {
	if len(c.canceled.id) > 0 {
		pipe.Queue(sqlCancelOutdated, c.canceled.id, c.canceled.by)
	}
	if len(c.parked.id) > 0 {
		pipe.Queue(p.sqlCancelParked(), c.parked.id, c.parked.by)
	}
	if len(c.demoted) > 0 {
		pipe.Queue(sqlDemote, c.demoted)
	}
	if len(c.promoted.id) > 0 {
		pipe.Queue(sqlPromote, c.promoted.id, c.promoted.at, c.promoted.state, c.promoted.holder).Query(c.readPromoted)
	}
	if len(c.left.place) > 0 {
		pipe.Queue(sqlLeave, c.left.endpoint, c.left.number, c.left.place)
	}
	if w := &c.waits; len(w.place) > 0 {
		pipe.Queue(sqlWait, w.endpoint, w.number, w.place, w.org, w.delivery, w.message, w.occurred, w.rank, w.family, w.final)
	}
	if s := &c.states; len(s.place) > 0 {
		pipe.Queue(sqlNoteLatest, s.endpoint, s.number, s.place, s.org, s.delivery, s.message, s.occurred, s.rank, s.family, s.final)
	}
	if r := &c.rows; len(r.place) > 0 {
		pipe.Queue(sqlWriteLanes, r.endpoint, r.number, r.place, r.delivery, r.message, r.occurred, r.rank, r.family, r.final, r.last)
	}
	if len(c.over.number) > 0 {
		pipe.Queue(sqlEndLanes, c.over.endpoint, c.over.number)
	}
}

func (c *laneChanges) readPromoted(rows pgx.Rows) error {
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return err
		}
		l := c.of[d.ID]
		l.then.promoted = d
		delete(c.of, d.ID)
	}
	return rows.Err()
}
