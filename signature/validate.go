package signature

import (
	"errors"
	"fmt"
	"strings"
)

// Validate reports everything that is wrong with the scheme, each fault with
// the name of its field as it is written in a file. The error is ErrBadScheme,
// and ErrUnknownAlgorithm too where that is among the faults.
func (s Scheme) Validate() error {
	s = s.withDefaults()
	faults := s.checkHeaders()
	faults = append(faults, s.checkLists()...)
	faults = append(faults, s.checkContent()...)
	if len(s.Variants) == 0 {
		faults = append(faults, errors.New("variants: at least one is needed"))
	}
	for i, v := range s.Variants {
		for _, err := range s.checkVariant(v) {
			faults = append(faults, fmt.Errorf("variants[%d].%w", i, err))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	name := orDefault(s.Name, "without a name")
	return fmt.Errorf("%w (%s): %w", ErrBadScheme, name, errors.Join(faults...))
}

func (s Scheme) checkHeaders() []error {
	var faults []error
	check := func(key, value string, wanted bool) {
		switch {
		case value == "" && wanted:
			faults = append(faults, fmt.Errorf("%s: is needed", key))
		case value != "" && !isToken(value):
			faults = append(faults, fmt.Errorf("%s: %q is not a header name", key, value))
		}
	}
	check("header", s.Header, true)
	check("id_header", s.IDHeader, false)
	check("timestamp_header", s.TimestampHeader, false)
	for i, a := range s.Aliases {
		at := fmt.Sprintf("aliases[%d].", i)
		check(at+"header", a.Header, true)
		check(at+"id_header", a.IDHeader, s.IDHeader != "")
		check(at+"timestamp_header", a.TimestampHeader, s.TimestampHeader != "")
	}
	return faults
}

func (s Scheme) checkLists() []error {
	var faults []error
	switch s.Multi {
	case MultiNone, MultiComma:
	case MultiSpace, MultiRepeated:
		if s.TimestampPair != "" {
			faults = append(faults, fmt.Errorf("multi: %q does not go with timestamp_pair; use none or comma", s.Multi))
		}
	default:
		faults = append(faults, fmt.Errorf("multi: %q is not known; use none, comma, space or repeated", s.Multi))
	}
	if s.TimestampPair != "" && !isToken(s.TimestampPair) {
		faults = append(faults, fmt.Errorf("timestamp_pair: %q is not the name of a pair", s.TimestampPair))
	}
	if s.TimestampPair != "" && s.TimestampHeader != "" {
		faults = append(faults, errors.New("timestamp_pair: does not go with timestamp_header; leave one out"))
	}
	return faults
}

// checkContent holds the template against the rest. What a request carries but
// does not sign can be forged, so a header without its place in the content is
// a fault too.
func (s Scheme) checkContent() []error {
	pieces, err := parseContent(s.Content)
	if err != nil {
		return []error{fmt.Errorf("content: %w", err)}
	}
	var faults []error
	fault := func(when bool, text string) {
		if when {
			faults = append(faults, errors.New(text))
		}
	}
	carriesTime := s.TimestampHeader != "" || s.TimestampPair != ""
	signsTime, signsID := has(pieces, timestamp), has(pieces, id)
	fault(!has(pieces, body), "content: {body} is not in it, so that anyone could change the body")
	fault(signsTime && !carriesTime, "content: {timestamp} needs timestamp_header or timestamp_pair")
	fault(!signsTime && carriesTime, "content: {timestamp} is not in it, so that anyone could change the time")
	fault(signsID && s.IDHeader == "", "content: {id} needs id_header")
	fault(!signsID && s.IDHeader != "", "content: {id} is not in it, so that anyone could change the id; leave id_header out")
	fault(signsTime && s.Tolerance <= 0, "tolerance: a duration above 0 is needed where a timestamp is signed, for example 5m")
	fault(!signsTime && s.Tolerance != 0, "tolerance: means nothing without a signed timestamp; leave it out")
	if s.TimestampUnit != Seconds && s.TimestampUnit != Milliseconds {
		faults = append(faults, fmt.Errorf("timestamp_unit: %q is not known; use s or ms", s.TimestampUnit))
	}
	return faults
}

func (s Scheme) checkVariant(v Variant) []error {
	var faults []error
	if signatureSize(v.Algorithm) == 0 {
		faults = append(faults, fmt.Errorf("algorithm: %w %q; use %s, %s, %s or %s", ErrUnknownAlgorithm, v.Algorithm, HMACSHA256, HMACSHA1, HMACSHA512, Ed25519))
	}
	switch v.Encoding {
	case Hex, Base64, Base64URL:
	default:
		faults = append(faults, fmt.Errorf("encoding: %q is not known; use hex, base64 or base64url", v.Encoding))
	}
	switch v.Key {
	case KeyText, KeyBase64, KeyHex:
	default:
		faults = append(faults, fmt.Errorf("key: %q is not known; use text, base64 or hex", v.Key))
	}
	if v.Algorithm == Ed25519 && v.Key == KeyText {
		faults = append(faults, errors.New("key: an ed25519 key is base64 or hex, not text"))
	}
	if v.Algorithm != Ed25519 && v.PublicKeyPrefix != "" {
		faults = append(faults, errors.New("public_key_prefix: only ed25519 has public keys"))
	}
	if v.PublicKeyPrefix != "" && v.PublicKeyPrefix == v.KeyPrefix {
		faults = append(faults, errors.New("public_key_prefix: must differ from key_prefix"))
	}
	if err := s.checkPrefix(v.Prefix); err != nil {
		faults = append(faults, fmt.Errorf("prefix: %w", err))
	}
	return faults
}

// checkPrefix refuses prefixes that the parser of the scheme's list form could
// never meet.
func (s Scheme) checkPrefix(prefix string) error {
	for _, c := range []byte(prefix) {
		if c < ' ' || c > '~' {
			return fmt.Errorf("%q has characters that a header cannot have", prefix)
		}
	}
	if s.TimestampPair != "" {
		name, ok := strings.CutSuffix(prefix, "=")
		if !ok || !isToken(name) || name == s.TimestampPair {
			return fmt.Errorf("%q is not the name of a signature's pair, such as \"v1=\"", prefix)
		}
		return nil
	}
	if prefix != strings.TrimLeft(prefix, " ") {
		return fmt.Errorf("%q begins with a space", prefix)
	}
	if s.Multi == MultiSpace && strings.Contains(prefix, " ") {
		return fmt.Errorf("%q has the space that separates signatures", prefix)
	}
	if (s.Multi == MultiComma || s.Multi == MultiRepeated) && strings.Contains(prefix, ",") {
		return fmt.Errorf("%q has the comma that separates signatures", prefix)
	}
	return nil
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2), which is what
// the names of headers are.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
