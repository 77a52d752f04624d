package signature

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Content is what is signed.
type Content struct {
	ID        string    // schemes with {id} need it
	Timestamp time.Time // schemes with {timestamp} need it
	Method    string
	URL       string
	Body      []byte
}

// HeaderField is one header of a signed request.
type HeaderField struct {
	Name  string
	Value string
}

// Signer signs requests of one scheme. It does not change, and serves any
// number of goroutines at once.
type Signer struct {
	scheme Scheme
	pieces []piece
	keys   []key
}

// NewSigner prepares a scheme with its secrets, the newest first. Where the
// scheme has a list form, every secret signs; where it carries one signature
// only, the first one does.
func NewSigner(s Scheme, secrets ...string) (*Signer, error) {
	pieces, err := s.prepare()
	if err != nil {
		return nil, err
	}
	out := &Signer{scheme: s.withDefaults(), pieces: pieces}
	if out.keys, err = newKeys(out.scheme, secrets, true); err != nil {
		return nil, err
	}
	if out.scheme.Multi == MultiNone {
		out.keys = out.keys[:1]
	}
	return out, nil
}

// Sign makes the headers of a signed request: id and timestamp where the scheme
// has headers for them, then the signature or the list of signatures. It is
// pure. The error is ErrMissingHeader when the id or the timestamp that the
// scheme signs is not given, or could not stand in a header; another error when
// the scheme signs the URL or the method and the content has none.
func (s *Signer) Sign(c Content) ([]HeaderField, error) {
	m := message{id: c.ID, url: c.URL, method: c.Method, body: c.Body}
	sc := &s.scheme
	if has(s.pieces, url) && c.URL == "" || has(s.pieces, method) && c.Method == "" {
		return nil, fmt.Errorf("sign as %s: the scheme signs {url} or {method}, and the content has none", sc.Name)
	}
	fields := make([]HeaderField, 0, 3)
	if sc.IDHeader != "" {
		if !canStandInHeader(c.ID) {
			return nil, missing(sc.IDHeader)
		}
		fields = append(fields, HeaderField{sc.IDHeader, c.ID})
	}
	if sc.TimestampHeader != "" || sc.TimestampPair != "" {
		if c.Timestamp.Unix() < 0 { // the zero time too; no verifier reads a sign
			return nil, missing(orDefault(sc.TimestampHeader, sc.Header))
		}
		m.timestamp = formatTimestamp(c.Timestamp, sc.TimestampUnit)
		if sc.TimestampHeader != "" {
			fields = append(fields, HeaderField{sc.TimestampHeader, m.timestamp})
		}
	}
	return s.appendSignatures(fields, &m), nil
}

func (s *Signer) appendSignatures(fields []HeaderField, m *message) []HeaderField {
	sc := &s.scheme
	if sc.Multi == MultiRepeated {
		for i := range s.keys {
			fields = append(fields, HeaderField{sc.Header, string(s.appendOne(nil, &s.keys[i], m))})
		}
		return fields
	}
	var buf [256]byte
	list := buf[:0]
	if sc.TimestampPair != "" {
		list = append(list, sc.TimestampPair+"="+m.timestamp...)
	}
	for i := range s.keys {
		if len(list) > 0 {
			if sc.Multi == MultiSpace {
				list = append(list, ' ')
			} else {
				list = append(list, ',')
			}
		}
		list = s.appendOne(list, &s.keys[i], m)
	}
	return append(fields, HeaderField{sc.Header, string(list)})
}

// appendOne writes one signature with its prefix.
func (s *Signer) appendOne(out []byte, k *key, m *message) []byte {
	v := &s.scheme.Variants[k.variant]
	var buf [maxSignature]byte
	var sum []byte
	if k.macs != nil {
		sum = k.sum(s.pieces, m, &buf)
	} else {
		sum = ed25519.Sign(k.private, join(s.pieces, m))
	}
	out = append(out, v.Prefix...)
	switch v.Encoding {
	case Base64:
		return base64.StdEncoding.AppendEncode(out, sum)
	case Base64URL:
		return base64.RawURLEncoding.AppendEncode(out, sum)
	}
	return hex.AppendEncode(out, sum)
}

// canStandInHeader reports whether a header's value would arrive as it was
// written: HTTP cuts white space at its ends.
func canStandInHeader(value string) bool {
	isControl := func(c rune) bool { return c < ' ' || c == 0x7f }
	return value != "" && len(value) <= maxHeader && strings.TrimSpace(value) == value && !strings.ContainsFunc(value, isControl)
}

func formatTimestamp(t time.Time, unit TimestampUnit) string {
	if unit == Milliseconds {
		return strconv.FormatInt(t.UnixMilli(), 10)
	}
	return strconv.FormatInt(t.Unix(), 10)
}

// Sign is NewSigner and its Sign in one, for a request now and then.
func (s Scheme) Sign(c Content, secrets ...string) ([]HeaderField, error) {
	signer, err := NewSigner(s, secrets...)
	if err != nil {
		return nil, err
	}
	return signer.Sign(c)
}
