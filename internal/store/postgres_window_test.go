package store

import (
	"context"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// age makes the rows of a table that keep what was seen as old as their window and more.
func age(t *testing.T, s *Store, set string, by time.Duration) {
	t.Helper()
	if _, err := s.write.Exec("UPDATE "+set+" = ?", hook.KeyAt(time.Now().Add(-by))); err != nil {
		t.Fatal(err)
	}
}

func TestDedupeAndIdempotencyEndWithTheirWindowsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := openNode(t, server.Database(t))
	key := hook.Idempotency{Hash: hook.Hash{1}, Request: hook.Hash{2}}
	first, asked := unit(0), unit(0)
	asked.Hash, asked.Idempotency = hook.Hash{}, &key
	keep(t, s, first)
	keep(t, s, asked)
	again := func() (event, request *hook.Append) {
		event, request = unit(0), unit(0)
		event.Hash, request.Hash, request.Idempotency = first.Hash, hook.Hash{}, &key
		return keep(t, s, event), keep(t, s, request)
	}
	forget := func(want int64) {
		t.Helper()
		n, err := s.ForgetDedupe(ctx, time.Now())
		m, err2 := s.ForgetIdempotency(ctx, time.Now())
		if n != want || m != want || err != nil || err2 != nil {
			t.Errorf("%d and %d rows were forgotten, %v, %v; %d are right", n, m, err, err2, want)
		}
	}
	age(t, s, "dedupe SET message_id", hook.DedupeWindow-time.Minute)
	age(t, s, "idempotency SET id", hook.IdempotencyWindow-time.Minute)
	if e, r := again(); !e.Duplicate || !r.Repeated || r.Message.ID != asked.Message.ID {
		t.Errorf("within the window: duplicate %v, repeated %v", e.Duplicate, r.Repeated)
	}
	forget(0)
	age(t, s, "dedupe SET message_id", hook.DedupeWindow+time.Second)
	age(t, s, "idempotency SET id", hook.IdempotencyWindow+time.Second)
	if _, known, err := s.Idempotent(ctx, key.Hash); known || err != nil {
		t.Errorf("after the window the answer is known: %v, %v", known, err)
	}
	e, r := again()
	if e.Duplicate || r.Repeated || r.Message.ID == asked.Message.ID {
		t.Errorf("after the window: duplicate %v, repeated %v", e.Duplicate, r.Repeated)
	}
	if e2, r2 := again(); e2.Message.ID != e.Message.ID || r2.Message.ID != r.Message.ID {
		t.Error("what came after the window is not the first of a new one")
	}
	age(t, s, "dedupe SET message_id", hook.DedupeWindow+time.Second)
	age(t, s, "idempotency SET id", hook.IdempotencyWindow+time.Second)
	forget(1)
}
