// Package claims measures what it takes to claim due deliveries from a database in which
// many wait, and to settle them: with the product's own store, and nothing around it.
package claims

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// What a round claims and settles together: of one endpoint as many as the product takes
// at once, by one claim; of several endpoints one each.
const (
	Batch = 256
	Few   = 32
)

// Queue is a database with pending deliveries of which none is held. Close it.
type Queue struct {
	store     *store.Store
	endpoints []hook.Key
	made      int    // deliveries so far
	turn      int    // endpoint whose turn is next
	quiet     func() // ends what goes on beside
	// add makes n deliveries, due from a time on, a microsecond each.
	add func(ctx context.Context, n int, due time.Time) error
	// PostgreSQL's.
	conn  *pgx.Conn
	first hook.Key // key of the first delivery
}

// Round is what one round took.
type Round struct {
	Claims int           // calls of Claim
	Rows   int           // that they gave
	Claim  time.Duration // all of them together
	Settle time.Duration // of what they claimed, together
}

// Open makes the tables of the store in the PostgreSQL database at url, and as many
// deliveries as pending says, due a while ago, of the endpoints in turn. There are no
// messages: a claim does not look at them.
func Open(ctx context.Context, url string, pending, endpoints int) (q *Queue, err error) {
	q = newQueue(endpoints)
	q.add = q.addRows
	if q.store, err = store.Open(ctx, store.Options{URL: url, Log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	var heart sync.WaitGroup
	heart.Go(func() { q.store.RunHeartbeat(beating, func(int) {}) }) //nolint:errcheck // it ends with its context
	q.quiet = func() { stop(); heart.Wait() }
	if q.conn, err = pgx.Connect(ctx, url); err != nil {
		q.Close()
		return nil, err
	}
	return q.filled(ctx, pending)
}

// OpenFile is Open in a directory, for SQLite, which no other process may write to: there the
// store itself makes the deliveries, each hundred with a message.
func OpenFile(ctx context.Context, dir string, pending, endpoints int) (q *Queue, err error) {
	q = newQueue(endpoints)
	q.add = q.append
	if q.store, err = store.Open(ctx, store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	return q.filled(ctx, pending)
}

func newQueue(endpoints int) *Queue {
	q := &Queue{first: hook.KeyAt(time.Now()), endpoints: make([]hook.Key, endpoints), quiet: func() {}}
	for i := range q.endpoints {
		q.endpoints[i] = q.first + hook.Key(i)
	}
	return q
}

// filled is the queue with what is pending, or closed.
func (q *Queue) filled(ctx context.Context, pending int) (*Queue, error) {
	if err := q.fill(ctx, pending, time.Now().Add(-time.Hour)); err != nil {
		q.Close()
		return nil, err
	}
	return q, nil
}

// Close leaves the database.
func (q *Queue) Close() error {
	q.quiet()
	if q.conn != nil {
		q.conn.Close(context.Background()) //nolint:errcheck // nothing is kept by it
	}
	return q.store.Close()
}

// fill adds n deliveries, due from a time on.
func (q *Queue) fill(ctx context.Context, n int, due time.Time) error {
	if err := q.add(ctx, n, due); err != nil {
		return fmt.Errorf("make pending deliveries: %w", err)
	}
	q.made += n
	return nil
}

func (q *Queue) addRows(ctx context.Context, n int, due time.Time) error {
	const text = `INSERT INTO deliveries (id, org_id, message_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, trigger, late)
		SELECT $1::bigint + i, 1, $1::bigint + i, $2::bigint + i % $3::bigint, 1, 0, 0, $4::bigint + (i - $5) / 1000, $4, 0, 0, 0, 0 FROM generate_series($5::bigint, $6::bigint) AS i`
	_, err := q.conn.Exec(ctx, text, int64(q.first), int64(q.endpoints[0]), len(q.endpoints), due.UnixMilli(), q.made, q.made+n-1)
	return err
}

// perMessage is how many deliveries a message has where the store makes them.
const perMessage = 100

func (q *Queue) append(ctx context.Context, n int, due time.Time) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(Batch) // as many as the store takes in one transaction
	for from := 0; from < n; from += perMessage {
		a := &hook.Append{Message: hook.Message{Org: store.DefaultOrg, App: q.first, Event: hook.Event{Type: "bench"}, ReceivedAt: due}}
		for i := from; i < min(n, from+perMessage); i++ {
			a.Deliveries = append(a.Deliveries, hook.Delivery{
				Org: store.DefaultOrg, Endpoint: q.endpoints[(q.made+i)%len(q.endpoints)], State: hook.Pending, NextAt: due.Add(time.Duration(i) * time.Microsecond), Since: due,
			})
		}
		group.Go(func() error { return q.store.Append(ctx, a) })
	}
	return group.Wait()
}

// Round claims deliveries, settles them, and then makes as many pending anew, which is not
// timed.
func (q *Queue) Round(ctx context.Context) (r Round, err error) {
	now, step, all := time.Now(), Batch, Batch
	if len(q.endpoints) > 1 {
		step, all = 1, Few
	}
	var records []*hook.Record
	for len(records) < all {
		claimed, _, err := q.store.Claim(ctx, q.endpoints[q.turn%len(q.endpoints)], now, step)
		if err != nil {
			return r, err
		}
		if len(claimed) != step {
			return r, fmt.Errorf("%d deliveries were claimed, %d were to be: this measured nothing", len(claimed), step)
		}
		q.turn++
		r.Claims++
		for _, d := range claimed {
			records = append(records, delivered(d, now))
		}
	}
	r.Claim = time.Since(now)
	began := time.Now()
	if err := q.store.Record(ctx, records); err != nil {
		return r, err
	}
	r.Settle, r.Rows = time.Since(began), len(records)
	for _, x := range records {
		if x.Refused {
			return r, fmt.Errorf("delivery %d was claimed and is not this process's", x.Delivery.ID)
		}
	}
	return r, q.fill(ctx, len(records), now)
}

// delivered is the record of an attempt that succeeded.
func delivered(d hook.Delivery, now time.Time) *hook.Record {
	return &hook.Record{Delivery: d, State: hook.Delivered, NextAt: now,
		Attempt: &hook.Attempt{Number: 1, At: now, Duration: time.Millisecond, Outcome: hook.OutcomeDelivered, Status: 200}}
}
