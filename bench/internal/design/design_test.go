package design

import (
	"fmt"
	"os"
	"testing"

	"github.com/sigpost/sigpost/internal/store/storetest/pgtest"
)

var server pgtest.Server

func TestMain(m *testing.M) {
	code := m.Run()
	if err := server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		code = 1
	}
	os.Exit(code)
}

// What is measured must do the same in each design: all that was kept is settled, once.
func TestEveryDesignSettlesWhatItKept(t *testing.T) {
	t.Parallel()
	const rows, batches = 1000, 8
	for _, d := range Designs() {
		b, err := Open(t.Context(), server.Empty(t), d, rows)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for way, run := range map[string]func() error{
			"straight": func() error { return b.Straight(t.Context(), batches) },
			"claimed":  func() error { return b.Claimed(t.Context(), batches) },
		} {
			if err := run(); err != nil {
				t.Errorf("%s, %s: %v", d.Name, way, err)
			}
		}
		open := "SELECT count(*) FROM deliveries WHERE state = 1"
		if d.side != "" {
			open = "SELECT count(*) FROM " + d.side
		}
		const events = 2 * batches * Batch
		for query, want := range map[string]int{
			open: rows / waiting, "SELECT count(*) FROM deliveries WHERE state = 0": events + rows - rows/waiting, "SELECT count(*) FROM bodies": events,
			"SELECT count(*) FROM deliveries d JOIN attempts a ON a.id = d.last_attempt AND a.delivery_id = d.id": events,
		} {
			var got int
			if err := b.claims.QueryRow(t.Context(), query).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s gives %d, want %d, %v", d.Name, query, got, want, err)
			}
		}
		if size, err := b.Indexes(t.Context()); err != nil || size == 0 {
			t.Errorf("%s: the indexes have %d bytes, %v", d.Name, size, err)
		}
	}
}
