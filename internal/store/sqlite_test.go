package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
	"github.com/sigpost/sigpost/internal/store/storetest"
)

func openDir(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	open := func(t testing.TB, name string) *store.Store {
		s := openDir(t, filepath.Join(root, filepath.Base(name)))
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	storetest.Run(t, open)
	storetest.RunLanes(t, open, store.LaneFaultsForTest)
}

func TestOpenRefusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openDir(t, dir)
	defer s.Close()
	_, err := store.Open(context.Background(), store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if hook.CodeOf(err) != hook.CodeConflict || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second process opened the directory: %v", err)
	}
}

func TestOpenRefusesADamagedFileAndLeavesItAsItIs(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"not a database":   func([]byte) []byte { return []byte("this is not a database, whatever its name says; really not") },
		"overwritten":      func(b []byte) []byte { copy(b[3*4096:], strings.Repeat("\xff\x00\x13", 4096)); return b },
		"cut in the midst": func(b []byte) []byte { return b[:len(b)/2+100] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := openDir(t, dir).Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "sigpost.db")
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			broken := damage(whole)
			if err := os.WriteFile(path, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = store.Open(context.Background(), store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), "restore a backup") {
				t.Errorf("error of a damaged file: %v", err)
			}
			if after, _ := os.ReadFile(path); string(after) != string(broken) {
				t.Error("the damaged file was changed")
			}
		})
	}
}

// The window is exact: one instant inside, the next one outside, and also
// after a restart, when the keys come from disk.
func TestDedupeWindowIsExact(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openDir(t, dir)
		var hash hook.Hash
		rand.Read(hash[:])
		again := func() *hook.Append {
			a := &hook.Append{Message: hook.Message{Org: store.DefaultOrg, App: 1, Event: hook.Event{Type: "t"}, ReceivedAt: time.Now(), Body: []byte("x")}, Hash: hash}
			if err := s.Append(context.Background(), a); err != nil {
				t.Fatal(err)
			}
			return a
		}
		first := again()
		time.Sleep(hook.DedupeWindow) // of the bubble's clock
		if a := again(); !a.Duplicate || a.Message.ID != first.Message.ID {
			t.Error("at the end of the window the event is new")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openDir(t, dir)
		defer s.Close()
		if n, err := s.ForgetDedupe(context.Background(), time.Now()); n != 0 || err != nil {
			t.Errorf("a key inside the window was forgotten: %d, %v", n, err)
		}
		time.Sleep(time.Millisecond)
		if a := again(); a.Duplicate {
			t.Error("after the window the event is still known")
		}
		if n, err := s.ForgetDedupe(context.Background(), time.Now()); n != 1 || err != nil {
			t.Errorf("a key outside the window was not forgotten: %d, %v", n, err)
		}
	})
}

// crashed is a directory as a crash leaves it: with what was acknowledged in
// the write-ahead log only.
func crashed(t *testing.T) string {
	t.Helper()
	from, to := t.TempDir(), t.TempDir()
	s := openDir(t, from)
	defer s.Close()
	a := &hook.Append{Message: hook.Message{Org: store.DefaultOrg, App: 1, Event: hook.Event{Type: "t"}, ReceivedAt: time.Now(), Body: []byte("x")}}
	if err := s.Append(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sigpost.db", "sigpost.db-wal", "format"} {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// SQLite passes over a log that it cannot read, and a database that is gone is
// one to begin: both would lose what was acknowledged without a word.
func TestOpenRefusesWhatWouldLoseAcknowledgedMessages(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(dir string) error{
		"log overwritten": func(dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, "sigpost.db-wal"), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte(strings.Repeat("\xff", 32)), 0)
			return err
		},
		"one bit of the log's header": func(dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, "sigpost.db-wal"), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			var b [1]byte
			if _, err := f.ReadAt(b[:], 17); err != nil {
				return err
			}
			b[0] ^= 4
			_, err = f.WriteAt(b[:], 17)
			return err
		},
		"log cut":          func(dir string) error { return os.Truncate(filepath.Join(dir, "sigpost.db-wal"), 20) },
		"database gone":    func(dir string) error { return os.Remove(filepath.Join(dir, "sigpost.db")) },
		"database emptied": func(dir string) error { return os.Truncate(filepath.Join(dir, "sigpost.db"), 0) },
		"database emptied, no log": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "sigpost.db-wal")), os.Truncate(filepath.Join(dir, "sigpost.db"), 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := crashed(t)
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			s, err := store.Open(context.Background(), store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
			if err == nil {
				s.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), "restore a backup") {
				t.Errorf("without a way out: %v", err)
			}
		})
	}
}

func TestOpenAfterACrashReadsTheLogAndClosesTheFilesToOthers(t *testing.T) {
	t.Parallel()
	dir := crashed(t)
	s := openDir(t, dir)
	defer s.Close()
	list, _, err := s.ListMessages(context.Background(), hook.MessageFilter{Org: 1, Page: hook.Page{Limit: 10}})
	if err != nil || len(list) != 1 {
		t.Errorf("%d messages after a crash, %v", len(list), err)
	}
	for _, name := range []string{"sigpost.db", "sigpost.db-wal", "sigpost.db-shm", "format"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); name != "format" && mode != 0o600 {
			t.Errorf("%s has mode %o", name, mode)
		}
		if strings.HasSuffix(name, "-wal") && info.Size() > 0 { // what it had may not be on the disk
			t.Errorf("the log of before is still written on: it has %d bytes", info.Size())
		}
	}
}
