package store

import (
	"context"
	"database/sql"
	"fmt"
)

// A rowWriter inserts many rows with few statements: preparing, binding and
// stepping cost more than the row itself.
type rowWriter struct {
	columns int
	stmts   []sizedStmt // largest first; the last has size 1
}

type sizedStmt struct {
	rows int
	stmt *sql.Stmt
}

// rowSizes are the numbers of rows for which a statement is kept ready.
var rowSizes = [...]int{32, 8, 1}

func prepareRowWriter(ctx context.Context, conn *sql.Conn, table string, columns ...string) (rowWriter, error) {
	w := rowWriter{columns: len(columns)}
	for _, n := range rowSizes {
		q := fmt.Sprintf("INSERT INTO %s (%s) VALUES %s", table, join(columns), placeholders(n, len(columns)))
		stmt, err := conn.PrepareContext(ctx, q)
		if err != nil {
			return w, fmt.Errorf("prepare insert into %s: %w", table, err)
		}
		w.stmts = append(w.stmts, sizedStmt{n, stmt})
	}
	return w, nil
}

// insert writes args, which are whole rows one after another.
func (w *rowWriter) insert(ctx context.Context, args []any) error {
	for _, s := range w.stmts {
		for width := s.rows * w.columns; len(args) >= width; args = args[width:] {
			if _, err := s.stmt.ExecContext(ctx, args[:width]...); err != nil {
				return err
			}
		}
	}
	return nil
}

func join(columns []string) string {
	out := columns[0]
	for _, c := range columns[1:] {
		out += ", " + c
	}
	return out
}

// rowWriters are the statements of the hot tables, and the arguments being
// gathered for them. The slices are reused from batch to batch.
type rowWriters struct {
	messages, bodies, dedupe, requests, deliveries, attempts rowWriter

	messageArgs, bodyArgs, dedupeArgs, requestArgs, deliveryArgs, attemptArgs []any

	duplicate *sql.Stmt
	settle    *sql.Stmt
	block     *sql.Stmt
}

func prepareRows(ctx context.Context, conn *sql.Conn) (r rowWriters, err error) {
	for _, t := range []struct {
		into    *rowWriter
		table   string
		columns []string
	}{
		{&r.messages, "messages", []string{"id", "org_id", "app_id", "event_type", "event_id", "family", "subjects", "occurred_at", "rank", "received_at", "headers", "size", "fanout", "channels", "tags", "expires_at", "final"}},
		{&r.bodies, "bodies", []string{"message_id", "org_id", "body"}},
		{&r.dedupe, "dedupe", []string{"message_id", "org_id", "hash"}},
		{&r.requests, "idempotency", []string{"id", "org_id", "hash", "request", "message_id", "status"}},
		{&r.deliveries, "deliveries", []string{"id", "org_id", "message_id", "endpoint_id", "state", "attempts", "failures", "next_at", "since", "holder", "last_attempt", "trigger", "late", "lane"}},
		{&r.attempts, "attempts", []string{"id", "org_id", "delivery_id", "previous", "number", "trigger", "at", "duration", "outcome", "status", "response", "reason"}},
	} {
		if *t.into, err = prepareRowWriter(ctx, conn, t.table, t.columns...); err != nil {
			return r, err
		}
	}
	r.duplicate, err = conn.PrepareContext(ctx, `INSERT INTO duplicates (message_id, org_id, count, last_at) VALUES (?, ?, 1, ?)
		ON CONFLICT (message_id) DO UPDATE SET count = duplicates.count + 1, last_at = excluded.last_at`)
	if err != nil {
		return r, fmt.Errorf("prepare duplicate: %w", err)
	}
	r.settle, err = conn.PrepareContext(ctx, `UPDATE deliveries SET state = ?, attempts = ?, failures = ?, next_at = ?, holder = 0, last_attempt = ?, trigger = 0
		WHERE id = ? AND holder = ? AND state = 1`)
	if err != nil {
		return r, fmt.Errorf("prepare settle: %w", err)
	}
	if r.block, err = conn.PrepareContext(ctx, sqlBlock); err != nil {
		return r, fmt.Errorf("prepare look-up: %w", err)
	}
	return r, nil
}
