package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/sigpost/sigpost/internal/hook"
)

// How much one call of a list looks at before it gives back what it has found
// and where to go on. Every row costs some microseconds, so these are what
// keeps a filter that matches nothing from taking long.
const (
	// tailRows is how many rows that are not in the index yet: they lie side
	// by side, so more of them can be looked at.
	tailRows = 12_000
	// tailJoined is how many of them when a row of another table is looked at for each.
	tailJoined = 4000
	// postingsLooked is how many postings, with one of another term beside each.
	postingsLooked = 2500
	// rowsLooked is how many postings when each is looked at in its own row.
	rowsLooked = 800
	// rounds is how often rows are fetched. More than one is needed only when
	// some of them turn out to be others than the index said, or gone.
	rounds = 4
)

// query is SQL with its arguments.
type query struct {
	text string
	args []any
}

func (q *query) add(text string, args ...any) {
	q.text += text
	q.args = append(q.args, args...)
}

// span are the keys between two, neither included.
type span struct{ low, high hook.Key }

// spanOf are the keys that r and what comes after page.After have in common.
func spanOf(r hook.Range, p hook.Page) span {
	s := span{-1, math.MaxInt64}
	if !r.Since.IsZero() {
		s.low = hook.KeyAt(r.Since) - 1
	}
	if !r.Until.IsZero() {
		s.high = hook.KeyAt(r.Until)
	}
	if p.After != 0 {
		s.pass(p.After, p.Ascending)
	}
	return s
}

// pass leaves out everything up to k in the direction of a list.
func (s *span) pass(k hook.Key, ascending bool) {
	if ascending {
		s.low = max(s.low, k)
	} else {
		s.high = min(s.high, k)
	}
}

func (s span) empty() bool { return s.low+1 >= s.high }

// leg is a part of the keys of a list, all found in one way.
type leg struct {
	span
	// from are queries of rows with an id each in the order of their ids, which
	// are merged. They end within their WHERE: the bounds of the span are added.
	from []query
	// keep joins and chooses among those rows, as table c.
	keep query
	// most is how many rows of from one call looks at.
	most int
}

// rows is the query of what the leg looks at, in order. PostgreSQL merges parts
// without sorting them only when each is in order by itself.
func (l *leg) rows(ascending bool) (q query) {
	order := " ORDER BY id"
	if !ascending {
		order += " DESC"
	}
	for i, f := range l.from {
		if i > 0 {
			q.add(" UNION ALL ")
		}
		if len(l.from) > 1 {
			q.add("/*pg ( */")
		}
		q.add(f.text, f.args...)
		q.add(" AND id > ? AND id < ?", l.low, l.high)
		if len(l.from) > 1 {
			q.add(fmt.Sprintf("/*pg %s LIMIT %d) */", order, l.most))
		}
	}
	q.add(order+" LIMIT ?", l.most)
	return q
}

// found is the query of the first n keys that the leg keeps. SQLite makes the
// rows of the inner query one by one, as the outer one asks for them, so their
// order is that of the result and those after the n-th are never looked at. PostgreSQL
// is told the order, and its plan makes them one by one as well.
func (l *leg) found(ascending bool, n int) (q query) {
	q.add("SELECT c.id FROM (")
	from := l.rows(ascending)
	q.add(from.text, from.args...)
	q.add(") AS c ")
	q.add(l.keep.text, l.keep.args...)
	if ascending {
		q.add(" /*pg ORDER BY c.id */ LIMIT ?", n)
	} else {
		q.add(" /*pg ORDER BY c.id DESC */ LIMIT ?", n)
	}
	return q
}

// end is the query of the last key that the leg looks at when there are more.
func (l *leg) end(ascending bool) (q query) {
	q.add("SELECT id FROM (")
	from := l.rows(ascending)
	q.add(from.text, from.args...)
	q.add(") AS c LIMIT 1 OFFSET ?", l.most-1)
	return q
}

// walk goes through the keys of a list within one snapshot.
type walk struct {
	tx        *sql.Tx
	ascending bool
	// legs are what is left, in the order of the list.
	legs []leg
}

// newWalk orders the legs, which are given with the oldest first, and drops
// those that are empty.
func newWalk(tx *sql.Tx, ascending bool, legs ...leg) *walk {
	w := &walk{tx: tx, ascending: ascending}
	for _, l := range legs {
		switch {
		case l.empty() || len(l.from) == 0:
		case ascending:
			w.legs = append(w.legs, l)
		default:
			w.legs = append([]leg{l}, w.legs...)
		}
	}
	return w
}

// take gives up to n keys. It gives fewer at the end, and when a leg looked at
// as many rows as it may: then stopped is the last that it looked at, else 0.
func (w *walk) take(ctx context.Context, n int) (keys []hook.Key, stopped hook.Key, err error) {
	for len(w.legs) > 0 && len(keys) < n {
		l := &w.legs[0]
		q := l.found(w.ascending, n-len(keys))
		got, err := queryKeys(ctx, w.tx, q.text, q.args...)
		if err != nil {
			return nil, 0, err
		}
		if err := w.inOrder(got); err != nil {
			return nil, 0, err
		}
		keys = append(keys, got...)
		if len(keys) == n {
			l.pass(keys[n-1], w.ascending)
			break
		}
		q = l.end(w.ascending)
		err = w.tx.QueryRowContext(ctx, q.text, q.args...).Scan(&stopped)
		if err == nil {
			return keys, stopped, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return nil, 0, err
		}
		w.legs = w.legs[1:]
	}
	return keys, 0, nil
}

// inOrder checks what lists stand on: rows would be skipped otherwise.
func (w *walk) inOrder(keys []hook.Key) error {
	for i := 1; i < len(keys); i++ {
		if keys[i] != keys[i-1] && (keys[i] > keys[i-1]) != w.ascending {
			return hook.Errorf(hook.CodeInternal, "the database gave rows of a list out of order: %d after %d", keys[i], keys[i-1])
		}
	}
	return nil
}

// collect reads the rows of a walk until it has limit of them, the walk ends or
// has looked at enough. least is how many rows a round reads. read gives those of
// its keys that the list wants, in their order; where it stopped early, at is the
// last that it looked at. next is the key after which the list goes on, 0 at its end.
func collect[T any](ctx context.Context, w *walk, limit, least int, key func(*T) hook.Key,
	read func(keys []hook.Key) (rows []T, at hook.Key, err error),
) (list []T, next hook.Key, err error) {
	limit = max(1, limit)
	for range rounds {
		keys, stopped, err := w.take(ctx, max(least, limit+1-len(list)))
		if err != nil {
			return nil, 0, err
		}
		if len(keys) > 0 {
			next = keys[len(keys)-1]
		}
		rows, at, err := read(compact(keys))
		if err != nil {
			return nil, 0, err
		}
		list = append(list, rows...)
		switch {
		case len(list) > limit:
			return list[:limit], key(&list[limit-1]), nil
		case at != 0:
			return list, at, nil
		case stopped != 0:
			return list, stopped, nil
		case len(w.legs) == 0:
			return list, 0, nil
		}
	}
	return list, next, nil
}

// compact leaves out keys that follow themselves: two terms can lead to one row
// when their numbers are the same.
func compact(keys []hook.Key) []hook.Key {
	out := keys[:0]
	for i, k := range keys {
		if i == 0 || k != out[len(out)-1] {
			out = append(out, k)
		}
	}
	return out
}

// fromPostings are the rows of the index under any of terms, each as a query.
func fromPostings(owner hook.Key, terms ...int64) (list []query) {
	for _, t := range terms {
		list = append(list, query{"SELECT id FROM postings WHERE owner_id = ? AND term = ?", []any{owner, t}})
	}
	return list
}

// bounds splits the keys of a list into those that are in the index and those
// that came after it. Before the oldest row there is nothing but postings of
// rows that were deleted, so the list does not begin there.
func bounds(ctx context.Context, tx *sql.Tx, of span, mark, oldest string) (old, tail span, err error) {
	at, err := indexed(ctx, tx, mark)
	if err != nil {
		return old, tail, err
	}
	var first hook.Key
	if err := tx.QueryRowContext(ctx, oldest).Scan(&first); err != nil {
		return old, tail, fmt.Errorf("read oldest row: %w", err)
	}
	old = span{max(of.low, first-1), min(of.high, at+1)}
	tail = span{max(of.low, at), of.high}
	return old, tail, nil
}

const (
	sqlOldestMessage  = "SELECT coalesce(min(id), 0) FROM messages"
	sqlOldestDelivery = "SELECT coalesce(min(id), 0) FROM deliveries"
	sqlOldestAttempt  = "SELECT coalesce(min(id), 0) FROM attempts"
)

// anyOf is the condition that column has one of n values.
func anyOf(column string, n int) string {
	return column + " IN (" + strings.Repeat("?,", n-1) + "?)"
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}
