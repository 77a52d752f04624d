package storetest

import (
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func requestKey() *hook.Idempotency {
	var i hook.Idempotency
	rand.Read(i.Hash[:])
	rand.Read(i.Request[:])
	return &i
}

// asked is an event that a request with an idempotency key made: it has no hash.
func asked(i *hook.Idempotency) *hook.Append {
	a := event(1, 0)
	a.Hash, a.Idempotency = hook.Hash{}, i
	return a
}

func repeatsAtOnce(t *testing.T, open Opener) {
	s := open(t, t.Name())
	key := requestKey()
	appends := make([]*hook.Append, 64)
	var wg sync.WaitGroup
	for i := range appends {
		appends[i] = asked(key)
		wg.Go(func() {
			if err := s.Append(ctx, appends[i]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	fresh := 0
	for _, a := range appends {
		if !a.Repeated {
			fresh++
		} else if a.Deliveries != nil {
			t.Error("a repeated request has deliveries")
		}
		if a.Message.ID != appends[0].Message.ID {
			t.Errorf("two messages of one request: %d and %d", a.Message.ID, appends[0].Message.ID)
		}
	}
	list, _, err := s.ListMessages(ctx, hook.MessageFilter{Org: 1, Page: hook.Page{Limit: 100}})
	must(t, err)
	if fresh != 1 || len(list) != 1 || list[0].Duplicates != 0 {
		t.Errorf("%d requests were new, %d messages; 1 and 1 are right", fresh, len(list))
	}
	must(t, s.Close())
	s = open(t, t.Name())
	again := mustAppend(t, s, asked(key))
	if !again.Repeated || again.Message.ID != list[0].ID {
		t.Errorf("after a restart the request is new: %+v", again)
	}
	answer, known, err := s.Idempotent(ctx, key.Hash)
	must(t, err)
	if !known || answer.Message != list[0].ID || answer.Request != key.Request {
		t.Errorf("the request as such: %+v, %v", answer, known)
	}
}

// A key with another request fails alone, also among many in one batch.
func otherRequest(t *testing.T, open Opener) {
	s := open(t, t.Name())
	key := requestKey()
	mustAppend(t, s, asked(key))
	other := *key
	other.Request[0] ^= 1
	var mu sync.Mutex
	var refused, kept int
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			a := event(1, 0)
			if i%4 == 0 {
				a = asked(&other)
			}
			err := s.Append(ctx, a)
			mu.Lock()
			defer mu.Unlock()
			switch hook.CodeOf(err) {
			case hook.CodeConflict:
				refused++
			default:
				if err != nil {
					t.Error(err)
				}
				kept++
			}
		})
	}
	wg.Wait()
	list, _, err := s.ListMessages(ctx, hook.MessageFilter{Org: 1, Page: hook.Page{Limit: 100}})
	must(t, err)
	if refused != 10 || kept != 30 || len(list) != 31 {
		t.Errorf("%d refused, %d kept, %d there; 10, 30 and 31 are right", refused, kept, len(list))
	}
}

func zeroHash(t *testing.T, open Opener) {
	s := open(t, t.Name())
	first, second := mustAppend(t, s, asked(nil)), mustAppend(t, s, asked(nil))
	must(t, s.Close())
	s = open(t, t.Name())
	third := mustAppend(t, s, asked(nil))
	if first.Duplicate || second.Duplicate || third.Duplicate || third.Message.ID == first.Message.ID {
		t.Error("messages without a hash count as one event")
	}
	if n, err := s.ForgetDedupe(ctx, time.Now().Add(2*hook.DedupeWindow)); n != 0 || err != nil {
		t.Errorf("%d dedupe keys of messages without a hash, %v", n, err)
	}
}

// A request whose event is known is remembered as well: it made that message.
func duplicateWithKey(t *testing.T, open Opener) {
	s := open(t, t.Name())
	first := mustAppend(t, s, event(1, 0))
	again := asked(requestKey())
	again.Hash = first.Hash
	mustAppend(t, s, again)
	third := asked(again.Idempotency)
	third.Hash = first.Hash
	mustAppend(t, s, third)
	if !again.Duplicate || again.Repeated || !third.Repeated || third.Duplicate || third.Message.ID != first.Message.ID {
		t.Errorf("second: duplicate %v, repeated %v; third: duplicate %v, repeated %v", again.Duplicate, again.Repeated, third.Duplicate, third.Repeated)
	}
	m, err := s.Message(ctx, first.Message.ID)
	must(t, err)
	if m.Duplicates != 1 {
		t.Errorf("%d duplicates counted, 1 is right", m.Duplicates)
	}
}

func answers(t *testing.T, open Opener) {
	s := open(t, t.Name())
	for _, body := range []string{"", "\x01not sealed", `{"id":"app_1"}`, "[]"} {
		key := requestKey()
		if _, known, err := s.Idempotent(ctx, key.Hash); known || err != nil {
			t.Fatalf("a key that nobody used: %v, %v", known, err)
		}
		must(t, s.KeepAnswer(ctx, store.DefaultOrg, *key, 201, []byte(body)))
		must(t, s.KeepAnswer(ctx, store.DefaultOrg, *key, 500, []byte("later")))
		other := *key
		other.Request[0] ^= 1
		code(t, "another request", s.KeepAnswer(ctx, store.DefaultOrg, other, 200, nil), hook.CodeConflict)
		code(t, "a message with the key of another request", s.Append(ctx, asked(key)), hook.CodeConflict)
		must(t, s.Close())
		s = open(t, t.Name())
		got, known, err := s.Idempotent(ctx, key.Hash)
		must(t, err)
		if !known || got.Status != 201 || string(got.Body) != body || got.Request != key.Request || got.Message != 0 {
			t.Errorf("answer %q: %+v, %v", body, got, known)
		}
	}
}

func channels(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := event(0, 0)
	a.Message.Channels, a.Message.Tags, a.Message.ExpiresAt = []string{"one", `t"wo`}, []string{}, a.Message.ReceivedAt.AddDate(0, 0, 90)
	mustAppend(t, s, a)
	got, err := s.Message(ctx, a.Message.ID)
	must(t, err)
	want := a.Message
	want.Size = len(want.Body)
	same(t, "message", want, *got)
}
