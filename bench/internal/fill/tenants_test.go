package fill

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestTenantsHaveAnApplicationAnEndpointAndRetriesEach(t *testing.T) {
	t.Parallel()
	dir, urls := t.TempDir(), filepath.Join(t.TempDir(), "urls")
	if err := os.WriteFile(urls, []byte("http://127.0.0.1:1/a\nhttp://127.0.0.1:2/b\nhttp://127.0.0.1:3/c"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	args := []string{"-data", dir, "-org", "org_test", "-tenants", urls, "-secret", "whsec_AAAA", "-messages", "30"}
	if err := Run(t.Context(), args, &out); err != nil {
		t.Fatal(err)
	}
	s := reopen(t, dir)
	ids := strings.Fields(out.String())
	for i, want := range []string{"http://127.0.0.1:1/a", "http://127.0.0.1:2/b", "http://127.0.0.1:3/c"} {
		app, err := s.IDs().Key(hook.KindApplication, ids[i])
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.EndpointsOf(t.Context(), app)
		if err != nil || len(list) != 1 || list[0].URL != want {
			t.Fatalf("application %d has %v, %v", i, list, err)
		}
		if secrets, err := s.Secrets(t.Context(), list[0].ID, time.Now()); err != nil || len(secrets) != 1 || secrets[0].Value.Reveal() != "whsec_AAAA" {
			t.Errorf("secrets of endpoint %d: %d, %v", i, len(secrets), err)
		}
		due, _, err := s.Claim(t.Context(), list[0].ID, time.Now(), 100)
		if err != nil || len(due) != 10 {
			t.Fatalf("%d retries of endpoint %d are due, %v", len(due), i, err)
		}
		for _, d := range due {
			if m, err := s.Message(t.Context(), d.Message); d.Attempts != 1 || d.Failures != 1 || d.LastAttempt == 0 || err != nil || m.App != app || len(m.Body) == 0 {
				t.Errorf("retry %+v of %+v, %v", d, m, err)
			}
		}
	}
}
