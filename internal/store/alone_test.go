package store

import (
	"context"
	"errors"
	"testing"
	"time"
)

// duty says whether a node has, or gets, work that one node does for all.
func duty(t *testing.T, s *Store) bool {
	t.Helper()
	mine, err := s.takeDuty(context.Background(), "work")
	if err != nil {
		t.Fatal(err)
	}
	return mine
}

func TestOneNodeWorksForAll(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b := twoNodes(t)
	if !duty(t, a) || duty(t, b) || !duty(t, a) {
		t.Fatal("not one node has the work")
	}
	if mine, err := b.takeDuty(ctx, "other work"); !mine || err != nil {
		t.Errorf("other work: %v, %v", mine, err)
	}
	a.pg.doubt.Store(true)
	if err := a.Beat(ctx); err != nil {
		t.Fatal(err)
	}
	if duty(t, b) || !duty(t, a) {
		t.Error("a node that began another incarnation does not go on with its work")
	}
	silent(t, a, a.Incarnation(), aliveFor/2+time.Second)
	if duty(t, a) {
		t.Error("a node that may be dead before it asks again keeps its work")
	}
	if duty(t, b) {
		t.Error("the work of a node that lives was taken")
	}
	silent(t, a, a.Incarnation(), aliveFor+time.Second)
	if !duty(t, b) || duty(t, a) {
		t.Error("the work of a dead node was not taken")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	a.pg.doubt.Store(true)
	if err := a.Beat(ctx); err != nil {
		t.Fatal(err)
	}
	if !duty(t, a) {
		t.Error("the work of a node that stopped was not taken")
	}
}

// Work ends when its node loses it, and begins on the one that has it.
func TestWorkForAllMovesToAnotherNode(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	ctx, stop := context.WithCancel(context.Background())
	began, ended := make(chan *Store), make(chan *Store, 2)
	work := func(s *Store) func(context.Context) error {
		return func(ctx context.Context) error {
			began <- s
			<-ctx.Done()
			ended <- s
			return errors.New("it was stopped")
		}
	}
	done := make(chan error, 2)
	go func() { done <- a.RunAlone(ctx, "work", work(a)) }()
	if s := <-began; s != a {
		t.Fatal("the wrong node works")
	}
	go func() { done <- b.RunAlone(ctx, "work", work(b)) }()
	silent(t, b, a.Incarnation(), aliveFor+time.Second)
	for range 2 { // it is stopped here and begun there, whichever is first
		select {
		case s := <-ended:
			if s != a {
				t.Fatal("the wrong node stopped")
			}
		case s := <-began:
			if s != b {
				t.Fatal("the wrong node works")
			}
		case <-time.After(time.Minute):
			t.Fatal("the work of a dead node goes on, or nowhere")
		}
	}
	stop()
	for range 2 {
		if err := <-done; err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
}
