package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Disk space comes back in another way on each engine. SQLite keeps pages that are free and
// uses them again; what is more than a part of the file is cut off its end, a few at a
// time. PostgreSQL drops the partitions of days.

const (
	// freePart is the part of the file that may be free, as one in so many: a store that
	// takes in as much as it deletes should not shrink and grow.
	freePart = 10
	// reclaimPages is how many pages one step gives back, some milliseconds of the writer's time.
	reclaimPages = 256
	// fewPages are not worth the trouble: 16 MiB.
	fewPages = 4096
)

// Reclaim gives disk space back that is free, between other writes, and says how many bytes.
// On PostgreSQL, where DropBefore and its own vacuum do it, it does nothing.
func (s *Store) Reclaim(ctx context.Context) (bytes int64, err error) {
	if s.pg != nil {
		return 0, nil
	}
	for begun := int64(0); ; {
		var pages, free, size int64
		for pragma, into := range map[string]*int64{"page_count": &pages, "freelist_count": &free, "page_size": &size} {
			if err := s.read.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(into); err != nil {
				return bytes, fmt.Errorf("reclaim space: %w", err)
			}
		}
		if begun == 0 {
			begun = pages
		}
		bytes = max(0, begun-pages) * size
		surplus := free - pages/freePart
		if surplus <= 0 || bytes == 0 && surplus < fewPages {
			return bytes, nil
		}
		if err := s.calm(ctx); err != nil {
			return bytes, err
		}
		n := min(surplus, reclaimPages)
		err := s.writer.do(ctx, &write{between: func(ctx context.Context) error {
			rows, err := s.writer.conn.QueryContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", n))
			if err != nil {
				return err
			}
			for rows.Next() { // each step frees one page
			}
			if err := rows.Err(); err != nil {
				return err
			}
			return rows.Close()
		}})
		if err != nil {
			return bytes, fmt.Errorf("reclaim space: %w", err)
		}
	}
}

// DropBefore drops the partitions of days that ended before a key, the oldest first, and
// says how many days that were. What is open of such a day – only what was held for
// longer than everything is kept – goes with it. On SQLite, which has none, it does nothing.
func (s *Store) DropBefore(ctx context.Context, before hook.Key) (days int, err error) {
	if s.pg == nil || before == 0 {
		return 0, nil
	}
	names, err := s.partitionsOf(ctx, "messages")
	if err != nil {
		return 0, fmt.Errorf("drop old days: %w", err)
	}
	for _, name := range names { // which are in the order of their days
		text := strings.TrimPrefix(name, "messages_")
		day, err := time.Parse("20060102", text)
		if err != nil || hook.KeyAt(day.Add(dayLength)) > before {
			continue // the default one, or a young one
		}
		if err := s.dropDay(ctx, text, hook.KeyAt(day), hook.KeyAt(day.Add(dayLength))); err != nil {
			return days, fmt.Errorf("drop %s: %w", day.Format(time.DateOnly), err)
		}
		days++
	}
	return days, nil
}

// dropDay drops the partitions of a day. Postings are not partitioned, so those that point
// into it go first; the table from which they are known goes last, so a day that was
// begun is finished another time.
func (s *Store) dropDay(ctx context.Context, text string, from, to hook.Key) error {
	if err := s.dropPostings(ctx, text, from, to); err != nil {
		return err
	}
	tables := partitionedTables()
	slices.Reverse(tables) // messages last
	for _, p := range tables {
		if err := s.dropPartition(ctx, p.table+"_"+text); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) dropPostings(ctx context.Context, text string, from, to hook.Key) error {
	owners, err := queryKeys(ctx, s.read, "SELECT DISTINCT endpoint_id FROM deliveries_"+text)
	if err != nil {
		return err
	}
	terms := append(attemptTerms(&hook.AttemptQuery{Class: -1}), term(termDelivery))
	for _, owner := range owners {
		for _, t := range terms { // whose ids are all before the end of the day
			const q = "DELETE FROM postings WHERE owner_id = ?1 AND term = ?2 AND id IN (SELECT id FROM postings WHERE owner_id = ?1 AND term = ?2 AND id < ?3 LIMIT ?4)"
			if _, err := s.inSteps(ctx, "delete postings", q, owner, t, to); err != nil {
				return err
			}
		}
	}
	for {
		const q = "SELECT " + messageColumns + " FROM " + messageTables + " WHERE m.id > ? AND m.id < ? ORDER BY m.id LIMIT ?"
		messages, err := readRows(ctx, s.read, func(row scanner) (hook.Message, error) { return scanMessage(row) }, "messages", q, from, to, postingChunk)
		if err != nil || len(messages) == 0 {
			return err
		}
		var gone []posting
		for i := range messages {
			gone = messagePostings(gone, &messages[i])
		}
		err = s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error { return deletePostings(ctx, tx, gone) })
		if err != nil {
			return err
		}
		from = messages[len(messages)-1].ID
	}
}

func (s *Store) partitionsOf(ctx context.Context, table string) (names []string, err error) {
	rows, err := s.read.QueryContext(ctx, sqlPartitions, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// dropPartition waits for its lock only as long as others may wait behind it.
func (s *Store) dropPartition(ctx context.Context, name string) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing, once it is committed
	for _, q := range sqlDrop(name) {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return tx.Commit()
}
