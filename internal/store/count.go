package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// What an organization's overview shows is counted as it happens: with the transaction that
// keeps a message or settles a delivery its count rises, so it is exact, and reading it looks
// at no message. Each node has rows of its own, so that nodes do not wait for each other. Minutes that
// are a day old become hours.

const (
	minuteSpan = int64(time.Minute / time.Millisecond)
	hourSpan   = int64(time.Hour / time.Millisecond)
	// minutesKept is how long there are minutes.
	minutesKept = 25 * time.Hour
	// hoursKept is how long there are hours.
	hoursKept = 400 * 24 * time.Hour
)

// minuteOf is the minute in which t is, as the store has it.
func minuteOf(t time.Time) int64 { return ms(t) - ms(t)%minuteSpan }

// countRow is where something is counted.
type countRow struct {
	org, about hook.Key
	kind       hook.CountKind
}

const sqlCount = `INSERT INTO counts (org_id, span, at, about_id, kind, node, n) VALUES (?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (org_id, span, at, about_id, kind, node) DO UPDATE SET n = counts.n + excluded.n`

// countedAs is as what a record counts; 0: it does not.
func countedAs(r *hook.Record) hook.CountKind {
	switch {
	case r.State == hook.Failed:
		return hook.CountFailed
	case r.State != hook.Delivered:
		return 0
	case r.Attempt == nil:
		return hook.CountDelivered
	}
	return hook.CountLatency(r.Attempt.At.Add(r.Attempt.Duration).Sub(r.Delivery.Since))
}

// countAll counts what a batch did, within its transaction, on SQLite.
func (w *writer) countAll(ctx context.Context, batch []*write) error {
	clear(w.counts)
	for _, u := range batch {
		if a := u.append; a != nil && u.err == nil && !a.Repeated && !a.Duplicate {
			w.counts[countRow{org: a.Message.Org, kind: hook.CountReceived}]++
		}
		for _, r := range u.records {
			if kind := countedAs(r); kind != 0 && !r.Refused {
				w.counts[countRow{org: r.Delivery.Org, kind: kind}]++
			}
		}
	}
	if len(w.counts) == 0 {
		return nil
	}
	stmt, err := w.prepared(ctx, sqlCount)
	if err != nil {
		return err
	}
	minute := minuteOf(time.Now())
	for row, n := range w.counts {
		if err := one(stmt.ExecContext(ctx, int64(row.org), minuteSpan, minute, int64(row.about), int(row.kind), 0, n)); err != nil {
			return err
		}
	}
	return nil
}

// node is the number of this process among those that share the store.
func (s *Store) node() int32 {
	if s.pg == nil {
		return 0
	}
	return s.pg.node.Load()
}

// AddCounts counts what no transaction of its own tells of, such as rejected requests.
func (s *Store) AddCounts(ctx context.Context, counts []hook.Count) error {
	if len(counts) == 0 {
		return nil
	}
	err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		for _, c := range counts {
			if err := one(tx.ExecContext(ctx, sqlCount, c.Org, minuteSpan, minuteOf(c.At), c.About, int(c.Kind), s.node(), c.N)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("add counts: %w", err)
	}
	return nil
}

// Counts adds up what happened to an organization in the minutes, or older hours, that begin
// within r, over all nodes.
func (s *Store) Counts(ctx context.Context, org hook.Key, r hook.Range) ([]hook.Count, error) {
	const q = `SELECT at, about_id, kind, CAST(sum(n) AS BIGINT) FROM counts WHERE org_id = ? AND span IN (?, ?) AND at >= ? AND at < ? GROUP BY at, about_id, kind ORDER BY at`
	return readRows(ctx, s.read, func(row scanner) (hook.Count, error) {
		c := hook.Count{Org: org}
		var at int64
		err := row.Scan(&at, &c.About, &c.Kind, &c.N)
		c.At = fromMS(at)
		return c, err
	}, "counts", q, org, minuteSpan, hourSpan, ms(r.Since), ms(r.Until))
}

// RollCounts makes hours of an organization's minutes that are a day old, and forgets hours
// that are older than a year. What is counted late for such a minute is rolled the next time.
func (s *Store) RollCounts(ctx context.Context, org hook.Key, now time.Time) error {
	end := ms(now.Add(-minutesKept))
	end -= end % hourSpan
	old, err := exists(ctx, s.read, "SELECT 1 FROM counts WHERE org_id = ? AND (span = ? AND at < ? OR span = ? AND at < ?)", org, minuteSpan, end, hourSpan, ms(now.Add(-hoursKept)))
	if err != nil || !old {
		return wrap("look for old counts", err)
	}
	err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if err := s.oneByOne(ctx, tx); err != nil { // two nodes at once would count twice
			return err
		}
		const roll = `INSERT INTO counts (org_id, span, at, about_id, kind, node, n)
			SELECT org_id, 3600000, at - at % 3600000, about_id, kind, node, sum(n) FROM counts WHERE org_id = ? AND span = 60000 AND at < ?
			GROUP BY org_id, at - at % 3600000, about_id, kind, node
			ON CONFLICT (org_id, span, at, about_id, kind, node) DO UPDATE SET n = counts.n + excluded.n`
		if _, err := tx.ExecContext(ctx, roll, org, end); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM counts WHERE org_id = ? AND span = ? AND at < ?", org, minuteSpan, end); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM counts WHERE org_id = ? AND span = ? AND at < ?", org, hourSpan, ms(now.Add(-hoursKept)))
		return err
	})
	if err != nil {
		return fmt.Errorf("roll counts: %w", err)
	}
	return nil
}

// mostPending is how far pending deliveries are counted.
const mostPending = 10_000

// BacklogOf says what is on its way to an organization's endpoints. It looks once at each
// endpoint that has something pending, and counts up to 10,000.
func (s *Store) BacklogOf(ctx context.Context, org hook.Key, now time.Time) (p hook.Backlog, err error) {
	q := "SELECT due.endpoint_id, due.holder, due.next_at FROM " + s.sqlFirstDue() + " JOIN endpoints e ON e.id = due.endpoint_id WHERE e.org_id = ? ORDER BY due.next_at LIMIT ?"
	first, err := readRows(ctx, s.read, func(row scanner) (d hook.Delivery, err error) {
		var next int64
		err = row.Scan(&d.Endpoint, &d.Holder, &next)
		d.NextAt = fromMS(next)
		return d, err
	}, "pending deliveries", q, org, mostPending)
	if err != nil || len(first) == 0 {
		return p, err
	}
	if s.pg != nil { // where these are the deliveries themselves
		p.N = len(first)
	}
	known := map[hook.Key]bool{}
	for _, d := range first {
		if s.pg != nil || known[d.Endpoint] || p.N >= mostPending {
			continue
		}
		known[d.Endpoint] = true
		const some = "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state = 1 AND endpoint_id = ? LIMIT ?) AS pending"
		var n int
		if err := s.read.QueryRowContext(ctx, some, d.Endpoint, mostPending-p.N).Scan(&n); err != nil {
			return p, fmt.Errorf("count pending deliveries: %w", err)
		}
		p.N += n
	}
	p.More = p.N >= mostPending
	if d := first[0]; !d.NextAt.After(now) {
		const one = "SELECT id, message_id FROM deliveries WHERE state = 1 AND endpoint_id = ? AND holder = ? AND next_at = ? ORDER BY id LIMIT 1"
		found, err := readRows(ctx, s.read, func(row scanner) (hook.Delivery, error) {
			return d, row.Scan(&d.ID, &d.Message)
		}, "pending deliveries", one, d.Endpoint, d.Holder, ms(d.NextAt))
		if err != nil {
			return p, err
		}
		if len(found) > 0 { // else it went out meanwhile
			d.Org = org
			p.Oldest = d
		}
	}
	return p, nil
}

// FailingOf reads the health of an organization's endpoints that fail, those with the most failures first.
func (s *Store) FailingOf(ctx context.Context, org hook.Key, limit int) ([]hook.Health, error) {
	const q = "SELECT " + healthColumns + " FROM health WHERE org_id = ? AND failing_since <> 0 ORDER BY failures DESC, endpoint_id LIMIT ?"
	return readRows(ctx, s.read, scanHealth, "health", q, org, limit)
}

// EndpointOf reads an endpoint of an organization, whichever application it is in.
func (s *Store) EndpointOf(ctx context.Context, org, id hook.Key) (hook.Endpoint, error) {
	var app hook.Key
	_, err := readRow(s.read.QueryRowContext(ctx, "SELECT app_id FROM endpoints WHERE id = ? AND org_id = ?", id, org), func(row scanner) (hook.Key, error) {
		return app, row.Scan(&app)
	}, "endpoint", s.missing("endpoint", hook.KindEndpoint, id))
	if err != nil {
		return hook.Endpoint{}, err
	}
	return s.Endpoint(ctx, app, id)
}
