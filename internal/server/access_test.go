package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/provider"
)

// openOn opens a server on a data directory of its own.
func openOn(t *testing.T) *Server {
	t.Helper()
	cfg := config.Default()
	cfg.Data = t.TempDir()
	providers, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Config: cfg, Providers: providers, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// createToken makes a key as the command line does.
func createToken(t *testing.T, s *Server, body string) {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/api/v1/auth/token", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	s.Control().ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
}

func TestFirstKeyIsMadeOnceAndOnlyWhereNoAdministratorHasOne(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for name, c := range map[string]struct {
		token string
		made  bool
	}{
		"no key":                          {"", true},
		"a key of an administrator":       {`{"name":"ada","scope":"admin"}`, false},
		"an administrator's, for a while": {`{"name":"ada","scope":"admin","expiresAt":"` + soon + `"}`, false},
		"a key of a program":              {`{"name":"billing","scope":"send"}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openOn(t)
			if c.token != "" {
				createToken(t, s, c.token)
			}
			first, err := s.FirstKey(t.Context())
			if err != nil || (first != "") != c.made {
				t.Errorf("made: %v, want %v; %v", first != "", c.made, err)
			}
			if again, err := s.FirstKey(t.Context()); err != nil || again != "" {
				t.Errorf("another was made: %v", err)
			}
		})
	}
}
