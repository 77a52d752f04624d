package api_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpungedContentIsGone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	msg := "/api/v1/app/" + app + "/msg"
	gone := map[string]any{"expired": true}
	payload := func(id string) any { return h.must(http.StatusOK, "GET", msg+"/"+id, nil)["payload"] }
	var ids []string
	for _, event := range []string{"e0", "e1", "e2", "e3"} {
		ids = append(ids, h.message(app, `{"eventType":"a","eventId":"`+event+`","payload":{"name":"Ada"}}`))
	}
	h.must(http.StatusNoContent, "DELETE", msg+"/"+ids[0]+"/content", nil)
	h.must(http.StatusNoContent, "DELETE", msg+"/e0/content", nil)
	if diff := cmp.Diff(gone, payload(ids[0])); diff != "" {
		t.Error(diff)
	}
	got := h.must(http.StatusOK, "POST", msg+"/bulk-expunge", map[string]any{"ids": []string{ids[1], "e2", "nothing", app}})
	want := map[string]any{"results": map[string]any{ids[1]: "expunged", "e2": "expunged", "nothing": "not-found", app: "not-found"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i, there := range []bool{false, false, false, true} {
		if diff := cmp.Diff(gone, payload(ids[i])); (diff != "") != there {
			t.Errorf("message %d has %v", i, payload(ids[i]))
		}
	}
	if diff := cmp.Diff(map[string]any{"messagesPurged": 1.0}, h.result(h.must(http.StatusAccepted, "POST", msg+"/expunge-all-contents", nil))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(gone, payload(ids[3])); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"results": map[string]any{}}, h.must(http.StatusOK, "POST", msg+"/bulk-expunge", `{}`)); diff != "" {
		t.Error(diff)
	}
}

func TestExpungedResponseIsGone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	e := h.endpoint(app, h.receiver(http.StatusOK).URL)
	id := h.message(app, `{"eventType":"a","payload":{}}`)
	second := h.message(app, `{"eventType":"a","payload":{}}`)
	h.stats(app, e, counts(2, 0, 0, 0))
	attempt, response := h.attemptOf(app, id)
	if response != "answered" {
		t.Errorf("the response was %q", response)
	}
	path := "/api/v1/app/" + app + "/msg/"
	h.must(http.StatusNotFound, "DELETE", path+second+"/attempt/"+attempt+"/content", nil)
	h.must(http.StatusNoContent, "DELETE", path+id+"/attempt/"+attempt+"/content", nil)
	if _, response := h.attemptOf(app, id); response != "EXPUNGED" {
		t.Errorf("the response is %q", response)
	}
}

func TestExpungeRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, second := h.app("a"), h.app("b")
	msg := "/api/v1/app/" + app + "/msg"
	id := h.message(app, `{"eventType":"a","payload":{"a":1}}`)
	checkFaults(t, h, map[string]fault{
		"an unknown message":     {"DELETE", msg + "/nothing/content", ``, 404, ""},
		"of another application": {"DELETE", "/api/v1/app/" + second + "/msg/" + id + "/content", ``, 404, ""},
		"an unknown application": {"POST", "/api/v1/app/nobody/msg/expunge-all-contents", ``, 404, ""},
		"an unknown attempt":     {"DELETE", msg + "/" + id + "/attempt/atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2/content", ``, 404, ""},
		"ids twice":              {"POST", msg + "/bulk-expunge", `{"ids":["a","a"]}`, 422, "body ids"},
		"an id with a slash":     {"POST", msg + "/bulk-expunge", `{"ids":["a/b"]}`, 422, "body ids"},
		"ids of a type":          {"POST", msg + "/bulk-expunge", `{"ids":"a"}`, 422, "body ids"},
	})
	of := h.must(http.StatusOK, "POST", "/api/v1/app/"+second+"/msg/bulk-expunge", map[string]any{"ids": []string{id}})
	if diff := cmp.Diff(map[string]any{"results": map[string]any{id: "not-found"}}, of); diff != "" {
		t.Error(diff)
	}
	other, portal := h.as(jwtOf(t, "org_others", "")), h.as(jwtOf(t, "org_tests", app))
	for path, method := range map[string]string{"/" + id + "/content": "DELETE", "/bulk-expunge": "POST", "/expunge-all-contents": "POST"} {
		body := ""
		if path == "/bulk-expunge" {
			body = "{}"
		}
		other.must(http.StatusNotFound, method, msg+path, body)
		portal.must(http.StatusForbidden, method, msg+path, body)
	}
	if got := h.must(http.StatusOK, "GET", msg+"/"+id, nil)["payload"]; !cmp.Equal(got, map[string]any{"a": 1.0}) {
		t.Errorf("the payload is %v", got)
	}
}

// attemptOf is the id of the newest attempt of a message, and what was answered.
func (h *harness) attemptOf(app, message string) (id, response string) {
	h.t.Helper()
	list := h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/attempt/msg/"+message, nil)["data"].([]any)
	if len(list) == 0 {
		h.t.Fatal("the message has no attempt")
	}
	first := list[0].(map[string]any)
	return first["id"].(string), first["response"].(string)
}
