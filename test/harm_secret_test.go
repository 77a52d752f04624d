package test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// secrets are those of an endpoint whose secret is rotated all the time.
type secrets struct {
	mu       sync.Mutex
	verifies []*standardwebhooks.Webhook // all that ever were, one of which must have signed
	last     string                      // acknowledged
	next     string                      // asked for, and nothing known of it
}

// ask is a secret about to be put in force.
func (s *secrets) ask(t *testing.T, key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key == "" {
		raw := make([]byte, 32)
		rand.Read(raw)
		key = "whsec_" + base64.StdEncoding.EncodeToString(raw)
	}
	w, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	s.verifies, s.next = append(s.verifies, w), key
	return key
}

// acknowledge says that it is in force.
func (s *secrets) acknowledge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.next = s.next, ""
}

// verify takes a delivery that was signed with a secret that ever was.
func (s *secrets) verify(l *ledger, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	known := slices.Clone(s.verifies)
	s.mu.Unlock()
	for _, v := range slices.Backward(known) {
		if v.Verify(body, r.Header) == nil {
			r.Body = io.NopCloser(bytes.NewReader(body))
			l.ServeHTTP(w, r)
			return
		}
	}
	l.mu.Lock()
	l.wrong = append(l.wrong, "a delivery is signed with a secret that was never in force")
	l.mu.Unlock()
	w.WriteHeader(http.StatusUnauthorized)
}
