// Package pgserver runs a PostgreSQL of one's own, for tests and for measurements: from
// the programs that are installed, with its files in a temporary directory, on a free
// port, as another user where we run as root. It ends with whoever started it, also
// when that is killed. It is not for data that anybody wants to keep.
package pgserver

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
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// oldest is the first major version that the store works with.
const oldest = 15

// Options say what server it is.
type Options struct {
	// Dir is where the directory of the files is made; empty is that for temporary files.
	Dir string
	// Settings are those that differ from PostgreSQL's own, as name=value.
	Settings []string
	// Again starts the server again when it was killed.
	Again bool
}

// Server is a running PostgreSQL. Close it.
type Server struct {
	port  int
	dir   string
	hold  io.Closer     // the server stops when this is closed, by us or by our end
	ended chan struct{} // closed when it has
}

// Programs is the directory of the newest PostgreSQL that is installed. The error says
// how to get one.
func Programs() (string, error) {
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

// Start makes a cluster and returns when its server answers.
func Start(o Options) (*Server, error) {
	bin, err := Programs()
	if err != nil {
		return nil, err
	}
	for range 3 { // another may have taken the port before it was ours
		var s *Server
		if s, err = launch(bin, o); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// script makes the cluster and runs the server until its input ends, which is when
// we stop it or are gone, however we ended, or until the server ends by itself.
const script = `trap '' INT
bin=$1 dir=$2 again=$3
shift 3
"$bin/initdb" -D "$dir/data" -U sigpost -A trust -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1 || exit 1
exec 3<&0
(cat <&3 >/dev/null; touch "$dir/stop"; kill -QUIT $(head -n 1 "$dir/data/postmaster.pid") 2>/dev/null) &
watch=$!
while [ ! -e "$dir/stop" ]; do
	"$bin/postgres" -D "$dir/data" "$@" >>"$dir/log" 2>&1 </dev/null &
	wait $!
	[ "$again" = true ] || break
	sleep 0.2
done
kill $watch 2>/dev/null
rm -rf "$dir/data"`

func launch(bin string, o Options) (s *Server, err error) {
	s = &Server{}
	if s.dir, err = os.MkdirTemp(o.Dir, "sigpost-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.port, err = FreePort(); err != nil {
		return nil, err
	}
	args := []string{"-c", script, "sh", bin, s.dir, strconv.FormatBool(o.Again), "-p", strconv.Itoa(s.port)}
	for _, setting := range append([]string{"listen_addresses=127.0.0.1", "unix_socket_directories="}, o.Settings...) {
		args = append(args, "-c", setting)
	}
	run := exec.Command("/bin/sh", args...)
	run.Dir = s.dir
	if err := AsAnother(run, s.dir); err != nil {
		return nil, err
	}
	if s.hold, err = run.StdinPipe(); err != nil {
		return nil, err
	}
	if err := run.Start(); err != nil {
		return nil, err
	}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		run.Wait() // what it says is in its log
	}()
	return s, s.await()
}

// await asks until the server answers or has ended.
func (s *Server) await() error {
	deadline := time.After(time.Minute)
	for {
		err := s.Exec("postgres", "SELECT 1")
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

// URL is that of a database of the server, which need not exist.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://sigpost@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// Port is where the server listens, on the loopback address.
func (s *Server) Port() int { return s.port }

// Exec runs SQL in a database, on a connection of its own.
func (s *Server) Exec(database, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, text)
	return err
}

// Process is the id of the server's first process, whose children are all others.
func (s *Server) Process() (int, error) {
	raw, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0, fmt.Errorf("read the server's process id: %w", err)
	}
	return pid, nil
}

// Crash kills the server as a power cut would, all of it at once.
func (s *Server) Crash() error {
	pid, err := s.Process()
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL) // its children end when they see that
}

// Close stops the server and deletes its files. Closing again does nothing.
func (s *Server) Close() error {
	var err error
	if s.hold != nil {
		err = s.hold.Close()
	}
	if s.ended != nil {
		<-s.ended
	}
	s.hold, s.ended = nil, nil
	return errors.Join(err, os.RemoveAll(s.dir))
}

// FreePort is a port of the loopback address that nobody listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
