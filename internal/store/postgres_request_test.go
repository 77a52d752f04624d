package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

func newRequest() hook.Idempotency {
	var i hook.Idempotency
	rand.Read(i.Hash[:])
	rand.Read(i.Request[:])
	return i
}

// begun begins a request that must be ours to do.
func begun(t *testing.T, s *Store, i hook.Idempotency) hook.Idempotency {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, answered, err := s.BeginRequest(ctx, &i); answered || err != nil || i.Try == 0 {
		t.Fatalf("a request to be done: answered %v, try %d, %v", answered, i.Try, err)
	}
	return i
}

// busy says whether another node has a request.
func busy(t *testing.T, s *Store, i hook.Idempotency) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, answered, err := s.BeginRequest(ctx, &i)
	if err != nil && !strings.Contains(err.Error(), "another node is doing the request") {
		t.Fatal(err)
	}
	if err == nil && !answered {
		if err := s.DropRequest(context.Background(), i); err != nil {
			t.Fatal(err)
		}
	}
	return err != nil
}

func TestARequestIsDoneByOneNode(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	key := newRequest()
	first := begun(t, a, key)
	if !busy(t, b, key) {
		t.Fatal("two nodes do the same request at once")
	}
	if err := a.DropRequest(ctx, first); err != nil {
		t.Fatal(err)
	}
	second := begun(t, b, key)
	answered := make(chan hook.Answer)
	go func() {
		again := key
		known, _, err := a.BeginRequest(ctx, &again)
		if err != nil {
			t.Error(err)
		}
		answered <- known
	}()
	if err := b.KeepAnswer(ctx, DefaultOrg, second, 201, []byte("made")); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got.Status != 201 || string(got.Body) != "made" || got.Request != key.Request {
		t.Errorf("who waited was answered %+v", got)
	}
	var left int
	if err := a.read.QueryRow("SELECT count(*) FROM requests").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d requests are under way, %v", left, err)
	}
}

// Of many at once none waits for a connection that another one keeps.
func TestManyRequestsAreBegunAtOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	var all, done sync.WaitGroup
	all.Add(100)
	for i := range 100 {
		s := []*Store{a, b}[i%2]
		done.Go(func() {
			key := newRequest()
			_, _, err := s.BeginRequest(ctx, &key)
			all.Done()
			all.Wait() // now all of them are under way
			if err == nil {
				err = s.Ping(ctx)
			}
			if err == nil {
				err = s.KeepAnswer(ctx, DefaultOrg, key, 200, nil)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
}

func TestARequestOfADeadNodeIsDoneByAnother(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	key := newRequest()
	late := begun(t, a, key)
	silent(t, a, a.Incarnation(), aliveFor-5*time.Second)
	if !busy(t, b, key) {
		t.Fatal("the request of a node that lives was taken")
	}
	silent(t, a, a.Incarnation(), aliveFor+time.Second)
	fresh := newRequest()
	if !busy(t, a, fresh) {
		t.Error("a node that is dead begins requests")
	}
	mine := begun(t, b, key)
	if err := a.DropRequest(ctx, late); err != nil {
		t.Fatal(err)
	}
	if err := a.Beat(ctx); err != nil { // it lives again, as another incarnation
		t.Fatal(err)
	}
	if !busy(t, a, key) {
		t.Error("the node that was dead dropped what another one does now")
	}
	if err := b.KeepAnswer(ctx, DefaultOrg, mine, 202, nil); err != nil {
		t.Fatal(err)
	}
	if err := a.KeepAnswer(ctx, DefaultOrg, late, 201, nil); err != nil {
		t.Fatal(err)
	}
	if got, _, err := a.Idempotent(ctx, key.Hash); got.Status != 202 || err != nil {
		t.Errorf("the answer that is kept: %+v, %v", got, err)
	}
}

// reconnect gives up the connections of a store that are broken.
func reconnect(t *testing.T, s *Store) {
	t.Helper()
	for _, pool := range []*sql.DB{s.read, s.write} {
		var all []*sql.Conn
		for range pool.Stats().Idle {
			c, err := pool.Conn(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			c.PingContext(context.Background())
			all = append(all, c)
		}
		for _, c := range all {
			c.Close()
		}
	}
	for s.Ping(context.Background()) != nil {
	}
}

// What a node could not say while its connections were lost, it says with a later
// beat, and what the database may know without it, it takes back.
func TestALostConnectionBlocksNoKey(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	dropped, kept := begun(t, a, newRequest()), begun(t, a, newRequest())
	cut := func() {
		t.Helper()
		if _, err := b.write.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
	}
	cut()
	if err := a.DropRequest(ctx, dropped); err == nil {
		t.Fatal("a request was dropped over a connection that is lost")
	}
	keep(t, a, unit(0)) // over a connection anew
	cut()
	if err := a.KeepAnswer(ctx, DefaultOrg, kept, 200, nil); err == nil {
		t.Fatal("an answer was kept over a connection that is lost")
	}
	reconnect(t, a)
	reconnect(t, b)
	begun(t, a, dropped) // the node itself may do it again at once
	if !busy(t, b, kept) {
		t.Fatal("the test shows nothing: nobody has the request")
	}
	if err := a.dropLeftovers(ctx); err != nil {
		t.Fatal(err)
	}
	if !busy(t, b, dropped) {
		t.Error("a later try was dropped with an earlier one")
	}
	begun(t, b, kept)
}

func TestRequestsThatNobodyEndedAreForgottenWithTheirKeys(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, _ := twoNodes(t)
	begun(t, a, newRequest())
	count := func() (n int) {
		if err := a.read.QueryRow("SELECT count(*) FROM requests").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if _, err := a.ForgetIdempotency(ctx, time.Now()); err != nil || count() != 1 {
		t.Errorf("before their time %d are left, %v", count(), err)
	}
	if _, err := a.ForgetIdempotency(ctx, time.Now().Add(2*hook.IdempotencyWindow)); err != nil || count() != 0 {
		t.Errorf("after their time %d are left, %v", count(), err)
	}
}
