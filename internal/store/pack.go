package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// packer packs the oldest hashes of memory into runs, and small runs into larger ones.
// Each step is a small transaction, and a process that ends between any two of them
// leaves a store that knows the same:
//
//   - Blocks and filters are written first, then the run is listed (table runs), and
//     only then memory takes the run for what it had before. What is not listed
//     does not count, and is swept away at the next start.
//   - What a run has replaced – rows of table dedupe, or smaller runs – is unlisted in
//     the same transaction, and deleted when memory does not look there any more.
//
// It is used by one goroutine.
type packer struct {
	store *Store
	// may waits until a transaction may be made. An error ends the work, as the end
	// of the process would.
	may   func(ctx context.Context) error
	next  int64 // number of the next run
	swept bool  // nothing is left over
	busy  bool  // a generation is being packed
}

func newPacker(ctx context.Context, s *Store) (*packer, error) {
	p := &packer{store: s}
	p.may = p.yield
	const q = "SELECT max(coalesce((SELECT max(id) FROM runs), 0), coalesce((SELECT max(id) FROM run_blocks) >> ?1, 0), coalesce((SELECT max(id) FROM run_filters) >> ?1, 0)) + 1"
	if err := s.read.QueryRowContext(ctx, q, placeBits).Scan(&p.next); err != nil {
		return nil, fmt.Errorf("read number of the last run: %w", err)
	}
	return p, nil
}

// exec makes one transaction when it may be made. Merging takes long, so what
// became full meanwhile comes first.
func (p *packer) exec(ctx context.Context, f func(ctx context.Context, tx *sql.Conn) error) error {
	if err := p.may(ctx); err != nil {
		return err
	}
	if !p.busy {
		if err := p.packFull(ctx); err != nil {
			return err
		}
	}
	return p.store.writer.exec(ctx, f)
}

// round does what there is to do. After an error the next one begins with sweeping.
func (p *packer) round(ctx context.Context) (err error) {
	defer func() { p.swept = err == nil }()
	if !p.swept {
		if err := p.sweep(ctx); err != nil {
			return fmt.Errorf("sweep runs: %w", err)
		}
	}
	if err := p.packFull(ctx); err != nil {
		return err
	}
	for _, m := range p.store.memories {
		if err := p.expire(ctx, m); err != nil {
			return fmt.Errorf("delete runs of %s: %w", m.table.name, err)
		}
		for from, to := mergeable(m.list(), m.size, m.table.window); to > from; from, to = mergeable(m.list(), m.size, m.table.window) {
			if err := p.merge(ctx, m, from, to); err != nil {
				return fmt.Errorf("merge runs of %s: %w", m.table.name, err)
			}
		}
	}
	return nil
}

// packFull packs all generations that are full.
func (p *packer) packFull(ctx context.Context) error {
	p.busy = true
	defer func() { p.busy = false }()
	for _, m := range p.store.memories {
		for g, n := m.full(); n > 0; g, n = m.full() {
			if err := p.pack(ctx, m, g); err != nil {
				return fmt.Errorf("pack hashes of %s: %w", m.table.name, err)
			}
		}
	}
	return nil
}

// pack makes a run of the oldest generation.
func (p *packer) pack(ctx context.Context, m *memory, g *generation) error {
	list, err := p.entries(ctx, m, g)
	if err != nil {
		return fmt.Errorf("read hashes: %w", err)
	}
	slices.SortFunc(list, compareEntries)
	w := p.newRun(m, len(list))
	for _, e := range list {
		if err := w.add(ctx, e); err != nil {
			return err
		}
	}
	r, err := w.finish(ctx, g.last, nil)
	if err != nil {
		return err
	}
	m.packed(g, r)
	return p.leave(ctx, m)
}

// entries reads the rows of a generation from its table. They are the truth: they
// have the organization, and those whose window is over may be gone.
func (p *packer) entries(ctx context.Context, m *memory, g *generation) ([]entry, error) {
	q := fmt.Sprintf("SELECT hash, %[2]s, org_id FROM %[1]s WHERE %[2]s > ? AND %[2]s <= ? AND %[2]s >= ?", m.table.name, m.table.key)
	rows, err := p.store.read.QueryContext(ctx, q, m.mark, g.last, oldest(m))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := make([]entry, 0, len(g.first)) // else half of what it takes is garbage
	for rows.Next() {
		var e entry
		var raw sql.RawBytes
		if err := rows.Scan(&raw, &e.key, &e.org); err != nil {
			return nil, err
		}
		if copy(e.hash[:], raw) != len(e.hash) {
			return nil, fmt.Errorf("that of row %d has %d bytes", e.key, len(raw))
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// oldest is the first key in the window now.
func oldest(m *memory) hook.Key { return hook.KeyAt(time.Now().Add(-m.table.window)) }

// leave deletes the rows of a table that are in runs, where they need not stay. A range of
// keys is deleted in half the time that a list of them takes.
func (p *packer) leave(ctx context.Context, m *memory) error {
	if !m.table.moves {
		return nil
	}
	last := fmt.Sprintf("SELECT coalesce((SELECT %[2]s FROM %[1]s WHERE %[2]s <= ?1 ORDER BY %[2]s LIMIT 1 OFFSET ?2), ?1)", m.table.name, m.table.key)
	q := fmt.Sprintf("DELETE FROM %[1]s WHERE %[2]s <= ?", m.table.name, m.table.key)
	for to := hook.Key(0); to < m.mark; {
		err := p.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			if err := tx.QueryRowContext(ctx, last, m.mark, forgetStep-1).Scan(&to); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, q, to)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteAll repeats a deletion whose last argument bounds it.
func (p *packer) deleteAll(ctx context.Context, q string, step int64, args ...any) error {
	args = append(args, step)
	for n := step; n == step; {
		err := p.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			res, err := tx.ExecContext(ctx, q, args...)
			if err != nil {
				return err
			}
			n, err = res.RowsAffected()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// merge makes one run of those from…to-1. What is out of the window does not come along.
func (p *packer) merge(ctx context.Context, m *memory, from, to int) error {
	old := m.list()[from:to]
	keys := 0
	var heads []*runReader
	for _, r := range old {
		keys += r.keys
		if h := p.read(r.number); h.next(ctx) {
			heads = append(heads, h)
		} else if h.err != nil {
			return h.err
		}
	}
	w, first := p.newRun(m, keys), oldest(m)
	for len(heads) > 0 {
		least := slices.MinFunc(heads, func(a, b *runReader) int { return compareEntries(a.entry, b.entry) })
		if least.entry.key >= first {
			if err := w.add(ctx, least.entry); err != nil {
				return err
			}
		}
		if !least.next(ctx) {
			if least.err != nil {
				return least.err
			}
			heads = slices.DeleteFunc(heads, func(h *runReader) bool { return h == least })
		}
	}
	r, err := w.finish(ctx, old[len(old)-1].last, old)
	if err != nil {
		return err
	}
	m.merged(from, to, r)
	return p.erase(ctx, old...)
}

// expire deletes the runs that are out of the window as a whole.
func (p *packer) expire(ctx context.Context, m *memory) error {
	first := oldest(m)
	for list := m.list(); len(list) > 0 && list[0].last < first; list = m.list() {
		err := p.exec(ctx, func(ctx context.Context, tx *sql.Conn) error { return unlist(ctx, tx, list[:1]) })
		if err != nil {
			return err
		}
		m.merged(0, 1, nil)
		if err := p.erase(ctx, list[0]); err != nil {
			return err
		}
	}
	return nil
}

func unlist(ctx context.Context, tx *sql.Conn, runs []*run) error {
	for _, r := range runs {
		if err := one(tx.ExecContext(ctx, "DELETE FROM runs WHERE id = ?", r.number)); err != nil {
			return err
		}
	}
	return nil
}

const (
	eraseBlocks  = 500
	eraseFilters = 4 // they are some hundred pages long
)

// erase deletes what unlisted runs have left.
func (p *packer) erase(ctx context.Context, runs ...*run) error {
	for _, r := range runs {
		from, to := blocksOf(r.number)
		const filters = "DELETE FROM run_filters WHERE id IN (SELECT id FROM run_filters WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?)"
		if err := p.deleteAll(ctx, filters, eraseFilters, from, to); err != nil {
			return err
		}
		const blocks = "DELETE FROM run_blocks WHERE id IN (SELECT id FROM run_blocks WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?)"
		if err := p.deleteAll(ctx, blocks, eraseBlocks, from, to); err != nil {
			return err
		}
	}
	return nil
}

// sweep deletes what work that was cut has left.
func (p *packer) sweep(ctx context.Context) error {
	known, end := map[int64]bool{}, p.next // what is made meanwhile has higher numbers
	for _, m := range p.store.memories {
		listed, err := listedRuns(ctx, p.store.read, m.table.kind)
		if err != nil {
			return err
		}
		for _, r := range append(listed, m.list()...) {
			known[r.number] = true
		}
		if err := p.leave(ctx, m); err != nil {
			return err
		}
	}
	for number := int64(0); ; number++ {
		const q = "SELECT min(id) FROM (SELECT min(id) AS id FROM run_blocks WHERE id >= ?1 UNION ALL SELECT min(id) FROM run_filters WHERE id >= ?1)"
		from, _ := blocksOf(number)
		var id sql.Null[int64]
		if err := p.store.read.QueryRowContext(ctx, q, from).Scan(&id); err != nil || !id.Valid {
			return err
		}
		if number = runOf(id.V); number >= end {
			return nil
		}
		if known[number] {
			continue
		}
		if err := p.erase(ctx, &run{number: number}); err != nil {
			return err
		}
	}
}
