package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// result waits for a task and returns its data.
func (h *harness) result(begun map[string]any) map[string]any {
	h.t.Helper()
	var got map[string]any
	eventually(h.t, "the task ends", func() bool {
		got = h.must(http.StatusOK, "GET", "/api/v1/background-task/"+begun["id"].(string), nil)
		return got["status"] != "running"
	})
	data := got["data"].(map[string]any)
	if got["status"] != "finished" || got["task"] != begun["task"] || data["state"] != "finished" || data["kind"] == nil {
		h.t.Errorf("the task is %v", got)
	}
	delete(data, "state")
	delete(data, "kind")
	return data
}

// endpoint makes an endpoint of an application and returns its id.
func (h *harness) endpoint(app, url string, types ...string) string {
	h.t.Helper()
	return h.must(http.StatusCreated, "POST", "/api/v1/app/"+app+"/endpoint", map[string]any{"url": url, "eventTypes": types})["id"].(string)
}

// message makes a message and returns its id.
func (h *harness) message(app, body string) string {
	h.t.Helper()
	return h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", body)["id"].(string)
}

// stats waits until an endpoint's counts are what they should be.
func (h *harness) stats(app, endpoint string, want map[string]any) {
	h.t.Helper()
	var got map[string]any
	eventually(h.t, "the counts are right", func() bool {
		got = h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/endpoint/"+endpoint+"/stats", nil)
		return cmp.Equal(want, got)
	})
}

func counts(success, pending, fail, canceled float64) map[string]any {
	return map[string]any{"success": success, "pending": pending, "sending": 0.0, "fail": fail, "canceled": canceled}
}

func TestStatisticsCountAndGather(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.must(http.StatusCreated, "POST", "/api/v1/app", `{"name":"A","uid":"one"}`)["id"].(string)
	rec := h.receiver(http.StatusOK)
	h.endpoint(app, rec.URL, "a")
	all := h.endpoint(app, rec.URL)
	h.message(app, `{"eventType":"a","payload":{}}`)
	h.message(app, `{"eventType":"b","payload":{}}`)
	span := map[string]any{"since": time.Now().Add(-time.Hour), "until": time.Now().Add(time.Hour)}
	begun := h.must(http.StatusAccepted, "POST", "/api/v1/stats/usage/app", span)
	if diff := cmp.Diff([]any{}, begun["unresolvedAppIds"]); diff != "" || begun["task"] != "application.stats" {
		t.Errorf("begun %v", begun)
	}
	want := map[string]any{"appStats": []any{map[string]any{"appId": app, "appUid": "one", "messageDestinations": 3.0}}}
	if diff := cmp.Diff(want, h.result(begun)); diff != "" {
		t.Error(diff)
	}
	span["appIds"] = []string{"one", "nobody"}
	begun = h.must(http.StatusAccepted, "POST", "/api/v1/stats/usage/app", span)
	if diff := cmp.Diff([]any{"nobody"}, begun["unresolvedAppIds"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, h.result(begun)); diff != "" {
		t.Error(diff)
	}
	begun = h.must(http.StatusAccepted, "PUT", "/api/v1/stats/usage/event-types", nil)
	want = map[string]any{"event_types": []any{map[string]any{"appId": app, "explicitlySubscribedEventTypes": []any{"a"}, "hasCatchAllEndpoint": true}}}
	if diff := cmp.Diff(want, h.result(begun)); diff != "" {
		t.Error(diff)
	}
	h.stats("one", all, counts(2, 0, 0, 0))
	for query, want := range map[string]map[string]any{
		"until=2020-01-01T00:00:00Z": counts(0, 0, 0, 0), "since=2020-01-01T00:00:00Z&until=9999-01-01T00:00:00Z": counts(2, 0, 0, 0), "since=9999-01-01T00:00:00Z": counts(0, 0, 0, 0),
	} {
		if got := h.must(http.StatusOK, "GET", "/api/v1/app/one/endpoint/"+all+"/stats?"+query, nil); !cmp.Equal(got, want) {
			t.Errorf("%s: %v", query, got)
		}
	}
}

func TestStatisticsRefuseWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	e := h.endpoint(app, "https://example.com/")
	stats := "/api/v1/app/" + app + "/endpoint/" + e + "/stats"
	const path = "/api/v1/stats/usage/app"
	checkFaults(t, h, map[string]fault{
		"no since":             {"POST", path, `{"until":"2025-01-02T00:00:00Z"}`, 422, "body since"},
		"no until":             {"POST", path, `{"since":"2025-01-02T00:00:00Z"}`, 422, "body until"},
		"no time":              {"POST", path, `{"since":"today","until":"2025-01-02T00:00:00Z"}`, 422, "body since"},
		"until before since":   {"POST", path, `{"since":"2025-01-02T00:00:00Z","until":"2025-01-01T00:00:00Z"}`, 422, "body until"},
		"the future":           {"POST", path, `{"since":"2125-01-02T00:00:00Z","until":"2125-02-01T00:00:00Z"}`, 422, "body since"},
		"an id with a slash":   {"POST", path, `{"since":"2025-01-02T00:00:00Z","until":"2025-01-03T00:00:00Z","appIds":["a/b"]}`, 422, "body appIds"},
		"ids twice":            {"POST", path, `{"since":"2025-01-02T00:00:00Z","until":"2025-01-03T00:00:00Z","appIds":["a","a"]}`, 422, "body appIds"},
		"an empty id":          {"POST", path, `{"since":"2025-01-02T00:00:00Z","until":"2025-01-03T00:00:00Z","appIds":[""]}`, 422, "body appIds"},
		"a query of no time":   {"GET", stats + "?since=x", ``, 422, "query since"},
		"a query of no range":  {"GET", stats + "?since=2025-01-02T00:00:00Z&until=2025-01-01T00:00:00Z", ``, 422, "query until"},
		"an unknown endpoint":  {"GET", "/api/v1/app/" + app + "/endpoint/nobody/stats", ``, 404, ""},
		"an unknown task":      {"GET", "/api/v1/background-task/qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2", ``, 404, ""},
		"an id of another row": {"GET", "/api/v1/background-task/" + app, ``, 404, ""},
	})
	other := h.as(jwtOf(t, "org_others", ""))
	other.must(http.StatusNotFound, "GET", stats, nil)
	portal := h.as(jwtOf(t, "org_tests", app))
	portal.must(http.StatusOK, "GET", stats, nil)
	portal.must(http.StatusForbidden, "POST", path, `{"since":"2025-01-02T00:00:00Z","until":"2025-01-03T00:00:00Z"}`)
	portal.must(http.StatusForbidden, "PUT", "/api/v1/stats/usage/event-types", nil)
}
