package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"

	"github.com/FastFilter/xorfilter"

	"github.com/sigpost/sigpost/internal/hook"
)

// run is hashes that left memory, sorted, in blocks of the store, and a filter that
// says of nearly all others that they are not among them. It never changes.
type run struct {
	number int64
	last   hook.Key // of its table
	keys   int
	parts  []part // by their first block
}

// part is the filter of some blocks that follow one another. A large run has several, because
// making a filter takes ten times the memory that it has.
type part struct {
	from   int64 // the id of its first block
	filter filter
	size   int // in bytes
}

// filter is a binary fuse filter (Graf and Lemire, "Binary Fuse Filters: Fast and Smaller
// Than Xor Filters", 2022). With fingerprints of 16 bits it takes 18.5 bits a hash, and one of
// 65,536 others passes; with 8 bits it is half as large, and one of 256 does.
type filter interface {
	// Contains is true for all keys that it was made of, and a few others.
	Contains(key uint64) bool
}

// filterBuilder makes filters one after another in the same memory.
type filterBuilder = xorfilter.BinaryFuseBuilder

// filterKey is the part of a hash that the filter has. Its begin decides about the
// block already.
func filterKey(h hook.Hash) uint64 { return binary.BigEndian.Uint64(h[8:]) }

// mayHave is false for nearly all hashes that the run does not have, and true
// for all that it has.
func (r *run) mayHave(h hook.Hash) bool {
	at := place(r.number, h)
	i := sort.Search(len(r.parts), func(i int) bool { return r.parts[i].from > at }) - 1
	return i >= 0 && r.parts[i].filter.Contains(filterKey(h))
}

func (r *run) bytes() (n int64) {
	for i := range r.parts {
		n += int64(r.parts[i].size)
	}
	return n
}

// entry is one row of a run.
type entry struct {
	hash     hook.Hash
	key, org hook.Key
}

const (
	entrySize = len(hook.Hash{}) + 8 + 8
	// blockEntries fill a page of 4 KiB. A block has more only where hashes begin
	// with the same 36 bits, for these are never parted.
	blockEntries = 126
	// partGenerations is how many generations have one filter. Filters of fewer
	// hashes take more bits for each.
	partGenerations = 2
	// narrowGenerations is the length of runs whose filters have 8 bits instead of 16. A hash that
	// passes by mistake reads a block, maybe from the disk, while commits wait. But with 16 bits
	// for all of 50 million hashes, a process under full load would not keep within 256 MiB.
	// Nine days of so many hashes each have 16 bits, and take 66 MB.
	narrowGenerations = 32
	placeBits         = 36
)

// place is the id of the block that begins with hash, and so the greatest one that a
// block with hash in it can have.
func place(run int64, h hook.Hash) int64 {
	return run<<placeBits | int64(binary.BigEndian.Uint64(h[:8])>>(64-placeBits))
}

// runOf is the run of a block or filter.
func runOf(id int64) int64 { return id >> placeBits }

// blocksOf are the ids that blocks and filters of a run can have.
func blocksOf(run int64) (from, to int64) {
	return run << placeBits, run<<placeBits | (1<<placeBits - 1)
}

func appendEntry(block []byte, e entry) []byte {
	block = append(block, e.hash[:]...)
	block = binary.BigEndian.AppendUint64(block, uint64(e.key))
	return binary.BigEndian.AppendUint64(block, uint64(e.org))
}

func entryAt(block []byte, i int) (e entry) {
	b := block[i*entrySize:]
	copy(e.hash[:], b)
	e.key, e.org = hook.Key(binary.BigEndian.Uint64(b[16:])), hook.Key(binary.BigEndian.Uint64(b[24:]))
	return e
}

// findEntry searches a block.
func findEntry(block []byte, h hook.Hash) (entry, bool) {
	i, found := sort.Find(len(block)/entrySize, func(i int) int { return bytes.Compare(h[:], block[i*entrySize:i*entrySize+len(h)]) })
	if !found {
		return entry{}, false
	}
	return entryAt(block, i), true
}

// compareEntries puts the newest of equal hashes first.
func compareEntries(a, b entry) int {
	if c := bytes.Compare(a.hash[:], b.hash[:]); c != 0 {
		return c
	}
	return cmp.Compare(b.key, a.key)
}

// makePart makes the filter of keys, and what is kept of it: a byte that says how many bits
// fingerprints have, and the filter.
func makePart(b *filterBuilder, bits byte, from int64, keys []uint64) (part, []byte, error) {
	if bits == 8 {
		return makeFilter[uint8](b, bits, from, keys)
	}
	return makeFilter[uint16](b, bits, from, keys)
}

func makeFilter[T uint8 | uint16](b *filterBuilder, bits byte, from int64, keys []uint64) (part, []byte, error) {
	f, err := xorfilter.BuildBinaryFuse[T](b, keys)
	if err != nil {
		return part{}, nil, fmt.Errorf("make filter of %d hashes: %w", len(keys), err)
	}
	f.Fingerprints = slices.Clone(f.Fingerprints) // they were the builder's
	size := len(f.Fingerprints) * int(bits) / 8
	var raw bytes.Buffer
	raw.Grow(size + 64)
	raw.WriteByte(bits)
	if err := f.Save(&raw); err != nil {
		return part{}, nil, fmt.Errorf("keep filter: %w", err)
	}
	return part{from, &f, size}, raw.Bytes(), nil
}

func loadFilter[T uint8 | uint16](raw []byte, bits byte, from int64) (part, error) {
	f, err := xorfilter.LoadBinaryFuse[T](bytes.NewReader(raw))
	if err != nil || len(f.Fingerprints) != int(f.SegmentCount+2)*int(f.SegmentLength) || f.SegmentCountLength != f.SegmentCount*f.SegmentLength || f.SegmentLengthMask != f.SegmentLength-1 {
		return part{}, fmt.Errorf("%w: filter %d is not whole", errDamaged, from)
	}
	return part{from, f, len(f.Fingerprints) * int(bits) / 8}, nil
}

// loadFilters reads the filters of a run.
func loadFilters(ctx context.Context, db *sql.DB, number int64) (parts []part, err error) {
	from, to := blocksOf(number)
	rows, err := db.QueryContext(ctx, "SELECT id, filter FROM run_filters WHERE id BETWEEN ? AND ? ORDER BY id", from, to)
	if err != nil {
		return nil, fmt.Errorf("read filters: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var raw sql.RawBytes
		if err := rows.Scan(&id, &raw); err != nil {
			return nil, fmt.Errorf("read filters: %w", err)
		}
		var p part
		switch {
		case len(raw) > 0 && raw[0] == 8:
			p, err = loadFilter[uint8](raw[1:], 8, id)
		case len(raw) > 0 && raw[0] == 16:
			p, err = loadFilter[uint16](raw[1:], 16, id)
		default:
			err = fmt.Errorf("%w: filter %d is not whole", errDamaged, id)
		}
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read filters: %w", err)
	}
	return parts, nil
}
