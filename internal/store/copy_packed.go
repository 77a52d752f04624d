package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// packedBlocks is how many blocks of runs are read at once: about a batch of rows.
const packedBlocks = 8

// packedRows gives the rows of a table that are in runs to f, some blocks at a time, from
// behind a block on. They are as the target keeps them.
func (m *mover) packedRows(ctx context.Context, t copiedTable, after int64, f func(rows [][]any, last int64) error) error {
	if t.packed == 0 {
		return nil
	}
	for {
		rows, last, err := m.readPacked(ctx, t, after)
		if err != nil || last == after {
			return err
		}
		if err := f(rows, last); err != nil {
			return err
		}
		after = last
	}
}

// readPacked reads the next blocks of runs that are listed. last is the last of them.
func (m *mover) readPacked(ctx context.Context, t copiedTable, after int64) (list [][]any, last int64, err error) {
	const q = "SELECT b.id, b.entries FROM run_blocks b JOIN runs r ON r.id = b.id >> ? WHERE b.id > ? AND r.kind = ? ORDER BY b.id LIMIT ?"
	rows, err := m.from.read.QueryContext(ctx, q, placeBits, after, t.packed, packedBlocks)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	last = after
	var block sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&last, &block); err != nil {
			return nil, 0, err
		}
		for ; len(block) >= entrySize; block = block[entrySize:] {
			if e := entryAt(block, 0); e.key >= t.from {
				row, err := t.unpack(e)
				if err != nil {
					return nil, 0, err
				}
				list = append(list, row)
			}
		}
	}
	return list, last, rows.Err()
}

// unpack makes a row of an entry.
func (t *copiedTable) unpack(e entry) ([]any, error) {
	row := make([]any, len(t.columns))
	for i, name := range t.columns {
		switch name {
		case t.key:
			row[i] = int64(e.key)
		case "org_id":
			row[i] = int64(e.org)
		case "hash":
			row[i] = append([]byte{}, e.hash[:]...)
		default:
			return nil, fmt.Errorf("a run does not have column %s", name)
		}
	}
	return row, nil
}

// copyPacked copies what is left of the rows that are in runs.
func (m *mover) copyPacked(ctx context.Context, t copiedTable) error {
	name := "runs of " + t.name
	after, _, err := m.progress(ctx, name)
	if err != nil {
		return err
	}
	total := int64(0)
	return m.packedRows(ctx, t, after, func(rows [][]any, last int64) error {
		err := m.inTarget(ctx, func(tx pgx.Tx) error {
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromRows(rows)); err != nil {
				return err
			}
			return keepMeta(ctx, tx, copiedPrefix+name, fmt.Append(nil, last))
		})
		total += int64(len(rows))
		m.report(name, total)
		return err
	})
}

// sumSource adds up what a table of the source has, its runs included.
func (m *mover) sumSource(ctx context.Context, t copiedTable) (TableSum, error) {
	sum, err := sumTable(ctx, m.from.read, t, t.sourceQuery())
	if err != nil {
		return sum, err
	}
	s := summer{sum: sum}
	err = m.packedRows(ctx, t, 0, func(rows [][]any, _ int64) error {
		for _, row := range rows {
			if err := s.add(row); err != nil {
				return err
			}
		}
		return nil
	})
	return s.sum, err
}
