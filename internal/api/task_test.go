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
	portal.must(http.StatusForbidden, "GET", path, nil)
	portal.must(http.StatusForbidden, "GET", "/api/v1/background-task", nil)
	checkFaults(t, h, map[string]fault{
		"status":   {"GET", "/api/v1/background-task?status=done", ``, 422, "query status"},
		"task":     {"GET", "/api/v1/background-task?task=cleaning", ``, 422, "query task"},
		"iterator": {"GET", "/api/v1/background-task?iterator=" + app, ``, 422, "query iterator"},
	})
}
