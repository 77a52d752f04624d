package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// keysPath begins the addresses of public key sets, one for each endpoint.
const keysPath = "/.well-known/jwks/"

// jwk is an Ed25519 public key (RFC 8037).
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Use string `json:"use"`
	Alg string `json:"alg"`
}

// publicKeys answers with the keys that verify the requests to one endpoint, the
// newest first; an empty set when it signs with a shared secret. It needs no
// token: the keys are public, and an endpoint's id cannot be guessed.
func (s *Server) publicKeys(w http.ResponseWriter, r *http.Request) {
	id, err := s.store.IDs().Key(hook.KindEndpoint, strings.TrimPrefix(r.URL.Path, keysPath))
	if err != nil {
		fail(w, http.StatusNotFound, "not_found", "there is no such endpoint")
		return
	}
	live, err := s.store.Secrets(r.Context(), id, time.Now())
	if err != nil {
		s.o.Log.Error("public keys not read", "error", err)
		fail(w, http.StatusServiceUnavailable, "unavailable", "the store does not answer")
		return
	}
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, l := range live {
		if public := publicKey(l.Value); public != nil {
			set.Keys = append(set.Keys, jwk{"OKP", "Ed25519", base64.RawURLEncoding.EncodeToString(public), "sig", "EdDSA"})
		}
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "max-age=300")
	json.NewEncoder(w).Encode(set)
}
