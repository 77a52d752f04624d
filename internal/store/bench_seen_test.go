//go:build unix

package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// seenKeys is how many dedupe keys these benchmarks have: SEEN_KEYS, else a million. With
// SEEN_DIR they are kept in that directory, for `go run ./bench -begin`.
func seenKeys(b *testing.B) int {
	b.Helper()
	text, ok := os.LookupEnv("SEEN_KEYS")
	if !ok {
		return 1_000_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < generationSize {
		b.Fatalf("SEEN_KEYS is %q; it is a number from %d on", text, generationSize)
	}
	return n
}

// used is the processor time of this process: what it does by itself, however busy the
// machine is.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the memory of this process, in MiB, as Linux counts it; 0 elsewhere.
func resident() float64 {
	raw, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			n, _ := strconv.ParseFloat(f[1], 64)
			return n / 1024
		}
	}
	return 0
}

// written is what this process wrote to disks, in bytes, as Linux counts it; 0 elsewhere.
func written() float64 {
	raw, _ := os.ReadFile("/proc/self/io")
	for line := range strings.Lines(string(raw)) {
		if text, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(text), 64)
			return n
		}
	}
	return 0
}

// BenchmarkSeen fills a window of eight days evenly and reports, in processor time, what it
// costs to pack the keys, to start with them, to look one up, and to append beside them.
func BenchmarkSeen(b *testing.B) {
	dir, ok := os.LookupEnv("SEEN_DIR")
	if !ok {
		dir = b.TempDir()
	}
	keys := seenKeys(b)
	if _, err := os.Stat(filepath.Join(dir, databaseName)); err != nil {
		s := openSize(b, dir)
		report(b, "Pack", fillSeen(b, s, keys))
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	debug.FreeOSMemory()
	before, cpu, began := resident(), used(), time.Now()
	s := openSize(b, dir)
	start := figures{"ms": msOf(time.Since(began)), "cpu-ms": msOf(used() - cpu), "MiB": resident(), "runs": float64(len(s.writer.seen.list()))}
	debug.FreeOSMemory()
	start["kept-MiB"] = resident() - before
	report(b, "Start", start)
	report(b, "LookUp", lookUps(b, s))
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	full := filepath.Join(b.TempDir(), "full")
	if err := os.CopyFS(full, os.DirFS(dir)); err != nil {
		b.Fatal(err)
	}
	for _, with := range []struct {
		name, dir string
		packer    bool
	}{{"empty", b.TempDir(), false}, {"full", full, false}, {"empty, packing", b.TempDir(), true}, {"full, packing", full, true}} {
		appendBeside(b, "Append/"+with.name, with.dir, with.packer)
	}
}

// appendBeside measures commits, while the packer packs what they add or not.
func appendBeside(b *testing.B, name, dir string, packer bool) {
	s := openSize(b, dir)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	if packer {
		go func() { ended <- s.RunPacker(ctx) }()
	} else {
		ended <- nil
	}
	b.Run(name, func(b *testing.B) {
		cpu := used()
		appendAndRecord(b, s)
		_, left := s.writer.seen.full()
		b.ReportMetric(float64((used()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
		b.ReportMetric(float64(left), "generations-left")
		b.ReportMetric(resident(), "MiB")
	})
	stop()
	if err := errors.Join(<-ended, s.Close()); err != nil {
		b.Fatal(err)
	}
}

// figures were measured once, whatever b.N is.
type figures map[string]float64

func report(b *testing.B, name string, f figures) {
	b.Run(name, func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		for unit, n := range f {
			b.ReportMetric(n, unit)
		}
	})
}

func msOf(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func openSize(b *testing.B, dir string) *Store {
	b.Helper()
	s, err := Open(context.Background(), Options{Dir: dir, Log: slog.New(slog.DiscardHandler), Kept: func(n int64) { debug.SetGCPercent(int(300 * (8 << 20) / (8<<20 + n))) }})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// fillSeen writes keys as commits would have, a generation at a time, and packs them.
func fillSeen(b *testing.B, s *Store, keys int) figures {
	ctx := context.Background()
	m := s.writer.seen
	begin := time.Now().Add(-hook.DedupeWindow + time.Hour)
	step := (hook.DedupeWindow - 2*time.Hour) / time.Duration(keys)
	var writing, packing, worst time.Duration
	var bytes float64
	for done := 0; done < keys; done += generationSize {
		cpu := used()
		first := hook.KeyAt(begin.Add(step * time.Duration(done)))
		err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			_, err := tx.ExecContext(ctx, `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
				INSERT INTO dedupe (message_id, org_id, hash) SELECT ? + ((i * ? / 1000000) << 22) + i % 16384, 1, randomblob(16) FROM n`, generationSize, first, step.Nanoseconds())
			return err
		})
		if err == nil {
			err = m.loadLive(ctx, s.read, time.Now())
		}
		if err != nil {
			b.Fatal(err)
		}
		writing += used() - cpu
		cpu, began, before := used(), time.Now(), written()
		if err := s.Pack(ctx); err != nil {
			b.Fatal(err)
		}
		packing, worst, bytes = packing+used()-cpu, max(worst, time.Since(began)), bytes+written()-before
	}
	f := figures{"cpu-ns/key": float64(packing.Nanoseconds()) / float64(keys), "write-cpu-ns/key": float64(writing.Nanoseconds()) / float64(keys), "longest-ms": msOf(worst), "written-B/key": bytes / float64(keys)}
	if info, err := os.Stat(dbPath(b, s)); err == nil {
		f["database-MiB"] = float64(info.Size()) / (1 << 20)
	}
	return f
}

func dbPath(b *testing.B, s *Store) (path string) {
	if err := s.read.QueryRow("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path); err != nil {
		b.Fatal(err)
	}
	return path
}

// lookUps says what new and known hashes cost.
func lookUps(b *testing.B, s *Store) figures {
	f := figures{}
	ctx, now := context.Background(), time.Now()
	known, err := readRows(ctx, s.read, func(row scanner) (h hook.Hash, err error) {
		var raw sql.RawBytes
		err = row.Scan(&raw)
		copy(h[:], raw)
		return h, err
	}, "hashes", "SELECT substr(entries, 1, 16) FROM run_blocks WHERE id >> ? IN (SELECT id FROM runs WHERE kind = 1) AND id % 37 = 0", placeBits)
	if err != nil || len(known) == 0 {
		b.Fatal(len(known), err)
	}
	fresh := make([]hook.Hash, 1<<20)
	for i := range fresh {
		rand.Read(fresh[i][:])
	}
	for name, hashes := range map[string][]hook.Hash{"new": fresh, "known": known[:min(len(known), 20_000)]} {
		cpu, found := used(), 0
		for _, h := range hashes {
			_, ok, err := s.writer.seen.find(ctx, s.block, h, now)
			if err != nil {
				b.Fatal(err)
			}
			if ok {
				found++
			}
		}
		if want := map[string]int{"known": len(hashes)}[name]; found != want {
			b.Errorf("%d of %d %s hashes were found", found, len(hashes), name)
		}
		f[name+"-cpu-ns"] = float64((used() - cpu).Nanoseconds()) / float64(len(hashes))
	}
	return f
}

// BenchmarkRuns says what it costs to ask so many runs for a new hash.
func BenchmarkRuns(b *testing.B) {
	keys := seenKeys(b)
	for _, n := range []int{1, 10, 15, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := openSize(b, b.TempDir())
			m := newMemory(dedupeTable, 0)
			builder := newRunOf(b, keys/n)
			for range n {
				m.runs = append(m.runs, builder(int64(len(m.runs)+1)))
			}
			fresh := make([]hook.Hash, 1<<16)
			for i := range fresh {
				rand.Read(fresh[i][:])
			}
			ctx, now := context.Background(), time.Now()
			runtime.GC()
			b.ResetTimer()
			cpu := used()
			for i := range b.N {
				if _, _, err := m.find(ctx, s.block, fresh[i&(len(fresh)-1)], now); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((used()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// newRunOf makes runs of filters only: their hashes are in no block.
func newRunOf(b *testing.B, keys int) func(number int64) *run {
	bits := byte(16)
	if keys >= narrowGenerations*generationSize {
		bits = 8
	}
	return func(number int64) *run {
		parts := max(1, keys/generationSize)
		r := &run{number: number, last: 1<<63 - 1, keys: keys}
		hashes := make([]uint64, keys/parts)
		var builder filterBuilder
		for i := range parts {
			for j := range hashes {
				var raw [8]byte
				rand.Read(raw[:])
				hashes[j] = filterKey(hook.Hash(append(raw[:], raw[:]...)))
			}
			from, _ := blocksOf(number)
			made, _, err := makePart(&builder, bits, from+int64(i)<<placeBits/int64(parts), hashes)
			if err != nil {
				b.Fatal(err)
			}
			r.parts = append(r.parts, made)
		}
		return r
	}
}
