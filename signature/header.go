package signature

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of what is read from headers.
const (
	maxHeader     = 8 << 10
	maxSignatures = 32
	maxEd25519    = 8  // signatures; each costs two passes over the body
	maxDigits     = 18 // of a timestamp: fits an int64 in any unit
)

// received is what the headers of a request say about its signature.
type received struct {
	message
	signedAt   time.Time // zero without a timestamp
	signatures []found
}

// found is one decoded signature.
type found struct {
	variant int
	size    int
	bytes   [maxSignature]byte
}

// headerSet is a set of names as people write them and as http.Header keys
// them. The keys are made once, for making one allocates.
type headerSet struct {
	HeaderNames
	key HeaderNames
}

// headerSets are the sets of names that a scheme's headers may have, its own first.
func (s *Scheme) headerSets() []headerSet {
	sets := make([]headerSet, 0, 1+len(s.Aliases))
	for _, n := range append([]HeaderNames{{s.Header, s.IDHeader, s.TimestampHeader}}, s.Aliases...) {
		sets = append(sets, headerSet{n, HeaderNames{
			Header:          http.CanonicalHeaderKey(n.Header),
			IDHeader:        http.CanonicalHeaderKey(n.IDHeader),
			TimestampHeader: http.CanonicalHeaderKey(n.TimestampHeader),
		}})
	}
	return sets
}

// arrived is the set under which a request carries its signature: the first
// whose signature is there, else the scheme's own. All headers are taken from
// one set, so that nobody can put an unsigned id beside a signature.
func arrived(sets []headerSet, h http.Header) (headerSet, bool) {
	for _, set := range sets {
		if len(values(h, set.key.Header)) > 0 {
			return set, true
		}
	}
	return sets[0], false
}

// values are those of a header. Requests from net/http have canonical keys; the
// second look is for header maps made by hand.
func values(h http.Header, key string) []string {
	if v := h[key]; len(v) > 0 {
		return v
	}
	var all []string
	for k, v := range h {
		if len(k) == len(key) && strings.EqualFold(k, key) {
			all = append(all, v...)
		}
	}
	return all
}

// read reads the headers of a request. into keeps its signatures' memory.
func (s *Scheme) read(sets []headerSet, r Request, into *received) error {
	names, ok := arrived(sets, r.Header)
	if !ok {
		return missing(names.Header)
	}
	into.message = message{url: r.URL, method: r.Method, body: r.Body}
	if err := s.readList(names.Header, values(r.Header, names.key.Header), into); err != nil {
		return err
	}
	if names.IDHeader != "" {
		id, err := one(names.IDHeader, values(r.Header, names.key.IDHeader))
		if err != nil {
			return err
		}
		into.id = id
	}
	if names.TimestampHeader != "" {
		text, err := one(names.TimestampHeader, values(r.Header, names.key.TimestampHeader))
		if err != nil {
			return err
		}
		into.timestamp = text
	}
	if names.TimestampHeader == "" && s.TimestampPair == "" {
		return nil
	}
	at, ok := parseTimestamp(into.timestamp, s.TimestampUnit)
	if !ok {
		header := names.TimestampHeader
		if header == "" {
			header = names.Header
		}
		return malformed(header, "its timestamp is not a number of digits")
	}
	into.signedAt = at
	return nil
}

// one is the only value of a header.
func one(name string, all []string) (string, error) {
	switch {
	case len(all) == 0 || all[0] == "":
		return "", missing(name)
	case len(all) > 1:
		return "", malformed(name, "it comes more than once")
	case len(all[0]) > maxHeader:
		return "", malformed(name, "it is too long")
	}
	return all[0], nil
}

// readList reads the signatures, and the timestamp where it stands among them.
func (s *Scheme) readList(header string, values []string, into *received) error {
	total := 0
	for _, v := range values {
		total += len(v)
	}
	if total > maxHeader {
		return malformed(header, "it is longer than 8 KiB")
	}
	if len(values) > 1 && (s.Multi == MultiNone || s.TimestampPair != "") {
		return malformed(header, "it comes more than once")
	}
	into.signatures = into.signatures[:0]
	into.timestamp = ""
	seen := 0
	for _, value := range values {
		for rest, more := value, true; more; {
			var entry string
			entry, rest, more = s.cut(rest)
			if entry = strings.Trim(entry, " \t"); entry == "" && s.Multi != MultiNone {
				continue
			}
			if seen++; seen > maxSignatures {
				return malformed(header, "it has more than 32 entries")
			}
			if err := s.readEntry(header, entry, into); err != nil {
				return err
			}
		}
	}
	if len(into.signatures) == 0 {
		return malformed(header, "no signature of the form "+s.form()+" is in it")
	}
	if s.countOf(Ed25519, into.signatures) > maxEd25519 {
		return malformed(header, "it has more than 8 ed25519 signatures")
	}
	if s.Multi == MultiNone && len(into.signatures) > 1 { // pairs can repeat a name
		return malformed(header, "it has more than one signature")
	}
	if s.TimestampPair != "" && into.timestamp == "" {
		return malformed(header, "it has no "+s.TimestampPair+"=")
	}
	return nil
}

func (s *Scheme) countOf(a Algorithm, signatures []found) int {
	n := 0
	for i := range signatures {
		if s.Variants[signatures[i].variant].Algorithm == a {
			n++
		}
	}
	return n
}

// cut takes one entry off a list.
func (s *Scheme) cut(list string) (entry, rest string, more bool) {
	switch {
	case s.Multi == MultiSpace:
		return strings.Cut(list, " ")
	case s.TimestampPair != "" || s.Multi == MultiComma || s.Multi == MultiRepeated:
		return strings.Cut(list, ",")
	}
	return list, "", false
}

// readEntry reads one entry. What is of no form that the scheme knows is passed
// over in a list, for senders add forms; alone it is malformed.
func (s *Scheme) readEntry(header, entry string, into *received) error {
	if s.TimestampPair != "" {
		if name, value, ok := strings.Cut(entry, "="); ok && name == s.TimestampPair {
			if into.timestamp != "" {
				return malformed(header, "it has more than one "+name+"=")
			}
			into.timestamp = value
			return nil
		}
	}
	for i := range s.Variants {
		v := &s.Variants[i]
		text, ok := strings.CutPrefix(entry, v.Prefix)
		if !ok {
			continue
		}
		f := found{variant: i}
		if f.size, ok = decodeSignature(v, text, &f.bytes); ok {
			into.signatures = append(into.signatures, f)
			return nil
		}
	}
	return nil
}

// form is how a signature looks, for error messages.
func (s *Scheme) form() string {
	v := s.Variants[0]
	return v.Prefix + "<" + strconv.Itoa(signatureSize(v.Algorithm)) + " bytes in " + string(v.Encoding) + ">"
}

// decodeSignature decodes a signature of exactly the algorithm's length.
func decodeSignature(v *Variant, text string, into *[maxSignature]byte) (size int, ok bool) {
	want := signatureSize(v.Algorithm)
	if v.Encoding == Hex {
		if len(text) != hex.EncodedLen(want) {
			return 0, false
		}
		var raw [2 * maxSignature]byte
		n, err := hex.Decode(into[:], raw[:copy(raw[:], text)])
		return n, err == nil
	}
	if len(text) > base64.StdEncoding.EncodedLen(want) {
		return 0, false
	}
	raw, ok := decodeBase64(text, v.Encoding == Base64URL)
	if !ok || len(raw) != want {
		return 0, false
	}
	return copy(into[:], raw), true
}

// decodeBase64 takes padding or none, but only the one alphabet, no line breaks
// and no stray bits (RFC 4648, sections 3.3 and 3.5).
func decodeBase64(text string, url bool) ([]byte, bool) {
	encoding := base64.RawStdEncoding
	if url {
		encoding = base64.RawURLEncoding
	}
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	bare := strings.TrimRight(text, "=")
	if pad := len(text) - len(bare); pad > 2 || pad > 0 && len(text)%4 != 0 {
		return nil, false
	}
	raw, err := encoding.Strict().DecodeString(bare)
	return raw, err == nil
}

// parseTimestamp reads a timestamp of digits only.
func parseTimestamp(text string, unit TimestampUnit) (time.Time, bool) {
	if text == "" || len(text) > maxDigits {
		return time.Time{}, false
	}
	var n int64
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return time.Time{}, false
		}
		n = n*10 + int64(text[i]-'0')
	}
	if unit == Milliseconds {
		return time.UnixMilli(n), true
	}
	return time.Unix(n, 0), true
}
