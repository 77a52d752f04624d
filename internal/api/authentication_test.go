package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// portal opens the portal of an application and returns its token.
func (h *harness) portal(app string, body any) string {
	h.t.Helper()
	return h.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/"+app, body)["token"].(string)
}

func TestPortalsReachOneApplication(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, other := h.app("mine"), h.app("other")
	got := h.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/"+app, `{}`)
	token := got["token"].(string)
	if url := got["url"].(string); !strings.Contains(url, "/portal?org=org_") || !strings.HasSuffix(url, "#key="+token) || strings.Contains(strings.Split(url, "#")[0], token) {
		t.Errorf("the URL is %s", url)
	}
	p := h.as(token)
	p.must(http.StatusOK, "GET", "/api/v1/app/"+app, nil)
	p.id("/api/v1/app/"+app+"/endpoint", `{"url":"https://example.com/"}`)
	p.refused(map[string]refusal{
		"another application":  {"GET", "/api/v1/app/" + other, ``, 404, ""},
		"all applications":     {"GET", "/api/v1/app", ``, 403, ""},
		"a message":            {"POST", "/api/v1/app/" + app + "/msg", `{"eventType":"a","payload":{}}`, 403, ""},
		"another portal":       {"POST", "/api/v1/auth/app-portal-access/" + app, `{}`, 403, ""},
		"the end of others":    {"POST", "/api/v1/auth/app/" + app + "/expire-all", `{}`, 403, ""},
		"keys":                 {"GET", "/api/v1/auth/token", ``, 403, ""},
		"a key":                {"POST", "/api/v1/auth/token", `{"name":"k","scope":"admin"}`, 403, ""},
		"sources":              {"GET", sources, ``, 403, ""},
		"a source":             {"POST", sources, `{"name":"nn","type":"generic-webhook"}`, 403, ""},
		"operational webhooks": {"GET", operational, ``, 403, ""},
		"the organization":     {"GET", "/api/v1/organization", ``, 403, ""},
		"its settings":         {"PATCH", "/api/v1/organization", `{}`, 403, ""},
	})
}

func TestPortalsDoWhatTheirCapabilitiesSay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("mine")
	e := h.id("/api/v1/app/"+app+"/endpoint", `{"url":"https://example.com/"}`)
	one := "/api/v1/app/" + app + "/endpoint/" + e
	for name, c := range map[string]struct {
		body                       string
		secret, rotate, put, fetch int
	}{
		"all when none are named":     {`{}`, 200, 204, 200, 200},
		"none when the list is empty": {`{"capabilities":[]}`, 403, 403, 403, 200},
		"the base":                    {`{"capabilities":["ViewBase"]}`, 403, 403, 403, 200},
		"secrets":                     {`{"capabilities":["ViewEndpointSecret"]}`, 200, 403, 403, 200},
		"secrets to change":           {`{"capabilities":["ViewBase","ManageEndpointSecret"]}`, 403, 204, 403, 200},
		"endpoints":                   {`{"capabilities":["ViewBase","ManageEndpoint"]}`, 403, 403, 200, 200},
		"nothing to change":           {`{"readOnly":true}`, 403, 403, 403, 200},
	} {
		p := h.as(h.portal(app, c.body))
		for what, x := range map[string]struct {
			method, path, body string
			status             int
		}{
			"secret": {"GET", one + "/secret", ``, c.secret},
			"rotate": {"POST", one + "/secret/rotate", `{}`, c.rotate},
			"put":    {"PUT", one, `{"url":"https://example.com/"}`, c.put},
			"get":    {"GET", one, ``, c.fetch},
		} {
			if status, got := p.do(x.method, x.path, x.body); status != x.status {
				t.Errorf("%s: %s gives %d %v, %d is right", name, what, status, got, x.status)
			}
		}
	}
}

func TestPortalMakesItsApplication(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	token := h.portal("customer", `{"application":{"name":"Customer"}}`)
	if got := h.as(token).must(http.StatusOK, "GET", "/api/v1/app/customer", nil); got["name"] != "Customer" {
		t.Errorf("made %v", got)
	}
	h.portal("customer", `{"application":{"name":"Ignored"}}`)
	if got := h.must(http.StatusOK, "GET", "/api/v1/app/customer", nil); got["name"] != "Customer" {
		t.Errorf("the second time it became %v", got)
	}
}

func TestBadPortalsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	path := "/api/v1/auth/app-portal-access/" + h.app("a")
	expire := "/api/v1/auth/app/" + h.app("b") + "/expire-all"
	h.refused(map[string]refusal{
		"no application":                {"POST", "/api/v1/auth/app-portal-access/nobody", `{}`, 404, ""},
		"another uid for it":            {"POST", "/api/v1/auth/app-portal-access/nobody", `{"application":{"name":"n","uid":"other"}}`, 422, "body application uid"},
		"an application without a name": {"POST", "/api/v1/auth/app-portal-access/nobody", `{"application":{}}`, 422, "body application name"},
		"too short":                     {"POST", path, `{"expiry":3599}`, 422, "body expiry"},
		"too long":                      {"POST", path, `{"expiry":604801}`, 422, "body expiry"},
		"an unknown capability":         {"POST", path, `{"capabilities":["Everything"]}`, 422, "body capabilities"},
		"a capability twice":            {"POST", path, `{"capabilities":["ViewBase","ViewBase"]}`, 422, "body capabilities"},
		"a flag with a space":           {"POST", path, `{"featureFlags":["a b"]}`, 422, "body featureFlags"},
		"too many flags":                {"POST", path, `{"featureFlags":[` + strings.Repeat(`"f",`, 25) + `"f"]}`, 422, "body featureFlags"},
		"a session with a space":        {"POST", path, `{"sessionId":"a b"}`, 422, "body sessionId"},
		"read only by a word":           {"POST", path, `{"readOnly":"yes"}`, 422, "body readOnly"},
		"no body":                       {"POST", path, ``, 400, ""},
		"tokens of nobody":              {"POST", "/api/v1/auth/app/nobody/expire-all", `{}`, 404, ""},
		"in the past":                   {"POST", expire, `{"expiry":-1}`, 422, "body expiry"},
		"in more than three days":       {"POST", expire, `{"expiry":259201}`, 422, "body expiry"},
		"a session of objects":          {"POST", expire, `{"sessionIds":[{}]}`, 422, "body sessionIds"},
	})
}

func TestPortalTokensEnd(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, other := h.app("mine"), h.app("other")
	mine := "/api/v1/app/" + app
	a, b, c := h.portal(app, `{"sessionId":"a"}`), h.portal(app, `{"sessionId":"b"}`), h.portal(other, `{"sessionId":"a"}`)
	holds := func(when string, valid map[string]int) {
		t.Helper()
		for token, want := range valid {
			path := mine
			if token == c {
				path = "/api/v1/app/" + other
			}
			if status, _ := h.as(token).do("GET", path, nil); status != want {
				t.Errorf("%s: %d, %d is right", when, status, want)
			}
		}
	}
	holds("at first", map[string]int{a: 200, b: 200, c: 200})
	h.must(http.StatusNoContent, "POST", "/api/v1/auth/app/"+app+"/expire-all", `{"expiry":3600}`)
	holds("an hour before their end", map[string]int{a: 200, b: 200, c: 200})
	h.must(http.StatusNoContent, "POST", "/api/v1/auth/app/"+app+"/expire-all", `{"sessionIds":["a"]}`)
	holds("after one session ended", map[string]int{a: 401, b: 200, c: 200})
	h.must(http.StatusNoContent, "POST", "/api/v1/auth/app/"+app+"/expire-all", `{}`)
	holds("after all ended", map[string]int{a: 401, b: 401, c: 200})
	h.as(c).must(http.StatusNoContent, "POST", "/api/v1/auth/logout", nil)
	holds("after one logged out", map[string]int{c: 401})
	h.refused(map[string]refusal{"an administrator logs out": {"POST", "/api/v1/auth/logout", ``, 403, ""}})
	h.as(jwtOf(t, "org_tests", app)).refused(map[string]refusal{"a JWT logs out": {"POST", "/api/v1/auth/logout", ``, 403, ""}})
	h.as("").refused(map[string]refusal{"nobody logs out": {"POST", "/api/v1/auth/logout", ``, 401, ""}})
}
