package intake

import (
	"net/http"
	"net/netip"
	"slices"
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
	// OldTokens are those that were rotated and are valid for a while yet.
	OldTokens []string
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

// SetSources replaces all sources. Requests under way end with the old ones.
func (h *Handler) SetSources(list []*Source) {
	h.mu.Lock()
	defer h.mu.Unlock()
	stays := map[hook.Key]bool{}
	for _, x := range list {
		stays[x.ID] = true
		h.put(x)
	}
	h.byKey.Range(func(id, _ any) bool {
		if !stays[id.(hook.Key)] {
			h.remove(id.(hook.Key))
		}
		return true
	})
}

// SetSource replaces one source, or adds it.
func (h *Handler) SetSource(x *Source) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.put(x)
}

// RemoveSource lets a source receive no more.
func (h *Handler) RemoveSource(id hook.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(id)
}

func (h *Handler) put(x *Source) {
	if x.MaxBody == 0 {
		x.MaxBody = DefaultMaxBody
	}
	x.headers, x.sampler = newHeaderRule(x.SecretHeaders, x.AllowHeaders), &sampler{}
	tokens := append([]string{x.Token.Reveal()}, x.OldTokens...)
	for _, token := range tokens {
		h.byToken.Store(token, x)
	}
	if old, ok := h.byKey.Swap(x.ID, x); ok {
		h.forget(old.(*Source), tokens)
	}
}

func (h *Handler) remove(id hook.Key) {
	if old, ok := h.byKey.LoadAndDelete(id); ok {
		h.forget(old.(*Source), nil)
	}
}

// forget frees the tokens of a source, but those that it keeps and those that
// another has taken over.
func (h *Handler) forget(old *Source, keep []string) {
	for _, token := range append([]string{old.Token.Reveal()}, old.OldTokens...) {
		if !slices.Contains(keep, token) {
			h.byToken.CompareAndDelete(token, old)
		}
	}
}

// Source is the one with a token, or nil.
func (h *Handler) Source(token string) *Source {
	if x, ok := h.byToken.Load(token); ok {
		return x.(*Source)
	}
	return nil
}

// sourceByKey is the one with a key, or nil.
func (h *Handler) sourceByKey(id hook.Key) *Source {
	if x, ok := h.byKey.Load(id); ok {
		return x.(*Source)
	}
	return nil
}
