package api_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestEventTypesLiveTheirLife(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const all, one = "/api/v1/event-type", "/api/v1/event-type/user.signup"
	made := h.must(http.StatusCreated, "POST", all, `{"name":"user.signup","description":"d","schemas":{"1":{"type":"object"}},"groupName":"user","featureFlag":"beta","unknown":1}`)
	if made["name"] != "user.signup" || made["archived"] != false || made["groupName"] != "user" || made["featureFlag"] != "beta" || made["schemas"] == nil {
		t.Errorf("made %v", made)
	}
	h.must(http.StatusConflict, "POST", all, `{"name":"user.signup","description":"again"}`)
	if got := h.must(http.StatusOK, "GET", one+"/", nil); got["description"] != "d" || got["schemas"] == nil {
		t.Errorf("GET gives %v", got)
	}
	if got := h.must(http.StatusOK, "PATCH", one, `{"description":"e","schemas":null,"featureFlags":null,"groupName":null,"deprecated":true}`); got["description"] != "e" ||
		got["schemas"] != nil || got["featureFlags"] != nil || got["groupName"] != nil || got["deprecated"] != true {
		t.Errorf("PATCH gives %v", got)
	}
	if got := h.must(http.StatusOK, "PATCH", one, `{}`); got["description"] != "e" || got["deprecated"] != true {
		t.Errorf("an empty PATCH gives %v", got)
	}
	if got := h.must(http.StatusOK, "PUT", one, `{"description":"f","featureFlags":["a","b"]}`); got["deprecated"] != false || len(got["featureFlags"].([]any)) != 2 {
		t.Errorf("PUT gives %v", got)
	}
	if got := h.must(http.StatusCreated, "PUT", all+"/fresh", `{"description":"","schemas":null,"featureFlags":null}`); got["name"] != "fresh" {
		t.Errorf("PUT of what is not there gives %v", got)
	}
	h.must(http.StatusNoContent, "DELETE", one, nil)
	if got := h.must(http.StatusOK, "GET", one, nil); got["archived"] != true {
		t.Errorf("deleted: %v", got)
	}
	if got := h.must(http.StatusCreated, "POST", all, `{"name":"user.signup","description":"revived"}`); got["archived"] != false || got["description"] != "revived" {
		t.Errorf("revived: %v", got)
	}
	h.must(http.StatusNoContent, "DELETE", one+"?expunge=true", nil)
	h.must(http.StatusNotFound, "GET", one, nil)
	h.must(http.StatusNotFound, "DELETE", one, nil)
	h.must(http.StatusNotFound, "PATCH", one, `{}`)
}

// names are those of a page of event types.
func names(page map[string]any) string {
	var list []string
	for _, x := range page["data"].([]any) {
		list = append(list, x.(map[string]any)["name"].(string))
	}
	return strings.Join(list, " ")
}

func TestEventTypesArePagedByName(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	longest := strings.Repeat("z", 256)
	for _, name := range []string{"b", "-a", "_c", "d", longest, "e"} {
		h.must(http.StatusCreated, "POST", "/api/v1/event-type", map[string]any{"name": name, "description": "", "schemas": map[string]any{"1": map[string]any{}}})
	}
	h.must(http.StatusNoContent, "DELETE", "/api/v1/event-type/e", nil)
	for query, want := range map[string]string{
		"":                       "-a _c b d " + longest,
		"order=ascending":        "-a _c b d " + longest,
		"order=descending":       longest + " d b _c -a",
		"include_archived=true&": "-a _c b d e " + longest,
	} {
		var got []string
		iterator, previous := "", ""
		for range 10 {
			page := h.must(http.StatusOK, "GET", "/api/v1/event-type?limit=2&"+query+"&iterator="+iterator, nil)
			got = append(got, names(page))
			iterator, _ = page["iterator"].(string)
			previous, _ = page["prevIterator"].(string)
			if page["done"] == true {
				break
			}
		}
		if all := strings.Join(got, " "); all != want {
			t.Errorf("%q: %s, %s is right", query, all, want)
		}
		back := h.must(http.StatusOK, "GET", "/api/v1/event-type?limit=2&"+query+"&iterator="+previous, nil)
		if names(back) != got[len(got)-2] {
			t.Errorf("%q: back from the last page comes %s, %s is right", query, names(back), got[len(got)-2])
		}
	}
	for query, want := range map[string]bool{"": false, "?with_content=true": true} {
		first := h.must(http.StatusOK, "GET", "/api/v1/event-type"+query, nil)["data"].([]any)[0].(map[string]any)
		if _, there := first["schemas"]; there != want {
			t.Errorf("%q: %v", query, first)
		}
	}
}

func TestEventTypesRefuseWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(http.StatusCreated, "POST", "/api/v1/event-type", `{"name":"a","description":""}`)
	checkFaults(t, h, map[string]fault{
		"no name":               {"POST", "/api/v1/event-type", `{"description":""}`, 422, "body name"},
		"a name with a space":   {"POST", "/api/v1/event-type", `{"name":"a b","description":""}`, 422, "body name"},
		"a long name":           {"POST", "/api/v1/event-type", `{"name":"` + strings.Repeat("x", 257) + `","description":""}`, 422, "body name"},
		"no description":        {"POST", "/api/v1/event-type", `{"name":"b"}`, 422, "body description"},
		"NUL":                   {"POST", "/api/v1/event-type", `{"name":"b","description":"\u0000"}`, 422, "body description"},
		"schemas of a type":     {"POST", "/api/v1/event-type", `{"name":"b","description":"","schemas":[]}`, 422, "body schemas"},
		"schemas too long":      {"POST", "/api/v1/event-type", `{"name":"b","description":"","schemas":{"1":"` + strings.Repeat("x", 600<<10) + `"}}`, 422, "body schemas"},
		"a group with a space":  {"PUT", "/api/v1/event-type/a", `{"description":"","groupName":"a b"}`, 422, "body groupName"},
		"flags twice":           {"PUT", "/api/v1/event-type/a", `{"description":"","featureFlags":["x","x"]}`, 422, "body featureFlags"},
		"archived of a type":    {"PATCH", "/api/v1/event-type/a", `{"archived":"yes"}`, 422, "body archived"},
		"PATCH with NUL":        {"PATCH", "/api/v1/event-type/a", `{"description":"\u0000"}`, 422, "body description"},
		"PATCH schemas":         {"PATCH", "/api/v1/event-type/a", `{"schemas":7}`, 422, "body schemas"},
		"an iterator of others": {"GET", "/api/v1/event-type?iterator=***", ``, 422, "query iterator"},
		"an iterator of bytes":  {"GET", "/api/v1/event-type?iterator=AAAA", ``, 422, "query iterator"},
		"a lone minus":          {"GET", "/api/v1/event-type?iterator=-", ``, 422, "query iterator"},
		"limit":                 {"GET", "/api/v1/event-type?limit=251", ``, 422, "query limit"},
		"a name in the path":    {"GET", "/api/v1/event-type/a%20b", ``, 422, "path event_type_name"},
		"not there":             {"GET", "/api/v1/event-type/nothing", ``, 404, ""},
	})
}

// fault is a request that is answered with an error, and where a 422 says that it is.
type fault struct {
	method, path, body string
	status             int
	loc                string
}

func checkFaults(t *testing.T, h *harness, cases map[string]fault) {
	t.Helper()
	for name, c := range cases {
		status, got := h.do(c.method, c.path, c.body)
		if status != c.status {
			t.Errorf("%s: %d %v, %d is right", name, status, got, c.status)
			continue
		}
		if c.status != 422 {
			if got["code"] == nil || got["detail"] == nil {
				t.Errorf("%s: %v", name, got)
			}
			continue
		}
		var loc []string
		first := got["detail"].([]any)[0].(map[string]any)
		for _, l := range first["loc"].([]any) {
			loc = append(loc, l.(string))
		}
		if !strings.HasPrefix(strings.Join(loc, " "), c.loc) || first["msg"] == "" {
			t.Errorf("%s: %v, loc %q is right", name, first, c.loc)
		}
	}
}

func TestEventTypesAreReachedByThoseWhoMay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(http.StatusCreated, "POST", "/api/v1/event-type", `{"name":"open","description":""}`)
	h.must(http.StatusCreated, "POST", "/api/v1/event-type", `{"name":"secret","description":"","featureFlags":["beta"]}`)
	other := h.as(jwtOf(t, "org_others", ""))
	for method, body := range map[string]string{"GET": "", "DELETE": "", "PATCH": "{}"} {
		if status, _ := other.do(method, "/api/v1/event-type/open", body); status != http.StatusNotFound {
			t.Errorf("%s by another organization: %d", method, status)
		}
	}
	if got := names(other.must(http.StatusOK, "GET", "/api/v1/event-type", nil)); got != "" {
		t.Errorf("another organization lists %s", got)
	}
	portal := h.as(jwtOf(t, "org_tests", h.app("a")))
	if got := names(portal.must(http.StatusOK, "GET", "/api/v1/event-type", nil)); got != "open" {
		t.Errorf("a portal without flags lists %s", got)
	}
	portal.must(http.StatusNotFound, "GET", "/api/v1/event-type/secret", nil)
	portal.must(http.StatusForbidden, "POST", "/api/v1/event-type", `{"name":"b","description":""}`)
	portal.must(http.StatusForbidden, "PUT", "/api/v1/event-type/open", `{"description":""}`)
	portal.must(http.StatusForbidden, "PATCH", "/api/v1/event-type/open", `{}`)
	portal.must(http.StatusForbidden, "DELETE", "/api/v1/event-type/open", nil)
}
