package provider

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
	"unicode/utf8"
)

// maxValue is the most bytes that a type, id or subject may be made of.
// Longer values are treated as absent: they name nothing, and they would
// travel in keys and headers.
const maxValue = 1024

// request is a verified request in the hands of the rules.
type request struct {
	header http.Header
	scan   *scanner
	isJSON bool
}

// kind is what stands at p; null counts as absent, so does an empty header.
func (r *request) kind(p *Path) kind {
	if p.Header != "" {
		if r.header.Get(p.Header) == "" {
			return absent
		}
		return text
	}
	if !r.isJSON {
		return absent
	}
	if k := r.scan.values[p.node.slot].kind; k != null {
		return k
	}
	return absent
}

// raw is the text at p before its transform; numbers and booleans are texts
// as they are written. It is empty for what is no text: null, arrays, objects.
// It holds until the next scan.
func (r *request) raw(p *Path) []byte {
	if p.Header != "" {
		return []byte(r.header.Get(p.Header))
	}
	if !r.isJSON {
		return nil
	}
	v := r.scan.values[p.node.slot]
	switch v.kind {
	case text, number, boolean:
		b := r.scan.body[v.start:v.end]
		if v.kind == text && hasEscape(b) {
			return unescape(b)
		}
		return b
	default:
		return nil
	}
}

// text is the value at p, ready to be a type, an id or a subject: never
// longer than maxValue, always UTF-8, without NUL (which PostgreSQL refuses).
// It is empty when there is none.
func (r *request) text(p *Path) string {
	b := r.raw(p)
	if len(b) == 0 || len(b) > maxValue || bytes.IndexByte(b, 0) >= 0 {
		return ""
	}
	if !utf8.Valid(b) {
		b = bytes.ToValidUTF8(b, []byte("\uFFFD"))
	}
	return p.Transform.apply(string(b))
}

// first is the first value that stands at one of paths; empty when there is none.
func (r *request) first(paths []Path) string {
	for i := range paths {
		if s := r.text(&paths[i]); s != "" {
			return s
		}
	}
	return ""
}

// time is the first time that stands at one of paths; zero when there is none.
func (r *request) time(paths []Path) time.Time {
	for i := range paths {
		if t, ok := parseTime(r.text(&paths[i])); ok {
			return t
		}
	}
	return time.Time{}
}

// hashKey is the dedupe key of a body without an event id.
func (r *request) hashKey() string {
	if r.isJSON {
		return hashKey(r.scan.out)
	}
	return hashKey(r.scan.body)
}

func hasEscape(b []byte) bool { return bytes.IndexByte(b, '\\') >= 0 }

// unescape decodes the inside of a JSON text that the scanner has accepted.
func unescape(b []byte) []byte {
	quoted := append(append([]byte{'"'}, b...), '"')
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return nil
	}
	return []byte(s)
}
