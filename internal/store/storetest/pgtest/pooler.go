package pgtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/store/storetest/pgserver"
)

// PoolerRequired is the variable that makes tests fail where they would pass a pooler
// over: TEST_PGBOUNCER=required.
const PoolerRequired = "TEST_PGBOUNCER"

// poolerConfig has fewer connections than the tests use, so that each statement may
// have another one.
const poolerConfig = `[databases]
* = host=127.0.0.1 port=%d user=sigpost
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
max_client_conn = 500
server_round_robin = 1
%s`

// Pooler starts a PgBouncer in transaction mode in front of the server for one test, and
// gives the URL of a database through it. more are lines of its configuration. Where
// PgBouncer is not installed the test is skipped, or fails when that is required.
func (s *Server) Pooler(t testing.TB, url string, more ...string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // which is not on everybody's path
	}
	if _, err := os.Stat(program); err != nil {
		const reason = "PgBouncer is not installed here (Debian: apt-get install pgbouncer)"
		if os.Getenv(PoolerRequired) == "required" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	port, err := pgserver.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "sigpost-pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, fmt.Appendf(nil, poolerConfig, s.running.Port(), port, strings.Join(more, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	run := exec.Command(program, "-q", file)
	if err := pgserver.AsAnother(run, dir); err != nil {
		t.Fatal(err)
	}
	log := &strings.Builder{}
	run.Stderr = log
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run.Wait() // what it says is in its log
	}()
	t.Cleanup(func() {
		run.Process.Kill()
		<-ended
	})
	at := fmt.Sprintf("127.0.0.1:%d", port)
	for deadline := time.After(time.Minute); ; {
		conn, err := net.Dial("tcp", at)
		if err == nil {
			conn.Close()
			return strings.Replace(url, fmt.Sprintf("127.0.0.1:%d", s.running.Port()), at, 1)
		}
		select {
		case <-ended:
		case <-deadline:
		case <-time.After(10 * time.Millisecond):
			continue
		}
		t.Fatalf("start PgBouncer: %v\n%s", err, log)
	}
}
