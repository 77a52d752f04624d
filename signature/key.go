package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"
	"sync"
)

// maxSignature is the longest signature of any algorithm, in bytes.
const maxSignature = 64

// signatureSize is the length of an algorithm's signatures in bytes; 0 for one
// that is not known.
func signatureSize(a Algorithm) int {
	switch a {
	case HMACSHA1:
		return sha1.Size
	case HMACSHA256:
		return sha256.Size
	case HMACSHA512:
		return sha512.Size
	case Ed25519:
		return ed25519.SignatureSize
	}
	return 0
}

func newHash(a Algorithm) func() hash.Hash {
	switch a {
	case HMACSHA1:
		return sha1.New
	case HMACSHA512:
		return sha512.New
	}
	return sha256.New
}

// key is a secret ready for use.
type key struct {
	variant int        // its place in Scheme.Variants
	macs    *sync.Pool // of *mac, for the HMACs
	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

// newKeys decodes the secrets. Without a secret nothing may ever be valid, so
// that is an error, as an empty one is.
func newKeys(s Scheme, secrets []string, signing bool) ([]key, error) {
	if len(secrets) == 0 {
		return nil, &SecretError{Index: -1, Reason: "no secret was given", kind: ErrNoSecret}
	}
	keys := make([]key, len(secrets))
	for i, secret := range secrets {
		k, reason := newKey(s, secret, signing)
		if reason != "" {
			kind := ErrBadSecret
			if isBlank(secret) {
				kind = ErrNoSecret
			}
			return nil, &SecretError{Index: i, Reason: reason, kind: kind}
		}
		keys[i] = k
	}
	return keys, nil
}

// newKey decodes one secret, or says what is wrong with it.
func newKey(s Scheme, secret string, signing bool) (k key, reason string) {
	if isBlank(secret) {
		return k, "it is empty"
	}
	k.variant = variantOf(s, secret)
	v := s.Variants[k.variant]
	isPublic := v.PublicKeyPrefix != "" && strings.HasPrefix(secret, v.PublicKeyPrefix)
	raw, reason := decodeKey(v, secret, isPublic)
	if reason != "" {
		return k, reason
	}
	if v.Algorithm != Ed25519 {
		if len(raw) == 0 {
			return k, "nothing is left of it after its prefix"
		}
		k.macs = &sync.Pool{New: func() any { return &mac{Hash: hmac.New(newHash(v.Algorithm), raw)} }}
		return k, ""
	}
	isPrivate := v.KeyPrefix != "" && strings.HasPrefix(secret, v.KeyPrefix)
	return k, k.ed25519(raw, isPublic || !isPrivate && !signing && len(raw) == ed25519.PublicKeySize, signing)
}

// isBlank reports whether a secret is empty or white space only, which is what a
// variable that was never set looks like.
func isBlank(secret string) bool { return strings.TrimSpace(secret) == "" }

func (k *key) ed25519(raw []byte, isPublic, signing bool) (reason string) {
	switch {
	case isPublic && len(raw) != ed25519.PublicKeySize:
		return "a public ed25519 key has 32 bytes"
	case isPublic && signing:
		return "it is a public key; signing needs the private one"
	case isPublic:
		k.public = raw
		return ""
	case len(raw) == ed25519.SeedSize:
		k.private = ed25519.NewKeyFromSeed(raw)
	case len(raw) == ed25519.PrivateKeySize:
		// The second half must be the public key of the first: with another one, signatures leak the key.
		k.private = ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if !k.private.Equal(ed25519.PrivateKey(raw)) {
			return "the two halves of the ed25519 key do not belong together"
		}
	default:
		return "a private ed25519 key has 32 bytes, or 64 with its public half"
	}
	k.public = k.private.Public().(ed25519.PublicKey)
	return ""
}

// variantOf is the variant that a secret is for: the one whose prefix it has,
// else the first.
func variantOf(s Scheme, secret string) int {
	for i, v := range s.Variants {
		if v.KeyPrefix != "" && strings.HasPrefix(secret, v.KeyPrefix) || v.PublicKeyPrefix != "" && strings.HasPrefix(secret, v.PublicKeyPrefix) {
			return i
		}
	}
	return 0
}

func decodeKey(v Variant, secret string, isPublic bool) (raw []byte, reason string) {
	if v.Key == KeyText {
		return []byte(secret), ""
	}
	prefix := v.KeyPrefix
	if isPublic {
		prefix = v.PublicKeyPrefix
	}
	text := strings.TrimPrefix(secret, prefix)
	if v.Key == KeyHex {
		raw, err := hex.DecodeString(text)
		if err != nil {
			return nil, "it is not hex" + after(prefix)
		}
		return raw, ""
	}
	raw, ok := decodeBase64(text, false)
	if !ok {
		return nil, "it is not base64" + after(prefix)
	}
	return raw, ""
}

func after(prefix string) string {
	if prefix == "" {
		return ""
	}
	return " after " + prefix
}

// mac is an HMAC with room for the texts that it is fed and for its sum: what
// goes through an interface would otherwise be allocated each time.
type mac struct {
	hash.Hash
	text []byte
}

// sum writes the HMAC of the signed content into into.
func (k *key) sum(pieces []piece, m *message, into *[maxSignature]byte) []byte {
	h := k.macs.Get().(*mac)
	defer k.macs.Put(h)
	h.Reset()
	for _, p := range pieces {
		if p.field == body {
			h.Write(m.body)
			continue
		}
		h.text = append(h.text[:0], p.of(m)...)
		h.Write(h.text)
	}
	h.text = h.Sum(h.text[:0])
	return into[:copy(into[:], h.text)]
}
