package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// claimShared is Claim where other nodes claim at the same time. It is one statement on
// a connection of its own, so it neither waits for the writer nor makes it wait.
// Rows that another node is claiming just now are passed over. The holders
// whose work may be taken are looked up in the statement: nobody, and the dead; each
// is one short range of the index, so a claim costs the same however many are pending.
// A node that is dead itself gets nothing.
func (s *Store) claimShared(ctx context.Context, endpoint hook.Key, now time.Time, limit int) (claimed []hook.Delivery, next time.Time, err error) {
	self := s.Incarnation()
	claimed, err = s.takeDue(ctx, self, endpoint, now, limit)
	if err != nil {
		s.pg.doubt.Store(true) // the rows may be ours all the same, and not in memory
		return nil, next, fmt.Errorf("claim deliveries: %w", err)
	}
	slices.SortFunc(claimed, func(a, b hook.Delivery) int { return cmp.Or(a.NextAt.Compare(b.NextAt), cmp.Compare(a.ID, b.ID)) })
	var at sql.NullInt64
	if err := s.write.QueryRowContext(ctx, s.pg.sqlNext(), endpoint).Scan(&at); err != nil {
		// What was claimed must not be lost for this; the caller asks again.
		return claimed, now, nil
	}
	return claimed, fromMS(at.Int64), nil
}

// claimable begins a statement with the holders whose work may be taken.
func (p *postgres) claimable() string {
	return "WITH free (id) AS (SELECT 0::bigint UNION ALL SELECT id FROM incarnations WHERE seen_at <= now() - " + interval(p.age) + ") "
}

func (s *Store) takeDue(ctx context.Context, self, endpoint hook.Key, now time.Time, limit int) ([]hook.Delivery, error) {
	read := func(row scanner) (hook.Delivery, error) { return scanDelivery(row) }
	return readRows(ctx, s.write, read, "deliveries", s.pg.sqlClaim(), self, endpoint, ms(now), limit)
}

// sqlClaim takes an incarnation, an endpoint, a time and a limit.
func (p *postgres) sqlClaim() string {
	return p.claimable() + `, alive AS (` + p.living() + ` AND id = ?1),
		due AS (SELECT d.id FROM alive, free, LATERAL (SELECT id, next_at FROM deliveries
				WHERE state = 1 AND endpoint_id = ?2 AND holder = free.id AND next_at <= ?3 ORDER BY next_at LIMIT ?4 FOR UPDATE SKIP LOCKED) AS d
			ORDER BY d.next_at LIMIT ?4)
		UPDATE deliveries SET holder = ?1 FROM due WHERE deliveries.id = due.id
		RETURNING deliveries.id, ` + deliveryRest
}

// sqlNext is when the first delivery of an endpoint that may be taken is due.
func (p *postgres) sqlNext() string {
	return p.claimable() + `SELECT min(d.next_at) FROM free, LATERAL (SELECT next_at FROM deliveries
		WHERE state = 1 AND endpoint_id = ? AND holder = free.id ORDER BY next_at LIMIT 1) AS d`
}
