package store

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Behind a pooler that gives a connection for one transaction nothing is lost or done
// twice: what a node did on one connection, its next statement does not find there.
func TestTwoNodesWorkBehindAPooler(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := server.Pooler(t, server.Empty(t))
	var nodes [2]*Store
	var opening sync.WaitGroup
	for i := range nodes {
		opening.Go(func() { nodes[i] = openPoller(t, url) })
	}
	opening.Wait()
	if t.Failed() {
		return
	}
	a, b := nodes[0], nodes[1]
	key, request := hook.Idempotency{Hash: hook.Hash{1}, Request: hook.Hash{2}}, newRequest()
	var hash hook.Hash
	rand.Read(hash[:])
	var fresh, done int
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 64 {
		s := nodes[i%2]
		x := unit(0)
		if x.Hash = hash; i%4 < 2 {
			x.Hash, x.Idempotency = hook.Hash{}, &key
		}
		all.Go(func() {
			if err := s.Append(ctx, x); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !x.Duplicate && !x.Repeated {
				fresh++
			}
		})
	}
	for _, s := range nodes {
		all.Go(func() {
			again := request
			_, answered, err := s.BeginRequest(ctx, &again)
			if err == nil && !answered {
				done++
				err = s.KeepAnswer(ctx, DefaultOrg, again, 200, []byte("answer"))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if fresh != 2 || done != 1 {
		t.Errorf("%d messages and %d answers were made, 2 and 1 are right", fresh, done)
	}
	claimed := append(take(t, a), take(t, b)...)
	if len(claimed) != 2 {
		t.Errorf("%d deliveries were claimed, 2 are right", len(claimed))
	}
	for i := range claimed {
		r := &hook.Record{Delivery: claimed[i], State: hook.Delivered, Attempt: &hook.Attempt{Number: 1, At: time.Now(), Outcome: hook.OutcomeDelivered, Response: []byte("ok")}}
		if err := a.Record(ctx, []*hook.Record{r}); err != nil || r.Refused != (claimed[i].Holder != a.Incarnation()) {
			t.Errorf("recorded by another than the holder: %v, %v", !r.Refused, err)
		}
	}
	if !duty(t, a) || duty(t, b) || a.Nodes() < 1 || b.Nodes() < 1 {
		t.Error("not one of two nodes works for all")
	}
	e := listenTo(t, b)
	e.expect("lost 0")
	if err := a.Notify(ctx, NotifyDue, nodeEndpoint); err != nil {
		t.Fatal(err)
	}
	e.expect("due 4711")
}

// What cannot be asked for behind a pooler its user can be given, by what the log says.
func TestOpenSaysWhatSettingsAPoolersUserNeeds(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	direct := server.Database(t)
	open := func() (said string) {
		var log lines
		s, err := Open(ctx, Options{URL: server.Pooler(t, direct), Poll: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		_, said, _ = strings.Cut(log.String(), `sql="`)
		said, _, _ = strings.Cut(said, `"`)
		return said
	}
	text := open()
	if !strings.Contains(text, "SET enable_seqscan = 'off';") {
		t.Fatalf("it says %q", text)
	}
	s := openNode(t, direct)
	if _, err := s.write.Exec(text); err != nil {
		t.Fatal(err)
	}
	if text := open(); text != "" {
		t.Errorf("with all that it wants it says %q", text)
	}
}

// Who does not know of the pooler is told.
func TestOpenSaysWhatAPoolerNeeds(t *testing.T) {
	t.Parallel()
	url := server.Pooler(t, server.Empty(t))
	s, err := Open(context.Background(), Options{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		s.Close()
		t.Fatal("a store that listens was opened behind a pooler")
	}
	if !strings.Contains(err.Error(), "database_notify: poll") {
		t.Errorf("it says %v", err)
	}
}
