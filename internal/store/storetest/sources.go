package storetest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func rejected(source hook.Key, size int) *hook.Rejected {
	return &hook.Rejected{Org: store.DefaultOrg, Source: source, Reason: "mismatch", ReceivedAt: time.Now().Truncate(time.Millisecond).UTC(), Remote: "127.0.0.1", Method: "POST", URL: "/in/x",
		Headers: []hook.Header{{Name: "X-Signature", Value: "00"}}, Body: bytes.Repeat([]byte("x"), size), Size: size}
}

func rejectedBounds(t *testing.T, open Opener) {
	s := open(t, t.Name())
	long := rejected(1, store.RejectedBody+1)
	must(t, s.Reject(ctx, long))
	got, err := s.Rejected(ctx, long.ID)
	must(t, err)
	if got.Whole() || len(got.Body) != store.RejectedBody || got.Size != store.RejectedBody+1 {
		t.Errorf("a long body: %d of %d bytes kept", len(got.Body), got.Size)
	}
	must(t, s.Reject(ctx, rejected(2, 10)))
	n := store.RejectedBytes/store.RejectedBody + 5
	for range n {
		must(t, s.Reject(ctx, rejected(1, store.RejectedBody)))
	}
	count := func(source hook.Key) int {
		list, err := s.ListRejected(ctx, source, 0, 10_000)
		must(t, err)
		return len(list)
	}
	if c := count(1); c != store.RejectedBytes/store.RejectedBody {
		t.Errorf("%d kept of %d", c, n+1)
	}
	if count(2) != 1 {
		t.Error("another source's request made room")
	}
}

func quarantine(t *testing.T, open Opener) {
	s := open(t, t.Name())
	first := rejected(1, store.RejectedBytes/2)
	first.Quarantined = true
	must(t, s.Reject(ctx, first))
	second := rejected(1, store.RejectedBytes/2)
	second.Quarantined = true
	must(t, s.Reject(ctx, second))
	must(t, s.Reject(ctx, rejected(1, 10)))
	third := rejected(1, 10)
	third.Quarantined = true
	if err := s.Reject(ctx, third); hook.CodeOf(err) != hook.CodeTooLarge {
		t.Errorf("a full quarantine took one more: %v", err)
	}
	got, err := s.Rejected(ctx, first.ID)
	must(t, err)
	if !got.Whole() {
		t.Errorf("%d of %d bytes kept in quarantine", len(got.Body), got.Size)
	}
	must(t, s.MarkAccepted(ctx, first.ID, 5))
	must(t, s.Reject(ctx, third))
}

func applyFile(t *testing.T, open Opener) {
	s := open(t, t.Name())
	file := []store.FileSource{
		{Name: "a", Provider: "veriff", Token: "a", Endpoints: []hook.Endpoint{{Name: "one", URL: "http://x/1", EventTypes: []string{"a.*"}, Timeout: time.Second, OfSource: true}, {Name: "two", URL: "http://x/2", OfSource: true}}},
		{Name: "b", Provider: "generic"},
	}
	must(t, s.ApplyFile(ctx, file, false))
	sources, err := s.Sources(ctx)
	must(t, err)
	token := sources[1].Token
	if len(sources) != 2 || sources[0].Token.Reveal() != "a" || len(token.Reveal()) < 22 {
		t.Fatalf("sources: %+v", sources)
	}
	endpoints, err := s.Endpoints(ctx)
	must(t, err)
	if len(endpoints) != 2 || endpoints[0].Timeout != time.Second || endpoints[0].EventTypes[0] != "a.*" || endpoints[0].App != sources[0].App {
		t.Fatalf("endpoints: %+v", endpoints)
	}
	secret, err := s.OwnSecret(ctx, store.DefaultOrg, endpoints[0].ID, func() (string, error) { return "made", nil })
	must(t, err)
	again, err := s.OwnSecret(ctx, store.DefaultOrg, endpoints[0].ID, func() (string, error) { return "other", nil })
	must(t, err)
	if secret.Reveal() != "made" || again != secret {
		t.Error("the secret was made twice")
	}
	file[0].Endpoints = file[0].Endpoints[:1]
	file[0].Endpoints[0].URL = "http://y/1"
	must(t, s.ApplyFile(ctx, file, false))
	after, err := s.Endpoints(ctx)
	must(t, err)
	if after[0].ID != endpoints[0].ID || after[0].URL != "http://y/1" || after[1].State != hook.Disabled {
		t.Errorf("after a change: %+v", after)
	}
	must(t, s.ApplyFile(ctx, file[:1], true))
	after, err = s.Endpoints(ctx)
	must(t, err)
	left, err := s.Sources(ctx)
	must(t, err)
	if len(after) != 1 || len(left) != 1 {
		t.Errorf("after prune: %+v, %+v", after, left)
	}
	must(t, s.ApplyFile(ctx, file, false))
	if back, _ := s.Sources(ctx); len(back) != 2 || back[1].Token == token {
		t.Errorf("a source that was deleted came back with its old token")
	}
}

func tokens(t *testing.T, open Opener) {
	s := open(t, t.Name())
	apply := func(file ...store.FileSource) map[string]string {
		t.Helper()
		for i := range file {
			file[i].Provider = "p"
		}
		must(t, s.ApplyFile(ctx, file, false))
		sources, err := s.Sources(ctx)
		must(t, err)
		got := map[string]string{}
		for _, x := range sources {
			if !x.Disabled {
				got[x.Name] = x.Token.Reveal()
			}
		}
		return got
	}
	apply(store.FileSource{Name: "a", Token: "one"}, store.FileSource{Name: "b", Token: "two"})
	if d := cmp.Diff(map[string]string{"a": "two", "b": "one"}, apply(store.FileSource{Name: "a", Token: "two"}, store.FileSource{Name: "b", Token: "one"})); d != "" {
		t.Errorf("swapped (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"c": "two", "b": "one"}, apply(store.FileSource{Name: "c", Token: "two"}, store.FileSource{Name: "b", Token: "one"})); d != "" {
		t.Errorf("renamed (-want +got):\n%s", d)
	}
	got := apply(store.FileSource{Name: "a"}, store.FileSource{Name: "b"})
	for name, token := range got {
		if len(token) < 22 || strings.HasPrefix(token, "gone-") {
			t.Errorf("%s has a token that can be guessed: %q", name, token)
		}
	}
	if d := cmp.Diff(got, apply(store.FileSource{Name: "a"}, store.FileSource{Name: "b"})); d != "" {
		t.Errorf("a random token did not stay:\n%s", d)
	}
}
