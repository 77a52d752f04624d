// Package pgtest gives the tests of a package databases on a PostgreSQL of their own
// (package pgserver). It ends with the tests, also when they are killed.
package pgtest

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/sigpost/sigpost/internal/store/storetest/pgserver"
)

// Required is the variable that makes tests fail where they would pass PostgreSQL
// over for want of its programs: TEST_POSTGRES=required.
const Required = "TEST_POSTGRES"

// Server is a PostgreSQL that starts when its first database is asked for. The zero
// Server is ready to use. Close it when all tests have ended.
type Server struct {
	// Prepare fills the database that those of tests are copies of; nil leaves
	// it empty. All connections must be closed when it returns.
	Prepare func(url string) error
	// Durable keeps what was committed over Crash, and comes back after it.
	Durable bool

	once    sync.Once
	failed  error
	running *pgserver.Server // nil when it was not started
	mu      sync.Mutex
	n       int
}

// Available says whether PostgreSQL is installed here, and if not, why tests on it
// are passed over.
func Available() (ok bool, reason string) {
	if _, err := pgserver.Programs(); err != nil {
		return false, err.Error()
	}
	return true, ""
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
	if err := s.running.Exec("postgres", "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	return s.running.URL(name)
}

// settings are those of all servers of tests. Without syncs a test is quick.
func (s *Server) settings() []string {
	common := []string{"autovacuum=off", "max_connections=400", "shared_buffers=128MB", "max_wal_size=4GB", "deadlock_timeout=100ms"}
	if s.Durable {
		return common
	}
	return append(common, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
}

func (s *Server) start() (err error) {
	if s.running, err = pgserver.Start(pgserver.Options{Settings: s.settings(), Again: s.Durable}); err != nil {
		return err
	}
	if err := s.running.Exec("postgres", "CREATE DATABASE prepared"); err != nil || s.Prepare == nil {
		return err
	}
	return s.Prepare(s.running.URL("prepared"))
}

// Crash kills the server as a power cut would, all of it at once; a durable one comes
// back by itself.
func (s *Server) Crash() error { return s.running.Crash() }

// Close stops the server and deletes its files. Without a server it does nothing.
func (s *Server) Close() error {
	if s.running == nil {
		return nil
	}
	return s.running.Close()
}
