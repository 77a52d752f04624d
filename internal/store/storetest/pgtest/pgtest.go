// Package pgtest starts a PostgreSQL of its own for the tests of a package: in a
// temporary directory, on a free port, as another user where the tests run as
// root. It ends with the tests, also when they are killed.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Required is the variable that makes tests fail where they would pass PostgreSQL
// over for want of its programs: TEST_POSTGRES=required.
const Required = "TEST_POSTGRES"

// oldest is the first major version that the store works with.
const oldest = 15

// Server is a PostgreSQL that starts when its first database is asked for. The zero
// Server is ready to use. Close it when all tests have ended.
type Server struct {
	// Prepare fills the database that those of tests are copies of; nil leaves
	// it empty. All connections must be closed when it returns.
	Prepare func(url string) error
	// Durable keeps what was committed over Crash.
	Durable bool

	once   sync.Once
	failed error
	port   int
	dir    string
	hold   io.Closer     // the server stops when this is closed, by us or by our end
	ended  chan struct{} // closed when it has; nil when it was not started
	mu     sync.Mutex
	n      int
}

// Available says whether PostgreSQL is installed here, and if not, why tests on it
// are passed over.
func Available() (ok bool, reason string) {
	if _, err := programs(); err != nil {
		return false, err.Error()
	}
	return true, ""
}

// programs is the directory of the newest PostgreSQL that is installed.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	major := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4]) // 0 is too old
		return n
	}
	sort.Slice(found, func(i, j int) bool { return major(found[i]) > major(found[j]) })
	if len(found) > 0 && major(found[0]) >= oldest {
		return filepath.Dir(found[0]), nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", fmt.Errorf("PostgreSQL %d or newer is not installed here (Debian: apt-get install postgresql)", oldest)
}

// Database makes a copy of the prepared database for one test and gives its URL. It
// stays until the server is closed, for dropping one costs more than keeping it.
// Where PostgreSQL is not installed the test is skipped, or fails when that is
// required.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return s.database(t, "prepared")
}

// Empty makes a database without anything in it, else as Database.
func (s *Server) Empty(t testing.TB) string {
	t.Helper()
	return s.database(t, "template0")
}

func (s *Server) database(t testing.TB, template string) string {
	t.Helper()
	if ok, reason := Available(); !ok {
		if os.Getenv(Required) == "required" {
			t.Fatalf("%s, and %s=required", reason, Required)
		}
		t.Skip(reason)
	}
	s.once.Do(func() { s.failed = s.start() })
	if s.failed != nil {
		t.Fatalf("start PostgreSQL: %v", s.failed)
	}
	s.mu.Lock()
	s.n++
	name := fmt.Sprintf("test_%d", s.n)
	s.mu.Unlock()
	if err := s.exec("CREATE DATABASE " + name + " TEMPLATE " + template); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	return s.url(name)
}

func (s *Server) url(database string) string {
	return fmt.Sprintf("postgres://sigpost@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

func (s *Server) exec(text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, text)
	return err
}

// script makes the cluster and runs the server until its input ends, which is when
// the tests stop it or are gone, however they ended, or until the server ends by itself.
// A durable server syncs its disk, and is started again when it was killed.
const script = `trap '' INT
"$1/initdb" -D "$2/data" -U sigpost -A trust -E UTF8 --locale=C --no-sync >"$2/log" 2>&1 || exit 1
exec 3<&0
(cat <&3 >/dev/null; touch "$2/stop"; kill -QUIT $(head -n 1 "$2/data/postmaster.pid") 2>/dev/null) &
watch=$!
quick="-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
[ "$4" = durable ] && quick=
while [ ! -e "$2/stop" ]; do
	"$1/postgres" -D "$2/data" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories= $quick \
		-c autovacuum=off -c max_connections=400 -c shared_buffers=128MB -c max_wal_size=4GB -c deadlock_timeout=100ms \
		>>"$2/log" 2>&1 </dev/null &
	wait $!
	[ "$4" = durable ] || break
	sleep 0.2
done
kill $watch 2>/dev/null
rm -rf "$2/data"`

// Crash kills the server as a power cut would, all of it at once; a durable one comes
// back by itself.
func (s *Server) Crash() error {
	raw, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return fmt.Errorf("read the server's process id: %w", err)
	}
	return syscall.Kill(pid, syscall.SIGKILL) // its children end when they see that
}

func (s *Server) start() error {
	bin, err := programs()
	if err != nil {
		return err
	}
	for range 3 { // another may have taken the port before it was ours
		if err = s.launch(bin); err == nil {
			break
		}
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		return err
	}
	if err := s.exec("CREATE DATABASE prepared"); err != nil || s.Prepare == nil {
		return err
	}
	return s.Prepare(s.url("prepared"))
}

func (s *Server) launch(bin string) (err error) {
	if s.dir, err = os.MkdirTemp("", "sigpost-postgres-"); err != nil {
		return err
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	run := exec.Command("/bin/sh", "-c", script, "sh", bin, s.dir, strconv.Itoa(s.port), map[bool]string{true: "durable", false: "quick"}[s.Durable])
	run.Dir = s.dir
	if err := asAnother(run, s.dir); err != nil {
		return err
	}
	if s.hold, err = run.StdinPipe(); err != nil {
		return err
	}
	if err := run.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		run.Wait() // what it says is in its log
	}()
	return s.await()
}

// await asks until the server answers or has ended.
func (s *Server) await() error {
	deadline := time.After(time.Minute)
	for {
		err := s.exec("SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
		case <-deadline:
		case <-time.After(20 * time.Millisecond):
			continue
		}
		log, _ := os.ReadFile(filepath.Join(s.dir, "log")) // it may help; else err is all
		return fmt.Errorf("%w\n%s", err, log)
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Close stops the server and deletes its files. Without a server it does nothing.
func (s *Server) Close() error {
	if s.ended == nil {
		return nil
	}
	err := s.hold.Close()
	<-s.ended
	s.ended = nil
	return errors.Join(err, os.RemoveAll(s.dir))
}
