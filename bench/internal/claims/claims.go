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
	conn      *pgx.Conn
	endpoints []hook.Key
	first     hook.Key // key of the first delivery
	made      int      // deliveries so far
	turn      int      // endpoint whose turn is next
	quiet     func()   // ends the heartbeat
}

// Round is what one round took.
type Round struct {
	Claims int           // calls of Claim
	Rows   int           // that they gave
	Claim  time.Duration // all of them together
	Settle time.Duration // of what they claimed, together
}

// Open makes the tables of the store in the database at url, and as many deliveries as
// pending says, due a while ago, of the endpoints in turn. There are no messages: a claim
// does not look at them.
func Open(ctx context.Context, url string, pending, endpoints int) (q *Queue, err error) {
	now := time.Now()
	q = &Queue{first: hook.KeyAt(now), endpoints: make([]hook.Key, endpoints)}
	for i := range q.endpoints {
		q.endpoints[i] = q.first + hook.Key(i)
	}
	if q.store, err = store.Open(ctx, store.Options{URL: url, Log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	var heart sync.WaitGroup
	heart.Go(func() { q.store.RunHeartbeat(beating, func(int) {}) }) //nolint:errcheck // it ends with its context
	q.quiet = func() { stop(); heart.Wait() }
	if q.conn, err = pgx.Connect(ctx, url); err == nil {
		err = q.fill(ctx, pending, now.Add(-time.Hour))
	}
	if err != nil {
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

// fill adds n deliveries, due from a time on, a microsecond each.
func (q *Queue) fill(ctx context.Context, n int, due time.Time) error {
	const text = `INSERT INTO deliveries (id, org_id, message_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, trigger, late)
		SELECT $1::bigint + i, 1, $1::bigint + i, $2::bigint + i % $3::bigint, 1, 0, 0, $4::bigint + (i - $5) / 1000, $4, 0, 0, 0, 0 FROM generate_series($5::bigint, $6::bigint) AS i`
	_, err := q.conn.Exec(ctx, text, int64(q.first), int64(q.endpoints[0]), len(q.endpoints), due.UnixMilli(), q.made, q.made+n-1)
	if err != nil {
		return fmt.Errorf("make pending deliveries: %w", err)
	}
	q.made += n
	return nil
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
