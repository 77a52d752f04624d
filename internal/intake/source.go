package intake

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// Verifier checks the signature of a request against all live secrets of a source.
type Verifier interface {
	Verify(r signature.Request, now time.Time) (signature.Result, error)
}

// Source is a source ready to receive: what the store knows of it with the
// secrets and rules of its provider.
type Source struct {
	hook.Source
	// Verifier is nil for a provider that does not sign: then the random token
	// in the URL is all that protects the source.
	Verifier Verifier
	// Classify finds type, id, subjects and time of a verified request.
	Classify func(h http.Header, body []byte) hook.Event
	// Explain says why a request did not verify. Slow; for people only.
	Explain func(r signature.Request, now time.Time) signature.Explanation

	// AuthClientHeader must carry AuthClient, when that is set.
	AuthClientHeader string
	AuthClient       hook.Secret
	// FlowID must be what FlowOf finds in the body, when it is set.
	FlowID string
	FlowOf func(body []byte) string
	// AllowIPs are the only networks that may send; empty allows all.
	AllowIPs []netip.Prefix
	// Base is what the world sees of us, for schemes that sign the URL: it
	// stands before the path as the sender knows it.
	Base string
	// MaxBody is the longest body taken, in bytes.
	MaxBody int64
	// Quarantine answers 200 to bad signatures and keeps the requests for someone to decide.
	Quarantine bool
	// Redeliver forwards duplicates.
	Redeliver bool
	// SecretHeaders carry a secret in clear and are neither kept nor forwarded…
	SecretHeaders []string
	// …unless they, or others that are withheld, are named here.
	AllowHeaders []string

	headers headerRule
	sampler *sampler
}

// DefaultMaxBody is the longest body taken unless the source says otherwise.
const DefaultMaxBody = 1 << 20

// Sources are the sources by token. It never changes; SetSources puts another in its place.
type sources struct {
	byToken map[string]*Source
	byKey   map[hook.Key]*Source
}

// SetSources replaces the sources. Requests under way end with the old ones.
func (h *Handler) SetSources(list []*Source) {
	s := &sources{make(map[string]*Source, len(list)), make(map[hook.Key]*Source, len(list))}
	for _, x := range list {
		if x.MaxBody == 0 {
			x.MaxBody = DefaultMaxBody
		}
		x.headers, x.sampler = newHeaderRule(x.SecretHeaders, x.AllowHeaders), &sampler{}
		s.byToken[x.Token.Reveal()] = x
		s.byKey[x.ID] = x
	}
	h.sources.Store(s)
}
