package store

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
)

// killedDir names the data directory of a process that is to be killed.
const killedDir = "SIGPOST_TEST_KILLED"

// A process is killed, again and again, while it appends and packs. What it acknowledged is known
// to the next one.
func TestAKillWhileHashesArePackedLosesNothing(t *testing.T) {
	if dir := os.Getenv(killedDir); dir != "" {
		untilKilled(t, dir)
	}
	t.Parallel()
	dir := t.TempDir()
	var hashes []hook.Hash
	for round := range 5 {
		hashes = append(hashes, killed(t, dir, 40*generationOfTests+round*7)...)
		s := openSeen(t, dir)
		s.expectKnown(t, hashes, true)
		if len(s.writer.seen.list()) == 0 {
			t.Error("nothing was packed")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killed runs a process until it has acknowledged some hashes, kills it, and gives all that
// it acknowledged.
func killed(t *testing.T, dir string, enough int) (hashes []hook.Hash) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), killedDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var h hook.Hash
		if raw, err := hex.DecodeString(lines.Text()); err != nil || copy(h[:], raw) != len(h) {
			if strings.Contains(lines.Text(), "failed") {
				t.Error(lines.Text())
			}
			continue // its last line may be cut
		}
		if hashes = append(hashes, h); len(hashes) == enough {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	child.Wait() // it was killed, which is an error
	if len(hashes) < enough {
		t.Fatalf("it ended after %d hashes", len(hashes))
	}
	return hashes
}

// untilKilled appends and packs, and prints each hash once it is kept.
func untilKilled(t *testing.T, dir string) {
	s := openSeen(t, dir)
	var mu sync.Mutex
	for range 8 {
		go func() {
			for {
				h := randomHash()
				_, known := s.appendHash(t, h)
				_, repeated := s.appendRequest(t, h)
				mu.Lock()
				if known || repeated || t.Failed() {
					fmt.Println("append failed")
				}
				fmt.Println(hex.EncodeToString(h[:]))
				mu.Unlock()
			}
		}()
	}
	for {
		if err := s.packer.round(context.Background()); err != nil {
			fmt.Println("pack failed:", err)
			return
		}
	}
}

func TestOpenRefusesAFilterThatIsNotWhole(t *testing.T) {
	t.Parallel()
	s := openSeen(t, t.TempDir())
	s.fill(t, generationOfTests)
	s.packAll(t)
	inWriter(t, s.Store, func(ctx context.Context, tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, "UPDATE run_filters SET filter = substr(filter, 1, length(filter) - 1)")
		return err
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(context.Background(), Options{Dir: s.dir, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "restore a backup") {
		t.Errorf("error of a filter that was cut: %v", err)
	}
}
