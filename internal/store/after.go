package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/sigpost/sigpost/internal/hook"
)

// rowsAfter is how many messages and how many attempts one call of After looks at.
const rowsAfter = 500

// After reads what an organization (of one application, when app is not 0) got
// after a key, in the order of keys: messages without their bodies, and attempts.
// One call looks at a bounded number of rows, those of others too. upTo is the key up to
// which it has seen everything there is: no row at or before it appears later,
// because keys are given at commit, or nothing older is under way. more says that there may be rows after
// it already. On PostgreSQL that is what is about half a second old. after 0 means "from now on": upTo is then the end, and nothing is read.
func (s *Store) After(ctx context.Context, org, app, after hook.Key) (messages []hook.Message, attempts []hook.AttemptRow, upTo hook.Key, more bool, err error) {
	end, err := s.settledEnd(ctx)
	if err != nil {
		return nil, nil, 0, false, fmt.Errorf("read what is new: %w", err)
	}
	err = s.view(ctx, func(tx *sql.Tx) error {
		if after == 0 && s.pg != nil {
			upTo = end
			return nil
		}
		if after == 0 {
			return tx.QueryRowContext(ctx, sqlStreamEnd).Scan(&upTo)
		}
		ms, err := newerThan(ctx, tx, sqlStreamMessages, org, after, end)
		if err != nil {
			return err
		}
		as, err := newerThan(ctx, tx, sqlStreamAttempts, org, after, end)
		if err != nil {
			return err
		}
		upTo, more = max(after, ms.last, as.last), ms.full || as.full
		for _, n := range []newer{ms, as} {
			if n.full {
				upTo = min(upTo, n.last)
			}
		}
		if messages, err = fetchMessages(ctx, tx, ms.upTo(upTo), false); err != nil {
			return err
		}
		attempts, err = fetchAttempts(ctx, tx, as.upTo(upTo))
		return err
	})
	if err != nil {
		return nil, nil, 0, false, fmt.Errorf("read what is new: %w", err)
	}
	other := func(m *hook.Message) bool { return m == nil || app != 0 && m.App != app }
	messages = slices.DeleteFunc(messages, func(m hook.Message) bool { return other(&m) })
	attempts = slices.DeleteFunc(attempts, func(r hook.AttemptRow) bool { return other(r.Of) })
	return messages, attempts, upTo, more, nil
}

const (
	sqlStreamEnd      = "SELECT coalesce(max(id), 1) FROM (SELECT max(id) AS id FROM messages UNION ALL SELECT max(id) FROM attempts) AS newest"
	sqlStreamMessages = "SELECT id, org_id FROM messages WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
	sqlStreamAttempts = "SELECT id, org_id FROM attempts WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
)

// newer are the keys of one organization among the next rows of a table.
type newer struct {
	keys []hook.Key
	last hook.Key // that was looked at, whosever it is
	full bool     // there may be more
}

func (n *newer) upTo(end hook.Key) []hook.Key {
	i, found := slices.BinarySearch(n.keys, end)
	if found {
		i++
	}
	return n.keys[:i]
}

func newerThan(ctx context.Context, tx *sql.Tx, text string, org, after, end hook.Key) (n newer, err error) {
	rows, err := tx.QueryContext(ctx, text, after, end, rowsAfter)
	if err != nil {
		return n, err
	}
	defer rows.Close()
	looked := 0
	for rows.Next() {
		var owner hook.Key
		if err := rows.Scan(&n.last, &owner); err != nil {
			return n, err
		}
		if looked++; owner == org {
			n.keys = append(n.keys, n.last)
		}
	}
	n.full = looked == rowsAfter
	return n, rows.Err()
}
