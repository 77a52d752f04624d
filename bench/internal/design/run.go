package design

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// Batch is how many events one transaction keeps and how many it settles.
	Batch = 64
	// claimed is how many deliveries one claim takes.
	claimed = 256
	// busy is the endpoint of the events, idle that of what is pending meanwhile.
	busy, idle = 1 << 40, 1 << 41
	holder     = 1 << 42
	size       = 1024
	// waiting is which part of the rows that are there before is pending.
	waiting = 100
)

// Bench is a database in which a design is tried. Close it.
type Bench struct {
	design  Design
	batches *pgx.Conn // plans once, as the product's writer does
	claims  *pgx.Conn // plans each time
	next    int64     // key
	bodies  [][]byte
	kept    []int64 // deliveries of the last batch, not yet settled
}

// Open makes the tables in an empty database, with as many deliveries as rows says. One of a
// hundred is pending, of an endpoint that has nothing else to do.
func Open(ctx context.Context, url string, d Design, rows int) (b *Bench, err error) {
	b = &Bench{design: d, next: 1, bodies: make([][]byte, Batch)}
	for i := range b.bodies {
		b.bodies[i] = make([]byte, size)
		rand.Read(b.bodies[i]) //nolint:errcheck // it never fails (crypto/rand)
	}
	common := map[string]string{"enable_seqscan": "off", "enable_mergejoin": "off", "jit": "off"}
	if b.claims, err = connect(ctx, url, common, map[string]string{"plan_cache_mode": "force_custom_plan"}); err != nil {
		return nil, err
	}
	if b.batches, err = connect(ctx, url, common, map[string]string{"plan_cache_mode": "force_generic_plan", "enable_nestloop": "off"}); err != nil {
		b.Close()
		return nil, err
	}
	if err := b.fill(ctx, rows); err != nil {
		b.Close()
		return nil, fmt.Errorf("fill the tables of %q: %w", d.Name, err)
	}
	return b, nil
}

func connect(ctx context.Context, url string, settings ...map[string]string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	for _, s := range settings {
		for name, value := range s {
			config.RuntimeParams[name] = value
		}
	}
	return pgx.ConnectConfig(ctx, config)
}

// Close leaves the database.
func (b *Bench) Close() {
	for _, c := range []*pgx.Conn{b.batches, b.claims} {
		if c != nil {
			c.Close(context.Background()) //nolint:errcheck // nothing is kept by it
		}
	}
}

func (b *Bench) fill(ctx context.Context, rows int) error {
	for _, text := range append(tables(), b.design.more...) {
		if _, err := b.claims.Exec(ctx, text); err != nil {
			return err
		}
	}
	const fill = `INSERT INTO deliveries SELECT 2 * i, 1, 2 * i - 1, CASE WHEN i % $2::bigint = 0 THEN $3::bigint ELSE $4::bigint END,
		CASE WHEN i % $2::bigint = 0 THEN 1 ELSE 0 END, 1, 0, 1, 1, 0, 0, 0, 0 FROM generate_series(1, $1::bigint) AS i`
	if _, err := b.claims.Exec(ctx, fill, rows, waiting, int64(idle), int64(busy)); err != nil {
		return err
	}
	if b.design.side != "" {
		const open = "INSERT INTO pending (delivery_id, endpoint_id, holder, next_at, state) SELECT id, endpoint_id, holder, next_at, 1 FROM deliveries WHERE state = 1"
		if _, err := b.claims.Exec(ctx, open); err != nil {
			return err
		}
	}
	b.next = 2*int64(rows) + 1
	return b.Vacuum(ctx)
}

// Straight keeps events that are held at once and settles them in the next transaction, as
// the product does while it can follow.
func (b *Bench) Straight(ctx context.Context, batches int) error {
	for range batches {
		var pipe pgx.Batch
		if len(b.kept) > 0 {
			b.queueSettle(&pipe, b.kept, b.next)
		}
		b.kept = b.queueKeep(&pipe, b.next, holder)
		if err := b.batches.SendBatch(ctx, &pipe).Close(); err != nil {
			return err
		}
	}
	return b.settle(ctx, b.kept)
}

// Claimed keeps events that nobody holds, claims them and then settles them, as the product
// does with what did not fit into memory, and with what another node had.
func (b *Bench) Claimed(ctx context.Context, batches int) error {
	for range batches / (claimed / Batch) {
		now := b.next
		for range claimed / Batch {
			var pipe pgx.Batch
			b.queueKeep(&pipe, now, 0)
			if err := b.batches.SendBatch(ctx, &pipe).Close(); err != nil {
				return err
			}
		}
		ids, err := b.claim(ctx, now)
		if err != nil {
			return err
		}
		for i := 0; i < claimed; i += Batch {
			if err := b.settle(ctx, ids[i:i+Batch]); err != nil {
				return err
			}
		}
	}
	return nil
}

// queueKeep adds the statement that keeps a batch, due at a time, and gives its deliveries.
func (b *Bench) queueKeep(pipe *pgx.Batch, due, holder int64) (deliveries []int64) {
	ids := make([]int64, Batch)
	for i := range ids {
		ids[i] = b.next
		deliveries = append(deliveries, b.next+1)
		b.next += 2
	}
	pipe.Queue(b.design.keep, ids, b.bodies, due, int64(busy), holder)
	return deliveries
}

// queueSettle adds the statement that settles deliveries that we hold.
func (b *Bench) queueSettle(pipe *pgx.Batch, deliveries []int64, now int64) {
	attempts := make([]int64, len(deliveries))
	for i := range attempts {
		attempts[i] = b.next
		b.next += 2
	}
	pipe.Queue(b.design.settle, deliveries, attempts, int64(holder), now).Exec(func(done pgconn.CommandTag) error {
		if n := done.RowsAffected(); n != int64(len(deliveries)) {
			return fmt.Errorf("%d of %d deliveries were settled", n, len(deliveries))
		}
		return nil
	})
}

func (b *Bench) settle(ctx context.Context, deliveries []int64) error {
	var pipe pgx.Batch
	b.queueSettle(&pipe, deliveries, b.next)
	b.kept = nil
	return b.batches.SendBatch(ctx, &pipe).Close()
}

// claim takes what is due now.
func (b *Bench) claim(ctx context.Context, now int64) (ids []int64, err error) {
	rows, err := b.claims.Query(ctx, b.design.claim, int64(holder), int64(busy), now, claimed)
	if err != nil {
		return nil, err
	}
	var id int64
	var rest [5]int64
	_, err = pgx.ForEachRow(rows, []any{&id, &rest[0], &rest[1], &rest[2], &rest[3], &rest[4]}, func() error {
		ids = append(ids, id)
		return nil
	})
	if err == nil && len(ids) != claimed {
		err = errors.New("a claim did not find what is due: this measured nothing")
	}
	return ids, err
}

// Vacuum does what autovacuum would have to, to the tables in which rows change.
func (b *Bench) Vacuum(ctx context.Context) error {
	changing := "deliveries"
	if b.design.side != "" {
		changing += ", " + b.design.side
	}
	_, err := b.claims.Exec(ctx, "VACUUM (ANALYZE) "+changing)
	return err
}

// Indexes is how large the indexes are of what changes, in bytes.
func (b *Bench) Indexes(ctx context.Context) (bytes int64, err error) {
	err = b.claims.QueryRow(ctx, "SELECT pg_indexes_size('deliveries') + coalesce(pg_indexes_size(to_regclass('pending')), 0)").Scan(&bytes)
	return bytes, err
}
