package store_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/store"
)

// inClear are those of words that a database holds in clear.
func inClear(t *testing.T, url string, words []string) (found []string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var kept string
	const q = `SELECT concat((SELECT string_agg(encode(value, 'escape'), ' ') FROM secrets), (SELECT string_agg(encode(headers, 'escape'), ' ') FROM endpoints),
		(SELECT string_agg(settings, ' ') FROM endpoints), (SELECT string_agg(encode(answer, 'escape'), ' ') FROM idempotency))`
	if err := conn.QueryRow(ctx, q).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		if strings.Contains(kept, w) {
			found = append(found, w)
		}
	}
	return found
}

func TestValuesInClearAreSealedAtTheNextStartAndSealedAnewOnPostgreSQL(t *testing.T) {
	t.Parallel()
	url := store.DatabaseForTest(t)
	with := func(seal store.Sealer) *store.Store {
		t.Helper()
		s, err := store.Open(context.Background(), store.Options{URL: url, Log: slog.New(slog.DiscardHandler), Seal: seal})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := with(nil)
	e, key := keepConfidential(t, s)
	readable(t, s, e, key)
	s.Close()
	if found := inClear(t, url, confidential); len(found) != len(confidential) {
		t.Fatalf("without a key these are in clear: %q", found) // else the next check shows nothing
	}
	s = with(fakeSealer{0x55})
	if found := inClear(t, url, confidential); len(found) != 0 {
		t.Errorf("in clear after the start: %q", found)
	}
	readable(t, s, e, key)
	s.Close()
	s = with(fakeSealer{0x77, 0x55})
	if n, err := s.Reseal(context.Background()); n != len(confidential) || err != nil {
		t.Errorf("%d sealed anew, %v; %d are right", n, err, len(confidential))
	}
	s.Close()
	s = with(fakeSealer{0x77})
	defer s.Close()
	readable(t, s, e, key)
}
