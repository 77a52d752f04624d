package api_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTasksAreListedWithTheirFilters(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	ids := map[string]string{}
	var order []any
	for _, path := range []string{"/api/v1/app/" + app + "/msg/expunge-all-contents", "/api/v1/stats/usage/event-types"} {
		method := "POST"
		if path == "/api/v1/stats/usage/event-types" {
			method = "PUT"
		}
		begun := h.must(http.StatusAccepted, method, path, nil)
		if begun["status"] != "running" || begun["updatedAt"] == nil {
			t.Errorf("begun %v", begun)
		}
		h.result(begun)
		ids[begun["task"].(string)] = begun["id"].(string)
		order = append(order, begun["id"])
	}
	for query, want := range map[string][]any{
		"":                                       {order[1], order[0]},
		"?order=ascending":                       order,
		"?status=finished":                       {order[1], order[0]},
		"?status=running":                        {},
		"?task=application.purge_content":        {ids["application.purge_content"]},
		"?task=message.broadcast":                {},
		"?limit=1&iterator=" + order[1].(string): {order[0]},
	} {
		got := []any{}
		page := h.must(http.StatusOK, "GET", "/api/v1/background-task"+query, nil)
		for _, x := range page["data"].([]any) {
			task := x.(map[string]any)
			got = append(got, task["id"])
			if task["data"] == nil || task["task"] == nil {
				t.Errorf("%q: %v", query, task)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", query, diff)
		}
	}
}

func TestTasksAreReachedByThoseWhoMay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	begun := h.must(http.StatusAccepted, "PUT", "/api/v1/stats/usage/event-types", nil)
	path := "/api/v1/background-task/" + begun["id"].(string)
	other := h.as(jwtOf(t, "org_others", ""))
	other.must(http.StatusNotFound, "GET", path, nil)
	if got := other.must(http.StatusOK, "GET", "/api/v1/background-task", nil); len(got["data"].([]any)) != 0 {
		t.Errorf("another organization lists %v", got)
	}
	portal := h.as(jwtOf(t, "org_tests", app))
	portal.must(http.StatusNotFound, "GET", path, nil)
	portal.must(http.StatusForbidden, "GET", "/api/v1/background-task", nil)
	checkFaults(t, h, map[string]fault{
		"status":   {"GET", "/api/v1/background-task?status=done", ``, 422, "query status"},
		"task":     {"GET", "/api/v1/background-task?task=cleaning", ``, 422, "query task"},
		"iterator": {"GET", "/api/v1/background-task?iterator=" + app, ``, 422, "query iterator"},
	})
}

// TestPortalsSeeTheTasksThatTheyBegin: a customer who recovers his endpoint sees how far
// it is, and nothing of the tasks of others.
func TestPortalsSeeTheTasksThatTheyBegin(t *testing.T) {
	t.Parallel()
	r := newReplay(t, 3)
	one := func(task map[string]any) string { return tasks + "/" + task["id"].(string) }
	portal := r.as(r.portal(r.app, `{}`))
	mine := one(portal.must(http.StatusAccepted, "POST", r.one+"/bulk-replay", since(`,"pace":1`)))
	if got := portal.must(http.StatusOK, "GET", mine, nil); got["task"] != "endpoint.bulk-replay" {
		t.Errorf("read: %v", got)
	}
	if got := portal.must(http.StatusOK, "POST", mine+"/pause", nil)["data"].(map[string]any)["state"]; got != "paused" {
		t.Errorf("paused: %v", got)
	}

	reader := r.as(r.portal(r.app, `{"readOnly":true}`))
	reader.must(http.StatusOK, "GET", mine, nil)
	other := r.as(r.portal(r.harness.app("b"), `{}`))
	whole := one(r.must(http.StatusAccepted, "PUT", "/api/v1/stats/usage/event-types", nil))
	other.must(http.StatusNotFound, "GET", mine, nil)
	portal.must(http.StatusNotFound, "GET", whole, nil)
	for _, verb := range []string{"/resume", "/cancel"} {
		reader.must(http.StatusForbidden, "POST", mine+verb, nil)
		other.must(http.StatusNotFound, "POST", mine+verb, nil)
		portal.must(http.StatusNotFound, "POST", whole+verb, nil)
	}
	portal.must(http.StatusOK, "POST", mine+"/resume", nil)
	portal.must(http.StatusOK, "POST", mine+"/cancel", nil)
}
