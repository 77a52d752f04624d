package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// hashTable is a table whose rows are looked up by a hash that it has no index for.
type hashTable struct {
	kind   int64  // in table runs
	name   string // the table
	key    string // its rising key, which has the time
	window time.Duration
	// moves says that the rows leave the table once they are in a run. Else they stay
	// there until their window is over, and the run only says where they are.
	moves bool
}

// memory knows the hashes of a table within its window: the newest in maps, the older
// ones by the filters of runs, whose entries are in the store. The table and the runs
// are the truth, and this is all of them. The writer adds, the packer (pack.go) puts runs in
// the place of maps, and anyone finds.
type memory struct {
	table hashTable
	size  int // of a generation

	mu   sync.RWMutex
	live []*generation // oldest first, never empty; the last one takes what is new
	runs []*run        // oldest first
	mark hook.Key      // the last key that is in runs, or was; live has all after it
}

// generation is what was added one after another until it was full. It becomes one
// run, and is forgotten as a whole.
type generation struct {
	first map[hook.Hash]hook.Key
	last  hook.Key
}

// generationSize is how many hashes become one run. A Go map of so many is about to
// grow, so it has the least room to spare: 3.5 MB, and 7 MB a little later.
const generationSize = 100_000

func newMemory(t hashTable, size int) *memory {
	if size == 0 {
		size = generationSize
	}
	return &memory{table: t, size: size, live: []*generation{newGeneration()}}
}

func newGeneration() *generation { return &generation{first: map[hook.Hash]hook.Key{}} }

// find is the newest row with this hash, if it is in the window at now. It is exact:
// the same instant after a restart gives the same answer. block reads one block
// (sqlBlock), on the connection that is to see it.
func (m *memory) find(ctx context.Context, block *sql.Stmt, hash hook.Hash, now time.Time) (hook.Key, bool, error) {
	oldest := hook.KeyAt(now.Add(-m.table.window))
	k, ok, runs := m.findLive(hash)
	for again := !ok; again; {
		var err error
		if k, ok, err = findIn(ctx, block, runs, hash, oldest); err != nil {
			return 0, false, fmt.Errorf("look up in %s: %w", m.table.name, err)
		}
		// The blocks of a run may be deleted meanwhile, after another took its place.
		latest := m.list()
		again, runs = !ok && !slices.Equal(runs, latest), latest
	}
	return k, ok && k >= oldest, nil
}

// findLive looks into the maps, and gives the runs that have all else.
func (m *memory) findLive(hash hook.Hash) (hook.Key, bool, []*run) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i := len(m.live) - 1; i >= 0; i-- {
		if k, ok := m.live[i].first[hash]; ok {
			return k, true, nil
		}
	}
	return 0, false, m.runs
}

// findIn looks into runs, the newest first. Nothing is locked meanwhile: commits must not wait
// for who reads.
func findIn(ctx context.Context, block *sql.Stmt, runs []*run, hash hook.Hash, oldest hook.Key) (hook.Key, bool, error) {
	for i := len(runs) - 1; i >= 0 && runs[i].last >= oldest; i-- {
		if !runs[i].mayHave(hash) {
			continue
		}
		if k, ok, err := runs[i].find(ctx, block, hash); ok || err != nil {
			return k, ok, err
		}
	}
	return 0, false, nil
}

// add adds what was committed, all of it or nothing: a generation ends between two
// transactions, so no row up to its last key comes later.
func (m *memory) add(fresh iter.Seq2[hook.Hash, hook.Key]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.live[len(m.live)-1]
	for hash, k := range fresh {
		g.first[hash] = k
		g.last = max(g.last, k)
	}
	if len(g.first) >= m.size {
		m.live = append(m.live, newGeneration())
	}
}

// full is the oldest generation, if it takes nothing any more, and how many of these
// there are.
func (m *memory) full() (*generation, int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.live[0], len(m.live) - 1
}

// packed puts a run in the place of the oldest generation, which it has all of.
// A generation that had nothing in the window any more has no run.
func (m *memory) packed(g *generation, r *run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live, m.mark = m.live[1:], g.last
	if r != nil {
		m.runs = append(m.runs[:len(m.runs):len(m.runs)], r)
	}
}

// list is all runs; the list never changes.
func (m *memory) list() []*run {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.runs
}

// merged puts a run in the place of those from…to-1, which it has all of. nil takes
// them away.
func (m *memory) merged(from, to int, r *run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	runs := append([]*run{}, m.runs[:from]...)
	if r != nil {
		runs = append(runs, r)
	}
	m.runs = append(runs, m.runs[to:]...)
}

// perKey is what a hash in a full generation takes, in bytes.
const perKey = 36

// bytes is about what it keeps in memory for long.
func (m *memory) bytes() (n int64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, r := range m.runs {
		n += r.bytes()
	}
	return n + int64((len(m.live)-1)*m.size*perKey)
}

// loadMemory reads the runs' filters, and those rows that are in no run.
// loaded is told of each run, as reading leaves garbage behind.
func loadMemory(ctx context.Context, db *sql.DB, m *memory, now time.Time, loaded func()) error {
	runs, err := listedRuns(ctx, db, m.table.kind)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.parts, err = loadFilters(ctx, db, r.number); err != nil {
			return err
		}
		m.mark = max(m.mark, r.last)
		m.runs = append(m.runs, r)
		loaded()
	}
	if err := m.loadLive(ctx, db, now); err != nil {
		return fmt.Errorf("read hashes of %s: %w", m.table.name, err)
	}
	loaded()
	return nil
}

func (m *memory) loadLive(ctx context.Context, db *sql.DB, now time.Time) error {
	q := fmt.Sprintf("SELECT %[2]s, hash FROM %[1]s WHERE %[2]s > ? AND %[2]s >= ? ORDER BY %[2]s", m.table.name, m.table.key)
	rows, err := db.QueryContext(ctx, q, m.mark, hook.KeyAt(now.Add(-m.table.window)))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k hook.Key
		var raw sql.RawBytes
		if err := rows.Scan(&k, &raw); err != nil {
			return err
		}
		if len(raw) != len(hook.Hash{}) {
			return fmt.Errorf("that of row %d has %d bytes", k, len(raw))
		}
		m.add(func(yield func(hook.Hash, hook.Key) bool) { yield(hook.Hash(raw), k) })
	}
	return rows.Err()
}

// listedRuns are the runs of a kind, oldest first, without their filters.
func listedRuns(ctx context.Context, db *sql.DB, kind int64) ([]*run, error) {
	return readRows(ctx, db, func(row scanner) (*run, error) {
		r := &run{}
		return r, row.Scan(&r.number, &r.last, &r.keys)
	}, "runs", "SELECT id, last, keys FROM runs WHERE kind = ? ORDER BY last", kind)
}

// find looks into the one block that can have the hash.
func (r *run) find(ctx context.Context, block *sql.Stmt, hash hook.Hash) (hook.Key, bool, error) {
	var id int64
	var entries []byte
	err := block.QueryRowContext(ctx, place(r.number, hash)).Scan(&id, &entries)
	if errors.Is(err, sql.ErrNoRows) || err == nil && runOf(id) != r.number {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	e, ok := findEntry(entries, hash)
	return e.key, ok, nil
}

const sqlBlock = "SELECT id, entries FROM run_blocks WHERE id <= ? ORDER BY id DESC LIMIT 1"
