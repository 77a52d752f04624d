package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// What requests made from the document found once stays refused.
func TestWhatCouldNotBeAnsweredIsRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	at := "/api/v1/app/" + h.app("a")
	h.refused(map[string]refusal{
		"a payload that is not UTF-8":         {"POST", at + "/msg", "{\"eventType\":\"a\",\"payload\":{\"a\":\"\xff\"}}", 422, "body"},
		"schemas that are not UTF-8":          {"POST", "/api/v1/event-type", "{\"name\":\"a\",\"description\":\"\",\"schemas\":{\"1\":\"\xff\"}}", 422, "body"},
		"an expiry that ends in year 10000":   {"POST", "/api/v1/auth/token", `{"name":"a","scope":"viewer","expiresAt":"9999-12-31T23:59:59-23:59"}`, 422, "body expiresAt"},
		"an event type that no path can name": {"POST", "/api/v1/event-type", `{"name":".","description":""}`, 422, "body name"},
		"one of an import":                    {"POST", "/api/v1/environment/import", `{"eventTypes":[{"name":"..","description":""}]}`, 422, "body eventTypes 0"},
		"a uid that no path can name":         {"POST", "/api/v1/app", `{"name":"a","uid":".."}`, 422, "body uid"},
	})
	w := h.send("GET", "/api/v1/auth/token", nil)
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "error") {
		t.Errorf("the list of tokens: %d %s", w.Code, w.Body)
	}
}
