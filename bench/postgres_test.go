package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/bench/internal/postgres"
	"github.com/sigpost/sigpost/internal/store/storetest/pgtest"
)

// onlyPostgres are the measurements that need it.
func onlyPostgres() (list []measurement) {
	for _, m := range plan() {
		if strings.HasPrefix(m.name, "postgres") {
			list = append(list, m)
		}
	}
	return list
}

func TestWithoutPostgreSQLItIsPassedOverWithAWord(t *testing.T) {
	t.Parallel()
	b := small(t)
	b.available = func() error { return errors.New("it is not installed (apt-get install postgresql)") }
	for _, m := range onlyPostgres() {
		if err := m.do(b, t.Context()); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
	if len(b.report.Rows) != len(onlyPostgres()) || len(b.report.Rows) == 0 {
		t.Errorf("%d rows for %d measurements", len(b.report.Rows), len(onlyPostgres()))
	}
	for _, row := range b.report.Rows {
		if row.Name != "passed over" || row.Note != "it is not installed (apt-get install postgresql)" {
			t.Errorf("row %+v", row)
		}
	}
}

// All of it, on a real PostgreSQL with the real Sigpost: every figure is there.
func TestPostgreSQLIsMeasured(t *testing.T) {
	t.Parallel()
	if err := postgres.Available(); err != nil {
		if os.Getenv(pgtest.Required) == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "bench-test-") // not that of the test, into which PostgreSQL's user may not look
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	b := smallIn(t, dir)
	for _, m := range onlyPostgres() {
		if err := m.do(b, t.Context()); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
	seen := map[string]int{}
	for _, row := range b.report.Rows {
		what, _, _ := strings.Cut(strings.TrimPrefix(row.Group, "postgresql: "), ",")
		seen[what]++
		if row.Value < 0 || len(row.Runs) == 0 {
			t.Errorf("%s: %s is %v", row.Group, row.Name, row.Value)
		}
	}
	for what, rows := range map[string]int{
		"one node": 10, "two nodes and one": 5, "write-ahead log": 10, "the first seconds of a database": 3,
		"claims of 256 of one endpoint": 3, "claims of 1 of 1000 endpoints in turn": 3, "what is open": 38,
	} {
		if seen[what] < rows {
			t.Errorf("%d figures of %s, want %d or more", seen[what], what, rows)
		}
	}
	if !strings.Contains(b.report.Plan, "fsync=on") || !strings.Contains(b.report.Plan, "PostgreSQL ") {
		t.Errorf("the plan does not say which PostgreSQL: %s", b.report.Plan)
	}
}
