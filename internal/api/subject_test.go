package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// org is the organization that requests are made for.
func (h *harness) org(external string) hook.Key {
	h.t.Helper()
	o, err := h.server.API().Store.OrganizationByExternal(h.t.Context(), external)
	if err != nil {
		h.t.Fatal(err)
	}
	return o.ID
}

// accept takes an event in as a source would, and returns the id of its message.
func (h *harness) accept(app string, e hook.Event) string {
	h.t.Helper()
	in := hook.Incoming{Org: h.org("org_tests"), App: h.key(hook.KindApplication, app), Event: e, ReceivedAt: time.Now(), Body: []byte("{}")}
	in.Event.DedupeKey = "id:" + e.ID
	receipt, err := h.server.API().Pipeline.Accept(h.t.Context(), in)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.server.IDs().Public(hook.KindMessage, receipt.Message)
}

// subjects are kinds and ids by turns.
func subjects(pairs ...string) (list []hook.Subject) {
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, hook.Subject{Kind: pairs[i], ID: pairs[i+1]})
	}
	return list
}

// column joins fields of each row.
func column(rows any, fields ...string) string {
	var out []string
	for _, r := range rows.([]any) {
		for _, f := range fields {
			if m, ok := r.(map[string]any)["subject"].(map[string]any); ok && f == "subject" {
				out = append(out, fmt.Sprint(m["id"]))
				continue
			}
			out = append(out, fmt.Sprint(r.(map[string]any)[f]))
		}
	}
	return strings.Join(out, " ")
}

func TestASubjectsTimeLineFollowsItsLinks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, second := h.app("first"), h.app("second")
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }
	// Two sessions of one person, told by two providers, out of order.
	h.accept(first, hook.Event{ID: "late", Type: "a.approved", Family: "a.decision", Subjects: subjects("session", "s1", "end_user", "u/1"), OccurredAt: at(5)})
	h.accept(first, hook.Event{ID: "early", Type: "a.declined", Family: "a.decision", Subjects: subjects("session", "s1"), OccurredAt: at(1)})
	h.accept(second, hook.Event{ID: "other", Type: "b.started", Family: "b.status", Subjects: subjects("session", "s2", "end_user", "u/1"), OccurredAt: at(3)})
	h.accept(second, hook.Event{ID: "plain", Type: "b.note", Subjects: subjects("session", "s2"), OccurredAt: at(4)})
	h.accept(first, hook.Event{ID: "stranger", Type: "a.approved", Subjects: subjects("session", "s9"), OccurredAt: at(2)})
	for _, path := range []string{"session/s1", "session/s2", "end_user/u%2F1"} {
		got := h.must(http.StatusOK, "GET", "/api/v1/subject/"+path, nil)
		if ids := column(got["data"], "eventId"); ids != "early other plain late" {
			t.Errorf("%s: %s", path, ids)
		}
		if latest := column(got["latest"], "subject", "family", "eventType"); latest != "s1 a.decision a.approved s2 b.status b.started" {
			t.Errorf("%s: the latest are %s", path, latest)
		}
		if sessions := column(got["sessions"], "subject"); sessions != "s1 s2" || got["truncated"] != false {
			t.Errorf("%s: sessions %s, truncated %v", path, sessions, got["truncated"])
		}
		if rows := got["data"].([]any); rows[0].(map[string]any)["appId"] != first || rows[1].(map[string]any)["appId"] != second || rows[0].(map[string]any)["family"] != "a.decision" {
			t.Errorf("%s: %v", path, rows[0])
		}
	}
}

func TestRanksTellTheLatestWhereThereAreNoTimes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("ranked")
	h.accept(app, hook.Event{ID: "3", Type: "x.done", Family: "x", Rank: 3, Subjects: subjects("session", "s")})
	h.accept(app, hook.Event{ID: "1", Type: "x.begun", Family: "x", Rank: 1, Subjects: subjects("session", "s")})
	if got := h.must(http.StatusOK, "GET", "/api/v1/subject/session/s", nil); column(got["latest"], "eventType") != "x.done" {
		t.Errorf("the latest is %v", got["latest"])
	}
}

func TestATimeLineIsBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("chain")
	const links = 60
	for i := range links {
		h.accept(app, hook.Event{ID: fmt.Sprint(i), Type: "x", Subjects: subjects("session", fmt.Sprint("s", i), "session", fmt.Sprint("s", i+1))})
	}
	got := h.must(http.StatusOK, "GET", "/api/v1/subject/session/s0", nil)
	if n := len(got["subjects"].([]any)); n != 50 || got["truncated"] != true {
		t.Errorf("%d subjects, truncated %v; 50 and true are right", n, got["truncated"])
	}
}

func TestSubjectsAreRefusedToOthers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	h.accept(app, hook.Event{ID: "1", Type: "x", Subjects: subjects("session", "s")})
	const path = "/api/v1/subject/session/s"
	h.must(http.StatusOK, "GET", path, nil)
	h.as(jwtOf(t, "org_others", "")).must(http.StatusNotFound, "GET", path, nil)
	h.as(jwtOf(t, "org_tests", app)).must(http.StatusForbidden, "GET", path, nil)
	h.must(http.StatusNotFound, "GET", "/api/v1/subject/session/unknown", nil)
	h.must(http.StatusUnprocessableEntity, "GET", "/api/v1/subject/Bad%20Kind/s", nil)
	h.must(http.StatusUnprocessableEntity, "GET", "/api/v1/subject/session/"+strings.Repeat("x", 513), nil)
	h.must(http.StatusUnprocessableEntity, "GET", "/api/v1/subject/session/a%00b", nil)
}
