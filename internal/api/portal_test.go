package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const organization = "/api/v1/organization"

func TestPortalsLookAsTheirOrganizationSays(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	const logo = "data:image/png;base64,iVBORw0="
	got := h.must(http.StatusOK, "PATCH", organization, `{"portal":{"allowedOrigins":["https://b.example","https://a.example","https://a.example"],"colour":"#1a2b3c","logo":"`+logo+`","readOnlyDefault":true}}`)
	if fmt.Sprint(got["portal"]) != "map[allowedOrigins:[https://a.example https://b.example] colour:#1a2b3c logo:"+logo+" readOnlyDefault:true]" {
		t.Errorf("the settings are %v", got["portal"])
	}
	got = h.must(http.StatusOK, "PATCH", organization, `{"portal":{"colour":null}}`)
	if fmt.Sprint(got["portal"]) != "map[allowedOrigins:[https://a.example https://b.example] colour:<nil> logo:"+logo+" readOnlyDefault:true]" {
		t.Errorf("after a part was cleared they are %v", got["portal"])
	}
	for body, readOnly := range map[string]bool{`{}`: true, `{"readOnly":false}`: false, `{"readOnly":true}`: true} {
		opened := h.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/"+app, body)
		portal := h.as(opened["token"].(string))
		seen := portal.must(http.StatusOK, "GET", session, nil)["portal"].(map[string]any)
		if seen["readOnly"] != readOnly || seen["logo"] != logo || seen["colour"] != nil {
			t.Errorf("%s: a portal sees %v", body, seen)
		}
		want := http.StatusCreated
		if readOnly {
			want = http.StatusForbidden
		}
		portal.must(want, "POST", "/api/v1/app/"+app+"/endpoint", `{"url":"https://example.com/"}`)
	}
	h.refused(map[string]refusal{
		"a wildcard":         {"PATCH", organization, `{"portal":{"allowedOrigins":["*"]}}`, 422, "body portal allowedOrigins"},
		"two in one":         {"PATCH", organization, `{"portal":{"allowedOrigins":["https://a.example https://b.example"]}}`, 422, "body portal allowedOrigins"},
		"a logo elsewhere":   {"PATCH", organization, `{"portal":{"logo":"https://a.example/x.png"}}`, 422, "body portal logo"},
		"a name of a colour": {"PATCH", organization, `{"portal":{"colour":"red"}}`, 422, "body portal colour"},
		"by the back door":   {"POST", "/api/v1/environment/import", `{"settings":{"portal":{"allowedOrigins":"*"}}}`, 422, "body portal allowedOrigins"},
	})
	developer, _ := h.scoped("developer")
	h.as(developer).must(http.StatusForbidden, "PATCH", organization, `{"portal":{"allowedOrigins":["https://evil.example"]}}`)
}

func TestPagesOfAllowedOriginsUseAPortalsTokenAndNothingElse(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	portal := h.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/"+app, `{}`)["token"].(string)
	h.must(http.StatusOK, "PATCH", organization, `{"portal":{"allowedOrigins":["https://a.example"]}}`)
	thieves := h.as(jwtOf(t, "org_thieves", ""))
	thieves.must(http.StatusOK, "PATCH", organization, `{"portal":{"allowedOrigins":["https://evil.example"]}}`)
	admin, _ := h.scoped("admin")
	ana := h.signedIn("ana", "admin")
	path := "/api/v1/app/" + app
	for what, c := range map[string]struct {
		token, origin string
		shared        bool
	}{
		"a portal's token":         {portal, "https://a.example", true},
		"another's origin":         {portal, "https://evil.example", false},
		"an origin of nobody":      {portal, "https://b.example", false},
		"an administrator's key":   {admin, "https://a.example", false},
		"no token":                 {"", "https://a.example", true},
		"a wrong one":              {"sigpost_x", "https://a.example", true}, // that it has ended
		"a wrong one, elsewhere":   {"sigpost_x", "https://b.example", false},
		"a frame without origin":   {portal, "null", false},
		"a program without a page": {portal, "", false},
	} {
		header := []string{"Cookie", ana.cookie}
		if c.origin != "" {
			header = append(header, "Origin", c.origin)
		}
		w := h.as(c.token).send("GET", path, nil, header...)
		got := w.Header().Get("Access-Control-Allow-Origin")
		if c.shared && got != c.origin || !c.shared && got != "" || w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d with %v", what, w.Code, w.Header())
		}
		if c.origin != "" && w.Header().Get("Vary") != "Origin" {
			t.Errorf("%s: the answer does not say that it depends on the origin", what)
		}
		if c.token == "" && w.Code != http.StatusUnauthorized { // the cookie is not for pages of others
			t.Errorf("%s: %d", what, w.Code)
		}
	}
	for origin, allowed := range map[string]bool{"https://a.example": true, "https://evil.example": true, "https://b.example": false, "null": false, "": false} {
		w := h.as("").send("OPTIONS", path, nil, "Origin", origin, "Access-Control-Request-Method", "PATCH")
		if got := w.Header().Get("Access-Control-Allow-Origin"); w.Code != http.StatusNoContent || (got == origin && origin != "") != allowed || allowed && !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Svix-Req-Id, Svix-Retry-Count") || w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%q asks: %d %v", origin, w.Code, w.Header())
		}
	}
	h.must(http.StatusOK, "PATCH", organization, `{"portal":{"allowedOrigins":[]}}`)
	if got := h.as(portal).send("GET", path, nil, "Origin", "https://a.example").Header().Get("Access-Control-Allow-Origin"); got != "" {
		t.Error("an origin that was taken away is still allowed")
	}
}

func TestFramesOfAPortalAreThoseOfItsOrganization(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(http.StatusOK, "PATCH", organization, `{"portal":{"allowedOrigins":["https://a.example"]}}`)
	other := h.as(jwtOf(t, "org_other", ""))
	mine, theirs := h.must(http.StatusOK, "GET", organization, nil)["id"].(string), other.must(http.StatusOK, "GET", organization, nil)["id"].(string)
	for org, want := range map[string]string{mine: "https://a.example", theirs: "", "": "", "org_x": "", strings.Repeat("x", 5000): ""} {
		got, err := h.server.API().PortalAncestors(t.Context(), org)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%.40s: %v, %v", org, got, err)
		}
	}
}

// Whoever may be asked by OPTIONS is asked for nothing else.
func TestAPreflightDoesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	w := httptest.NewRecorder()
	h.server.API().ServeHTTP(w, newRequest(t, "OPTIONS", "/api/v1/app", ""))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("without a method that is asked for: %d", w.Code)
	}
}
