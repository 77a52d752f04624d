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
// What a dead one held was due when it was taken, and is due now, whatever the clocks
// of two nodes say. A node that is dead itself gets nothing.
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
	next = fromMS(at.Int64)
	if soon := now.Add(crowded); len(claimed) == 0 && at.Valid && next.Before(soon) {
		next = soon
	}
	return claimed, next, nil
}

// crowded is how long a claim waits for the next one when something is due and cannot be
// had: another node takes it just now, or has left it locked.
const crowded = 200 * time.Millisecond

func (s *Store) takeDue(ctx context.Context, self, endpoint hook.Key, now time.Time, limit int) ([]hook.Delivery, error) {
	read := func(row scanner) (hook.Delivery, error) { return scanDelivery(row) }
	return readRows(ctx, s.write, read, "deliveries", s.pg.sqlClaim(), self, endpoint, ms(now), limit)
}
