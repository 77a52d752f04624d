package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// pgWriter is how the writer writes a batch on PostgreSQL: events are one statement
// and what came of attempts is another, both sent at once as one transaction. So a
// batch costs one round trip, however many rows it has. Only units that run
// statements of their own, and idempotency keys, need more. Everything in it is used
// by the writer's goroutine only.
type pgWriter struct {
	store *Store
	conn  *sql.Conn // nil when there is none: it is made when it is needed
}

const (
	// writeTime bounds one batch: what takes longer has lost its connection, and those
	// who wait had better be told.
	writeTime = 15 * time.Second
	// crossings is how often a batch is tried again because another node did the
	// same at the same time.
	crossings = 3
)

// try runs the batch in one transaction.
func (p *pgWriter) try(batch []*write) (err error) {
	for range crossings {
		if err = p.once(batch); !crossed(err) {
			return err
		}
	}
	return err
}

func (p *pgWriter) once(batch []*write) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.store.pg.batch)
	defer cancel()
	for _, u := range batch {
		u.err = nil
	}
	p.store.writer.forget()
	if err := p.connect(ctx); err != nil {
		return storeError("connect", fmt.Errorf("%w: %w", errLost, err))
	}
	states, err := p.write(ctx, batch)
	if err == nil {
		p.store.writer.remember(batch)
		p.compare(ctx, states)
		p.store.writer.tell()
		return nil
	}
	if p.clear() {
		return storeError("write", err)
	}
	p.store.pg.doubt.Store(true) // it may have been committed, and nobody will know
	return storeError("write", fmt.Errorf("%w: %w", errLost, err))
}

// connect takes a connection that answers, if there is none: when the server was
// gone, one that was idle is broken as well, and does not know it.
func (p *pgWriter) connect(ctx context.Context) (err error) {
	for range 2 {
		if p.conn != nil {
			return nil
		}
		conn, failed := p.store.pg.batches.Conn(ctx)
		if failed != nil {
			return failed
		}
		if err = p.prepare(ctx, conn); err == nil {
			p.conn = conn
			return nil
		}
		conn.Close() // it is broken, and err says how
	}
	return err
}

// prepare tries a connection, and bounds how long it waits for others. Behind a pooler a
// session's setting would be everybody's.
func (p *pgWriter) prepare(ctx context.Context, conn *sql.Conn) error {
	if p.store.pg.session == "" {
		return conn.PingContext(ctx)
	}
	_, err := conn.ExecContext(ctx, sqlLockTimeout+strconv.FormatInt(p.store.pg.lock.Milliseconds(), 10))
	return err
}

// raw gives f the connection of pgx itself, for what database/sql cannot do. While f
// runs, nothing else may use the connection.
func (p *pgWriter) raw(f func(c *pgx.Conn) error) error {
	var failed error
	err := p.conn.Raw(func(dc any) error {
		c, ok := dc.(*pgConn)
		if !ok {
			return fmt.Errorf("connection is a %T", dc)
		}
		failed = f(c.Conn.Conn())
		return nil // else database/sql may give the connection up
	})
	return errors.Join(err, failed)
}

// clear ends what a failed batch has left behind, and says whether the connection
// is still good.
func (p *pgWriter) clear() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	good := false
	err := p.raw(func(c *pgx.Conn) error {
		if !c.IsClosed() && c.PgConn().TxStatus() != 'I' {
			if _, err := c.Exec(ctx, "ROLLBACK"); err != nil {
				return err
			}
		}
		good = !c.IsClosed()
		return nil
	})
	if err == nil && good {
		return true
	}
	if err := p.close(); err != nil {
		p.store.pg.log.Warn("close connection", "error", err)
	}
	return false
}

// close gives the connection back; one that is broken is not used again.
func (p *pgWriter) close() error {
	if p.conn == nil {
		return nil
	}
	err := p.conn.Close()
	p.conn = nil
	if errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}

// write sends the batch: at once when nothing in it needs an answer before the next,
// as idempotency keys, lanes and units with statements of their own do.
func (p *pgWriter) write(ctx context.Context, batch []*write) (*states, error) {
	w := p.store.writer
	now := time.Now()
	events := gatherEvents(w, batch, now)
	settled := gatherSettled(w, batch, now)
	lanes := p.touched(events, batch)
	others := false
	for _, u := range batch {
		others = others || u.other != nil
	}
	var pipe pgx.Batch
	open := others || len(events.keys.ids) > 0 || lanes != nil
	if open {
		pipe.Queue("BEGIN")
	}
	if len(events.keys.ids) > 0 {
		events.queueKeys(&pipe)
		if err := p.send(ctx, &pipe); err != nil {
			return nil, err
		}
		pipe = pgx.Batch{}
	}
	states := events.queueStates(&pipe)
	events.queue(&pipe)
	lanes.lock(&pipe)
	for _, round := range settled {
		round.queue(&pipe)
	}
	if (others || lanes != nil) && p.store.pg.session != "" {
		pipe.Queue(sqlPlanEach)
	}
	lanes.read(&pipe)
	if err := p.send(ctx, &pipe); err != nil || !open {
		return states, err
	}
	if err := lanes.advance(ctx, events, batch, now); err != nil {
		return nil, err
	}
	if err := p.send(ctx, events.correctKeys()); err != nil {
		return nil, err
	}
	if others {
		if err := p.others(ctx, batch); err != nil {
			return nil, err
		}
	}
	_, err := p.conn.ExecContext(ctx, "COMMIT")
	return states, err
}

// send sends what is queued in one round trip. Without a BEGIN it is a transaction
// of its own.
func (p *pgWriter) send(ctx context.Context, pipe *pgx.Batch) error {
	if pipe.Len() == 0 {
		return nil
	}
	return p.raw(func(c *pgx.Conn) error { return c.SendBatch(ctx, pipe).Close() })
}

// others runs the units that have statements of their own.
func (p *pgWriter) others(ctx context.Context, batch []*write) error {
	for _, u := range batch {
		if u.other == nil {
			continue
		}
		if err := u.other(ctx, p.conn); refused(err) {
			u.err = err // it wrote nothing, and is nobody else's trouble
		} else if err != nil {
			return err
		}
	}
	return nil
}

// oneByOne makes others who call it wait until this transaction ends: for units that
// must not run on two nodes at a time.
func (s *Store) oneByOne(ctx context.Context, tx *sql.Conn) error {
	if s.pg == nil {
		return nil
	}
	if _, err := tx.ExecContext(ctx, sqlLockPatiently); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, sqlLock, openLock+2)
	return err
}

// recordRounds splits records such that each delivery is in a round once: a statement
// changes a row only once.
func recordRounds(batch []*write) (list [][]*hook.Record) {
	at := map[hook.Key]int{}
	for _, u := range batch {
		for _, r := range u.records {
			i := at[r.Delivery.ID]
			at[r.Delivery.ID]++
			if i == len(list) {
				list = append(list, nil)
			}
			list[i] = append(list[i], r)
		}
	}
	return list
}
