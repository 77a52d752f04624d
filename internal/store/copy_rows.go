package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	// copyRows and copyBytes bound one batch, which is in memory as a whole. A
	// single row may be larger.
	copyRows  = 1000
	copyBytes = 8 << 20
)

// copiedTable is one table and what of it is copied.
type copiedTable struct {
	name string
	// key is one number by which there is an index and which no two rows share. Tables
	// without one are small and copied at once.
	key   string
	from  hook.Key // rows with a lower key are left behind
	where string   // those that are copied; empty: all
	// packed is the kind of the runs that have what left the table, 0: nothing did.
	packed int64

	replace bool // what the target has of it goes first

	columns []string
	kinds   []kind
}

// kind is what a column of the target keeps.
type kind byte

const (
	numberKind kind = 'i'
	textKind   kind = 't'
	binaryKind kind = 'b'
)

// copiedTables are the tables in an order in which each finds what it refers to.
func copiedTables(began time.Time) []copiedTable {
	// What is a fact of the process or of the engine stays where it is.
	const facts = "name NOT IN ('indexed_messages', 'indexed_deliveries', 'indexed_attempts', '" + metaOldest + "', '" + metaCopy +
		"') AND substr(name, 1, 7) <> '" + copiedPrefix + "' AND substr(name, 1, 10) <> '" + checkedAt + "'"
	return []copiedTable{
		{name: "meta", where: facts, replace: true},
		{name: "organizations", key: "id", replace: true},
		{name: "applications", key: "id"},
		{name: "sources", key: "id"},
		{name: "source_tokens"},
		{name: "endpoints", key: "id"},
		{name: "secrets", key: "id"},
		{name: "event_types"},
		{name: "alerts"},
		{name: "tokens", key: "id"},
		{name: "users", key: "id"},
		{name: "sessions", key: "id"},
		{name: "sign_in_links", key: "id"},
		{name: "audit", key: "id"},
		{name: "tasks", key: "id"},
		{name: "messages", key: "id"},
		{name: "bodies", key: "message_id"},
		{name: "dedupe", key: "message_id", from: hook.KeyAt(began.Add(-hook.DedupeWindow)), packed: dedupeTable.kind},
		{name: "duplicates", key: "message_id"},
		{name: "deliveries", key: "id"},
		{name: "attempts", key: "id"},
		{name: "lanes"}, // open ones only
		{name: "turns"},
		{name: "latest", key: "delivery_id", from: hook.KeyAt(began.Add(-hook.DedupeWindow))},
		{name: "rejected", key: "id"},
		{name: "counts"},
		{name: "idempotency", key: "id", from: hook.KeyAt(began.Add(-hook.IdempotencyWindow))},
	}
}

// columns reads from the target what columns each table has.
func (m *mover) columns(ctx context.Context, tables []copiedTable) ([]copiedTable, error) {
	for i := range tables {
		t := &tables[i]
		rows, err := m.to.read.QueryContext(ctx, sqlColumns, t.name)
		if err != nil {
			return nil, fmt.Errorf("read columns of %s: %w", t.name, err)
		}
		for rows.Next() {
			var name, kind string
			if err := rows.Scan(&name, &kind); err != nil {
				rows.Close()
				return nil, fmt.Errorf("read columns of %s: %w", t.name, err)
			}
			t.columns, t.kinds = append(t.columns, name), append(t.kinds, kindOf(kind))
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, fmt.Errorf("read columns of %s: %w", t.name, err)
		}
	}
	return tables, nil
}

func kindOf(name string) kind {
	switch name {
	case "text":
		return textKind
	case "bytea":
		return binaryKind
	}
	return numberKind
}

// sourceQuery reads all that is copied. Nobody holds a delivery after the move.
func (t *copiedTable) sourceQuery() string {
	list := `"` + strings.Join(t.columns, `", "`) + `"`
	if t.name == "deliveries" {
		list = strings.Replace(list, `"holder"`, "0", 1)
	}
	return "SELECT " + list + " FROM " + t.name + t.condition() + t.unpacked()
}

// unpacked leaves out the rows that are in runs already: a process that ends early may
// leave them in both.
func (t *copiedTable) unpacked() string {
	if t.packed == 0 {
		return ""
	}
	return fmt.Sprintf(" AND %s > (SELECT coalesce(max(last), 0) FROM runs WHERE kind = %d)", t.key, t.packed)
}

// targetQuery reads all that was copied.
func (t *copiedTable) targetQuery() string {
	return `SELECT "` + strings.Join(t.columns, `", "`) + `" FROM ` + t.name + t.condition()
}

func (t *copiedTable) condition() string {
	switch {
	case t.where != "":
		return " WHERE " + t.where
	case t.from > 0:
		return fmt.Sprintf(" WHERE %s >= %d", t.key, t.from)
	}
	return ""
}

// batchQuery reads one batch, after a key.
func (t *copiedTable) batchQuery() string {
	if t.key == "" {
		return t.sourceQuery()
	}
	joint := " WHERE "
	if t.condition() != "" {
		joint = " AND "
	}
	return t.sourceQuery() + joint + t.key + " > ? ORDER BY " + t.key + " LIMIT " + strconv.Itoa(copyRows)
}

// copyTable copies what is left of a table.
func (m *mover) copyTable(ctx context.Context, t copiedTable) error {
	after, begun, err := m.progress(ctx, t.name)
	if err != nil || begun && t.key == "" {
		return err
	}
	for total := int64(0); ; {
		rows, err := m.readBatch(ctx, t, after)
		if err != nil {
			return err
		}
		if len(rows) > 0 && t.key != "" {
			after = rows[len(rows)-1][slices.Index(t.columns, t.key)].(int64) // as canonical made it
		}
		if len(rows) == 0 && begun {
			return nil
		}
		err = m.inTarget(ctx, func(tx pgx.Tx) error { return t.write(ctx, tx, rows, after, !begun) })
		if err != nil {
			return err
		}
		begun, total = true, total+int64(len(rows))
		m.report(t.name, total)
		if t.key == "" {
			return nil
		}
	}
}

func (m *mover) report(table string, rows int64) {
	if m.o.Progress != nil {
		m.o.Progress(table, rows)
	}
}

// write keeps one batch together with how far it is.
func (t *copiedTable) write(ctx context.Context, tx pgx.Tx, rows [][]any, last int64, first bool) error {
	if first && t.replace {
		if _, err := tx.Exec(ctx, "DELETE FROM "+t.name+t.condition()); err != nil {
			return err
		}
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	return keepMeta(ctx, tx, copiedPrefix+t.name, strconv.AppendInt(nil, last, 10))
}

// progress is the last key of a table that was copied, and whether it was begun.
func (m *mover) progress(ctx context.Context, table string) (after int64, begun bool, err error) {
	var raw []byte
	err = m.hold.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", copiedPrefix+table).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err == nil {
		after, err = strconv.ParseInt(string(raw), 10, 64)
	}
	if err != nil {
		return 0, false, fmt.Errorf("read progress: %w", err)
	}
	return after, true, nil
}

// readBatch reads the next rows of the source, as the target keeps them.
func (m *mover) readBatch(ctx context.Context, t copiedTable, after int64) (list [][]any, err error) {
	var args []any
	if t.key != "" {
		args = append(args, after)
	}
	rows, err := m.from.read.QueryContext(ctx, t.batchQuery(), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for size := 0; (t.key == "" || size < copyBytes) && rows.Next(); {
		row, err := t.scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, row)
		for _, v := range row {
			switch v := v.(type) {
			case string:
				size += len(v)
			case []byte:
				size += len(v)
			}
		}
	}
	return list, rows.Err()
}

// scan reads one row of either side, each value in the one form that it has on
// PostgreSQL.
func (t *copiedTable) scan(rows *sql.Rows) ([]any, error) {
	row, into := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range row {
		into[i] = &row[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	for i, v := range row {
		c, err := canonical(v, t.kinds[i])
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", t.columns[i], err)
		}
		row[i] = c
	}
	return row, nil
}

// canonical is a value as its column keeps it on PostgreSQL: SQLite keeps in each
// row what it was given, so text may stand there as bytes, or a number in meta.
func canonical(v any, k kind) (any, error) {
	n, isNumber := v.(int64)
	switch {
	case v == nil:
		return nil, nil
	case k == numberKind && isNumber:
		return n, nil
	case k == numberKind:
		return nil, fmt.Errorf("a %T stands where a number should", v)
	case isNumber:
		v = strconv.FormatInt(n, 10)
	}
	switch x := v.(type) {
	case string:
		if k == binaryKind {
			return []byte(x), nil
		}
		return clean(x), nil
	case []byte:
		if k == textKind {
			return clean(string(x)), nil
		}
		return append([]byte{}, x...), nil // empty is not null
	}
	return nil, fmt.Errorf("a %T stands where text or bytes should", v)
}

// makePartitions makes those of all days of which a table has rows.
func (m *mover) makePartitions(ctx context.Context, t copiedTable) error {
	i := slices.IndexFunc(partitionedTables(), func(p partitioned) bool { return p.table == t.name })
	if i < 0 {
		return nil
	}
	for low := hook.Key(0); ; {
		var first sql.Null[hook.Key]
		if err := m.from.read.QueryRowContext(ctx, "SELECT min("+t.key+") FROM "+t.name+" WHERE "+t.key+" >= ?", low).Scan(&first); err != nil {
			return fmt.Errorf("read days of %s: %w", t.name, err)
		}
		if !first.Valid {
			return nil
		}
		day := first.V.Time().UTC().Truncate(dayLength)
		if err := m.to.ensurePartition(ctx, partitionedTables()[i], day); err != nil {
			return fmt.Errorf("make partition of %s for %s: %w", t.name, day.Format(time.DateOnly), err)
		}
		next := hook.KeyAt(day.Add(dayLength))
		if next <= first.V {
			return nil // the last day that keys reach to
		}
		low = next
	}
}
