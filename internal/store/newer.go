package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	// sqlNewestOf are the newest 200 messages about a subject. It is asked for nearly every
	// message whose state is not compared in memory, and mostly finds nothing, so it is kept
	// prepared: compiling costs more than looking.
	sqlNewestOf = "SELECT id FROM postings WHERE owner_id = ? AND term = ? ORDER BY id DESC LIMIT 200"
	// sqlStatesOf begins the query that reads which of some messages are states of what.
	sqlStatesOf = "SELECT id, coalesce(occurred_at, 0), rank FROM messages WHERE app_id = ? AND family = ? AND instr(subjects, ?) = 2 AND "
	// sqlUnindexedStatesOf looks at messages between two keys instead.
	sqlUnindexedStatesOf = `SELECT c.id, coalesce(c.occurred_at, 0), c.rank FROM (SELECT id, app_id, family, subjects, occurred_at, rank FROM messages
		WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT ?) AS c WHERE c.app_id = ? AND c.family = ? AND instr(c.subjects, ?) = 2`
)

// Newer says whether a newer state than m has been kept: a message of the same
// application, primary subject and family that [hook.Moment] has as the newer one. A message
// without a subject or family has none. Of a subject with very many messages, the
// last 200 are looked at.
func (s *Store) Newer(ctx context.Context, m *hook.Message) (newer bool, err error) {
	if !stateful(m) {
		return false, nil
	}
	known := false
	if s.pg != nil {
		newer, known = s.writer.recent.newerShared(m, time.Now())
	} else {
		newer, known = s.writer.recent.newer(m)
	}
	if known {
		return newer, nil
	}
	if newer, err = s.newerIndexed(ctx, m); err == nil && !newer && s.pg == nil {
		newer, err = s.newerBetween(ctx, m)
	}
	if err != nil {
		return false, fmt.Errorf("look for a newer message: %w", err)
	}
	return newer, nil
}

// stateOf are the arguments that say what m is a state of.
func stateOf(m *hook.Message) []any {
	return []any{m.App, m.Family, string(appendPair(nil, 0, m.Subjects[0].Kind, m.Subjects[0].ID))} // the very text that was kept
}

func (s *Store) newerIndexed(ctx context.Context, m *hook.Message) (bool, error) {
	rows, err := s.query(ctx, sqlNewestOf, m.Org, subjectTerm(m.Subjects[0].Kind, m.Subjects[0].ID))
	if err != nil {
		return false, err
	}
	keys, err := scanKeys(rows)
	if err != nil {
		return false, err
	}
	keys = slices.DeleteFunc(keys, func(k hook.Key) bool { return k == m.ID })
	if len(keys) == 0 {
		return false, nil
	}
	return s.anyNewer(ctx, m, sqlStatesOf+anyOf("id", len(keys)), append(stateOf(m), anys(keys)...))
}

// newerBetween looks at what has left the memory and is not in the index yet: nothing, unless
// the index is far behind.
func (s *Store) newerBetween(ctx context.Context, m *hook.Message) (bool, error) {
	mark, since := hook.Key(s.indexedTo.Load()), s.writer.recent.begin()
	if since <= mark {
		return false, nil
	}
	return s.anyNewer(ctx, m, sqlUnindexedStatesOf, append([]any{mark, since, tailRows}, stateOf(m)...))
}

func (s *Store) anyNewer(ctx context.Context, m *hook.Message, query string, args []any) (newer bool, err error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	now := m.Moment()
	for rows.Next() {
		var n hook.Moment
		var occurred int64
		if err := rows.Scan(&n.Accepted, &occurred, &n.Rank); err != nil {
			return false, err
		}
		if n.OccurredAt = fromMS(occurred); n.Accepted != now.Accepted && now.Before(n) {
			return true, nil
		}
	}
	return false, rows.Err()
}
