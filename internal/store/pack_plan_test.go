package store

import (
	"context"
	"database/sql"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// planned is what packing so many generations comes to, when they come at an even pace within
// a time, and the largest are uneven times as large as the smallest. often is how many times
// a hash was written again.
func planned(generations int, within time.Duration, uneven int) (runs []*run, most int, often float64) {
	const size = 1000
	begin := hook.Epoch.Add(10 * 365 * 24 * time.Hour)
	keys, written := 0, 0
	for i := range generations {
		at := begin.Add(within * time.Duration(i) / time.Duration(generations))
		for len(runs) > 0 && runs[0].last < hook.KeyAt(at.Add(-hook.DedupeWindow)) {
			runs = runs[1:]
		}
		next := &run{last: hook.KeyAt(at), keys: size * (1 + i*7%uneven)}
		runs, keys = append(runs, next), keys+next.keys
		for from, to := mergeable(runs, size, hook.DedupeWindow); to > from; from, to = mergeable(runs, size, hook.DedupeWindow) {
			one := &run{last: runs[to-1].last, keys: total(runs[from:to])}
			written += one.keys
			runs = append(append(append([]*run{}, runs[:from]...), one), runs[to:]...)
		}
		most = max(most, len(runs))
	}
	return runs, most, float64(written) / float64(keys)
}

// Look-ups ask each run, so they must be few, and merging must not write each hash too often.
func TestRunsStayFew(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, c := range []struct {
		name        string
		uneven      int // how many times as large some are
		generations int // 500 are 50 million hashes
		within      time.Duration
		most        int
		written     float64 // how often each hash, after it was packed
	}{
		{"50 million, evenly", 1, 500, 8 * day, 15, 3},
		{"50 million a window, for long", 1, 500 * 5, 40 * day, 17, 3},
		{"50 million in an hour", 1, 500, time.Hour, 15, 3},
		{"200 million, evenly", 1, 2000, 8 * day, 25, 4},
		{"of all sizes", 4, 250, 8 * day, 14, 3},
		{"of all sizes in an hour", 4, 250, time.Hour, 16, 3},
		{"two generations a day", 1, 80, 40 * day, 11, 1.5},
		{"one generation a week", 1, 10, 70 * day, 2, 0},
	} {
		runs, most, often := planned(c.generations, c.within, c.uneven)
		if most > c.most || often > c.written {
			t.Errorf("%s: up to %d runs, written %.1f times more", c.name, most, often)
		}
		for i, r := range runs {
			if r.keys > largestRun*1000 {
				t.Errorf("%s: run %d has %d hashes", c.name, i, r.keys)
			}
		}
	}
}

func TestThePackerYieldsToLoadUntilItIsTooFarBehind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		generations int
		load        bool
		packed      bool
	}{
		{"no load", 1, false, true},
		{"load", packLag - 1, true, false},
		{"load, too far behind", packLag, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Hour) // of the bubble's clock: away from the beginning of keys
				s := openSeen(t, dir)
				defer s.Close()
				s.fill(t, c.generations*generationOfTests)
				time.Sleep(time.Minute)
				ctx, stop := context.WithCancel(context.Background())
				ended := make(chan error)
				if c.load {
					keepMessages(t, s.Store, indexBusy+1, "a", "g")
				}
				go func() { ended <- s.RunPacker(ctx) }()
				time.Sleep(packEvery / 2)
				synctest.Wait()
				if got := len(s.writer.seen.list()) > 0; got != c.packed {
					t.Errorf("packed: %v", got)
				}
				time.Sleep(3 * packEvery)
				synctest.Wait()
				if _, n := s.writer.seen.full(); n > 0 {
					t.Errorf("%d generations are left when the load is over", n)
				}
				stop()
				if err := <-ended; err != nil {
					t.Errorf("the packer ended with %v", err)
				}
			})
		})
	}
}

// The store says what it has in memory for long, so that the garbage collector need not
// leave as much room again for it.
func TestStoreTellsWhatItKeeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var told []int64
	open := func() *Store {
		s, err := Open(context.Background(), Options{Dir: dir, Log: slog.New(slog.DiscardHandler), generation: 40_000, Kept: func(n int64) { told = append(told, n) }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	inWriter(t, s, func(ctx context.Context, tx *sql.Conn) error {
		first := s.writer.keys.Take(time.Now(), 1)
		_, err := tx.ExecContext(ctx, `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 81000)
			INSERT INTO dedupe (message_id, org_id, hash) SELECT ? + (i << 22), 1, randomblob(16) FROM n`, first)
		return err
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	inMaps := told[len(told)-1]
	p, err := newPacker(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	p.may = func(context.Context) error { return nil }
	if err := p.round(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.tellKept()
	inFilters := told[len(told)-1]
	if inMaps < 2_000_000 || inFilters > inMaps/10 || inFilters < 80_000*2 {
		t.Errorf("%d bytes in maps, then %d in filters", inMaps, inFilters)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
