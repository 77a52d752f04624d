package store

import (
	"context"
	"math"
	"time"
)

const (
	// mergeRuns is how many runs of one size become one of the next.
	mergeRuns = 4
	// largestRun is the greatest run that merging makes, in generations: 12.8 million
	// hashes, whose filter takes 30 MB while it stands beside those that it replaces.
	largestRun = 128
	// slots is how many parts a window has. A run does not span more than one of them,
	// if it can be helped: it is kept until its newest entry leaves the window.
	slots = 8
)

// mergeable says which runs to merge next, from…to-1, none if to is not greater. Every
// hash that is looked for asks each filter, so they should be few; and every merge
// writes its entries again, so merges should be few. Runs whose slot is over become one.
// Of those in the newest slot four of one size do, as in a log-structured merge tree
// (O'Neil et al., 1996) with a factor of four. So there is one run for each of nine
// slots, at most three of each size in the last one, and one more for each largestRun: of
// 50 million hashes that come evenly 17 at most, and each is written three or four times.
func mergeable(runs []*run, size int, window time.Duration) (from, to int) {
	slot := func(i int) int64 { return runs[i].last.Time().UnixMilli() / (window / slots).Milliseconds() }
	for begin := 0; begin < len(runs); begin = to {
		for to = begin + 1; to < len(runs) && slot(to) == slot(begin); to++ {
		}
		join := over
		if to == len(runs) {
			join = growing
		}
		if n, m := join(runs[begin:to], size); m > n {
			return begin + n, begin + m
		}
	}
	return 0, 0
}

// over is mergeable for the runs of a slot to which none is added any more: the first that
// may be one.
func over(runs []*run, size int) (from, to int) {
	for from = range runs {
		to = from + 1
		for to < len(runs) && total(runs[from:to+1]) <= largestRun*size {
			to++
		}
		if to > from+1 {
			return from, to
		}
	}
	return 0, 0
}

// growing is mergeable for the runs of the newest slot: the first four of one size, or a
// small one before a larger one, which would part those of its size for ever.
func growing(runs []*run, size int) (from, to int) {
	same := 0
	for i := range runs {
		switch l := level(runs[i], size); {
		case i > 0 && l == level(runs[i-1], size):
			same++
		case i > 0 && l > level(runs[i-1], size) && total(runs[i-1:i+1]) <= largestRun*size:
			return i - 1, i + 1
		default:
			same = 1
		}
		if first := i + 1 - mergeRuns; same >= mergeRuns && total(runs[first:i+1]) <= largestRun*size {
			return first, i + 1
		}
	}
	return 0, 0
}

func total(runs []*run) (keys int) {
	for _, r := range runs {
		keys += r.keys
	}
	return keys
}

// level is how often a run was merged with three others.
func level(r *run, size int) int {
	return max(0, int(math.Round(math.Log(float64(r.keys)/float64(size))/math.Log(mergeRuns))))
}

const (
	// packEvery is how often the packer looks for something to do.
	packEvery = time.Second
	// Beyond so many generations in memory or runs to ask, the packer yields to
	// nobody any more: generations take memory, and each new hash asks each run.
	packLag  = 2
	mergeLag = 32
)

// RunPacker packs hashes until ctx ends, and then returns nil. It yields to load as the indexer
// does, until more than 200,000 hashes of a table wait in maps. Work that fails is
// begun again. On PostgreSQL there is nothing to do: tables dedupe and idempotency are looked up
// there, by their hash.
func (s *Store) RunPacker(ctx context.Context) error {
	if s.pg != nil {
		<-ctx.Done()
		return nil
	}
	p, err := newPacker(ctx, s)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	tick := time.NewTicker(packEvery)
	defer tick.Stop()
	for {
		if err := p.round(ctx); err != nil && ctx.Err() == nil {
			s.writer.log.Warn("packing hashes failed", "error", err)
		}
		s.tellKept()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Pack does at once what RunPacker does bit by bit: it yields to nothing. Only one of them may run.
func (s *Store) Pack(ctx context.Context) error {
	if s.pg != nil {
		return nil
	}
	p, err := newPacker(ctx, s)
	if err != nil {
		return err
	}
	p.may = func(ctx context.Context) error { return ctx.Err() }
	err = p.round(ctx)
	s.tellKept()
	return err
}

// yield waits until there is no load, or too much to do.
func (p *packer) yield(ctx context.Context) error {
	tick := time.NewTicker(packEvery)
	defer tick.Stop()
	for !p.behind() {
		idle, err := p.store.idle(ctx)
		if err != nil || idle {
			return err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		if ctx.Err() != nil {
			break
		}
	}
	return ctx.Err()
}

func (p *packer) behind() bool {
	for _, m := range p.store.memories {
		if _, n := m.full(); n >= packLag || len(m.list()) > mergeLag {
			return true
		}
	}
	return false
}

// tellKept says how much is in memory for long, when that changed by more than a MiB.
func (s *Store) tellKept() {
	if s.kept == nil {
		return
	}
	var n int64
	for _, m := range s.memories {
		n += m.bytes()
	}
	if n>>20 != s.keptLast {
		s.keptLast = n >> 20
		s.kept(n)
	}
}
