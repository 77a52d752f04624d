package password

import (
	"context"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestAPasswordIsKnownByItsHashAlone(t *testing.T) {
	t.Parallel()
	h, ctx := New(), context.Background()
	hash, err := h.Hash(ctx, "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.Hash(ctx, "correct horse battery"); err != nil || again == hash {
		t.Errorf("the same password has the same hash twice (%v): it has no salt of its own", err)
	}
	if !strings.HasPrefix(hash.Reveal(), "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(hash.Reveal(), "horse") {
		t.Errorf("the hash is %s", hash.Reveal())
	}
	for password, right := range map[hook.Secret]bool{"correct horse battery": true, "correct horse batterz": false, "": false, "correct horse battery ": false} {
		if got, err := h.Verify(ctx, hash, password); err != nil || got != right {
			t.Errorf("%q: %v, %v", password.Reveal(), got, err)
		}
	}
}

// The vector of another implementation: the reference one's, `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1`.
func TestHashesOfOthersAreUnderstood(t *testing.T) {
	t.Parallel()
	const hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, err := New().Verify(context.Background(), hash, "password"); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestWithoutAHashNoPasswordIsRight(t *testing.T) {
	t.Parallel()
	h := New()
	if c, _, _, err := read(h.decoy); err != nil || c != present {
		t.Errorf("what is compared with instead costs %+v, %v: another time tells that there is no hash", c, err)
	}
	for _, password := range []hook.Secret{"", "password"} {
		if ok, err := h.Verify(context.Background(), "", password); ok || err != nil {
			t.Errorf("%q: %v, %v", password.Reveal(), ok, err)
		}
	}
}

func TestHashesThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	for _, hash := range []hook.Secret{
		"x", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=65536,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$!",
	} {
		if ok, err := New().Verify(context.Background(), hash, "password"); ok || err == nil {
			t.Errorf("%s: %v, %v", hash.Reveal(), ok, err)
		}
	}
}

// Memory is bounded: who does not get a place in time is told to come again.
func TestNoMoreAreHashedAtOnceThanThereArePlaces(t *testing.T) {
	t.Parallel()
	h := New()
	for range atOnce {
		h.places <- struct{}{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.Verify(ctx, "", "password"); hook.CodeOf(err) != hook.CodeUnavailable {
		t.Errorf("without a place: %v", err)
	}
}
