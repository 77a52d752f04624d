package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// live are the secrets of an owner at a time, each with what is left of it.
func live(t *testing.T, s *store.Store, owner hook.Key, at time.Time) (list []string) {
	t.Helper()
	secrets, err := s.Secrets(ctx, owner, at)
	must(t, err)
	for _, x := range secrets {
		text := x.Value.Reveal()
		if !x.ExpiresAt.IsZero() {
			text += " " + x.ExpiresAt.Sub(at).String()
		}
		list = append(list, text)
	}
	return list
}

func rotateSecret(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := makeApp(t, s, "a")
	e := makeEndpoint(t, s, a, "")
	now := time.Now().Truncate(time.Millisecond)
	rotate := func(fresh string, grace time.Duration, at time.Time) error {
		changed, err := s.UpdateEndpoint(ctx, e, hook.SecretChange{Fresh: hook.Secret(fresh), Grace: grace, At: at})
		if err == nil {
			e = changed
		}
		return err
	}
	must(t, rotate("second", 24*time.Hour, now))
	same(t, "after a rotation", []string{"second", "whsec_first 24h0m0s"}, live(t, s, e.ID, now))
	later := now.Add(time.Hour)
	must(t, rotate("third", 48*time.Hour, later))
	same(t, "an earlier end stays", []string{"third", "second 48h0m0s", "whsec_first 23h0m0s"}, live(t, s, e.ID, later))
	same(t, "when the first has ended", []string{"third", "second 25h0m0s"}, live(t, s, e.ID, now.Add(24*time.Hour)))
	must(t, rotate("fourth", time.Hour, later))
	same(t, "a later rotation shortens", []string{"fourth", "third 1h0m0s", "second 1h0m0s", "whsec_first 1h0m0s"}, live(t, s, e.ID, later))
	must(t, rotate("alone", 0, later))
	same(t, "without grace", []string{"alone"}, live(t, s, e.ID, later))
	if n, err := s.ForgetSecrets(ctx, later); n != 4 || err != nil {
		t.Errorf("%d forgotten, %v; 4 are right", n, err)
	}
	for i := range 9 {
		must(t, rotate(fmt.Sprint(i), time.Hour, later))
	}
	code(t, "an eleventh live secret", rotate("x", time.Hour, later), hook.CodeInvalid)
	must(t, rotate("last", 0, later))
	_, err := s.UpdateEndpoint(ctx, e, hook.SecretChange{Replace: true, List: []hook.Secret{"a", "b"}})
	must(t, err)
	same(t, "set", []string{"a", "b"}, live(t, s, e.ID, later))
	all, err := s.AllSecrets(ctx, later)
	must(t, err)
	if len(all) != 1 || len(all[e.ID]) != 2 || all[e.ID][0].Value != "a" {
		t.Errorf("all secrets: %d owners, %d of the endpoint", len(all), len(all[e.ID]))
	}
}

func apiSources(t *testing.T, open Opener) {
	s := open(t, t.Name())
	x, err := s.CreateSource(ctx, hook.Source{Org: store.DefaultOrg, UID: "one", Name: "n", Type: "stripe", Provider: "generic", Metadata: map[string]string{"a": "b"},
		Settings: hook.SourceSettings{Quarantine: true, AllowIPs: []string{"10.0.0.0/8"}}}, []hook.Secret{"new", "old"})
	must(t, err)
	got, err := s.SourceByApp(ctx, x.Org, x.App)
	must(t, err)
	same(t, "source", x, got)
	if len(x.Token.Reveal()) < 22 {
		t.Errorf("token %q", x.Token.Reveal())
	}
	same(t, "secrets", []string{"new", "old"}, live(t, s, x.ID, time.Now()))
	hidden, err := s.Application(ctx, x.Org, x.App)
	must(t, err)
	if hidden.Kind != hook.AppOfSource {
		t.Errorf("its application: %+v", hidden)
	}
	_, err = s.CreateSource(ctx, hook.Source{Org: x.Org, UID: "one", Name: "n"}, nil)
	code(t, "the same uid again", err, hook.CodeConflict)
	_, err = s.CreateSource(ctx, hook.Source{Org: x.Org, Name: "n", Token: x.Token}, nil)
	code(t, "the same token again", err, hook.CodeConflict)
	x.Name, x.Disabled, x.UID = "m", true, ""
	changed, err := s.UpdateSource(ctx, x, hook.SecretChange{})
	must(t, err)
	got, err = s.Source(ctx, x.Org, x.ID)
	must(t, err)
	same(t, "changed source", changed, got)
	e, err := s.CreateEndpoint(ctx, hook.Endpoint{Org: x.Org, App: x.App, URL: "https://x", OfSource: true}, "s")
	must(t, err)
	m := sent(t, s, hidden, e)
	must(t, s.DeleteSource(ctx, x.Org, x.ID, time.Now()))
	same(t, "deliveries after deletion", []hook.DeliveryState{hook.Canceled}, states(t, s, m))
	_, err = s.Application(ctx, x.Org, x.App)
	code(t, "its application after deletion", err, hook.CodeNotFound)
	if all, _ := s.AllSecrets(ctx, time.Now()); len(all) != 0 {
		t.Errorf("secrets of %d owners are left", len(all))
	}
}

func rotateSource(t *testing.T, open Opener) {
	s := open(t, t.Name())
	x, err := s.CreateSource(ctx, hook.Source{Org: store.DefaultOrg, Name: "n"}, nil)
	must(t, err)
	now := time.Now().Truncate(time.Millisecond)
	want := map[string]hook.Key{}
	for i := range 3 {
		fresh, err := s.RotateSourceToken(ctx, x.Org, x.ID, now.Add(time.Duration(i)*time.Hour))
		must(t, err)
		if fresh.Token == x.Token {
			t.Fatal("the token stayed")
		}
		want[x.Token.Reveal()] = x.ID
		x = fresh
	}
	read := func(at time.Duration) map[string]hook.Key {
		got, err := s.SourceTokens(ctx, now.Add(at))
		must(t, err)
		return got
	}
	same(t, "old tokens", want, read(3*time.Hour))
	_, err = s.RotateSourceToken(ctx, x.Org, x.ID, now.Add(3*time.Hour))
	code(t, "a fourth rotation", err, hook.CodeConflict)
	if _, err := s.RotateSourceToken(ctx, x.Org, x.ID, now.Add(48*time.Hour)); err != nil {
		t.Errorf("a rotation after 48 hours: %v", err)
	}
	if n := len(read(49 * time.Hour)); n != 2 {
		t.Errorf("%d old tokens after 49 hours, 2 are right", n)
	}
	_, err = s.CreateSource(ctx, hook.Source{Org: x.Org, Name: "m", Token: x.Token}, nil)
	code(t, "a source with an old token of another", err, hook.CodeConflict)
	if n, err := s.ForgetTokens(ctx, now.Add(49*time.Hour)); n != 2 || err != nil {
		t.Errorf("%d forgotten, %v; 2 are right", n, err)
	}
}

func apiTokens(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := makeApp(t, s, "a")
	now := time.Now().Truncate(time.Millisecond).UTC()
	add := func(n byte, scope hook.Scope, session string, expires time.Time) hook.Token {
		x := hook.Token{Org: a.Org, Scope: scope, Name: "n", Session: session, Hash: [32]byte{n}, ExpiresAt: expires, Portal: hook.Portal{ReadOnly: true, FeatureFlags: []string{"f"}}}
		if scope == hook.ScopeApp { // a portal's: it has no name
			x.App, x.Name = a.ID, ""
		}
		x, err := s.CreateToken(ctx, x)
		must(t, err)
		return x
	}
	end := func(n byte) time.Time {
		x, err := s.TokenByHash(ctx, [32]byte{n})
		must(t, err)
		return x.ExpiresAt
	}
	admin := add(1, hook.ScopeAdmin, "", time.Time{})
	got, err := s.TokenByHash(ctx, admin.Hash)
	must(t, err)
	same(t, "token", admin, got)
	_, err = s.CreateToken(ctx, hook.Token{Org: a.Org, Scope: hook.ScopeAdmin, Hash: admin.Hash})
	code(t, "the same hash again", err, hook.CodeConflict)
	soon := now.Add(time.Minute)
	add(2, hook.ScopeApp, "x", now.Add(time.Hour))
	add(3, hook.ScopeApp, "y", now.Add(time.Hour))
	add(4, hook.ScopeApp, "x", soon.Add(-time.Second))
	n, err := s.ExpireTokens(ctx, a.Org, a.ID, []string{"x", "z"}, soon)
	must(t, err)
	if n != 1 || !end(2).Equal(soon) || !end(3).Equal(now.Add(time.Hour)) || !end(4).Equal(soon.Add(-time.Second)) {
		t.Errorf("%d expired of one session: %v, %v, %v", n, end(2), end(3), end(4))
	}
	if n, err := s.ExpireTokens(ctx, a.Org, a.ID, nil, now); n != 3 || err != nil || !end(3).Equal(now) || !end(1).IsZero() {
		t.Errorf("%d expired of all, %v", n, err)
	}
	list, err := s.Tokens(ctx, a.Org, hook.Page{Limit: 9})
	must(t, err)
	same(t, "tokens in the list", []hook.Token{admin}, list)
	if n, err := s.ForgetTokens(ctx, now); n != 3 || err != nil {
		t.Errorf("%d forgotten, %v; 3 are right", n, err)
	}
	must(t, s.RevokeToken(ctx, a.Org, admin.ID))
	_, err = s.TokenByHash(ctx, admin.Hash)
	code(t, "a revoked token", err, hook.CodeNotFound)
}
