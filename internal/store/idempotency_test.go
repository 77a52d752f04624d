package store_test

import (
	"context"
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func TestIdempotencyWindowIsExact(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openDir(t, dir)
		var key hook.Idempotency
		rand.Read(key.Hash[:])
		again := func() *hook.Append {
			a := &hook.Append{Message: hook.Message{Org: store.DefaultOrg, App: 1, Event: hook.Event{Type: "t"}, ReceivedAt: time.Now(), Body: []byte("x")}, Idempotency: &key}
			if err := s.Append(context.Background(), a); err != nil {
				t.Fatal(err)
			}
			return a
		}
		first := again()
		time.Sleep(hook.IdempotencyWindow) // of the bubble's clock
		if a := again(); !a.Repeated || a.Message.ID != first.Message.ID {
			t.Error("at the end of the window the request is new")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openDir(t, dir)
		defer s.Close()
		if n, err := s.ForgetIdempotency(context.Background(), time.Now()); n != 0 || err != nil {
			t.Errorf("a key inside the window was forgotten: %d, %v", n, err)
		}
		if _, known, err := s.Idempotent(context.Background(), key.Hash); !known || err != nil {
			t.Errorf("at the end of the window after a restart: %v, %v", known, err)
		}
		time.Sleep(time.Millisecond)
		if a := again(); a.Repeated {
			t.Error("after the window the request is still known")
		}
		if n, err := s.ForgetIdempotency(context.Background(), time.Now()); n != 1 || err != nil {
			t.Errorf("a key outside the window was not forgotten: %d, %v", n, err)
		}
	})
}

// New keys come after all that are in use, also when the clock went back.
func TestKeysRiseWhenTheClockWentBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, make := range map[string]func(s *store.Store) (hook.Key, error){
		"task": func(s *store.Store) (hook.Key, error) {
			x, err := s.CreateTask(ctx, hook.Task{Org: store.DefaultOrg, Kind: hook.TaskRecover, Status: hook.TaskRunning})
			return x.ID, err
		},
		"token": func(s *store.Store) (hook.Key, error) {
			x := hook.Token{Org: store.DefaultOrg, Scope: hook.ScopeAdmin}
			rand.Read(x.Hash[:])
			x, err := s.CreateToken(ctx, x)
			return x.ID, err
		},
		"organization": func(s *store.Store) (hook.Key, error) {
			x, err := s.CreateOrganization(ctx, "x")
			return x.ID, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			once := func() hook.Key {
				t.Helper()
				s := openDir(t, dir)
				defer s.Close()
				k, err := make(s)
				if err != nil {
					t.Fatal(err)
				}
				return k
			}
			first := once()
			synctest.Test(t, func(t *testing.T) { // its clock begins in 2000
				if second := once(); second <= first {
					t.Errorf("key %d was given after %d", second, first)
				}
			})
		})
	}
}
