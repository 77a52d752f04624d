package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Where nodes cannot listen – behind a pooler that gives a connection for one
// transaction, or on an engine without LISTEN – they tell each other through table
// notices. Whoever reads it looks back a while each time, and passes over what he
// has read: a notice may be committed a moment after others that are younger.

const (
	// pollEvery is how often a node looks for what others tell.
	pollEvery = 500 * time.Millisecond
	// noticeTime bounds the telling. A notice that takes longer may be missed, and whoever
	// tells is told so.
	noticeTime = 5 * time.Second
	// lookBack is from how long ago notices are read, by the database's clock. It is
	// longer than noticeTime, and than a node waits after it has lost the database.
	lookBack = 15 * time.Second
	// noticeAge is how old a notice gets.
	noticeAge = time.Minute
)

// tellByTable is Notify through the table.
func (s *Store) tellByTable(ctx context.Context, kind string, key hook.Key) error {
	ctx, cancel := context.WithTimeout(ctx, noticeTime)
	defer cancel()
	var id [8]byte
	rand.Read(id[:])
	if _, err := s.write.ExecContext(ctx, sqlTell, int64(binary.BigEndian.Uint64(id[:])>>1), kind, key); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// poll is listen through the table.
func (s *Store) poll(ctx context.Context, heard func(kind string, key hook.Key)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var known map[int64]bool // of those within lookBack
	var looked, swept time.Time
	for {
		list, err := s.notices(ctx)
		if err != nil {
			return err
		}
		if time.Since(looked) > lookBack-noticeTime { // at the start, and when it was held up
			heard(NotifyLost, 0)
		}
		looked = time.Now()
		now := make(map[int64]bool, len(list))
		for _, n := range list {
			if now[n.id] = true; !known[n.id] {
				heard(n.kind, n.key)
			}
		}
		known = now
		if time.Since(swept) > noticeAge {
			swept = time.Now()
			if _, err := s.write.ExecContext(ctx, sqlForgetNotices()); err != nil {
				return fmt.Errorf("forget notices: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// told is a row of table notices.
type told struct {
	id   int64
	kind string
	key  hook.Key
}

func (s *Store) notices(ctx context.Context) ([]told, error) {
	ctx, cancel := context.WithTimeout(ctx, noticeTime)
	defer cancel()
	scan := func(row scanner) (t told, err error) {
		err = row.Scan(&t.id, &t.kind, &t.key)
		return t, err
	}
	return readRows(ctx, s.read, scan, "notices", sqlNotices())
}
