package claims

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
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

func open(t *testing.T, pending, endpoints int) *Queue {
	t.Helper()
	q, err := Open(t.Context(), server.Empty(t), pending, endpoints)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func TestRoundsLeaveAsManyPendingAsThereWere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pending, endpoints, claims, rows int }{{600, 1, 1, Batch}, {100, 50, Few, Few}} {
		q := open(t, c.pending, c.endpoints)
		for range 3 {
			r, err := q.Round(t.Context())
			if err != nil || r.Claims != c.claims || r.Rows != c.rows || r.Claim <= 0 || r.Settle <= 0 {
				t.Errorf("%d endpoints: %+v, %v", c.endpoints, r, err)
			}
		}
		var pending, endpoints, settled int
		const count = "SELECT count(*) FILTER (WHERE state = 1 AND holder = 0), count(DISTINCT endpoint_id), count(*) FILTER (WHERE state = 0) FROM deliveries"
		if err := q.conn.QueryRow(t.Context(), count).Scan(&pending, &endpoints, &settled); err != nil {
			t.Fatal(err)
		}
		if pending != c.pending || endpoints != c.endpoints || settled != 3*c.rows {
			t.Errorf("%d endpoints: %d pending of %d endpoints, %d settled", c.endpoints, pending, endpoints, settled)
		}
	}
}

func TestRoundsInAFileLeaveAsManyPendingAsThereWere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pending, endpoints, claims, rows int }{{600, 1, 1, Batch}, {250, 50, Few, Few}} {
		q, err := OpenFile(t.Context(), t.TempDir(), c.pending, c.endpoints)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		for range 3 {
			r, err := q.Round(t.Context())
			if err != nil || r.Claims != c.claims || r.Rows != c.rows || r.Claim <= 0 || r.Settle <= 0 {
				t.Errorf("%d endpoints: %+v, %v", c.endpoints, r, err)
			}
		}
		pending, settled := int64(0), int64(0)
		for _, e := range q.endpoints {
			n, err := q.store.EndpointStats(t.Context(), e, hook.Range{})
			if err != nil {
				t.Fatal(err)
			}
			pending, settled = pending+n[hook.Pending], settled+n[hook.Delivered]
		}
		if pending != int64(c.pending) || settled != int64(3*c.rows) {
			t.Errorf("%d endpoints: %d pending, %d settled", c.endpoints, pending, settled)
		}
	}
}

func TestAClaimThatFindsTooFewIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := open(t, 10, 1).Round(t.Context()); err == nil || !strings.Contains(err.Error(), "10 deliveries were claimed, 256 were to be") {
		t.Errorf("error %v", err)
	}
}
