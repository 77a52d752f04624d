package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// laneBatch are the lanes that one transaction touches. It is nil for those that touch
// none, so that these pay nothing.
type laneBatch struct {
	known map[laneKey]*lane
	list  []*lane
}

// lane is the one with that key, which is noted as touched.
func (b *laneBatch) lane(k laneKey, org hook.Key) *lane {
	if l := b.known[k]; l != nil {
		return l
	}
	if b.known == nil {
		b.known = map[laneKey]*lane{}
	}
	l := &lane{laneKey: k, org: org}
	b.known[k] = l
	b.list = append(b.list, l)
	return l
}

// arrive notes that a delivery of m comes into its lane.
func (b *laneBatch) arrive(d *hook.Delivery, m *hook.Message) {
	a := &arrival{kept: d, at: d.NextAt, turn: turn{
		delivery: d.ID, message: d.Message, occurred: ms(m.OccurredAt), rank: m.Rank, family: m.Family, final: m.Final,
	}}
	l := b.lane(laneKey{d.Endpoint, d.Lane}, d.Org)
	l.arrivals = append(l.arrivals, a)
}

// record notes what came of an attempt at a lane's head.
func (b *laneBatch) record(r *hook.Record) {
	l := b.lane(laneKey{r.Delivery.Endpoint, r.Delivery.Lane}, r.Delivery.Org)
	l.record = r
	switch r.State {
	case hook.Pending, hook.Held:
		if r.Poison != hook.Parked {
			return
		}
	}
	l.gone = append(l.gone, r.Delivery.ID)
}

// laneEngine is how an engine reads and writes lanes within a transaction.
type laneEngine interface {
	// lock makes other transactions wait that touch these lanes, which come in their
	// order. Where there are none it does nothing.
	lock(ctx context.Context, lanes []*lane) error
	// read reads the rows of lanes, who waits first, and how their endpoints are.
	read(ctx context.Context, lanes []*lane) error
	// look reads what more is needed where the order is not simply that of acceptance.
	look(ctx context.Context, lanes []*lane) error
	// write does what was decided. It gives the lanes whose new head is not waiting any more
	// or was deleted, by an older version of this program; its turn is gone then.
	write(ctx context.Context, lanes []*lane) (failed []*lane, err error)
}

// advance lets lanes go on that are locked and were read.
func (w *writer) advance(ctx context.Context, e laneEngine, lanes []*lane, now time.Time) error {
	const most = 1000 // far more rounds than there are reasons for
	for range most {
		if err := look(ctx, e, lanes); err != nil {
			return err
		}
		for _, l := range lanes {
			l.decide(now)
		}
		failed, err := e.write(ctx, lanes)
		if err != nil {
			return err
		}
		var again []*lane
		for _, l := range lanes {
			retry := l.then.again
			if slices.Contains(failed, l) {
				l.then.promote, l.then.holder, retry = turn{}, 0, true
			}
			w.after = append(w.after, func() { l.tell(w.due) })
			if retry {
				again = append(again, &lane{laneKey: l.laneKey, org: l.org, record: l.record, gone: append(l.gone, l.head.delivery)})
			}
		}
		if lanes = again; len(lanes) == 0 {
			return nil
		}
		if err := e.read(ctx, lanes); err != nil {
			return err
		}
	}
	return fmt.Errorf("lane %d of endpoint %d finds no head", lanes[0].number, lanes[0].endpoint)
}

func look(ctx context.Context, e laneEngine, lanes []*lane) error {
	var deep []*lane
	for _, l := range lanes {
		if l.deep() {
			deep = append(deep, l)
		}
	}
	if len(deep) == 0 {
		return nil
	}
	return e.look(ctx, deep)
}

// lanesOf is the engine of the running transaction of the writer.
func (s *Store) lanesOf() laneEngine {
	if s.pg != nil {
		return &pgLanes{writer: s.writer.pg}
	}
	return &liteLanes{writer: s.writer} // whose connection the transaction has
}

// laned is a delivery that is not over, and its lane.
type laned struct {
	id, org hook.Key
	laneKey
}

// stillOpen are the deliveries in lanes, of those that a condition chooses, that are not over.
func stillOpen(ctx context.Context, tx *sql.Conn, where string, args ...any) ([]laned, error) {
	scan := func(row scanner) (d laned, err error) {
		err = row.Scan(&d.id, &d.org, &d.endpoint, &d.number)
		return d, err
	}
	return readRows(ctx, tx, scan, "lanes", sqlStillOpen+where, args...)
}

const sqlStillOpen = "SELECT id, org_id, endpoint_id, lane FROM deliveries WHERE lane <> 0 AND state IN (1, 5, 6) AND "

// leaving runs end, which ends deliveries or some of them, and lets their lanes go
// on without those. It must be told of each delivery in a lane that end may end.
func (s *Store) leaving(ctx context.Context, tx *sql.Conn, deliveries []laned, end func() error) error {
	if len(deliveries) == 0 {
		return end()
	}
	var b laneBatch
	ids := make([]hook.Key, len(deliveries))
	for i, d := range deliveries {
		b.lane(d.laneKey, d.org)
		ids[i] = d.id
	}
	slices.SortFunc(b.list, compareLanes)
	e := s.lanesOf()
	if err := e.lock(ctx, b.list); err != nil {
		return err
	}
	if err := end(); err != nil {
		return err
	}
	open, err := openAmong(ctx, tx, ids)
	if err != nil {
		return err
	}
	for _, d := range deliveries {
		if open[d.id] {
			continue
		}
		l := b.known[d.laneKey]
		l.gone = append(l.gone, d.id)
		const q = "DELETE FROM turns WHERE endpoint_id = ? AND lane = ? AND id = ?"
		if _, err := tx.ExecContext(ctx, q, d.endpoint, d.number, d.id); err != nil {
			return err
		}
	}
	if err := e.read(ctx, b.list); err != nil {
		return err
	}
	return s.writer.advance(ctx, e, b.list, time.Now())
}

// openAmong says which of deliveries are in a lane and not over.
func openAmong(ctx context.Context, tx *sql.Conn, ids []hook.Key) (map[hook.Key]bool, error) {
	open := map[hook.Key]bool{}
	for some := range slices.Chunk(ids, stateStep) {
		list, err := stillOpen(ctx, tx, anyOf("id", len(some)), anys(some)...)
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			open[d.id] = true
		}
	}
	return open, nil
}
