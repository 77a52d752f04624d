package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const tokens = "/api/v1/auth/token"

// scoped makes a key of the organization and returns it and its id.
func (h *harness) scoped(scope string) (token, id string) {
	h.t.Helper()
	made := h.must(http.StatusCreated, "POST", tokens, `{"name":"`+scope+`","scope":"`+scope+`"}`)
	return made["token"].(string), made["id"].(string)
}

func TestKeysLiveTheirLife(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	made := h.must(http.StatusCreated, "POST", tokens, map[string]any{"name": "ci", "scope": "admin", "expiresAt": end})
	token, id := made["token"].(string), made["id"].(string)
	if !strings.HasPrefix(id, "key_") || made["name"] != "ci" || made["scope"] != "admin" || made["expiresAt"] != end.Format(time.RFC3339Nano) {
		t.Errorf("made %v", made)
	}
	if page := h.must(http.StatusOK, "GET", tokens, nil); strings.Contains(fmt.Sprint(page), token) || fmt.Sprint(fieldOf(page, "id")) != "["+id+"]" {
		t.Errorf("listed as %v", page)
	}
	mine := h.as(token)
	mine.must(http.StatusOK, "GET", tokens, nil)
	mine.refused(map[string]refusal{"its own end": {"DELETE", tokens + "/" + id, ``, 409, ""}})
	h.must(http.StatusNoContent, "DELETE", tokens+"/"+id, nil)
	mine.refused(map[string]refusal{"after it was revoked": {"GET", tokens, ``, 401, ""}})
	h.refused(map[string]refusal{"revoked again": {"DELETE", tokens + "/" + id, ``, 404, ""}})
}

func TestKeysOfOneApplicationReachIt(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, other := h.app("mine"), h.app("other")
	made := h.must(http.StatusCreated, "POST", tokens, `{"name":"k","scope":"app","appId":"`+app+`"}`)
	if made["appId"] != app {
		t.Errorf("made %v", made)
	}
	k := h.as(made["token"].(string))
	k.must(http.StatusOK, "GET", "/api/v1/app/"+app, nil)
	k.must(http.StatusNotFound, "GET", "/api/v1/app/"+other, nil)
	h.must(http.StatusNoContent, "DELETE", tokens+"/"+made["id"].(string), nil)
	k.refused(map[string]refusal{"after it was revoked": {"GET", "/api/v1/app/" + app, ``, 401, ""}})
}

func TestKeysArePaged(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var names []string
	for i := range 5 {
		names = append(names, fmt.Sprint("k", i))
		h.id(tokens, `{"name":"`+names[i]+`","scope":"viewer"}`)
	}
	h.paged(tokens, "name", names)
}

func TestBadKeysAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	h.refused(map[string]refusal{
		"no name":                    {"POST", tokens, `{"scope":"send"}`, 422, "body name"},
		"an empty name":              {"POST", tokens, `{"name":"","scope":"send"}`, 422, "body name"},
		"a name too long":            {"POST", tokens, `{"name":"` + strings.Repeat("n", 257) + `","scope":"send"}`, 422, "body name"},
		"NUL in the name":            {"POST", tokens, `{"name":"\u0000","scope":"send"}`, 422, "body name"},
		"no scope":                   {"POST", tokens, `{"name":"k"}`, 422, "body scope"},
		"an unknown scope":           {"POST", tokens, `{"name":"k","scope":"root"}`, 422, "body scope"},
		"no application":             {"POST", tokens, `{"name":"k","scope":"app"}`, 422, "body appId"},
		"an application too many":    {"POST", tokens, `{"name":"k","scope":"send","appId":"` + app + `"}`, 422, "body appId"},
		"an unknown application":     {"POST", tokens, `{"name":"k","scope":"app","appId":"nobody"}`, 422, "body appId"},
		"an end that is no time":     {"POST", tokens, `{"name":"k","scope":"send","expiresAt":"soon"}`, 422, "body expiresAt"},
		"an end in the past":         {"POST", tokens, `{"name":"k","scope":"send","expiresAt":"2001-01-01T00:00:00Z"}`, 422, "body expiresAt"},
		"an id of something else":    {"DELETE", tokens + "/" + app, ``, 404, ""},
		"an id with a bad letter":    {"DELETE", tokens + "/key-1", ``, 422, "path token_id"},
		"a cursor of something else": {"GET", tokens + "?iterator=" + app, ``, 422, "query iterator"},
	})
	if page := h.must(http.StatusOK, "GET", tokens, nil); len(page["data"].([]any)) != 0 {
		t.Errorf("after all of this there are %v", page)
	}
}

// reach is a request and what a caller of each scope gets; every path of sources,
// operational webhooks, portals, keys and the organization is there.
type reach struct {
	method, path, body               string
	viewer, sender, developer, admin int
}

func (h *harness) reaches() []reach {
	h.t.Helper()
	src := sources + "/" + h.id(sources, `{"name":"nn","type":"generic-webhook"}`)
	sep := src + "/endpoint/" + h.id(src+"/endpoint", `{"url":"https://example.com/"}`)
	op := operational + "/" + h.id(operational, `{"url":"https://example.com/"}`)
	app := h.app("a")
	_, key := h.scoped("send")
	const endpoint, organization = `{"url":"https://example.com/"}`, "/api/v1/organization"
	return []reach{
		{"GET", sources, ``, 200, 403, 200, 200},
		{"POST", sources, `{"name":"nn","type":"generic-webhook"}`, 403, 403, 201, 201},
		{"GET", src, ``, 200, 403, 200, 200},
		{"PUT", src, `{"name":"nn"}`, 403, 403, 200, 200},
		{"POST", src + "/token/rotate", ``, 403, 403, 200, 200},
		{"GET", src + "/endpoint", ``, 200, 403, 200, 200},
		{"POST", src + "/endpoint", endpoint, 403, 403, 201, 201},
		{"GET", sep, ``, 200, 403, 200, 200},
		{"PUT", sep, endpoint, 403, 403, 200, 200},
		{"GET", sep + "/secret", ``, 403, 403, 200, 200},
		{"POST", sep + "/secret/rotate", `{}`, 403, 403, 204, 204},
		{"GET", sep + "/headers", ``, 200, 403, 200, 200},
		{"PUT", sep + "/headers", `{"headers":{}}`, 403, 403, 204, 204},
		{"DELETE", sep, ``, 403, 403, 204, 204},
		{"DELETE", src, ``, 403, 403, 204, 204},
		{"GET", operational, ``, 200, 403, 200, 200},
		{"POST", operational, endpoint, 403, 403, 201, 201},
		{"GET", op, ``, 200, 403, 200, 200},
		{"PUT", op, endpoint, 403, 403, 200, 200},
		{"GET", op + "/secret", ``, 403, 403, 200, 200},
		{"POST", op + "/secret/rotate", `{}`, 403, 403, 204, 204},
		{"GET", op + "/headers", ``, 200, 403, 200, 200},
		{"PUT", op + "/headers", `{"headers":{}}`, 403, 403, 204, 204},
		{"DELETE", op, ``, 403, 403, 204, 204},
		{"POST", "/api/v1/auth/app-portal-access/" + app, `{}`, 403, 403, 200, 200},
		{"POST", "/api/v1/auth/app/" + app + "/expire-all", `{}`, 403, 403, 204, 204},
		{"GET", tokens, ``, 403, 403, 403, 200},
		{"POST", tokens, `{"name":"k","scope":"send"}`, 403, 403, 403, 201},
		{"DELETE", tokens + "/" + key, ``, 403, 403, 403, 204},
		{"GET", organization, ``, 200, 403, 200, 200},
		{"PATCH", organization, `{}`, 403, 403, 403, 200},
	}
}

func TestScopesDoWhatTheyMay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for scope, status := range map[string]func(reach) int{
		"viewer": func(r reach) int { return r.viewer }, "send": func(r reach) int { return r.sender },
		"developer": func(r reach) int { return r.developer }, "admin": func(r reach) int { return r.admin },
	} {
		token, _ := h.scoped(scope)
		for _, r := range h.reaches() {
			if got, answer := h.as(token).do(r.method, r.path, r.body); got != status(r) {
				t.Errorf("%s: %s %s gives %d %v, %d is right", scope, r.method, r.path, got, answer, status(r))
			}
		}
	}
}

func TestOrganizationsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	src := sources + "/" + h.id(sources, `{"name":"nn","uid":"source","type":"generic-webhook"}`)
	sep := "/endpoint/" + h.id(src+"/endpoint", `{"url":"https://example.com/"}`)
	op := operational + "/" + h.id(operational, `{"url":"https://example.com/"}`)
	app := h.app("a")
	_, key := h.scoped("send")
	other := h.as(jwtOf(t, "org_others", ""))
	other.id(operational, `{"url":"https://example.com/","uid":"theirs"}`) // so that it has the application, too
	const endpoint = `{"url":"https://example.com/"}`
	cases := map[string]refusal{
		"key":    {"DELETE", tokens + "/" + key, ``, 404, ""},
		"portal": {"POST", "/api/v1/auth/app-portal-access/" + app, `{}`, 404, ""},
		"expire": {"POST", "/api/v1/auth/app/" + app + "/expire-all", `{}`, 404, ""},
		"key of": {"POST", tokens, `{"name":"k","scope":"app","appId":"` + app + `"}`, 422, "body appId"},
	}
	for name, base := range map[string]string{"source": src, "source by uid": sources + "/source"} {
		cases[name+" GET"] = refusal{"GET", base, ``, 404, ""}
		cases[name+" DELETE"] = refusal{"DELETE", base, ``, 404, ""}
		cases[name+" rotate"] = refusal{"POST", base + "/token/rotate", ``, 404, ""}
		cases[name+" list"] = refusal{"GET", base + "/endpoint", ``, 404, ""}
		cases[name+" create"] = refusal{"POST", base + "/endpoint", endpoint, 404, ""}
	}
	cases["source PUT"] = refusal{"PUT", src, `{"name":"nn","type":"generic-webhook"}`, 404, ""}
	for name, base := range map[string]string{"endpoint": src + sep, "endpoint by uid": sources + "/source" + sep, "operational": op} {
		cases[name+" GET"] = refusal{"GET", base, ``, 404, ""}
		cases[name+" PUT"] = refusal{"PUT", base, endpoint, 404, ""}
		cases[name+" DELETE"] = refusal{"DELETE", base, ``, 404, ""}
		cases[name+" secret"] = refusal{"GET", base + "/secret", ``, 404, ""}
		cases[name+" rotate"] = refusal{"POST", base + "/secret/rotate", `{}`, 404, ""}
		cases[name+" headers"] = refusal{"GET", base + "/headers", ``, 404, ""}
		cases[name+" set headers"] = refusal{"PUT", base + "/headers", `{"headers":{"X-A":"b"}}`, 404, ""}
	}
	other.refused(cases)
	for path, want := range map[string]string{sources: "[]", operational: "[theirs]", tokens: "[]"} {
		if got := fieldOf(other.must(http.StatusOK, "GET", path, nil), "uid"); fmt.Sprint(got) != want {
			t.Errorf("%s shows %v", path, got)
		}
	}
	if mine, theirs := h.must(200, "GET", "/api/v1/organization", nil), other.must(200, "GET", "/api/v1/organization", nil); mine["id"] == theirs["id"] {
		t.Error("both are the same organization")
	}
	h.must(http.StatusOK, "GET", src+sep, nil) // all of it is still there
	h.must(http.StatusOK, "GET", op, nil)
}
