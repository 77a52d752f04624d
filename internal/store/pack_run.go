package store

import (
	"context"
	"database/sql"
	"slices"

	"github.com/sigpost/sigpost/internal/hook"
)

// runWriter writes a run whose entries come in their order.
type runWriter struct {
	p       *packer
	m       *memory
	run     run
	perPart int
	bits    byte // of the filters

	buf     []byte // the blocks of the next transaction
	begin   int    // of the block that is being filled, there
	last    entry
	blocks  []any // rows that are full: id, entries
	from    int64 // the block with which the part begins
	hashes  []uint64
	builder filterBuilder
}

// blocksAtOnce is how many blocks one transaction has: 16,000 entries, half a MiB.
const blocksAtOnce = 128

// newRun begins a run of about so many entries.
func (p *packer) newRun(m *memory, entries int) *runWriter {
	size := partGenerations * m.size
	parts := max(1, (entries+size/2)/size)
	w := &runWriter{p: p, m: m, run: run{number: p.next}, perPart: entries/parts + 1, bits: 16}
	if entries >= narrowGenerations*m.size {
		w.bits = 8
	}
	w.buf = make([]byte, 0, min(entries+1, (blocksAtOnce+1)*blockEntries)*entrySize)
	p.next++
	return w
}

// add adds an entry, unless it has the same hash as the one before, which was newer.
func (w *runWriter) add(ctx context.Context, e entry) error {
	if w.run.keys > 0 && e.hash == w.last.hash {
		return nil
	}
	if len(w.buf)-w.begin >= blockEntries*entrySize && place(0, e.hash) != place(0, w.last.hash) {
		if err := w.endBlock(ctx); err != nil {
			return err
		}
	}
	w.buf = appendEntry(w.buf, e)
	w.hashes = append(w.hashes, filterKey(e.hash))
	w.last = e
	w.run.keys++
	return nil
}

func (w *runWriter) endBlock(ctx context.Context) error {
	block := w.buf[w.begin:]
	id := place(w.run.number, entryAt(block, 0).hash)
	if len(w.hashes)*entrySize == len(block) {
		w.from = id
	}
	w.blocks, w.begin = append(w.blocks, id, block), len(w.buf)
	switch {
	case len(w.hashes) >= w.perPart:
		return w.endPart(ctx)
	case len(w.blocks) >= 2*blocksAtOnce:
		return w.write(ctx, nil)
	}
	return nil
}

// endPart writes the filter of the blocks since the last one.
func (w *runWriter) endPart(ctx context.Context) error {
	made, raw, err := makePart(&w.builder, w.bits, w.from, w.hashes)
	if err != nil {
		return err
	}
	w.run.parts, w.hashes = append(w.run.parts, made), w.hashes[:0]
	return w.write(ctx, func(ctx context.Context, tx *sql.Conn) error {
		return one(tx.ExecContext(ctx, "INSERT INTO run_filters (id, filter) VALUES (?, ?)", made.from, raw))
	})
}

// write writes the blocks that are full, and does more in the same transaction.
func (w *runWriter) write(ctx context.Context, more func(ctx context.Context, tx *sql.Conn) error) error {
	err := w.p.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		for rows := range slices.Chunk(w.blocks, 2*blocksOfStatement) {
			if _, err := tx.ExecContext(ctx, "INSERT INTO run_blocks (id, entries) VALUES "+placeholders(len(rows)/2, 2), rows...); err != nil {
				return err
			}
		}
		if more == nil {
			return nil
		}
		return more(ctx, tx)
	})
	w.blocks, w.buf, w.begin = w.blocks[:0], w.buf[:0], 0
	return err
}

const blocksOfStatement = 32

// finish writes what is left and lists the run in the place of others. It is nil when it has
// no entries.
func (w *runWriter) finish(ctx context.Context, last hook.Key, instead []*run) (*run, error) {
	w.run.last = last
	if len(w.buf) > w.begin {
		if err := w.endBlock(ctx); err != nil {
			return nil, err
		}
	}
	if len(w.hashes) > 0 {
		if err := w.endPart(ctx); err != nil {
			return nil, err
		}
	}
	if w.run.keys == 0 && len(instead) == 0 {
		return nil, nil
	}
	err := w.p.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if err := unlist(ctx, tx, instead); err != nil || w.run.keys == 0 {
			return err
		}
		const q = "INSERT INTO runs (id, kind, last, keys) VALUES (?, ?, ?, ?)"
		return one(tx.ExecContext(ctx, q, w.run.number, w.m.table.kind, last, w.run.keys))
	})
	if err != nil || w.run.keys == 0 {
		return nil, err
	}
	return &w.run, nil
}

// runReader reads the entries of a run in their order.
type runReader struct {
	store   *Store
	at, end int64 // ids of blocks
	blocks  []byte
	entry   entry
	err     error
}

func (p *packer) read(number int64) *runReader {
	at, end := blocksOf(number)
	return &runReader{store: p.store, at: at, end: end}
}

// blocksRead is how many blocks a reader has in memory. It holds no snapshot meanwhile: that
// would keep the write-ahead log from beginning anew.
const blocksRead = 32

// next goes to the next entry. False is the end, or an error.
func (r *runReader) next(ctx context.Context) bool {
	if len(r.blocks) == 0 && r.at <= r.end {
		r.err = r.fill(ctx)
	}
	if r.err != nil || len(r.blocks) == 0 {
		return false
	}
	r.entry, r.blocks = entryAt(r.blocks, 0), r.blocks[entrySize:]
	return true
}

func (r *runReader) fill(ctx context.Context) error {
	rows, err := r.store.read.QueryContext(ctx, "SELECT id, entries FROM run_blocks WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?", r.at, r.end, blocksRead)
	if err != nil {
		return err
	}
	defer rows.Close()
	r.blocks, r.at = nil, r.end+1
	for rows.Next() {
		var id int64
		var raw sql.RawBytes
		if err := rows.Scan(&id, &raw); err != nil {
			return err
		}
		r.blocks, r.at = append(r.blocks, raw...), id+1
	}
	return rows.Err()
}
