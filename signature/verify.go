package signature

import (
	"crypto/ed25519"
	"crypto/subtle"
	"net/http"
	"sync"
	"time"
)

// Request is what a signature is checked over. Body must be the exact bytes
// that came; a body that was parsed and written again will not verify.
type Request struct {
	Method string
	URL    string // only schemes with {url} look at it
	Header http.Header
	Body   []byte
}

// Result is what is known of a request that verified.
type Result struct {
	// Secret is the position of the secret that matched, from 0.
	Secret int
	// ID is the signed message id, where the scheme has one.
	ID string
	// Timestamp is when the request was signed; zero where the scheme does not say.
	Timestamp time.Time
}

// Verifier checks requests of one scheme against its live secrets. It does
// not change, and serves any number of goroutines at once.
type Verifier struct {
	scheme Scheme
	sets   []headerSet
	pieces []piece
	keys   []key
	spare  sync.Pool // of *received
}

// NewVerifier prepares a scheme with all secrets that are live. The error is
// ErrBadScheme, or a *SecretError that names the secret by its position.
func NewVerifier(s Scheme, secrets ...string) (*Verifier, error) {
	pieces, err := s.prepare()
	if err != nil {
		return nil, err
	}
	v := &Verifier{scheme: s.withDefaults(), sets: s.headerSets(), pieces: pieces}
	if v.keys, err = newKeys(v.scheme, secrets, false); err != nil {
		return nil, err
	}
	v.spare.New = func() any { return new(received) }
	return v, nil
}

// prepare validates a scheme and parses its template.
func (s Scheme) prepare() ([]piece, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return parseContent(s.withDefaults().Content)
}

// Verify checks one request against every secret at the time now. It is pure:
// it reads no clock and keeps nothing. The error is ErrMissingHeader,
// ErrMalformedHeader, ErrMismatch or, when the signature is good but was made
// too far from now, ErrTimestamp. Whoever sent the request should be told no
// more than that it is not valid.
func (v *Verifier) Verify(r Request, now time.Time) (Result, error) {
	in := v.spare.Get().(*received)
	defer func() {
		in.message = message{} // keep no body alive
		v.spare.Put(in)
	}()
	in.signedAt = time.Time{}
	if err := v.scheme.read(v.sets, r, in); err != nil {
		return Result{}, err
	}
	matched := v.match(in)
	if matched < 0 {
		return Result{}, ErrMismatch
	}
	if !in.signedAt.IsZero() {
		if skew := now.Sub(in.signedAt); skew > v.scheme.Tolerance || skew < -v.scheme.Tolerance {
			return Result{}, &TimestampError{Timestamp: in.signedAt, Skew: skew, Tolerance: v.scheme.Tolerance}
		}
	}
	return Result{Secret: matched, ID: in.id, Timestamp: in.signedAt}, nil
}

// match is the position of the first secret that one of the signatures belongs
// to, or -1. All secrets are tried against all signatures whatever was found
// before, so that the time taken tells nothing.
func (v *Verifier) match(in *received) int {
	matched := -1
	for i := range v.keys {
		if v.matches(&v.keys[i], in) && matched < 0 {
			matched = i
		}
	}
	return matched
}

func (v *Verifier) matches(k *key, in *received) bool {
	var buf [maxSignature]byte
	var sum, content []byte
	good := 0
	for i := range in.signatures {
		f := &in.signatures[i]
		switch {
		case f.variant != k.variant:
		case k.macs != nil:
			if sum == nil {
				sum = k.sum(v.pieces, &in.message, &buf)
			}
			good |= subtle.ConstantTimeCompare(sum, f.bytes[:f.size])
		default:
			if content == nil {
				content = join(v.pieces, &in.message)
			}
			if ed25519.Verify(k.public, content, f.bytes[:f.size]) {
				good = 1
			}
		}
	}
	return good == 1
}

// Verify is NewVerifier and its Verify in one, for a request now and then.
func (s Scheme) Verify(r Request, now time.Time, secrets ...string) (Result, error) {
	v, err := NewVerifier(s, secrets...)
	if err != nil {
		return Result{}, err
	}
	return v.Verify(r, now)
}
