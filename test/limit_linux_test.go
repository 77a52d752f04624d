package test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Where no file may grow beyond a limit (RLIMIT_FSIZE), the system takes half of a write and
// refuses the rest. That needs no disk of its own, so it is tried everywhere.
func TestAFileThatMayNotGrowIs503AndLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHarm(t, dir, filepath.Join(dir, "data"))
	receiver := httptest.NewServer(h)
	defer receiver.Close()
	h.begin(receiver.URL)
	h.start()
	h.sendSome(t, 0, false, http.StatusOK)
	limit := func(bytes uint64) {
		t.Helper()
		if err := unix.Prlimit(h.p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(h.data, "sigpost.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	limit(uint64(info.Size()) + 10_000)
	refused := 0
	for range 5 {
		_, n := h.sendSome(t, 1, false, http.StatusOK, http.StatusServiceUnavailable)
		refused += n
	}
	if refused == 0 {
		t.Error("the log grew beyond its limit")
	}
	limit(unix.RLIM_INFINITY)
	waitFor(t, func() bool {
		taken, _ := h.sendSome(t, 2, false, http.StatusOK, http.StatusServiceUnavailable)
		return taken > 0
	})
	h.sendSome(t, 3, false, http.StatusOK)
	h.p.kill()
	h.start()
	await(t, h.ok, h.p)
	h.ok.check(t, inFlight)
	h.readBack()
	h.p.stop()
}
