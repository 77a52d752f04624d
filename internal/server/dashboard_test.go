package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func asked(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// What is open to the world shows nothing but the way in for webhooks.
func TestDashboardIsServedBesideTheAPIAndNotBesideTheIntake(t *testing.T) {
	t.Parallel()
	s := openOn(t)
	for path, want := range map[string]int{"/": http.StatusOK, "/portal": http.StatusOK, "/favicon.svg": http.StatusOK, "/nope": http.StatusNotFound, "/index.html": http.StatusNotFound} {
		if w := asked(s.mainHandler(), path); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
		if w := asked(s.intakeHandler(), path); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "<html") {
			t.Errorf("beside the intake %s: %d", path, w.Code)
		}
	}
}

// An answer is shown by nobody as a page, whatever somebody got into it.
func TestWhatIsNoPageIsOnlyData(t *testing.T) {
	t.Parallel()
	h := openOn(t).mainHandler()
	for _, path := range []string{"/nope", "/assets/nope.js", "/health", "/metrics", "/openapi.json", "/api/v1/nope", "/api/v1/msg", "/api/v1/health"} {
		header := asked(h, path).Header()
		if got := header.Get("Content-Security-Policy"); header.Get("X-Content-Type-Options") != "nosniff" || got != "default-src 'none'; frame-ancestors 'none'" {
			t.Errorf("%s is sent with %v", path, header)
		}
	}
	for _, path := range []string{"/docs", "/"} { // one policy, their own
		if got := asked(h, path).Header().Values("Content-Security-Policy"); len(got) != 1 || !strings.Contains(got[0], "style-src") {
			t.Errorf("%s has the policies %q", path, got)
		}
	}
	if got := asked(h, "/favicon.svg").Header().Get("Content-Security-Policy"); got != "" {
		t.Errorf("a file of the page has the policy %q", got)
	}
}

func TestOnlyTheSitesOfItsOrganizationFrameAPortal(t *testing.T) {
	t.Parallel()
	s := openOn(t)
	body := `{"portal": {"allowedOrigins": ["https://app.example"]}}`
	r := httptest.NewRequest(http.MethodPatch, "/api/v1/organization", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.Control().ServeHTTP(w, r)
	var org struct{ ID string }
	if err := json.Unmarshal(w.Body.Bytes(), &org); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	other := s.IDs().Public(hook.KindOrganization, store.DefaultOrg+1)
	for query, want := range map[string]string{"?org=" + org.ID: "https://app.example", "?org=" + other: "'none'", "?org=nonsense": "'none'", "": "'none'"} {
		policy := asked(s.mainHandler(), "/portal"+query).Header().Get("Content-Security-Policy")
		if !strings.HasSuffix(policy, "; frame-ancestors "+want) {
			t.Errorf("%q: the policy is %q, want %s", query, policy, want)
		}
	}
	if policy := asked(s.mainHandler(), "/?org="+org.ID).Header().Get("Content-Security-Policy"); !strings.HasSuffix(policy, "frame-ancestors 'none'") {
		t.Errorf("the dashboard's policy is %q", policy)
	}
}
