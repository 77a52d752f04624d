package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// smallDisk is a directory on a disk of 8 MiB of its own.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() != 0 {
		t.Skip("a small disk cannot be mounted: this test must be root")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v %s", err, out)
		}
	})
	return dir
}

func TestAFullDiskIsAnsweredWith503AndLosesNothing(t *testing.T) {
	t.Parallel()
	l := newLedger()
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	dir := smallDisk(t)
	config := writeConfig(t, dir, freeAddress(t), veriffSecret, endpointsYAML(receiver.URL))
	p := serve(t, config)
	t.Cleanup(p.kill) // before the disk goes
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	send := func() int {
		n++
		body := fmt.Sprintf(`{"n":%d,"fill":%q}`, n, strings.Repeat("x", 100<<10))
		req, err := http.NewRequest(http.MethodPost, p.url+"/in/veriff-prod", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-HMAC-SIGNATURE", sign([]byte(body)))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var answer struct{ ID string }
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		switch {
		case res.StatusCode == http.StatusOK:
			l.promise(answer.ID, body)
		case res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "":
			t.Errorf("a full disk is answered %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
		}
		return res.StatusCode
	}
	refused := 0
	for range 200 {
		if send() != http.StatusOK {
			refused++
		}
	}
	if refused == 0 {
		t.Fatal("20 MB went onto a disk of 8")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return send() == http.StatusOK })
	await(t, l, p)
}

// Started on it, a server neither runs nor changes what may still be saved.
func TestADamagedDataDirectoryIsRefusedWithAWayOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(db string) error
		want  string // in the message
	}{
		"header overwritten": {func(db string) error { return overwrite(db, 0, bytes.Repeat([]byte{0xaa}, 4096)) }, "restore a backup"},
		"pages overwritten":  {func(db string) error { return overwrite(db, 4096, bytes.Repeat([]byte{0x55}, 40960)) }, "restore a backup"},
		"cut in the middle":  {func(db string) error { return os.Truncate(db, 12288) }, "restore a backup"},
		"cut in a page":      {func(db string) error { return os.Truncate(db, 5000) }, "restore a backup"},
		"another file": {func(db string) error {
			return os.WriteFile(db, []byte("PK\x03\x04 this is no database, it is a zip or so"), 0o600)
		}, "restore a backup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			config := writeConfig(t, dir, freeAddress(t), veriffSecret, "")
			p := serve(t, config)
			for i := range 20 {
				body := []byte(fmt.Sprintf(`{"n":%d,"x":%q}`, i, strings.Repeat("y", 5000)))
				if status, _, err := post(http.DefaultClient, p.url, body, sign(body)); err != nil || status != http.StatusOK {
					t.Fatalf("answered %d, %v", status, err)
				}
			}
			p.stop()
			db := filepath.Join(dir, "data", "sigpost.db")
			if err := c.spoil(db); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(db)
			out, code := sigpost(t, "", "serve", "--config", config)
			if code == 0 || !strings.Contains(out, c.want) || !strings.Contains(out, dir) || strings.Contains(out, "goroutine ") {
				t.Errorf("exit %d\n%s", code, out)
			}
			if after, _ := os.ReadFile(db); !bytes.Equal(before, after) {
				t.Error("the damaged file was changed")
			}
			if out, code := sigpost(t, "", "message", "list", "--data", filepath.Join(dir, "data")); code == 0 {
				t.Errorf("message list: exit %d\n%s", code, out)
			}
		})
	}
}

func overwrite(path string, at int64, with []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(with, at)
	return errors.Join(err, f.Close())
}

func TestWhatADeadProcessLeftBehindIsNoObstacle(t *testing.T) {
	t.Parallel()
	app, url := newApplication(t)
	dir := t.TempDir()
	config := writeConfig(t, dir, freeAddress(t), veriffSecret, endpointsYAML(url))
	p := serve(t, config)
	alive(t, p, app, "the first start")
	for name, most := range map[string]os.FileMode{".": 0o700, "lock": 0o600, "control.sock": 0o600} {
		info, err := os.Stat(filepath.Join(dir, "data", name))
		if err != nil {
			t.Error(err)
		} else if mode := info.Mode().Perm(); mode&^most != 0 {
			t.Errorf("%s has mode %o, %o is right", name, mode, most)
		}
	}
	p.kill() // leaves lock, socket and write-ahead log
	p = serve(t, config)
	body := []byte(`{"after":"a kill"}`)
	if status, _, err := post(http.DefaultClient, p.url, body, sign(body)); err != nil || status != http.StatusOK {
		t.Errorf("after a kill: %d, %v", status, err)
	}
	for !bytes.Equal(app.next().body, body) {
		continue // the first comes again when the kill was quicker than the record of its delivery
	}
	if out, code := sigpost(t, "", "message", "list", "--data", filepath.Join(dir, "data")); code != 0 || strings.Count(out, "msg_") != 2 {
		t.Errorf("message list: %d\n%s", code, out)
	}
}
