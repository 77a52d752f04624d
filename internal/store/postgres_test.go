package store_test

import (
	"context"
	"log/slog"
	"path"
	"sync"
	"testing"

	"github.com/sigpost/sigpost/internal/store"
	"github.com/sigpost/sigpost/internal/store/storetest"
)

func openURL(t testing.TB, url string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	urls := map[string]string{}
	open := func(t testing.TB, name string) *store.Store {
		mu.Lock()
		url := urls[path.Base(name)]
		mu.Unlock()
		if url == "" {
			url = store.DatabaseForTest(t)
			mu.Lock()
			urls[path.Base(name)] = url
			mu.Unlock()
		}
		return openURL(t, url)
	}
	storetest.Run(t, open)
	storetest.RunLanes(t, open, store.LaneFaultsForTest)
}
