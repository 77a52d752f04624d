package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func code(t *testing.T, what string, err error, want hook.Code) {
	t.Helper()
	if err == nil || hook.CodeOf(err) != want {
		t.Errorf("%s: %v, %s is right", what, err, want)
	}
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, d)
	}
}

func makeApp(t *testing.T, s *store.Store, uid string) hook.Application {
	t.Helper()
	a, err := s.CreateApplication(ctx, hook.Application{Org: store.DefaultOrg, UID: uid, Name: "app " + uid, Throttle: 7, Metadata: map[string]string{"k": "v"}})
	must(t, err)
	return a
}

func makeEndpoint(t *testing.T, s *store.Store, a hook.Application, uid string) hook.Endpoint {
	t.Helper()
	e, err := s.CreateEndpoint(ctx, hook.Endpoint{
		Org: a.Org, App: a.ID, Untrusted: true, UID: uid, URL: "https://x.example/1", Description: "d", Metadata: map[string]string{"a": "b"}, Channels: []string{"c"}, Throttle: 3,
		EventTypes: []string{"a.*"}, Headers: []hook.Header{{Name: "Authorization", Value: "Bearer of-an-endpoint"}}, Timeout: time.Second, Concurrency: 4,
		Schedule: []time.Duration{time.Second, time.Minute}, Window: time.Hour, SuccessCodes: []int{201}, SchemeName: "svix", Policy: "veriff", State: hook.Paused, Reason: "r",
		Order: hook.Order{By: "subject:session", ByOccurrence: true, Window: time.Minute, LatestOnly: true, OnPoison: hook.PoisonPark, PoisonAfter: 3},
	}, "whsec_first")
	must(t, err)
	return e
}

func applications(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := makeApp(t, s, "one")
	got, err := s.ApplicationByUID(ctx, a.Org, "one")
	must(t, err)
	same(t, "application", a, got)
	_, err = s.CreateApplication(ctx, hook.Application{Org: a.Org, UID: "one"})
	code(t, "the same uid again", err, hook.CodeConflict)
	b := makeApp(t, s, "")
	makeApp(t, s, "") // no uid is no clash
	b.UID = "one"
	_, err = s.UpdateApplication(ctx, b)
	code(t, "an update to a taken uid", err, hook.CodeConflict)
	a.Name, a.Metadata, a.Throttle = "new", nil, 0
	changed, err := s.UpdateApplication(ctx, a)
	must(t, err)
	got, err = s.Application(ctx, a.Org, a.ID)
	must(t, err)
	same(t, "changed application", changed, got)
	if got.Name != "new" || got.CreatedAt != a.CreatedAt {
		t.Errorf("after an update: %+v", got)
	}
	_, err = s.CreateApplication(ctx, hook.Application{Org: 12345})
	code(t, "an application of no organization", err, hook.CodeNotFound)
}

func applicationPages(t *testing.T, open Opener) {
	s := open(t, t.Name())
	var all []hook.Application
	for i := range 5 {
		all = append(all, makeApp(t, s, fmt.Sprint("a", i)))
	}
	e := makeEndpoint(t, s, all[1], "")
	e.State = hook.Enabled
	_, err := s.UpdateEndpoint(ctx, e, hook.SecretChange{})
	must(t, err)
	makeEndpoint(t, s, all[2], "")
	op, err := s.OperationalApp(ctx, store.DefaultOrg)
	must(t, err)
	again, err := s.OperationalApp(ctx, store.DefaultOrg)
	must(t, err)
	same(t, "operational application", op, again)
	for _, c := range []struct {
		name string
		page hook.Page
		f    hook.AppFilter
		want []hook.Key
	}{
		{"oldest first", hook.Page{Ascending: true, Limit: 2}, hook.AppFilter{}, []hook.Key{all[0].ID, all[1].ID}},
		{"on from there", hook.Page{Ascending: true, Limit: 9, After: all[1].ID}, hook.AppFilter{}, []hook.Key{all[2].ID, all[3].ID, all[4].ID}},
		{"newest first", hook.Page{Limit: 2}, hook.AppFilter{}, []hook.Key{all[4].ID, all[3].ID}},
		{"back from there", hook.Page{Limit: 2, After: all[3].ID}, hook.AppFilter{}, []hook.Key{all[2].ID, all[1].ID}},
		{"with endpoints", hook.Page{Limit: 9}, hook.AppFilter{WithEndpoints: true}, []hook.Key{all[2].ID, all[1].ID}},
		{"with enabled ones", hook.Page{Limit: 9}, hook.AppFilter{WithEnabledEndpoints: true}, []hook.Key{all[1].ID}},
		{"operational", hook.Page{Limit: 9}, hook.AppFilter{Kind: hook.AppOperational}, []hook.Key{op.ID}},
	} {
		list, err := s.Applications(ctx, store.DefaultOrg, c.page, c.f)
		must(t, err)
		var got []hook.Key
		for _, a := range list {
			got = append(got, a.ID)
		}
		same(t, c.name, c.want, got)
	}
}

func apiEndpoints(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a, b := makeApp(t, s, "a"), makeApp(t, s, "b")
	e := makeEndpoint(t, s, a, "one")
	makeEndpoint(t, s, b, "one") // uids are an application's own
	got, err := s.EndpointByUID(ctx, a.ID, "one")
	must(t, err)
	same(t, "endpoint", e, got)
	_, err = s.CreateEndpoint(ctx, hook.Endpoint{Org: a.Org, App: a.ID, UID: "one", URL: "https://x"}, "")
	code(t, "the same uid again", err, hook.CodeConflict)
	two := makeEndpoint(t, s, a, "two")
	two.UID = "one"
	_, err = s.UpdateEndpoint(ctx, two, hook.SecretChange{})
	code(t, "an update to a taken uid", err, hook.CodeConflict)
	e.URL, e.Headers, e.Channels, e.UID = "https://y", nil, nil, ""
	changed, err := s.UpdateEndpoint(ctx, e, hook.SecretChange{})
	must(t, err)
	got, err = s.Endpoint(ctx, a.ID, e.ID)
	must(t, err)
	same(t, "changed endpoint", changed, got)
	list, err := s.ListEndpoints(ctx, a.ID, hook.Page{Limit: 1})
	must(t, err)
	if len(list) != 1 || list[0].ID != two.ID {
		t.Errorf("the newest endpoint: %+v", list)
	}
	for range 498 {
		_, err := s.CreateEndpoint(ctx, hook.Endpoint{Org: a.Org, App: a.ID, URL: "https://x"}, "")
		must(t, err)
	}
	_, err = s.CreateEndpoint(ctx, hook.Endpoint{Org: a.Org, App: a.ID, URL: "https://x"}, "")
	code(t, "endpoint 501", err, hook.CodeInvalid)
}

func fileManaged(t *testing.T, open Opener) {
	s := open(t, t.Name())
	must(t, s.ApplyFile(ctx, []store.FileSource{{Name: "f", Provider: "p", Endpoints: []hook.Endpoint{{Name: "e", URL: "https://x", Headers: []hook.Header{{Name: "A", Value: "b"}}}}}}, false))
	sources, err := s.Sources(ctx)
	must(t, err)
	endpoints, err := s.EndpointsOf(ctx, sources[0].App)
	must(t, err)
	x, e := sources[0], endpoints[0]
	if len(e.Headers) != 1 || e.Headers[0].Value != "b" {
		t.Errorf("headers of the file: %+v", e.Headers)
	}
	_, err = s.UpdateEndpoint(ctx, e, hook.SecretChange{})
	code(t, "update of an endpoint", err, hook.CodeConflict)
	code(t, "deletion of an endpoint", s.DeleteEndpoint(ctx, e.App, e.ID), hook.CodeConflict)
	_, err = s.UpdateSource(ctx, x, hook.SecretChange{})
	code(t, "update of a source", err, hook.CodeConflict)
	_, err = s.RotateSourceToken(ctx, x.Org, x.ID, time.Now())
	code(t, "rotation of a source", err, hook.CodeConflict)
	code(t, "deletion of a source", s.DeleteSource(ctx, x.Org, x.ID, time.Now()), hook.CodeConflict)
	code(t, "deletion of its application", s.DeleteApplication(ctx, x.Org, x.App, time.Now()), hook.CodeConflict)
	api, err := s.CreateSource(ctx, hook.Source{Org: x.Org, Name: "f", Provider: "p"}, nil)
	must(t, err)
	err = s.ApplyFile(ctx, []store.FileSource{{Name: "g", Provider: "p"}, {Name: "f", Provider: "p", Token: api.Token}}, false)
	code(t, "a file with a token of the API", err, hook.CodeConflict)
	_, err = s.RotateSourceToken(ctx, api.Org, api.ID, time.Now())
	must(t, err)
	err = s.ApplyFile(ctx, []store.FileSource{{Name: "f", Provider: "p", Token: api.Token}}, false)
	code(t, "a file with a rotated token of the API", err, hook.CodeConflict)
	if list, _ := s.Sources(ctx); len(list) != 2 || list[0].Disabled {
		t.Errorf("a refused file changed something: %+v", list)
	}
}

// Whatever is asked for with another organization's or application's key is not there.
func isolation(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a, b := makeApp(t, s, "a"), makeApp(t, s, "b")
	e := makeEndpoint(t, s, a, "e")
	x, err := s.CreateSource(ctx, hook.Source{Org: a.Org, UID: "s", Name: "s", Provider: "p"}, nil)
	must(t, err)
	task, err := s.CreateTask(ctx, hook.Task{Org: a.Org, Kind: hook.TaskRecover, Status: hook.TaskRunning})
	must(t, err)
	token, err := s.CreateToken(ctx, hook.Token{Org: a.Org, Scope: hook.ScopeAdmin, Hash: [32]byte{1}})
	must(t, err)
	_, err = s.CreateEventType(ctx, hook.EventType{Org: a.Org, Name: "t"})
	must(t, err)
	m := event(1, 0)
	m.Message.App = a.ID
	mustAppend(t, s, m)
	org, err := s.CreateOrganization(ctx, "other")
	must(t, err)
	other, now := org.ID, time.Now()
	gone := func(what string, err error) { t.Helper(); code(t, what, err, hook.CodeNotFound) }
	sourceIsGone(t, s, other, x)
	listsAreEmpty(t, s, other, b.ID)
	_, err = s.Application(ctx, other, a.ID)
	gone("application", err)
	_, err = s.ApplicationByUID(ctx, other, "a")
	gone("application by uid", err)
	_, err = s.UpdateApplication(ctx, hook.Application{Org: other, ID: a.ID})
	gone("update of an application", err)
	gone("deletion of an application", s.DeleteApplication(ctx, other, a.ID, now))
	_, err = s.CreateEndpoint(ctx, hook.Endpoint{Org: other, App: a.ID}, "")
	gone("endpoint in another's application", err)
	_, err = s.Endpoint(ctx, b.ID, e.ID)
	gone("endpoint", err)
	_, err = s.EndpointByUID(ctx, b.ID, "e")
	gone("endpoint by uid", err)
	_, err = s.UpdateEndpoint(ctx, hook.Endpoint{App: b.ID, ID: e.ID}, hook.SecretChange{Fresh: "x", At: now})
	gone("update of an endpoint", err)
	gone("deletion of an endpoint", s.DeleteEndpoint(ctx, b.ID, e.ID))
	_, err = s.Task(ctx, other, task.ID)
	gone("task", err)
	_, err = s.StepTask(ctx, hook.TaskStep{From: hook.Task{ID: task.ID, Org: other}})
	gone("step of a task", err)
	_, err = s.MoveTask(ctx, other, task.ID, hook.TaskCanceled)
	gone("canceling a task", err)
	gone("revocation of a token", s.RevokeToken(ctx, other, token.ID))
	_, err = s.CreateToken(ctx, hook.Token{Org: other, App: a.ID, Scope: hook.ScopeApp})
	gone("token of another's application", err)
	_, err = s.EventType(ctx, other, "t")
	gone("event type", err)
	gone("deletion of an event type", s.DeleteEventType(ctx, other, "t", true))
	_, _, err = s.MessageInfo(ctx, b.ID, m.Message.ID)
	gone("message", err)
	gone("expunging", s.ExpungeBody(ctx, b.ID, m.Message.ID))
	if n, err := s.ExpireTokens(ctx, other, 0, nil, now); n != 0 || err != nil {
		t.Errorf("%d tokens of another organization expired, %v", n, err)
	}
	if _, err := s.Endpoint(ctx, a.ID, e.ID); err != nil {
		t.Errorf("refused changes changed something: %v", err)
	}
}

func sourceIsGone(t *testing.T, s *store.Store, other hook.Key, x hook.Source) {
	t.Helper()
	now := time.Now()
	gone := func(what string, err error) { t.Helper(); code(t, what, err, hook.CodeNotFound) }
	_, err := s.Source(ctx, other, x.ID)
	gone("source", err)
	_, err = s.SourceByUID(ctx, other, "s")
	gone("source by uid", err)
	_, err = s.SourceByApp(ctx, other, x.App)
	gone("source by application", err)
	_, err = s.UpdateSource(ctx, hook.Source{Org: other, ID: x.ID}, hook.SecretChange{Replace: true})
	gone("update of a source", err)
	_, err = s.RotateSourceToken(ctx, other, x.ID, now)
	gone("rotation of a token", err)
	gone("deletion of a source", s.DeleteSource(ctx, other, x.ID, now))
}

func listsAreEmpty(t *testing.T, s *store.Store, other, otherApp hook.Key) {
	t.Helper()
	page := hook.Page{Limit: 9}
	apps, _ := s.Applications(ctx, other, page, hook.AppFilter{})
	sources, _ := s.ListSources(ctx, other, page)
	tokens, _ := s.Tokens(ctx, other, page)
	tasks, _ := s.Tasks(ctx, other, hook.TaskFilter{}, page)
	types, _ := s.EventTypes(ctx, other, "", true, 9, true)
	endpoints, _ := s.ListEndpoints(ctx, otherApp, page)
	if n := len(apps) + len(sources) + len(tokens) + len(tasks) + len(types) + len(endpoints); n != 0 {
		t.Errorf("lists show %d things of another", n)
	}
}

func organizations(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a, err := s.OrganizationByExternal(ctx, "acme")
	must(t, err)
	b, err := s.OrganizationByExternal(ctx, "acme")
	must(t, err)
	if a.ID != b.ID || a.External != "acme" || a.ID == store.DefaultOrg {
		t.Errorf("the first and the second use: %+v, %+v", a, b)
	}
	must(t, s.SetOrgSettings(ctx, a.ID, a.Settings, hook.OrgSettings{SignatureHeaders: hook.HeadersBoth}))
	got, err := s.Organization(ctx, a.ID)
	must(t, err)
	if got.Settings.SignatureHeaders != hook.HeadersBoth {
		t.Errorf("settings: %+v", got.Settings)
	}
	list, err := s.Organizations(ctx)
	must(t, err)
	if len(list) != 2 || list[0].ID != store.DefaultOrg {
		t.Errorf("organizations: %+v", list)
	}
	_, err = s.Organization(ctx, 12345)
	code(t, "no organization", err, hook.CodeNotFound)
	code(t, "settings of none", s.SetOrgSettings(ctx, 12345, hook.OrgSettings{}, hook.OrgSettings{}), hook.CodeNotFound)
}
