package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestApplicationsLiveTheirLife(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	made := h.must(http.StatusCreated, "POST", "/api/v1/app", `{"name":"One","uid":"one","rateLimit":5,"metadata":{"k":"v"},"unknown":1}`)
	id := made["id"].(string)
	if made["throttleRate"] != 5.0 || made["rateLimit"] != 5.0 || made["uid"] != "one" || made["createdAt"] == nil {
		t.Errorf("made %v", made)
	}
	for _, ref := range []string{id, "one"} {
		if got := h.must(http.StatusOK, "GET", "/api/v1/app/"+ref+"/", nil); got["id"] != id {
			t.Errorf("%s gives %v", ref, got)
		}
	}
	if status, _ := h.do("POST", "/api/v1/app", `{"name":"Two","uid":"one"}`); status != http.StatusConflict {
		t.Errorf("the same uid again: %d", status)
	}
	if got := h.must(http.StatusOK, "POST", "/api/v1/app?get_if_exists=true", `{"name":"Two","uid":"one"}`); got["id"] != id || got["name"] != "One" {
		t.Errorf("get_if_exists gives %v", got)
	}
	if got := h.must(http.StatusOK, "PUT", "/api/v1/app/one", `{"name":"New"}`); got["name"] != "New" || got["uid"] != "one" {
		t.Errorf("PUT gives %v", got)
	}
	if got := h.must(http.StatusCreated, "PUT", "/api/v1/app/fresh", `{"name":"Fresh"}`); got["uid"] != "fresh" {
		t.Errorf("PUT of what is not there gives %v", got)
	}
	if got := h.must(http.StatusOK, "PATCH", "/api/v1/app/"+id, `{"uid":"again","throttleRate":null}`); got["uid"] != "again" || got["name"] != "New" || got["throttleRate"] != nil {
		t.Errorf("PATCH gives %v", got)
	}
	h.must(http.StatusNoContent, "DELETE", "/api/v1/app/again", nil)
	h.must(http.StatusNotFound, "GET", "/api/v1/app/"+id, nil)
}

func TestApplicationsArePaged(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for i := range 7 {
		h.app(fmt.Sprint("app", i))
	}
	for order, want := range map[string]string{"ascending": "0123456", "descending": "6543210", "": "6543210"} {
		var got, back, iterator, previous string
		for range 10 {
			page := h.must(http.StatusOK, "GET", "/api/v1/app?limit=3&order="+order+"&iterator="+iterator, nil)
			for _, x := range page["data"].([]any) {
				got += strings.TrimPrefix(x.(map[string]any)["name"].(string), "app")
			}
			iterator, _ = page["iterator"].(string)
			previous, _ = page["prevIterator"].(string)
			if page["done"] == true {
				break
			}
		}
		if got != want {
			t.Errorf("%s: %s, %s is right", order, got, want)
		}
		page := h.must(http.StatusOK, "GET", "/api/v1/app?limit=3&order="+order+"&iterator="+previous, nil)
		for _, x := range page["data"].([]any) {
			back += strings.TrimPrefix(x.(map[string]any)["name"].(string), "app")
		}
		if back != want[3:6] {
			t.Errorf("%s: back from the last page comes %s, %s is right", order, back, want[3:6])
		}
	}
}

func TestBadRequestsSayWhatToDo(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := h.app("a")
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		loc                string
	}{
		"no name":                  {"POST", "/api/v1/app", `{}`, 422, "body name"},
		"a name of another type":   {"POST", "/api/v1/app", `{"name":1}`, 422, "body name"},
		"empty name":               {"POST", "/api/v1/app", `{"name":""}`, 422, "body name"},
		"NUL in the name":          {"POST", "/api/v1/app", `{"name":"a\u0000b"}`, 422, "body name"},
		"uid like an id":           {"POST", "/api/v1/app", `{"name":"a","uid":"app_1"}`, 422, "body uid"},
		"uid with a slash":         {"POST", "/api/v1/app", `{"name":"a","uid":"a/b"}`, 422, "body uid"},
		"throttle too high":        {"POST", "/api/v1/app", `{"name":"a","throttleRate":70000}`, 422, "body throttleRate"},
		"throttle negative":        {"POST", "/api/v1/app", `{"name":"a","throttleRate":-1}`, 422, "body throttleRate"},
		"a huge number":            {"POST", "/api/v1/app", `{"name":"a","throttleRate":1e400}`, 400, ""},
		"not JSON":                 {"POST", "/api/v1/app", `{"name":`, 400, ""},
		"no body":                  {"POST", "/api/v1/app", ``, 400, ""},
		"limit too high":           {"GET", "/api/v1/app?limit=251", ``, 422, "query limit"},
		"limit zero":               {"GET", "/api/v1/app?limit=0", ``, 422, "query limit"},
		"order unknown":            {"GET", "/api/v1/app?order=up", ``, 422, "query order"},
		"a cursor of others":       {"GET", "/api/v1/app?iterator=" + "msg_2srOrx2ZWZBpBUvZwXKQmoEYga2", ``, 422, "query iterator"},
		"unknown path":             {"GET", "/api/v1/nothing", ``, 404, ""},
		"unknown method":           {"PATCH", "/api/v1/app", `{}`, 405, ""},
		"an id that is long":       {"GET", "/api/v1/app/" + strings.Repeat("x", 300), ``, 422, "path app_id"},
		"an id that was forged":    {"GET", "/api/v1/app/app_1srOrx2ZWZBpBUvZwXKQmoEYga2", ``, 404, ""},
		"dots in the path":         {"GET", "/api/v1/app/../app", ``, 404, ""},
		"private address":          {"POST", "/api/v1/app/" + id + "/endpoint", `{"url":"http://10.0.0.1/"}`, 422, "body url"},
		"user in the URL":          {"POST", "/api/v1/app/" + id + "/endpoint", `{"url":"http://u:p@example.com/"}`, 422, "body url"},
		"another scheme":           {"POST", "/api/v1/app/" + id + "/endpoint", `{"url":"ftp://example.com/"}`, 422, "body url"},
		"IPv6 of this machine":     {"POST", "/api/v1/app/" + id + "/endpoint", `{"url":"http://[::1]/"}`, 422, "body url"},
		"a mapped address":         {"POST", "/api/v1/app/" + id + "/endpoint", `{"url":"http://[::ffff:10.0.0.1]/"}`, 422, "body url"},
		"a header split":           {"POST", "/api/v1/app/" + id + "/endpoint", `{"url":"https://example.com/","headers":{"X-A":"b\r\nX-C: d"}}`, 422, "body headers"},
		"a header of ours":         {"POST", "/api/v1/app/" + id + "/endpoint", `{"url":"https://example.com/","headers":{"webhook-id":"b"}}`, 422, "body headers"},
		"a weak secret":            {"POST", "/api/v1/app/" + id + "/endpoint", `{"url":"https://example.com/","secret":"whsec_YWJj"}`, 422, "body secret"},
		"types twice":              {"POST", "/api/v1/app/" + id + "/endpoint", `{"url":"https://example.com/","eventTypes":["a","a"]}`, 422, "body eventTypes"},
		"an unknown policy":        {"POST", "/api/v1/app/" + id + "/endpoint", `{"url":"https://example.com/","policy":"nobody"}`, 422, "body policy"},
		"a payload that is a list": {"POST", "/api/v1/app/" + id + "/msg", `{"eventType":"a","payload":[]}`, 422, "body payload"},
		"a type with a space":      {"POST", "/api/v1/app/" + id + "/msg", `{"eventType":"a b","payload":{}}`, 422, "body eventType"},
		"raw that is not base64":   {"POST", "/api/v1/app/" + id + "/msg", `{"eventType":"a","payload":{},"rawPayload":"!"}`, 422, "body rawPayload"},
		"a payload too large":      {"POST", "/api/v1/app/" + id + "/msg", `{"eventType":"a","payload":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`, 413, ""},
		"far too large":            {"POST", "/api/v1/app/" + id + "/msg", `{"eventType":"a","payload":{"x":"` + strings.Repeat("x", 3<<20) + `"}}`, 413, ""},
	} {
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
		detail, _ := got["detail"].([]any)
		if len(detail) == 0 {
			t.Errorf("%s: %v", name, got)
			continue
		}
		first := detail[0].(map[string]any)
		var loc []string
		for _, l := range first["loc"].([]any) {
			loc = append(loc, l.(string))
		}
		if !strings.HasPrefix(strings.Join(loc, " "), c.loc) || first["msg"] == "" || first["type"] == "" {
			t.Errorf("%s: %v, loc %q is right", name, first, c.loc)
		}
	}
}

func TestTokensReachTheirOrganizationOnly(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := h.app("mine")
	other := h.as(jwtOf(t, "org_others", ""))
	for _, path := range []string{"/api/v1/app/" + id, "/api/v1/app/" + id + "/endpoint", "/api/v1/app/" + id + "/msg"} {
		if status, _ := other.do("GET", path, nil); status != http.StatusNotFound {
			t.Errorf("%s of another organization: %d", path, status)
		}
	}
	if page := other.must(http.StatusOK, "GET", "/api/v1/app", nil); len(page["data"].([]any)) != 0 {
		t.Errorf("the list of another organization: %v", page)
	}
	portal := h.as(jwtOf(t, "org_tests", id))
	portal.must(http.StatusOK, "GET", "/api/v1/app/"+id, nil)
	second := h.app("second")
	for path, want := range map[string]int{"/api/v1/app/" + second: http.StatusNotFound, "/api/v1/app": http.StatusForbidden} {
		if status, _ := portal.do("GET", path, nil); status != want {
			t.Errorf("a portal asks for %s: %d, %d is right", path, status, want)
		}
	}
	for name, token := range map[string]string{"none": "", "rubbish": "sigpost_x", "another secret": strings.Replace(h.token, ".", ".e30", 1)} {
		if status, _ := h.as(token).do("GET", "/api/v1/app", nil); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
}
