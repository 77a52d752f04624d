package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// person makes somebody with a link whose hash begins with n.
func person(t *testing.T, s *store.Store, name string, n byte) hook.User {
	t.Helper()
	u, err := s.CreateUser(ctx, hook.User{Org: store.DefaultOrg, Name: name, Role: hook.ScopeViewer}, hook.Link{Hash: [32]byte{n}, ExpiresAt: time.Now().Add(hook.LinkLife)})
	must(t, err)
	return u
}

func users(t *testing.T, open Opener) {
	s := open(t, t.Name())
	other, err := s.OrganizationByExternal(ctx, "org_other")
	must(t, err)
	ana := person(t, s, " Ana@example.com ", 1)
	if ana.Name != "Ana@example.com" || ana.ID == 0 || !ana.SeenAt.IsZero() {
		t.Errorf("made %+v", ana)
	}
	got, err := s.UserByName(ctx, "ana@EXAMPLE.com")
	must(t, err)
	same(t, "user", ana, got)
	_, err = s.CreateUser(ctx, hook.User{Org: other.ID, Name: "ANA@example.com", Role: hook.ScopeAdmin}, hook.Link{Hash: [32]byte{2}})
	code(t, "the same name in another organization", err, hook.CodeConflict)
	_, err = s.User(ctx, other.ID, ana.ID)
	code(t, "read from another organization", err, hook.CodeNotFound)
	code(t, "deleted from another organization", s.DeleteUser(ctx, other.ID, ana.ID), hook.CodeNotFound)
	stolen := ana
	stolen.Org, stolen.Role = other.ID, hook.ScopeAdmin
	_, err = s.UpdateUser(ctx, stolen)
	code(t, "changed from another organization", err, hook.CodeNotFound)
	code(t, "linked from another organization", s.AddLink(ctx, other.ID, hook.Link{User: ana.ID, Hash: [32]byte{3}}), hook.CodeNotFound)

	changed := ana
	changed.Role, changed.Password = hook.ScopeAdmin, "not this way"
	changed, err = s.UpdateUser(ctx, changed)
	must(t, err)
	if changed.Role != hook.ScopeAdmin || changed.Password != "" {
		t.Errorf("changed to %+v with password %q", changed, changed.Password.Reveal())
	}
	_, err = s.UpdateUser(ctx, ana)
	code(t, "a change of what was read before", err, hook.CodeStale)
	bob := person(t, s, "bob", 4)
	bob.Name = "ANA@example.com"
	_, err = s.UpdateUser(ctx, bob)
	code(t, "a name that is taken", err, hook.CodeConflict)
	list, err := s.Users(ctx, store.DefaultOrg, hook.Page{Limit: 9, Ascending: true})
	must(t, err)
	if len(list) != 2 || list[0].ID != ana.ID || list[1].Name != "bob" {
		t.Errorf("listed %+v", list)
	}
	must(t, s.DeleteUser(ctx, store.DefaultOrg, ana.ID))
	if _, _, err := s.Redeem(ctx, [32]byte{1}, hook.Session{Hash: [32]byte{9}, CreatedAt: time.Now()}); hook.CodeOf(err) != hook.CodeUnknown {
		t.Errorf("the link of somebody who was deleted: %v", err)
	}
	if found, err := s.AnyUser(ctx); !found || err != nil {
		t.Errorf("with bob there is nobody: %v", err)
	}
}

func links(t *testing.T, open Opener) {
	s := open(t, t.Name())
	ana := person(t, s, "ana", 1)
	redeem := func(link byte, at time.Time) (hook.User, hook.Session, error) {
		return s.Redeem(ctx, [32]byte{link}, hook.Session{Hash: [32]byte{link, byte(at.UnixNano()), byte(at.UnixNano() >> 8), 7}, CreatedAt: at})
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, _, err := s.Redeem(ctx, [32]byte{1}, hook.Session{Hash: [32]byte{0, byte(i)}, CreatedAt: time.Now()})
			switch {
			case err == nil:
				won.Add(1)
			case hook.CodeOf(err) != hook.CodeUnknown:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := won.Load(); n != 1 {
		t.Errorf("%d signed in with one link", n)
	}
	end := time.Now().Add(time.Minute).Truncate(time.Millisecond)
	must(t, s.AddLink(ctx, ana.Org, hook.Link{User: ana.ID, Hash: [32]byte{2}, ExpiresAt: end}))
	_, _, err := redeem(2, end)
	code(t, "a link at its end", err, hook.CodeUnknown)
	must(t, s.AddLink(ctx, ana.Org, hook.Link{User: ana.ID, Hash: [32]byte{3}, ExpiresAt: end}))
	_, _, err = redeem(2, end.Add(-time.Second))
	code(t, "a link after another was made", err, hook.CodeUnknown)
	u, x, err := redeem(3, end.Add(-time.Second))
	must(t, err)
	if u.ID != ana.ID || x.User != ana.ID || !x.ByLink || x.ID == 0 {
		t.Errorf("signed in as %+v with %+v", u, x)
	}

	must(t, s.AddLink(ctx, ana.Org, hook.Link{User: ana.ID, Hash: [32]byte{4}, ExpiresAt: end}))
	off := u
	off.Disabled = true
	off, err = s.UpdateUser(ctx, off)
	must(t, err)
	_, _, err = redeem(4, time.Now())
	code(t, "a link of somebody who is disabled", err, hook.CodeUnknown)
	code(t, "a new link for him", s.AddLink(ctx, ana.Org, hook.Link{User: ana.ID, Hash: [32]byte{5}, ExpiresAt: end}), hook.CodeConflict)
	_, _, err = s.SessionByHash(ctx, x.Hash)
	code(t, "his session", err, hook.CodeNotFound)
	off.Disabled = false
	_, err = s.UpdateUser(ctx, off)
	must(t, err)
	_, _, err = redeem(4, time.Now())
	code(t, "his old link when he is enabled again", err, hook.CodeUnknown)
}

func sessions(t *testing.T, open Opener) {
	s := open(t, t.Name())
	ana := person(t, s, "ana", 1)
	now := time.Now().Truncate(time.Millisecond).UTC()
	_, first, err := s.Redeem(ctx, [32]byte{1}, hook.Session{Hash: [32]byte{10}, CreatedAt: now})
	must(t, err)
	must(t, s.AddLink(ctx, ana.Org, hook.Link{User: ana.ID, Hash: [32]byte{2}, ExpiresAt: now.Add(time.Hour)}))
	begin := func(n byte, at time.Time, known hook.Secret) (hook.Session, error) {
		return s.CreateSession(ctx, hook.Session{Org: ana.Org, User: ana.ID, Hash: [32]byte{n}, CreatedAt: at}, known)
	}
	second, err := begin(20, now, "")
	must(t, err)

	must(t, s.SetPassword(ctx, first, "", "hash one", [32]byte{11}))
	_, _, err = s.SessionByHash(ctx, first.Hash)
	code(t, "the token from before the password", err, hook.CodeNotFound)
	_, _, err = s.SessionByHash(ctx, second.Hash)
	code(t, "another browser after a password was set", err, hook.CodeNotFound)
	_, _, err = s.Redeem(ctx, [32]byte{2}, hook.Session{Hash: [32]byte{30}, CreatedAt: now})
	code(t, "a link from before the password", err, hook.CodeUnknown)
	x, u, err := s.SessionByHash(ctx, [32]byte{11})
	must(t, err)
	if x.ID != first.ID || x.ByLink || u.Password != "hash one" || u.Name != "ana" || u.Role != hook.ScopeViewer || u.ID != ana.ID {
		t.Errorf("after a password was set: %+v of %+v", x, u)
	}
	code(t, "a password in the place of one that is not there any more", s.SetPassword(ctx, x, "", "hash two", [32]byte{12}), hook.CodeStale)
	code(t, "a password with an old token", s.SetPassword(ctx, first, "hash one", "hash two", [32]byte{12}), hook.CodeUnknown)
	_, err = begin(21, now, "")
	code(t, "a session after the password changed", err, hook.CodeUnknown)

	for i := range byte(25) {
		_, err := begin(100+i, now, "hash one")
		must(t, err)
	}
	alive := 0
	for i := range byte(25) {
		if _, _, err := s.SessionByHash(ctx, [32]byte{100 + i}); err == nil {
			alive++
		}
	}
	if _, _, err := s.SessionByHash(ctx, [32]byte{124}); alive != 20 || err != nil {
		t.Errorf("%d browsers are signed in, %v; the last 20 are right", alive, err)
	}
	old, err := begin(40, now.Add(-hook.SessionLife), "hash one")
	must(t, err)
	idle, err := begin(41, now.Add(-hook.SessionIdle), "hash one")
	must(t, err)
	used, err := begin(42, now.Add(-hook.SessionIdle), "hash one")
	must(t, err)
	must(t, s.TouchSession(ctx, used, now))
	must(t, s.TouchSession(ctx, used, now.Add(-time.Hour)))
	must(t, s.TouchSession(ctx, old, now))
	if got, _, err := s.SessionByHash(ctx, used.Hash); err != nil || !got.SeenAt.Equal(now) || !got.EndsAt().Equal(now.Add(hook.SessionIdle)) {
		t.Errorf("touched: %+v, %v", got, err)
	}
	n, err := s.ForgetSessions(ctx, now)
	must(t, err)
	_, _, lost := s.SessionByHash(ctx, used.Hash)
	_, _, oldErr := s.SessionByHash(ctx, old.Hash)
	_, _, idleErr := s.SessionByHash(ctx, idle.Hash)
	if n != 2 || lost != nil || oldErr == nil || idleErr == nil {
		t.Errorf("%d forgotten: used %v, old %v, idle %v", n, lost, oldErr, idleErr)
	}
	must(t, s.EndSession(ctx, ana.Org+1, used.ID))
	if _, _, err := s.SessionByHash(ctx, used.Hash); err != nil {
		t.Errorf("ended from another organization: %v", err)
	}
	must(t, s.EndSession(ctx, ana.Org, used.ID))
	must(t, s.EndSession(ctx, ana.Org, used.ID))
	_, _, err = s.SessionByHash(ctx, used.Hash)
	code(t, "a session that was ended", err, hook.CodeNotFound)
}
