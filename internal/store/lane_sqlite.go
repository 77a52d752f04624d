package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// liteLanes reads and writes lanes on SQLite. The one writer needs no locks, and a few
// short statements a lane cost less than one that does for many.
type liteLanes struct {
	writer    *writer
	endpoints map[hook.Key]hook.Endpoint // that were read in this transaction
}

func (e *liteLanes) lock(context.Context, []*lane) error { return nil }

func (e *liteLanes) read(ctx context.Context, lanes []*lane) error {
	for _, l := range lanes {
		if err := e.readOne(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (e *liteLanes) readOne(ctx context.Context, l *lane) error {
	h := &l.found.head
	const q = "SELECT head, message_id, place, occurred_at, rank, family, final, last FROM lanes WHERE endpoint_id = ? AND lane = ?"
	err := e.row(ctx, q, l.endpoint, l.number).Scan(&h.delivery, &h.message, &h.place, &h.occurred, &h.rank, &h.family, &h.final, &l.found.last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	l.there = err == nil
	if err := e.readEndpoint(ctx, l); err != nil {
		return err
	}
	if !l.there {
		return nil // then nobody waits
	}
	return e.readTurns(ctx, l)
}

// readEndpoint reads how the endpoint of a lane is. One that was deleted takes what is
// still for it until that is canceled.
func (e *liteLanes) readEndpoint(ctx context.Context, l *lane) error {
	x, known := e.endpoints[l.endpoint]
	if !known {
		var settings []byte
		err := e.row(ctx, "SELECT state, settings FROM endpoints WHERE id = ?", l.endpoint).Scan(&x.State, &settings)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		default:
			if err := decodeSettings(settings, &x); err != nil {
				return err
			}
		}
		if e.endpoints == nil {
			e.endpoints = map[hook.Key]hook.Endpoint{}
		}
		e.endpoints[l.endpoint] = x
	}
	l.at(&x)
	return nil
}

// readTurns reads who waits first: only the first where acceptance decides.
func (e *liteLanes) readTurns(ctx context.Context, l *lane) error {
	n := 1
	if l.deep() {
		n = looked
	}
	const q = "SELECT id, message_id, place, occurred_at, rank, family, final FROM turns WHERE endpoint_id = ? AND lane = ? ORDER BY place LIMIT ?"
	rows, err := e.rows(ctx, q, l.endpoint, l.number, n)
	if err != nil {
		return err
	}
	defer rows.Close()
	l.waiting = nil
	for rows.Next() {
		var t turn
		if err := rows.Scan(&t.delivery, &t.message, &t.place, &t.occurred, &t.rank, &t.family, &t.final); err != nil {
			return err
		}
		l.waiting = append(l.waiting, t)
	}
	l.more = len(l.waiting) == n
	return rows.Err()
}

func (e *liteLanes) look(ctx context.Context, lanes []*lane) error {
	for _, l := range lanes {
		if l.order.LatestOnly {
			if err := e.readLatest(ctx, l); err != nil {
				return err
			}
		}
		if err := e.readHead(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (e *liteLanes) readLatest(ctx context.Context, l *lane) error {
	const q = "SELECT family, final, delivery_id, message_id, place, occurred_at, rank FROM latest WHERE endpoint_id = ? AND lane = ?"
	rows, err := e.rows(ctx, q, l.endpoint, l.number)
	if err != nil {
		return err
	}
	defer rows.Close()
	l.latest = map[family]turn{}
	for rows.Next() {
		var s turn
		if err := rows.Scan(&s.family, &s.final, &s.delivery, &s.message, &s.place, &s.occurred, &s.rank); err != nil {
			return err
		}
		l.latest[family{s.family, s.final}] = s
	}
	return rows.Err()
}

func (e *liteLanes) readHead(ctx context.Context, l *lane) error {
	if l.found.head.delivery == 0 {
		return nil
	}
	var holder hook.Key
	var at int64
	err := e.row(ctx, "SELECT state, attempts, next_at, holder FROM deliveries WHERE id = ?", l.found.head.delivery).Scan(&l.state, &l.attempts, &at, &holder)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	l.headIs(err == nil, at, holder == e.writer.incarnation)
	return nil
}

// headIs takes in how the head is, whose state was read already. One that is over
// although the lane has not gone on was settled by an older version.
func (l *lane) headIs(there bool, due int64, busy bool) {
	l.due, l.busy = fromMS(due), busy
	if !there || l.state != hook.Pending && l.state != hook.Held {
		l.gone = append(l.gone, l.found.head.delivery)
	}
}

// at takes in how the endpoint of a lane is.
func (l *lane) at(e *hook.Endpoint) {
	l.enabled, l.order = e.State == hook.Enabled, hook.Order{}
	if e.Order.By != "" { // else what still waits goes out as it came
		l.order = e.Order
	}
}

func (e *liteLanes) write(ctx context.Context, lanes []*lane) (failed []*lane, err error) {
	for _, l := range lanes {
		done, err := e.writeOne(ctx, l)
		if err != nil {
			return nil, err
		}
		if !done {
			failed = append(failed, l)
		}
	}
	return failed, nil
}

func (e *liteLanes) writeOne(ctx context.Context, l *lane) (done bool, err error) {
	p := &l.then
	for _, c := range p.cancel {
		if err := e.exec(ctx, "UPDATE deliveries SET state = 4, holder = 0, superseded = ? WHERE id = ? AND state IN (1, 5, 6)", c.by, c.delivery); err != nil {
			return false, err
		}
		if err := e.leave(ctx, l, c.turn); err != nil {
			return false, err
		}
	}
	for _, c := range p.parked {
		const q = "UPDATE deliveries SET state = 4, holder = 0, superseded = ? WHERE id = ? AND state IN (1, 5) AND lane = 0 AND poison = 2 AND holder <> ?"
		if err := e.exec(ctx, q, c.by, c.delivery, e.writer.incarnation); err != nil {
			return false, err
		}
	}
	if p.demote.delivery != 0 {
		if err := e.exec(ctx, "UPDATE deliveries SET state = 6, holder = 0 WHERE id = ?", p.demote.delivery); err != nil {
			return false, err
		}
		p.enqueue = append(p.enqueue, p.demote)
	}
	for _, t := range p.enqueue {
		const q = "INSERT INTO turns (endpoint_id, lane, place, org_id, id, message_id, occurred_at, rank, family, final) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		if err := e.exec(ctx, q, l.endpoint, l.number, t.place, l.org, t.delivery, t.message, t.occurred, t.rank, t.family, t.final); err != nil {
			return false, err
		}
	}
	for _, s := range p.states {
		const q = `INSERT INTO latest (endpoint_id, lane, family, final, org_id, delivery_id, message_id, place, occurred_at, rank) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET delivery_id = excluded.delivery_id, message_id = excluded.message_id, place = excluded.place, occurred_at = excluded.occurred_at, rank = excluded.rank`
		if err := e.exec(ctx, q, l.endpoint, l.number, s.family, s.final, l.org, s.delivery, s.message, s.place, s.occurred, s.rank); err != nil {
			return false, err
		}
	}
	if done, err = e.promote(ctx, l); err != nil {
		return false, err
	}
	return done, e.writeRow(ctx, l)
}

func (e *liteLanes) leave(ctx context.Context, l *lane, t turn) error {
	return e.exec(ctx, "DELETE FROM turns WHERE endpoint_id = ? AND lane = ? AND place = ?", l.endpoint, l.number, t.place)
}

// promote makes a delivery that waits the head; false when it does not wait.
func (e *liteLanes) promote(ctx context.Context, l *lane) (bool, error) {
	p := &l.then
	if p.promote.delivery == 0 {
		return true, nil
	}
	if l.there { // else it did not have to wait for anybody
		if err := e.leave(ctx, l, p.promote); err != nil {
			return false, err
		}
	}
	const q = "UPDATE deliveries SET state = ?, next_at = ?, since = ?, holder = ? WHERE id = ? AND state = 6 RETURNING " + deliveryColumns
	d, err := scanDelivery(e.row(ctx, q, int(p.state), ms(p.at), ms(p.at), p.holder, p.promote.delivery))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	p.promoted = d
	return err == nil, err
}

func (e *liteLanes) writeRow(ctx context.Context, l *lane) error {
	switch {
	case l.then.over && l.there:
		return e.exec(ctx, "DELETE FROM lanes WHERE endpoint_id = ? AND lane = ?", l.endpoint, l.number)
	case l.then.over || l.there && l.row == l.found:
		return nil
	}
	const q = `INSERT INTO lanes (endpoint_id, lane, org_id, head, message_id, place, occurred_at, rank, family, final, last) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET head = excluded.head, message_id = excluded.message_id, place = excluded.place, occurred_at = excluded.occurred_at, rank = excluded.rank, family = excluded.family,
			final = excluded.final, last = excluded.last`
	h := &l.head
	return e.exec(ctx, q, l.endpoint, l.number, l.org, h.delivery, h.message, h.place, h.occurred, h.rank, h.family, h.final, l.last)
}

func (e *liteLanes) exec(ctx context.Context, text string, args ...any) error {
	stmt, err := e.writer.prepared(ctx, text)
	if err == nil {
		_, err = stmt.ExecContext(ctx, args...)
	}
	return err
}

func (e *liteLanes) rows(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	stmt, err := e.writer.prepared(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (e *liteLanes) row(ctx context.Context, text string, args ...any) scanner {
	stmt, err := e.writer.prepared(ctx, text)
	if err != nil {
		return failedRow{err}
	}
	return stmt.QueryRowContext(ctx, args...)
}

// failedRow is a row that could not be asked for.
type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// advanceAll lets the lanes go on that the events and records of a transaction touched.
func (w *writer) advanceAll(ctx context.Context) error {
	if len(w.lanes.list) == 0 {
		return nil
	}
	e := &liteLanes{writer: w}
	if err := e.read(ctx, w.lanes.list); err != nil {
		return err
	}
	return w.advance(ctx, e, w.lanes.list, time.Now())
}
