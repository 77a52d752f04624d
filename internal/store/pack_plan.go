package store

import (
	"context"
	"math"
	"slices"
	"time"
)

const (
	// mergeRuns is how many runs of one size become one of the next.
	mergeRuns = 4
	// largestRun is the greatest run that merging makes, in generations: 12.8 million
	// hashes, whose filter takes 30 MB while it stands beside those that it replaces.
	largestRun = 64
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
// 50 million hashes that came evenly 15 at most, and each was written three or four times.
func mergeable(runs []*run, size int, window time.Duration) (from, to int) {
	slot := func(i int) int64 { return runs[i].last.Time().UnixMilli() / (window / slots).Milliseconds() }
	end := len(runs)
	for begin := 0; begin < end; begin = to {
		for to = begin + 1; to < end && slot(to) == slot(begin); to++ {
		}
		if to == end { // the newest slot
			for ; begin+mergeRuns <= end; begin++ {
				four := runs[begin : begin+mergeRuns]
				same := !slices.ContainsFunc(four, func(r *run) bool { return level(r, size) != level(four[0], size) })
				if same && total(four) <= largestRun*size {
					return begin, begin + mergeRuns
				}
			}
			return 0, 0
		}
		for ; begin < to-1; begin++ {
			last := begin + 1
			for last < to && total(runs[begin:last+1]) <= largestRun*size {
				last++
			}
			if last > begin+1 {
				return begin, last
			}
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
	// nobody any more. Twice as many runs would cost a commit more than merging them.
	packLag  = 2
	mergeLag = 32
)

// RunPacker packs hashes until ctx ends, and then returns nil. It yields to load as the indexer
// does, until more than 600,000 hashes of a table are in maps. Work that fails is
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
