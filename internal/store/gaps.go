package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// MessageGaps finds the times in which an application got no message for at least
// as long as least, from a key on. It does not read all messages: it looks in the
// index for the first message that is at least so much later than the one where it
// stands, and for the last one before that, so a step costs two look-ups and
// passes over any number of messages. It makes a number of steps at the most.
// at is where to go on: the key of a message, or from when there is none; more says
// that there is something to go on with already. The newest messages may not be in
// the index yet (Index); they are found another time.
func (s *Store) MessageGaps(ctx context.Context, app, from hook.Key, least time.Duration, steps int) (gaps []hook.Gap, at hook.Key, more bool, err error) {
	at = from
	err = s.view(ctx, func(tx *sql.Tx) error {
		end, err := indexed(ctx, tx, indexedMessages)
		if err != nil {
			return err
		}
		first, err := keyOrZero(ctx, tx, sqlNextPosting, app, term(termAll), from, end)
		if err != nil || first == 0 {
			return err
		}
		at = first
		for range steps {
			next, err := keyOrZero(ctx, tx, sqlNextPosting, app, term(termAll), max(at+1, hook.KeyAt(at.Time().Add(least))), end)
			if err != nil || next == 0 {
				return err
			}
			before, err := keyOrZero(ctx, tx, sqlLastPosting, app, term(termAll), at, next)
			if err != nil {
				return err
			}
			if g := (hook.Gap{From: max(at, before).Time(), To: next.Time()}); g.Length() >= least {
				gaps = append(gaps, g)
			}
			at = next
		}
		more = true
		return nil
	})
	if err != nil {
		return nil, 0, false, fmt.Errorf("find gaps between messages: %w", err)
	}
	return gaps, at, more, nil
}

const (
	sqlNextPosting  = "SELECT id FROM postings WHERE owner_id = ? AND term = ? AND id >= ? AND id <= ? ORDER BY id LIMIT 1"
	sqlLastPosting  = "SELECT id FROM postings WHERE owner_id = ? AND term = ? AND id >= ? AND id < ? ORDER BY id DESC LIMIT 1"
	sqlSomePostings = "SELECT count(*) FROM (SELECT 1 FROM postings WHERE owner_id = ? AND term = ? AND id >= ? LIMIT ?) AS found"
)

// keyOrZero reads one key, 0 when there is none.
func keyOrZero(ctx context.Context, tx *sql.Tx, text string, args ...any) (k hook.Key, err error) {
	err = tx.QueryRowContext(ctx, text, args...).Scan(&k)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return k, err
}

// CountIndexed counts the messages that an application got since a time and that
// are in the index, up to a limit, at which it stops.
func (s *Store) CountIndexed(ctx context.Context, app hook.Key, since time.Time, limit int) (n int, err error) {
	err = s.read.QueryRowContext(ctx, sqlSomePostings, app, term(termAll), hook.KeyAt(since), limit).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count messages: %w", err)
	}
	return n, nil
}
