package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// summer adds up rows: the first eight bytes of the SHA-256 of each, so that the
// order does not matter and a row that is missing, doubled or changed shows.
type summer struct {
	sum  TableSum
	hash hash.Hash
	buf  []byte
}

func (s *summer) add(row []any) error {
	if s.hash == nil {
		s.hash = sha256.New()
	}
	s.hash.Reset()
	for _, v := range row {
		switch x := v.(type) {
		case nil:
			s.hash.Write([]byte{0})
		case int64:
			s.hash.Write(binary.BigEndian.AppendUint64([]byte{byte(numberKind)}, uint64(x)))
		case string:
			s.hash.Write(binary.BigEndian.AppendUint64([]byte{byte(textKind)}, uint64(len(x))))
			s.hash.Write([]byte(x))
		case []byte:
			s.hash.Write(binary.BigEndian.AppendUint64([]byte{byte(binaryKind)}, uint64(len(x))))
			s.hash.Write(x)
		default:
			return fmt.Errorf("a %T cannot be summed", v)
		}
	}
	s.buf = s.hash.Sum(s.buf[:0])
	s.sum.Rows++
	s.sum.Sum += binary.BigEndian.Uint64(s.buf)
	return nil
}

// sumTable reads a whole table of either side.
func sumTable(ctx context.Context, db *sql.DB, t copiedTable, query string) (TableSum, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return TableSum{}, err
	}
	defer rows.Close()
	var s summer
	for rows.Next() {
		row, err := t.scan(rows)
		if err != nil {
			return TableSum{}, err
		}
		if err := s.add(row); err != nil {
			return TableSum{}, err
		}
	}
	return s.sum, rows.Err()
}

// postingReader reads the postings of some rows of a table after a key: no rows are
// the end.
type postingReader struct {
	name string
	read func(ctx context.Context, tx *sql.Tx, after hook.Key) (list []posting, last hook.Key, rows int, err error)
}

// postingReaders make all postings anew. The source's own may lag behind, and be
// of text that PostgreSQL does not take.
func postingReaders() []postingReader {
	return []postingReader{{"messages", readCleanPostings}, {"deliveries", readDeliveryPostings}, {"attempts", readAttemptPostings}}
}

// readCleanPostings is readMessagePostings of messages as they were copied.
func readCleanPostings(ctx context.Context, tx *sql.Tx, after hook.Key) (list []posting, last hook.Key, n int, err error) {
	rows, err := tx.QueryContext(ctx, sqlMessagesAfter, after, indexStep)
	if err != nil {
		return nil, 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		m, err := scanMessage(rows)
		if err != nil {
			return nil, 0, 0, err
		}
		cleanMessage(&m)
		list, last, n = messagePostings(list, &m), m.ID, n+1
	}
	return list, last, n, rows.Err()
}

// postings gives each step of a reader to f, sorted, without what comes twice.
func (m *mover) postings(ctx context.Context, p postingReader, after hook.Key, f func(list []posting, last hook.Key) error) error {
	for {
		var list []posting
		n := 0
		err := m.from.view(ctx, func(tx *sql.Tx) (err error) {
			var last hook.Key
			if list, last, n, err = p.read(ctx, tx, after); n > 0 {
				after = last
			}
			return err
		})
		if err != nil || n == 0 {
			return err
		}
		slices.SortFunc(list, comparePostings)
		if err := f(slices.Compact(list), after); err != nil {
			return err
		}
	}
}

// copyPostings writes what is left of the postings of one table.
func (m *mover) copyPostings(ctx context.Context, p postingReader) error {
	name := "postings of " + p.name
	after, _, err := m.progress(ctx, name)
	if err != nil {
		return err
	}
	total := int64(0)
	return m.postings(ctx, p, hook.Key(after), func(list []posting, last hook.Key) error {
		rows := pgx.CopyFromSlice(len(list), func(i int) ([]any, error) {
			return []any{int64(list[i].owner), list[i].term, int64(list[i].id)}, nil
		})
		err := m.inTarget(ctx, func(tx pgx.Tx) error {
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{"postings"}, []string{"owner_id", "term", "id"}, rows); err != nil {
				return err
			}
			return keepMeta(ctx, tx, copiedPrefix+name, fmt.Append(nil, int64(last)))
		})
		total += int64(len(list))
		m.report(name, total)
		return err
	})
}

// comparePostings compares those of the target with what the source's rows make.
func (m *mover) comparePostings(ctx context.Context) (TableCheck, error) {
	var s summer
	for _, p := range postingReaders() {
		err := m.postings(ctx, p, 0, func(list []posting, _ hook.Key) error {
			for _, x := range list {
				if err := s.add([]any{int64(x.owner), x.term, int64(x.id)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return TableCheck{}, err
		}
	}
	t := copiedTable{name: "postings", columns: []string{"owner_id", "term", "id"}, kinds: []kind{numberKind, numberKind, numberKind}}
	target, err := sumTable(ctx, m.to.read, t, t.targetQuery())
	return TableCheck{"postings", s.sum, target}, err
}
