package api_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEnvironmentMovesToAnotherOrganization(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(http.StatusCreated, "POST", "/api/v1/event-type", `{"name":"a","description":"d","schemas":{"1":{"type":"object"}}}`)
	h.must(http.StatusCreated, "POST", "/api/v1/event-type", `{"name":"old","description":"","archived":true}`)
	h.must(http.StatusNoContent, "POST", "/api/v1/environment/import", `{"settings":{"signatureHeaders":"both","whiteLabel":true},"eventTypes":null,"connectors":[]}`)
	exported := h.must(http.StatusOK, "POST", "/api/v1/environment/export", nil)
	if exported["version"] != 1.0 || exported["createdAt"] == nil {
		t.Errorf("exported %v", exported)
	}
	if diff := cmp.Diff(map[string]any{"signatureHeaders": "both"}, exported["settings"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{}, exported["connectors"]); diff != "" {
		t.Error(diff)
	}
	other := h.as(jwtOf(t, "org_others", ""))
	other.must(http.StatusCreated, "POST", "/api/v1/event-type", `{"name":"theirs","description":""}`)
	other.must(http.StatusNoContent, "POST", "/api/v1/environment/import", exported)
	got := other.must(http.StatusOK, "POST", "/api/v1/environment/export", nil)
	if names(map[string]any{"data": got["eventTypes"]}) != "a old theirs" {
		t.Errorf("there are %v", got["eventTypes"])
	}
	first := got["eventTypes"].([]any)[0].(map[string]any)
	if first["description"] != "d" || first["schemas"] == nil {
		t.Errorf("the first is %v", first)
	}
	if diff := cmp.Diff(exported["settings"], got["settings"]); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironmentRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const path = "/api/v1/environment/import"
	checkFaults(t, h, map[string]fault{
		"connectors":               {"POST", path, `{"eventTypes":[{"name":"a","description":""}],"connectors":[{"name":"x","transformation":"y"}]}`, 422, "body connectors"},
		"a setting":                {"POST", path, `{"eventTypes":[{"name":"a","description":""}],"settings":{"signatureHeaders":"none"}}`, 422, "body settings signatureHeaders"},
		"a setting of a type":      {"POST", path, `{"settings":{"signatureHeaders":7}}`, 422, "body settings"},
		"settings of a type":       {"POST", path, `{"settings":[]}`, 422, "body settings"},
		"a name":                   {"POST", path, `{"eventTypes":[{"name":"a b","description":""}]}`, 422, "body eventTypes 0 name"},
		"NUL in the second of two": {"POST", path, `{"eventTypes":[{"name":"a","description":""},{"name":"b","description":"\u0000"}]}`, 422, "body eventTypes 1"},
	})
	if got := names(h.must(http.StatusOK, "GET", "/api/v1/event-type", nil)); got != "" {
		t.Errorf("what was refused made %s", got)
	}
	portal := h.as(jwtOf(t, "org_tests", h.app("a")))
	portal.must(http.StatusForbidden, "POST", path, `{}`)
	portal.must(http.StatusForbidden, "POST", "/api/v1/environment/export", nil)
}
