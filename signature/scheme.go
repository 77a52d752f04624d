package signature

import (
	"slices"
	"time"
)

// Scheme describes how a sender signs a request. It is a plain value: built in,
// read from a file, or made by hand (see Custom). Zero values mean what the
// comments say; Validate tells what is missing.
type Scheme struct {
	// Name is shown to people, for example "veriff".
	Name string `json:"name" yaml:"name"`
	// Header carries the signature or the list of signatures.
	Header string `json:"header" yaml:"header"`
	// IDHeader carries the message id, where the signed content has one.
	IDHeader string `json:"id_header,omitempty" yaml:"id_header"`
	// TimestampHeader carries the time of signing, where a header of its own does.
	TimestampHeader string `json:"timestamp_header,omitempty" yaml:"timestamp_header"`
	// Aliases are other names under which the same headers may arrive
	// ("svix-…" beside "webhook-…"). Signing uses the first names only.
	Aliases []HeaderNames `json:"aliases,omitempty" yaml:"aliases"`
	// Variants are the algorithms that the sender may use, told apart by the prefix of a
	// signature and the form of a key. Most schemes have one. The first is
	// the one for secrets that carry no known prefix.
	Variants []Variant `json:"variants" yaml:"variants"`
	// Content is the template of the signed bytes: literal text with {body},
	// {timestamp}, {id}, {url}, {method}. Default "{body}". The timestamp
	// stands there exactly as it stands in the request.
	Content string `json:"content,omitempty" yaml:"content"`
	// Multi says how several signatures stand in one request. Default MultiNone.
	// With TimestampPair only MultiNone and MultiComma are possible.
	Multi Multi `json:"multi,omitempty" yaml:"multi"`
	// TimestampPair makes the header a list of name=value pairs ("t=…,v1=…"), in
	// which it names the timestamp and each Variant's Prefix ("v1=") names its
	// signatures. Unknown pairs are ignored. With MultiComma a signature's name
	// may come several times.
	TimestampPair string `json:"timestamp_pair,omitempty" yaml:"timestamp_pair"`
	// TimestampUnit is the unit of the timestamp's number. Default Seconds.
	TimestampUnit TimestampUnit `json:"timestamp_unit,omitempty" yaml:"timestamp_unit"`
	// Tolerance is how far the timestamp may lie from the verifier's clock, on
	// either side, that far included. Needed where the content has a timestamp.
	Tolerance time.Duration `json:"tolerance,omitempty" yaml:"tolerance"`
}

// HeaderNames is one set of header names.
type HeaderNames struct {
	Header          string `json:"header" yaml:"header"`
	IDHeader        string `json:"id_header,omitempty" yaml:"id_header"`
	TimestampHeader string `json:"timestamp_header,omitempty" yaml:"timestamp_header"`
}

// Variant is one algorithm of a scheme with the form of its keys and signatures.
type Variant struct {
	Algorithm Algorithm `json:"algorithm" yaml:"algorithm"`
	// Prefix stands before the encoded signature, for example "sha256=" or "v1,".
	Prefix string `json:"prefix,omitempty" yaml:"prefix"`
	// Encoding of the signature. Default Hex.
	Encoding Encoding `json:"encoding,omitempty" yaml:"encoding"`
	// Key is how the secret's text becomes key bytes. Default KeyText, which
	// Ed25519 cannot have.
	Key KeyForm `json:"key,omitempty" yaml:"key"`
	// KeyPrefix is cut from the secret before it is decoded ("whsec_"). A
	// secret without it is decoded whole. Where a scheme has several variants,
	// the prefix also tells which of them a secret is for.
	KeyPrefix string `json:"key_prefix,omitempty" yaml:"key_prefix"`
	// PublicKeyPrefix marks the public half of an asymmetric key ("whpk_").
	// An Ed25519 key of 32 bytes under neither prefix is a public key to a
	// Verifier and a private seed to a Signer.
	PublicKeyPrefix string `json:"public_key_prefix,omitempty" yaml:"public_key_prefix"`
}

// Algorithm names how a signature is computed.
type Algorithm string

// The algorithms. Others (ECDSA, RSA) are told apart as unknown, never taken for valid.
const (
	HMACSHA1   Algorithm = "hmac-sha1"
	HMACSHA256 Algorithm = "hmac-sha256"
	HMACSHA512 Algorithm = "hmac-sha512"
	Ed25519    Algorithm = "ed25519"
)

// Encoding is how signature bytes are written.
type Encoding string

// The encodings. Verifying takes hex in either case and base64 with or without
// padding, never the other alphabet; signing writes lower-case hex, Base64 with
// padding and Base64URL without (RFC 4648).
const (
	Hex       Encoding = "hex"
	Base64    Encoding = "base64"
	Base64URL Encoding = "base64url"
)

// KeyForm is how the text of a secret becomes the bytes of a key.
type KeyForm string

// The key forms.
const (
	KeyText   KeyForm = "text"   // the bytes of the text itself, its prefix included
	KeyBase64 KeyForm = "base64" // decoded, after KeyPrefix
	KeyHex    KeyForm = "hex"    // decoded, after KeyPrefix
)

// Multi is how several signatures stand in one request.
type Multi string

// The list forms. MultiComma and MultiRepeated read the same, because HTTP lets
// anyone on the way join repeated headers with commas (RFC 9110, section 5.3);
// they differ in what is written.
const (
	MultiNone     Multi = "none"     // exactly one
	MultiComma    Multi = "comma"    // "sha256=…,sha256=…"
	MultiSpace    Multi = "space"    // "v1,… v1,…"
	MultiRepeated Multi = "repeated" // the header may come several times
)

// TimestampUnit is the unit of a timestamp.
type TimestampUnit string

// The units.
const (
	Seconds      TimestampUnit = "s"
	Milliseconds TimestampUnit = "ms"
)

// clone is a copy that shares no slice with s.
func (s Scheme) clone() Scheme {
	s.Aliases = slices.Clone(s.Aliases)
	s.Variants = slices.Clone(s.Variants)
	return s
}

// withDefaults is a copy in which every default is written out.
func (s Scheme) withDefaults() Scheme {
	s = s.clone()
	s.Content = orDefault(s.Content, "{body}")
	s.Multi = orDefault(s.Multi, MultiNone)
	s.TimestampUnit = orDefault(s.TimestampUnit, Seconds)
	for i := range s.Variants {
		v := &s.Variants[i]
		v.Encoding = orDefault(v.Encoding, Hex)
		v.Key = orDefault(v.Key, KeyText)
	}
	return s
}

func orDefault[T ~string](value, fallback T) T {
	if value == "" {
		return fallback
	}
	return value
}
