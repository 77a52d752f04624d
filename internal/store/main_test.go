package store

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/sigpost/sigpost/internal/store/storetest/pgtest"
)

// server is the PostgreSQL of this package's tests. Its databases are copies of one
// that a store has made.
var server = pgtest.Server{Prepare: func(url string) error {
	s, err := Open(context.Background(), Options{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return s.Close()
}}

// DatabaseForTest is for the tests outside of the package.
func DatabaseForTest(t testing.TB) string { return server.Database(t) }

func TestMain(m *testing.M) {
	code := m.Run()
	if err := server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		code = 1
	}
	os.Exit(code)
}
