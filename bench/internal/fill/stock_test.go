package fill

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
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

func TestStockedDatabaseHasEventsOfASourceThatWereDelivered(t *testing.T) {
	t.Parallel()
	const events = 300
	url, key := server.Empty(t), seal.NewKey()
	if err := Run(t.Context(), []string{"-url", url, "-master-key", key, "-messages", strconv.Itoa(events)}, nil); err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewRing(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{URL: url, Seal: ring, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, _, err := s.ListMessages(t.Context(), hook.MessageFilter{Org: store.DefaultOrg, Page: hook.Page{Limit: 2 * events}})
	if err != nil || len(list) != events {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	subjects := map[string]bool{}
	for _, m := range list {
		for _, x := range m.Subjects {
			subjects[x.Kind+x.ID] = true
		}
	}
	if len(subjects) != 3*events {
		t.Errorf("%d subjects, want three of each event", len(subjects))
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var hashes int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM dedupe").Scan(&hashes); err != nil || hashes != events {
		t.Errorf("%d dedupe keys, %v", hashes, err)
	}
	counts, err := s.EndpointStats(t.Context(), deliveryOf(t, s, &list[0]).Endpoint, hook.Range{})
	if err != nil || counts[hook.Delivered] != events || len(counts) != 1 {
		t.Errorf("deliveries: %v, %v", counts, err)
	}
}

func deliveryOf(t *testing.T, s *store.Store, m *hook.Message) hook.Delivery {
	t.Helper()
	list, err := s.Deliveries(t.Context(), m)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d deliveries, %v", len(list), err)
	}
	return list[0]
}
