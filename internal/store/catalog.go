package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// What the files of the catalog – organizations, applications, endpoints and
// what belongs to them – share.

// querier is a pool of connections or the one of a transaction.
type querier interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// one is an error unless a statement changed exactly one row.
func one(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%d rows changed, 1 is right", n)
	}
	return nil
}

// missing is the error of something that is not there, or is another's.
func (s *Store) missing(what string, kind hook.Kind, k hook.Key) error {
	return hook.Errorf(hook.CodeNotFound, "there is no %s %s", what, s.ids.Public(kind, k))
}

// readRow reads one row with scan. missing is the error when there is none.
func readRow[T any](row *sql.Row, scan func(scanner) (T, error), what string, missing error) (T, error) {
	x, err := scan(row)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return x, missing
	case err != nil:
		return x, fmt.Errorf("read %s: %w", what, err)
	}
	return x, nil
}

// readRows reads all rows of a query with scan.
func readRows[T any](ctx context.Context, db querier, scan func(scanner) (T, error), what, query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		x, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", what, err)
		}
		list = append(list, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return list, nil
}

// onPage adds to a query, which has a WHERE already, what makes it one page of
// a list in the order of column id.
func onPage(query string, p hook.Page, args ...any) (string, []any) {
	order := " ORDER BY id DESC LIMIT ?"
	if p.Ascending {
		order = " ORDER BY id LIMIT ?"
	}
	switch {
	case p.Ascending:
		query, args = query+" AND id > ?", append(args, p.After)
	case p.After != 0:
		query, args = query+" AND id < ?", append(args, p.After)
	}
	return query + order, append(args, p.Limit)
}

// uidFree is an error when another row of table in the same scope has the uid.
// scope is the column that uids are unique in.
func uidFree(ctx context.Context, tx querier, table, scope string, owner hook.Key, uid string, self hook.Key) error {
	if uid == "" {
		return nil
	}
	var taken bool
	q := fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s WHERE %s = ? AND uid = ? AND id <> ?)", table, scope)
	if err := tx.QueryRowContext(ctx, q, owner, uid, self).Scan(&taken); err != nil {
		return err
	}
	if taken {
		return hook.Errorf(hook.CodeConflict, "the uid %q is taken by another of the %s; choose another uid, or change that one", uid, table)
	}
	return nil
}

func exists(ctx context.Context, tx querier, query string, args ...any) (found bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT EXISTS ("+query+")", args...).Scan(&found)
	return found, err
}

// encodeMap is metadata as JSON; {} when there is none.
func encodeMap(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	raw, err := json.Marshal(m)
	return string(raw), err
}

// decodeMap is the metadata that encodeMap wrote; nil when there is none.
func decodeMap(raw []byte) (map[string]string, error) {
	if string(raw) == "{}" {
		return nil, nil
	}
	var m map[string]string
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	return m, nil
}

// encodeList is a list as JSON; empty when it is nil.
func encodeList(list []string) string {
	if list == nil {
		return ""
	}
	var buf [256]byte
	out := append(buf[:0], '[')
	for i, x := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(out, x)
	}
	return string(append(out, ']'))
}

// decodeList is the list that encodeList wrote; nil for null.
func decodeList(raw []byte) ([]string, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var list []string
	err := json.Unmarshal(raw, &list)
	return list, err
}

// inMS is t as the store gives it back.
func inMS(t time.Time) time.Time { return fromMS(ms(t)) }
