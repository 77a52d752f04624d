package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
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

// BenchmarkAppendAndRecord is the whole work of the store for one event that is
// delivered at the first attempt, with 64 events under way at once.
func BenchmarkAppendAndRecord(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { appendAndRecord(b, open(b)) })
	b.Run("PostgreSQL", func(b *testing.B) { appendAndRecord(b, openNode(b, server.Database(b))) })
}

func appendAndRecord(b *testing.B, s *Store) {
	ctx := context.Background()
	body := make([]byte, 1024)
	var failed, sessions atomic.Int64
	b.SetParallelism(32) // times GOMAXPROCS
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			now := time.Now()
			a := &hook.Append{
				Message: hook.Message{Org: DefaultOrg, App: 2, Event: hook.Event{Type: "veriff.decision.approved", Family: "veriff.decision",
					Subjects: []hook.Subject{{Kind: "session", ID: fmt.Sprintf("12df6045-3846-3e45-946a-%012d", sessions.Add(1))}}, OccurredAt: now}, ReceivedAt: now,
					Headers: []hook.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "X-Hmac-Signature", Value: "01fa3ded011bfce75672c99877a6cc1cf7aeaeda0ccb6b43fc21b60f595063c2"}}, Body: body},
				Deliveries: []hook.Delivery{{Org: DefaultOrg, Endpoint: 1 << 40, State: hook.Pending, NextAt: now, Since: now, Holder: s.Incarnation()}},
			}
			rand.Read(a.Hash[:])
			if err := s.Append(ctx, a); err != nil {
				failed.Add(1)
				continue
			}
			go func() {
				r := &hook.Record{Delivery: a.Deliveries[0], State: hook.Delivered, NextAt: now,
					Attempt: &hook.Attempt{Number: 1, At: now, Duration: time.Millisecond, Outcome: hook.OutcomeDelivered, Status: 200}}
				if err := s.Record(ctx, []*hook.Record{r}); err != nil || r.Refused {
					failed.Add(1)
				}
			}()
		}
	})
	if failed.Load() > 0 {
		b.Fatalf("%d failed", failed.Load())
	}
}

// BenchmarkLanes is the work of the store for one event of a lane of its own, and for one
// of a lane that hundreds share: it is appended, and claimed or given on, and recorded.
func BenchmarkLanes(b *testing.B) {
	for name, sessions := range map[string]int64{"Own": 1 << 40, "Shared": 8} {
		b.Run("SQLite"+name, func(b *testing.B) { appendAndDrain(b, open(b), sessions) })
		b.Run("PostgreSQL"+name, func(b *testing.B) { appendAndDrain(b, openNode(b, server.Database(b)), sessions) })
	}
}

func appendAndDrain(b *testing.B, s *Store, sessions int64) {
	ctx := context.Background()
	var n atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			a := inLane(fmt.Sprint(n.Add(1)%sessions), nodeEndpoint)
			a.Message.Body = make([]byte, 1024)
			if err := s.Append(ctx, a); err != nil {
				b.Error(err)
			}
		}
	})
	for sent := 0; sent < b.N; {
		next, _, err := s.Claim(ctx, nodeEndpoint, time.Now().Add(time.Minute), 256)
		if err != nil {
			b.Fatal(err)
		}
		for len(next) > 0 {
			var records []*hook.Record
			for _, d := range next {
				records = append(records, &hook.Record{Delivery: d, State: hook.Delivered, Attempt: &hook.Attempt{Number: 1, At: time.Now(), Outcome: hook.OutcomeDelivered, Status: 200}})
			}
			if err := s.Record(ctx, records); err != nil {
				b.Fatal(err)
			}
			next = nil
			for _, r := range records {
				sent++
				if r.Next != nil {
					next = append(next, *r.Next)
				}
			}
		}
	}
}
