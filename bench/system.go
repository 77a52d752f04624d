package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sigpost/sigpost/bench/internal/child"
)

const (
	readyLimit = 30 * time.Second
	// stopLimit is longer than a request to a silent endpoint may take (15 s), for which a
	// graceful stop may wait.
	stopLimit = 60 * time.Second
)

// system is one of those under test, running.
type system struct {
	*child.Process
	name string
	addr string
	dir  string // its data and its log
	// began is when the process was started.
	began time.Time
}

// close ends the system if it still runs, and removes its data.
func (s *system) close() {
	s.Kill()
	os.RemoveAll(s.dir) //nolint:errcheck // the bench removes the directory above at its end
}

// start runs the system called name with a directory of its own, delivering to endpoints,
// and waits until it is ready. The caller closes it.
func (b *bench) start(ctx context.Context, name string, endpoints ...string) (*system, error) {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return nil, fmt.Errorf("make the data directory of %s: %w", name, err)
	}
	if name == "sigpost" && b.opt.begin != "" {
		if err := os.CopyFS(dataOf(dir), os.DirFS(b.opt.begin)); err != nil {
			return nil, fmt.Errorf("copy the data to begin with: %w", err)
		}
	}
	return b.launch(ctx, name, place{dir: dir}, endpoints...)
}

// place is where a system has its data.
type place struct {
	dir string // with those of an earlier run that ended, or empty
	// database is the URL of that of Sigpost; empty for the file in the directory.
	database string
}

// launch is start with the data in a place.
func (b *bench) launch(ctx context.Context, name string, at place, endpoints ...string) (*system, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	path, args := b.self, b.roleArgs(name, addr, at.dir, endpoints)
	if name == "sigpost" {
		if path, err = b.program(ctx); err != nil {
			return nil, err
		}
		if args, err = b.serveArgs(addr, at, endpoints); err != nil {
			return nil, err
		}
	}
	child.Settle()
	began := time.Now()
	process, err := child.Start(path, args, filepath.Join(at.dir, "log"))
	if err != nil {
		return nil, err
	}
	s := &system{Process: process, name: name, addr: addr, dir: at.dir, began: began}
	if err := s.Ready(ctx, "http://"+addr+"/health", readyLimit); err != nil {
		s.close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return s, nil
}

// roleArgs make this program play the baseline called name.
func (b *bench) roleArgs(name, addr, dir string, endpoints []string) []string {
	args := []string{"role", name, "-listen", addr, "-secret", b.secret, "-signing-secret", b.signing,
		"-file", filepath.Join(dir, "journal")}
	for _, url := range endpoints {
		args = append(args, "-target", url)
	}
	return args
}

// serveArgs write Sigpost's configuration and make it serve. What the file leaves out is at
// its default, the log level too: the log goes to a file and counts as written.
func (b *bench) serveArgs(addr string, at place, endpoints []string) ([]string, error) {
	path := filepath.Join(at.dir, "sigpost.yaml")
	text := configuration(addr, dataOf(at.dir), b.secret, b.signing, endpoints)
	if at.database != "" {
		text = fmt.Appendf(text, "database_url: %q\nmaster_key: %q\n", at.database, b.master)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration of sigpost: %w", err)
	}
	args := []string{"serve", "--config", path}
	if b.opt.profiles != "" {
		args = append(args, "--cpu-profile", filepath.Join(b.opt.profiles, filepath.Base(at.dir)+".pprof"))
	}
	return args, nil
}

// dataOf is the data directory of Sigpost below the directory of a system.
func dataOf(dir string) string { return filepath.Join(dir, "data") }

// configuration has one source, reached by its name, and its endpoints.
func configuration(addr, data, secret, signing string, endpoints []string) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "listen: %q\ndata: %q\nallow_nets: [\"127.0.0.0/8\"]\n", addr, data)
	fmt.Fprintf(&out, "jwt_secret: %q\n", secret)
	fmt.Fprintf(&out, "sources:\n  - name: bench\n    provider: veriff\n    secrets: [%q]\n", secret)
	if len(endpoints) > 0 {
		fmt.Fprintf(&out, "    endpoints:\n")
	}
	for _, url := range endpoints {
		fmt.Fprintf(&out, "      - url: %q\n        secret: %q\n", url, signing)
	}
	return out.Bytes()
}

// freeAddr is a loopback address that nobody listens on at the moment. The systems could
// choose a port themselves, but each would have its own way to tell it.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
