package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	// indexStep is how many rows of each table one step of the indexer reads.
	indexStep = 4096
	// postingChunk is how many postings one transaction takes: some milliseconds
	// of the writer's time, which commits of others may have to wait for.
	postingChunk = 1000
	// postingRows is how many of them one statement has.
	postingRows = 250
)

// Names in meta under which stands how far a table is indexed: the key of the
// last row that is.
const (
	indexedMessages   = "indexed_messages"
	indexedDeliveries = "indexed_deliveries"
	indexedAttempts   = "indexed_attempts"
)

// indexed reads how far a table is indexed; 0 is not at all.
func indexed(ctx context.Context, tx *sql.Tx, name string) (hook.Key, error) {
	var k hook.Key
	err := tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", name).Scan(&k)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return k, nil
}

// view runs f on one snapshot of the store, so that a row is either still
// above the mark of the indexer or already in the index, and never in neither.
func (s *Store) view(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.read.BeginTx(ctx, s.snapshot())
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing was written
	return f(tx)
}

// Index does one step of indexing: it makes up to 4,096 of the oldest messages,
// deliveries and attempts each that are not in the index yet be found there.
// done is how many rows that were; 0 means that there was nothing left. The
// mark of a table moves in the same transaction as its last postings, so a
// step that is cut short is done again, which changes nothing. On PostgreSQL there
// is never anything to do: postings are written with their rows, because several
// nodes commit out of the order of keys, and what is committed behind a mark would
// be missed. The marks stand at the end there (migrations_postgres).
func (s *Store) Index(ctx context.Context) (done int, err error) {
	for _, t := range []struct {
		name string
		read func(ctx context.Context, tx *sql.Tx, after hook.Key) (list []posting, last hook.Key, rows int, err error)
	}{
		{indexedMessages, readMessagePostings},
		{indexedDeliveries, readDeliveryPostings},
		{indexedAttempts, readAttemptPostings},
	} {
		var list []posting
		var last hook.Key
		rows := 0
		err := s.view(ctx, func(tx *sql.Tx) error {
			mark, err := indexed(ctx, tx, t.name)
			if err != nil {
				return err
			}
			list, last, rows, err = t.read(ctx, tx, mark)
			return err
		})
		if err == nil && rows > 0 {
			err = s.post(ctx, list, t.name, last)
		}
		if err != nil {
			return done, fmt.Errorf("index %s: %w", t.name, err)
		}
		if rows > 0 && t.name == indexedMessages {
			s.indexedTo.Store(int64(last))
		}
		done += rows
	}
	return done, nil
}

// messagesIndexed reads up to which key messages are indexed, and remembers it.
func (s *Store) messagesIndexed(ctx context.Context) (mark hook.Key, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		mark, err = indexed(ctx, tx, indexedMessages)
		return err
	})
	s.indexedTo.Store(int64(mark))
	return mark, err
}

func readMessagePostings(ctx context.Context, tx *sql.Tx, after hook.Key) (list []posting, last hook.Key, n int, err error) {
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
		list, last, n = messagePostings(list, &m), m.ID, n+1
	}
	return list, last, n, rows.Err()
}

func readDeliveryPostings(ctx context.Context, tx *sql.Tx, after hook.Key) (list []posting, last hook.Key, n int, err error) {
	rows, err := tx.QueryContext(ctx, sqlDeliveriesAfter, after, indexStep)
	if err != nil {
		return nil, 0, 0, err
	}
	defer rows.Close()
	all := term(termDelivery)
	for rows.Next() {
		var endpoint hook.Key
		if err := rows.Scan(&last, &endpoint); err != nil {
			return nil, 0, 0, err
		}
		list, n = append(list, posting{endpoint, all, last}), n+1
	}
	return list, last, n, rows.Err()
}

func readAttemptPostings(ctx context.Context, tx *sql.Tx, after hook.Key) (list []posting, last hook.Key, n int, err error) {
	rows, err := tx.QueryContext(ctx, sqlAttemptsAfter, after, indexStep)
	if err != nil {
		return nil, 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var endpoint sql.Null[hook.Key]
		var outcome hook.Outcome
		var status int
		if err := rows.Scan(&last, &endpoint, &outcome, &status); err != nil {
			return nil, 0, 0, err
		}
		n++
		if !endpoint.Valid { // its delivery was deleted
			continue
		}
		list = append(list, posting{endpoint.V, attemptTerm(outcome == hook.OutcomeDelivered, statusClass(status)), last})
	}
	return list, last, n, rows.Err()
}

const (
	sqlMessagesAfter   = "SELECT " + messageColumns + " FROM " + messageTables + " WHERE m.id > ? ORDER BY m.id LIMIT ?"
	sqlDeliveriesAfter = "SELECT id, endpoint_id FROM deliveries WHERE id > ? ORDER BY id LIMIT ?"
	sqlAttemptsAfter   = `SELECT a.id, d.endpoint_id, a.outcome, a.status FROM attempts a LEFT JOIN deliveries d ON d.id = a.delivery_id
		WHERE a.id > ? ORDER BY a.id LIMIT ?`
)

// post writes list and then moves the mark to last. It sorts list: what is
// written together should lie together.
func (s *Store) post(ctx context.Context, list []posting, mark string, last hook.Key) error {
	slices.SortFunc(list, comparePostings)
	list = slices.Compact(list)
	for {
		chunk := list[:min(postingChunk, len(list))]
		list = list[len(chunk):]
		err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			if err := insertPostings(ctx, tx, chunk); err != nil || len(list) > 0 {
				return err
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", mark, last)
			return err
		})
		if err != nil || len(list) == 0 {
			return err
		}
	}
}

func insertPostings(ctx context.Context, tx *sql.Conn, list []posting) error {
	args := make([]any, 0, 3*postingRows)
	for part := range slices.Chunk(list, postingRows) {
		args = args[:0]
		for _, p := range part {
			args = append(args, int64(p.owner), p.term, int64(p.id))
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO postings (owner_id, term, id) VALUES "+placeholders(len(part), 3)+" ON CONFLICT DO NOTHING", args...)
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	// indexEvery is how often the indexer looks for something to do.
	indexEvery = time.Second
	// indexBusy is how many messages in the last second are a load to yield to.
	indexBusy = 2000
	// indexLag is how many messages, deliveries or attempts may wait for the index
	// before it yields to nobody any more: a burst of some seconds at full speed.
	// While more wait than a list looks through in one call, its pages can be short.
	indexLag = 60_000
)

// RunIndexer indexes until ctx ends, and then returns nil. Once a second it
// looks, and does steps until nothing is left or there is load: when the writer
// has a queue at one of two looks 50 ms apart, or more than 2,000 messages came
// within the last second, the index waits, for it may be late and commits may
// not. When more than 60,000 messages, deliveries or attempts wait, it does not
// wait any longer. A step that fails is tried again.
func (s *Store) RunIndexer(ctx context.Context) error {
	if s.pg != nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(indexEvery)
	defer tick.Stop()
	for {
		if err := s.catchUp(ctx); err != nil && ctx.Err() == nil {
			s.writer.log.Warn("index failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Store) catchUp(ctx context.Context) error {
	for {
		may, err := s.mayIndex(ctx)
		if err != nil || !may {
			return err
		}
		if done, err := s.Index(ctx); err != nil || done == 0 {
			return err
		}
	}
}

// mayIndex says whether now is the time for a step.
func (s *Store) mayIndex(ctx context.Context) (behind bool, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		for i, t := range [...]struct{ name, query string }{
			{indexedMessages, sqlMessagesWaiting}, {indexedDeliveries, sqlDeliveriesWaiting}, {indexedAttempts, sqlAttemptsWaiting},
		} {
			mark, err := indexed(ctx, tx, t.name)
			if err != nil {
				return err
			}
			n, err := s.unindexed[i].count(ctx, tx, t.query, mark)
			if behind = n > indexLag; err != nil || behind {
				return err
			}
		}
		return nil
	})
	if err != nil || behind {
		return behind, err
	}
	return s.idle(ctx)
}

// idle says that there is no load that work in the background should yield to.
func (s *Store) idle(ctx context.Context) (bool, error) {
	busy := false
	err := s.view(ctx, func(tx *sql.Tx) (err error) {
		n, _, err := countAfter(ctx, tx, sqlMessagesWaiting, hook.KeyAt(time.Now().Add(-time.Second)), indexBusy+1)
		busy = n > indexBusy
		return err
	})
	if err != nil || busy {
		return false, err
	}
	if len(s.writer.queue) > 0 {
		return false, nil
	}
	again := time.NewTimer(50 * time.Millisecond)
	defer again.Stop()
	select {
	case <-ctx.Done():
		return false, nil
	case <-again.C:
		return len(s.writer.queue) == 0, nil
	}
}

// unindexed is what was found of a table the last time, so that a look counts only the rows that came since: under load
// tens of thousands wait, and reading them all each second is work that commits would have to wait for.
type unindexed struct {
	mark, last hook.Key // up to where it was indexed, and counted
	n          int
}

// count says how many rows wait after mark, up to one more than may.
func (u *unindexed) count(ctx context.Context, tx *sql.Tx, query string, mark hook.Key) (int, error) {
	if u.mark != mark {
		*u = unindexed{mark: mark, last: mark}
	}
	n, last, err := countAfter(ctx, tx, query, u.last, indexLag+1-u.n)
	if n > 0 {
		u.n, u.last = u.n+n, last
	}
	return u.n, err
}

// countAfter counts the rows after a key, up to most, and gives the key of the last of them.
func countAfter(ctx context.Context, tx *sql.Tx, query string, after hook.Key, most int) (n int, last hook.Key, err error) {
	err = tx.QueryRowContext(ctx, query, after, most).Scan(&n, &last)
	return n, last, err
}

const (
	sqlMessagesWaiting   = "SELECT count(*), coalesce(max(id), 0) FROM (SELECT id FROM messages WHERE id > ? ORDER BY id LIMIT ?) AS waiting"
	sqlDeliveriesWaiting = "SELECT count(*), coalesce(max(id), 0) FROM (SELECT id FROM deliveries WHERE id > ? ORDER BY id LIMIT ?) AS waiting"
	sqlAttemptsWaiting   = "SELECT count(*), coalesce(max(id), 0) FROM (SELECT id FROM attempts WHERE id > ? ORDER BY id LIMIT ?) AS waiting"
)
