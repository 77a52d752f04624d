package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/store"
)

func TestBackupIsRestoredWhileTheServerHasTheDirectory(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	id := d.keep("{\"a\":1}", false)
	for _, name := range []string{"b", "b.tar"} {
		target := filepath.Join(t.TempDir(), name)
		d.open(func(*store.Store) { // as a server has it
			d.run("backup", target).expect(t, ExitOK, "backed up to "+target, "messages  1\n")
		})
		d.run("backup", target).expect(t, ExitInvalid, "nothing is overwritten")
		d.run("restore", target).expect(t, ExitInvalid, "is not empty")
		fresh := filepath.Join(t.TempDir(), "fresh")
		sigpost(t, "restore", target, "--data", fresh).expect(t, ExitOK, "restored to "+fresh, "messages  1\n")
		sigpost(t, "message", "show", id, "--data", fresh).expect(t, ExitOK, "failed → one", "{\"a\":1}")
	}
}

func TestBackupSaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	sigpost(t, "backup", filepath.Join(empty, "b"), "--data", empty).expect(t, ExitInvalid, "there is no data in "+empty)
	sigpost(t, "backup").expect(t, ExitUsage)
	sigpost(t, "restore", filepath.Join(empty, "nothing"), "--data", filepath.Join(empty, "x")).expect(t, ExitInvalid, "is not a backup")
	config := file(t, "sigpost.yaml", "database_url: postgres://localhost/x\nmaster_key: "+strings.Repeat("A", 43)+"=\n")
	sigpost(t, "backup", filepath.Join(empty, "b"), "--config", config).expect(t, ExitUsage, "pg_dump")

	d := newStopped(t)
	if err := os.Remove(filepath.Join(d.dir, "master.key")); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "b")
	d.run("backup", target).expect(t, ExitOK, "SIGPOST_MASTER_KEY is not in it")
	sigpost(t, "restore", target, "--data", filepath.Join(t.TempDir(), "r")).expect(t, ExitOK, "start with the SIGPOST_MASTER_KEY")
}
