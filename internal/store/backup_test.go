package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// key is a text as it stands in master.key; the store does not read it.
const key = "the key\n"

// withKey is a data directory with some messages and a key.
func withKey(t *testing.T, messages int) (dir string, s *store.Store) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data dir")
	s = openDir(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "master.key"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	for range messages {
		keepOne(t, s)
	}
	return dir, s
}

func keepOne(t *testing.T, s *store.Store) hook.Key {
	t.Helper()
	a := &hook.Append{Message: hook.Message{Org: store.DefaultOrg, App: 5, ReceivedAt: time.Now(), Event: hook.Event{Type: "t"}, Body: []byte(strings.Repeat("x", 3000))}}
	if err := s.Append(context.Background(), a); err != nil {
		t.Error(err)
	}
	return a.Message.ID
}

func TestBackupOfARunningStoreHasAllThatWasAcknowledgedBefore(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"directory", "file.tar"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			dir, s := withKey(t, 100)
			defer s.Close()
			last := keepOne(t, s)
			var writing sync.WaitGroup
			stop, began := make(chan struct{}), make(chan struct{})
			writing.Go(func() { // commits go on while it is copied
				for n := 0; ; n++ {
					keepOne(t, s)
					if n == 10 {
						close(began)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
			<-began
			target := filepath.Join(t.TempDir(), name)
			b, err := store.BackUp(ctx, dir, target)
			close(stop)
			writing.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if b.Messages < 112 || b.Size == 0 || !b.Keys {
				t.Errorf("%+v", b)
			}
			expectPrivate(t, target)
			fresh := filepath.Join(t.TempDir(), "restored")
			if r, err := store.Restore(ctx, target, fresh); err != nil || r != b {
				t.Fatalf("%+v restored of %+v, %v", r, b, err)
			}
			expectPrivate(t, fresh)
			if raw, err := os.ReadFile(filepath.Join(fresh, "master.key")); string(raw) != key {
				t.Errorf("the key is %q, %v", raw, err)
			}
			r := openDir(t, fresh)
			defer r.Close()
			if m, err := r.Message(ctx, last); err != nil || len(m.Body) != 3000 {
				t.Errorf("the last message before the backup: %v", err)
			}
			if r.IDs().Public(hook.KindMessage, last) != s.IDs().Public(hook.KindMessage, last) {
				t.Error("public ids changed")
			}
		})
	}
}

// expectPrivate checks that only the owner can read what is at path.
func expectPrivate(t *testing.T, path string) {
	t.Helper()
	err := filepath.WalkDir(path, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && !d.IsDir() && d.Name() != "lock" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBackupWithoutAKeySaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := openDir(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "b")
	b, err := store.BackUp(context.Background(), dir, target)
	if err != nil || b.Keys {
		t.Errorf("%+v, %v", b, err)
	}
	if _, err := store.Restore(context.Background(), target, filepath.Join(t.TempDir(), "r")); err != nil {
		t.Error(err)
	}
}

func TestBackupAndRestoreNeverOverwrite(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir, s := withKey(t, 1)
	defer s.Close()
	root := t.TempDir()
	for _, name := range []string{"b", "b.tar"} {
		target := filepath.Join(root, name)
		first, err := store.BackUp(ctx, dir, target)
		if err != nil {
			t.Fatal(err)
		}
		keepOne(t, s)
		if _, err := store.BackUp(ctx, dir, target); hook.CodeOf(err) != hook.CodeConflict {
			t.Errorf("a second backup into %s: %v", name, err)
		}
		if _, err := store.Restore(ctx, target, dir); hook.CodeOf(err) != hook.CodeConflict || !strings.Contains(err.Error(), "not empty") {
			t.Errorf("restored into a directory in use: %v", err)
		}
		if b, err := store.Restore(ctx, target, filepath.Join(root, "of "+name)); err != nil || b != first {
			t.Errorf("the first backup is now %+v, %v; it was %+v", b, err, first)
		}
	}
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != 4 {
		t.Errorf("%d things are left, 4 are right: %v, %v", len(entries), entries, err)
	}
}

func TestRestoreRefusesWhatIsNotWholeAndLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir, s := withKey(t, 50)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	manifest := func(change func(*store.Backup)) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			edit(t, filepath.Join(path, "backup.json"), func(raw []byte) []byte {
				var b store.Backup
				if err := json.Unmarshal(raw, &b); err != nil {
					t.Fatal(err)
				}
				change(&b)
				raw, err := json.Marshal(b)
				if err != nil {
					t.Fatal(err)
				}
				return raw
			})
		}
	}
	for _, c := range []struct {
		what, name, says string
		damage           func(t *testing.T, path string)
	}{
		{"a byte is changed", "b", "is damaged", func(t *testing.T, path string) {
			edit(t, filepath.Join(path, "sigpost.db"), func(raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw })
		}},
		{"a byte is changed in a file", "b.tar", "is damaged", func(t *testing.T, path string) {
			edit(t, path, func(raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw })
		}},
		{"the file is cut", "b.tar", "sigpost.db", func(t *testing.T, path string) {
			edit(t, path, func(raw []byte) []byte { return raw[:len(raw)/2] })
		}},
		{"the file is something else", "b.tar", "is not a backup", func(t *testing.T, path string) {
			edit(t, path, func([]byte) []byte { return []byte("hello") })
		}},
		{"the key is missing", "b", "not whole", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Join(path, "master.key")); err != nil {
				t.Fatal(err)
			}
		}},
		{"the manifest is missing", "b", "is not a backup", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Join(path, "backup.json")); err != nil {
				t.Fatal(err)
			}
		}},
		{"the manifest is empty", "b", "is damaged", manifest(func(b *store.Backup) { *b = store.Backup{} })},
		{"the format is newer", "b", "has format 2", manifest(func(b *store.Backup) { b.Format = 2 })},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			target := filepath.Join(t.TempDir(), c.name)
			if _, err := store.BackUp(ctx, dir, target); err != nil {
				t.Fatal(err)
			}
			c.damage(t, target)
			empty := t.TempDir()
			for _, into := range []string{filepath.Join(empty, "missing"), empty} {
				_, err := store.Restore(ctx, target, into)
				if err == nil || !strings.Contains(fmt.Sprint(err), c.says) {
					t.Errorf("error: %v", err)
				}
			}
			left, err := filepath.Glob(filepath.Join(empty, "[^l]*")) // but the lock
			if err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(raw), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestBackupOfADamagedStoreFailsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir, s := withKey(t, 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(dir, "sigpost.db"), func(raw []byte) []byte {
		copy(raw[len(raw)/2:], strings.Repeat("\xff\x00\x13", 20_000))
		return raw
	})
	root := t.TempDir()
	for _, name := range []string{"b", "b.tar"} {
		if b, err := store.BackUp(context.Background(), dir, filepath.Join(root, name)); err == nil {
			t.Errorf("%s: a damaged store has the backup %+v", name, b)
		}
	}
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestBackupThatIsCutLeavesNothing(t *testing.T) {
	t.Parallel()
	dir, s := withKey(t, 10)
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	root := t.TempDir()
	for _, name := range []string{"b", "b.tar"} {
		if _, err := store.BackUp(ctx, dir, filepath.Join(root, name)); err == nil {
			t.Error("it was not cut")
		}
	}
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
