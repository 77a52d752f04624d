package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func auditLog(t *testing.T, open Opener) {
	s := open(t, t.Name())
	other, err := s.OrganizationByExternal(ctx, "org_other")
	must(t, err)
	add := func(org hook.Key, actor, action, object string) hook.Audit {
		t.Helper()
		a := hook.Audit{
			Org: org, Actor: hook.Actor{Kind: hook.ActorUser, ID: actor, Name: "Ána"}, Action: action, Object: hook.Named{Kind: "endpoint", ID: object, Name: "n\x00"},
			Parent: hook.Named{Kind: "application", ID: "app_1"}, Remote: "192.0.2.1", Changes: []hook.Change{{Field: "disabled", To: true}, {Field: "secret"}},
		}
		must(t, s.AddAudit(ctx, a))
		return a
	}
	list := func(q hook.AuditQuery) []hook.Audit {
		t.Helper()
		if q.Page.Limit == 0 {
			q.Page.Limit = 100
		}
		rows, err := s.ListAudit(ctx, q)
		must(t, err)
		return rows
	}
	want := add(store.DefaultOrg, "user_1", "endpoint.patch", "ep_1")
	add(other.ID, "user_1", "endpoint.patch", "ep_1")
	for i := range 9 {
		add(store.DefaultOrg, fmt.Sprint("user_", i%3), fmt.Sprint("action.", i%2), fmt.Sprint("ep_", i))
	}
	got := list(hook.AuditQuery{Org: store.DefaultOrg, Page: hook.Page{Ascending: true}})
	if len(got) != 10 || time.Since(got[0].At()) > time.Minute {
		t.Fatalf("%d entries, the first at %v", len(got), got[0].At())
	}
	want.ID, want.Object.Name = got[0].ID, "n\uFFFD"
	same(t, "entry", want, got[0])
	for what, c := range map[string]struct {
		q    hook.AuditQuery
		want int
	}{
		"of one actor":       {hook.AuditQuery{Actor: "user_1"}, 4},
		"of one action":      {hook.AuditQuery{Action: "action.0"}, 5},
		"about one object":   {hook.AuditQuery{Object: "ep_1"}, 2},
		"all of them":        {hook.AuditQuery{Actor: "user_1", Action: "endpoint.patch", Object: "ep_1"}, 1},
		"since a minute ago": {hook.AuditQuery{Range: hook.Range{Since: time.Now().Add(-time.Minute)}}, 10},
		"until a minute ago": {hook.AuditQuery{Range: hook.Range{Until: time.Now().Add(-time.Minute)}}, 0},
	} {
		c.q.Org = store.DefaultOrg
		if n := len(list(c.q)); n != c.want {
			t.Errorf("%s: %d, %d are right", what, n, c.want)
		}
	}
	var paged []hook.Audit
	for after := hook.Key(0); ; {
		page := list(hook.AuditQuery{Org: store.DefaultOrg, Page: hook.Page{After: after, Limit: 3}})
		if len(page) == 0 {
			break
		}
		paged, after = append(paged, page...), page[len(page)-1].ID
	}
	if len(paged) != 10 || paged[9].ID != got[0].ID {
		t.Errorf("page by page there are %d", len(paged))
	}
	if n, err := s.ForgetAudit(ctx, store.DefaultOrg, 0); n != 0 || err != nil {
		t.Errorf("for ever: %d forgotten, %v", n, err)
	}
	if n, err := s.ForgetAudit(ctx, store.DefaultOrg, got[4].ID); n != 4 || err != nil {
		t.Errorf("%d forgotten, %v; 4 are right", n, err)
	}
	if n := len(list(hook.AuditQuery{Org: store.DefaultOrg})); n != 6 {
		t.Errorf("%d are left, 6 are right", n)
	}
	if n := len(list(hook.AuditQuery{Org: other.ID})); n != 1 {
		t.Errorf("another organization has %d, 1 is right", n)
	}
}
