package test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// diskFault is a way in which a disk fails.
type diskFault struct {
	fault func(op, name string, size int) (int, syscall.Errno)
	ends  bool // the process ends by it, and says why
	takes bool // events are taken meanwhile
	big   bool // events are long, so that the log is copied into the database
}

// fails is a disk on which an operation on some files fails.
func fails(failing, file string, errno syscall.Errno) func(op, name string, size int) (int, syscall.Errno) {
	return func(op, name string, size int) (int, syscall.Errno) {
		if op == failing && strings.HasSuffix(name, file) {
			return 0, errno
		}
		return size, 0
	}
}

// halves is a disk that takes half of what is written, and then fails, unless it only does that.
func halves(then syscall.Errno) func(op, name string, size int) (int, syscall.Errno) {
	n := 0
	return func(op, name string, size int) (int, syscall.Errno) {
		if op != "write" || size < 2 || strings.HasSuffix(name, "-shm") {
			return size, 0
		}
		if n++; n%2 == 0 && then != 0 {
			return 0, then
		}
		return size / 2, 0
	}
}

func diskFaults() map[string]diskFault {
	return map[string]diskFault{
		"the log is not synced":                {fault: fails("sync", "-wal", syscall.EIO), ends: true},
		"the log is not synced, no space":      {fault: fails("sync", "-wal", syscall.ENOSPC), ends: true},
		"the log is not written":               {fault: fails("write", "-wal", syscall.EIO)},
		"no space":                             {fault: fails("write", "", syscall.ENOSPC)},
		"half a write, then no space":          {fault: halves(syscall.ENOSPC)},
		"half a write, then an error":          {fault: halves(syscall.EIO)},
		"half of every write":                  {fault: halves(0), takes: true},
		"nothing can be read":                  {fault: fails("read", "", syscall.EIO), takes: true},
		"the database is not written":          {fault: fails("write", ".db", syscall.EIO), takes: true, big: true},
		"the database is not synced":           {fault: fails("sync", ".db", syscall.EIO), takes: true, big: true},
		"the database is not written, no room": {fault: fails("write", ".db", syscall.ENOSPC), takes: true, big: true},
	}
}

// Whatever a disk does, an event is answered with 2xx only when it is kept, else with 503. The
// process goes on when the disk does, or ends and says why; the store opens again. After a power cut
// on top of it – what the disk did not take is then gone for good – all that was acknowledged is there.
func TestFaultsOfTheDiskAre503AndLoseNothing(t *testing.T) {
	t.Parallel()
	for name, c := range diskFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := newForgetful(t)
			h := newHarm(t, t.TempDir(), disk.dir)
			receiver := httptest.NewServer(h)
			defer receiver.Close()
			h.begin(receiver.URL)
			h.start()
			h.sendSome(t, 0, false, http.StatusOK)
			disk.fail(c.fault)
			taken, refused := h.sendSome(t, 1, c.big, http.StatusOK, http.StatusServiceUnavailable)
			if taken > 0 && !c.takes || taken == 0 && c.takes && !c.big || refused == 0 && !c.takes {
				t.Errorf("meanwhile %d were taken and %d refused\n%s", taken, refused, tail(h.p.log.String()))
			}
			if c.ends {
				h.diesOfTheDisk(t)
			} else if status, raw, err := call(http.DefaultClient, h.p.url, h.token, "GET", "/api/v1/msg?limit=50", ""); err != nil || status != http.StatusOK && status != http.StatusServiceUnavailable {
				t.Errorf("meanwhile a list is answered %d %s, %v", status, raw, err)
			}
			if c.big { // the log is copied a moment later
				waitFor(t, func() bool { return strings.Contains(h.p.log.String(), "checkpoint failed") })
			}
			if disk.failures() == 0 {
				t.Error("the disk did not fail")
			}
			disk.fail(nil)
			if c.ends {
				h.start()
			}
			waitFor(t, func() bool { // it mends itself
				taken, _ := h.sendSome(t, 2, false, http.StatusOK, http.StatusServiceUnavailable)
				return taken > 0
			})
			h.sendSome(t, 3, false, http.StatusOK)
			disk.cut()
			h.p.kill()
			disk.restore(nil)
			h.start()
			await(t, h.ok, h.p)
			h.ok.check(t, inFlight)
			h.readBack()
			h.p.stop()
		})
	}
}

// sendSome sends from several connections and notes what was acknowledged. Each answer must be one of those
// that are right; a server that is gone gives none.
func (h *harm) sendSome(t *testing.T, round int, big bool, right ...int) (taken, refused int) {
	t.Helper()
	h.sends++
	fill, each := "", 5
	if big {
		fill, each = strings.Repeat("x", 500<<10), 18 // 36 MB
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for worker := range 2 {
		all.Go(func() { // by the API
			body := event(h.sends*10+round, 10+worker, 0, "")
			h.ok.send(body)
			status, raw, err := call(http.DefaultClient, h.p.url, h.token, "POST", "/api/v1/app/a/msg", `{"eventType":"x","payload":`+body+`}`)
			if err == nil && status != http.StatusServiceUnavailable && status != http.StatusAccepted {
				t.Errorf("by the API it is answered %d %s", status, raw)
			}
			var m struct{ ID string }
			if status == http.StatusAccepted && json.Unmarshal(raw, &m) == nil {
				mu.Lock()
				h.byAPI[m.ID] = true
				mu.Unlock()
				h.ok.promise(m.ID, body)
			}
		})
	}
	for worker := range 4 {
		all.Go(func() {
			for n := range each {
				body := event(h.sends*10+round, worker, n, fill)
				h.ok.send(body)
				status, id, err := post(http.DefaultClient, h.p.url, []byte(body), sign([]byte(body)))
				mu.Lock()
				switch {
				case status == http.StatusOK:
					taken++
					h.ok.promise(id, body)
				default:
					refused++
				}
				if err == nil && !slices.Contains(right, status) {
					t.Errorf("answered %d; %v are right", status, right)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return taken, refused
}

// diesOfTheDisk fails the test unless the process ends by itself, says why, and not with success.
func (h *harm) diesOfTheDisk(t *testing.T) {
	t.Helper()
	err := <-h.p.done
	h.p.done <- err
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() <= 0 {
		t.Errorf("it ended with %v", err)
	}
	if log := h.p.log.String(); !strings.Contains(log, "did not take what was written") || !strings.Contains(log, h.data) || strings.Contains(log, "goroutine ") {
		t.Errorf("it ended without a word that helps:\n%s", tail(log))
	}
}

// A disk that fails when the server starts keeps it from starting, and is left as it is.
func TestADiskThatFailsAtTheStartIsToldAndLosesNothing(t *testing.T) {
	t.Parallel()
	disk := newForgetful(t)
	h := newHarm(t, t.TempDir(), disk.dir)
	receiver := httptest.NewServer(h)
	defer receiver.Close()
	h.begin(receiver.URL)
	for name, fault := range map[string]func(op, name string, size int) (int, syscall.Errno){
		"nothing can be read":        fails("read", ".db", syscall.EIO),
		"the log cannot be read":     fails("read", "-wal", syscall.EIO),
		"nothing can be written":     fails("write", "", syscall.EIO),
		"no space":                   fails("write", "", syscall.ENOSPC),
		"nothing can be synced":      fails("sync", "", syscall.EIO),
		"the log cannot be synced":   fails("sync", "-wal", syscall.EIO),
		"the database is not synced": fails("sync", ".db", syscall.EIO),
		"nothing can be opened":      fails("open", "", syscall.EIO),
	} {
		h.start()
		h.sendSome(t, 0, false, http.StatusOK)
		h.kill = h.p.kill
		h.kill()
		disk.fail(fault)
		before := disk.failures()
		out, code := sigpost(t, "", "serve", "--config", h.config)
		if code == 0 || !strings.Contains(out, h.data) || strings.Contains(out, "goroutine ") {
			t.Errorf("%s: exit %d\n%s", name, code, out)
		}
		if disk.failures() == before {
			t.Errorf("%s: the disk did not fail", name)
		}
		disk.fail(nil)
		disk.cut()
		disk.restore(nil)
	}
	h.start()
	await(t, h.ok, h.p)
	h.ok.check(t, inFlight)
	h.readBack()
	h.p.stop()
}
