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
