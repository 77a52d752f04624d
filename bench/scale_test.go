package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// real is the name under which the test binary plays the real Sigpost.
const real = "sigpost"

// All of what needs deliveries on SQLite, with the real Sigpost: every figure is there.
func TestScaleIsMeasured(t *testing.T) {
	t.Parallel()
	b := small(t)
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	b.sigpost = filepath.Join(t.TempDir(), real)
	if err := os.Symlink(self, b.sigpost); err != nil {
		t.Fatal(err)
	}
	b.opt.endpoints, b.opt.messages = 20, 2000
	want := map[string]int{"fan-out": 8, "hanging": 18, "replay": 11, "restart": 5, "claims": 6}
	for _, m := range plan() {
		if want[m.name] == 0 {
			continue
		}
		before := len(b.report.Rows)
		if err := m.do(b, t.Context()); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		rows := b.report.Rows[before:]
		if len(rows) != want[m.name] {
			t.Errorf("%d figures of %s, want %d", len(rows), m.name, want[m.name])
		}
		for _, row := range rows {
			if row.Value < 0 || len(row.Runs) == 0 || row.Value == 0 && !strings.Contains(row.Name, "own CPU") && !strings.Contains(row.Name, "accept→delivered") {
				t.Errorf("%s: %s is %v", row.Group, row.Name, row.Value)
			}
		}
	}
}

func TestACrowdHangsWhereItIsSaid(t *testing.T) {
	t.Parallel()
	count := func(c crowd) (hanging int) {
		for n := range uint64(c.endpoints) {
			if c.hangs(n) != c.hangs(n+uint64(c.endpoints)) {
				t.Errorf("%+v: the endpoint of events %d and %d both hangs and does not", c, n, n+uint64(c.endpoints))
			}
			if c.hangs(n) {
				hanging++
			}
		}
		return hanging
	}
	for c, want := range map[crowd]int{{1000, 10}: 100, {1000, 1000}: 1, {1000, 0}: 0, {20, 10}: 2} {
		if got := count(c); got != want {
			t.Errorf("%+v: %d hang, want %d", c, got, want)
		}
	}
}
