package provider

import (
	"bytes"
	"slices"
	"strings"
)

// maxDepth is how deeply arrays and objects may be nested. What is deeper is
// treated as not JSON: no provider sends it, and the parser below recurses.
const maxDepth = 100

// kind is the kind of a JSON value.
type kind byte

const (
	absent kind = iota
	null
	boolean
	number
	text
	object
	array
)

// value is where a JSON value stands in the body. The quotes of a text are left out.
type value struct {
	kind       kind
	start, end int
}

// scanner reads a body once and does three things on the way: it checks that
// the body is JSON, notes where the values stand that the rules ask for, and
// writes the canonical form. One pass of its own instead of a library's
// validation, look-up and re-encoding keeps the hot path at a few
// microseconds, bounds the depth before anything recurses, and needs memory
// in proportion to the body whatever its shape.
type scanner struct {
	body   []byte
	pos    int
	depth  int
	values []value // by node.slot

	out     []byte   // the canonical form so far
	members []member // of the objects that are open
	spare   []byte   // to put the members of one object in order
}

// member is where a member of an open object stands in scanner.out.
type member struct{ start, keyEnd, end int }

// scan reads body and reports whether it is JSON. root says which values to
// note; nil notes none. The scanner's results hold until the next scan.
func (s *scanner) scan(body []byte, root *node) bool {
	s.body, s.pos, s.depth = body, 0, 0
	s.out, s.members = s.out[:0], s.members[:0]
	s.values = s.values[:0]
	if root != nil {
		s.values = append(s.values, make([]value, root.last)...)
	}
	if !s.value(root) {
		return false
	}
	s.space()
	return s.pos == len(s.body)
}

// value reads one value and notes it for n.
func (s *scanner) value(n *node) bool {
	s.space()
	if s.pos == len(s.body) {
		return false
	}
	start := s.pos
	k, ok := s.any(n)
	if !ok || n == nil {
		return ok
	}
	v := value{kind: k, start: start, end: s.pos}
	if k == text {
		v.start, v.end = start+1, s.pos-1
	}
	s.values[n.slot] = v
	return true
}

func (s *scanner) any(n *node) (kind, bool) {
	switch s.body[s.pos] {
	case '{', '[':
		return s.nested(n)
	case '"':
		return text, s.text()
	case 't':
		return boolean, s.literal("true")
	case 'f':
		return boolean, s.literal("false")
	case 'n':
		return null, s.literal("null")
	default:
		return number, s.number()
	}
}

func (s *scanner) nested(n *node) (k kind, ok bool) {
	if s.depth == maxDepth {
		return absent, false
	}
	s.depth++
	if s.body[s.pos] == '{' {
		k, ok = object, s.object(n)
	} else {
		k, ok = array, s.array(n)
	}
	s.depth--
	return k, ok
}

// object reads from the opening to the closing brace.
func (s *scanner) object(n *node) bool {
	s.pos++
	s.out = append(s.out, '{')
	if s.space(); s.skip('}') {
		s.out = append(s.out, '}')
		return true
	}
	first, base, sorted := len(s.out), len(s.members), true
	for {
		m, ok := s.member(n)
		if !ok {
			return false
		}
		if len(s.members) > base && s.compare(s.members[len(s.members)-1], m) > 0 {
			sorted = false
		}
		s.members = append(s.members, m)
		if s.space(); !s.skip(',') {
			break
		}
		s.out = append(s.out, ',')
	}
	if !s.skip('}') {
		return false
	}
	if !sorted {
		s.sort(s.members[base:], first)
	}
	s.members = s.members[:base]
	s.out = append(s.out, '}')
	return true
}

func (s *scanner) member(n *node) (member, bool) {
	m := member{start: len(s.out)}
	key, ok := s.key()
	if !ok {
		return m, false
	}
	m.keyEnd = len(s.out) - 1 // before the colon
	ok = s.value(s.enter(n.child(key)))
	m.end = len(s.out)
	return m, ok
}

// array reads from the opening to the closing bracket.
func (s *scanner) array(n *node) bool {
	s.pos++
	s.out = append(s.out, '[')
	if s.space(); s.skip(']') {
		s.out = append(s.out, ']')
		return true
	}
	for i := 0; ; i++ {
		if !s.value(s.enter(n.element(i))) {
			return false
		}
		if s.space(); !s.skip(',') {
			break
		}
		s.out = append(s.out, ',')
	}
	s.out = append(s.out, ']')
	return s.skip(']')
}

// key reads a member's name and the colon after it, and returns the name as written.
func (s *scanner) key() ([]byte, bool) {
	s.space()
	start := s.pos
	if s.pos == len(s.body) || s.body[s.pos] != '"' || !s.text() {
		return nil, false
	}
	key := s.body[start+1 : s.pos-1]
	if s.space(); !s.skip(':') {
		return nil, false
	}
	s.out = append(s.out, ':')
	return key, true
}

// enter forgets what an earlier member of the same name left: of duplicate
// names the last one counts, as in most receivers' parsers.
func (s *scanner) enter(n *node) *node {
	if n != nil {
		clear(s.values[n.slot:n.last])
	}
	return n
}

func (s *scanner) text() bool {
	start := s.pos
	s.pos++
	for s.pos < len(s.body) {
		switch c := s.body[s.pos]; {
		case c == '"':
			s.pos++
			s.out = append(s.out, s.body[start:s.pos]...)
			return true
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c < 0x20:
			return false
		default:
			s.pos++
		}
	}
	return false
}

func (s *scanner) escape() bool {
	rest := s.body[s.pos+1:]
	if len(rest) == 0 {
		return false
	}
	if rest[0] != 'u' {
		s.pos += 2
		return strings.IndexByte(`"\/bfnrt`, rest[0]) >= 0
	}
	if len(rest) < 5 {
		return false
	}
	for _, c := range rest[1:5] {
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	s.pos += 6
	return true
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? (RFC 8259, section 6).
func (s *scanner) number() bool {
	start := s.pos
	s.skip('-')
	if !s.skip('0') && s.digits() == 0 {
		return false
	}
	if s.skip('.') && s.digits() == 0 {
		return false
	}
	if s.skip('e') || s.skip('E') {
		if !s.skip('+') {
			s.skip('-')
		}
		if s.digits() == 0 {
			return false
		}
	}
	s.out = append(s.out, s.body[start:s.pos]...)
	return true
}

func (s *scanner) literal(word string) bool {
	if len(s.body)-s.pos < len(word) || string(s.body[s.pos:s.pos+len(word)]) != word {
		return false
	}
	s.pos += len(word)
	s.out = append(s.out, word...)
	return true
}

func (s *scanner) skip(c byte) bool {
	if s.pos < len(s.body) && s.body[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.body) && isDigit(s.body[s.pos]) {
		s.pos++
	}
	return s.pos - start
}

func (s *scanner) space() {
	for s.pos < len(s.body) {
		switch s.body[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// compare orders members by the raw text of their names; equal names keep their order.
func (s *scanner) compare(a, b member) int {
	if c := bytes.Compare(s.out[a.start+1:a.keyEnd-1], s.out[b.start+1:b.keyEnd-1]); c != 0 {
		return c
	}
	return a.start - b.start
}

// sort puts members, which fill out from first to its end, in the order of their names.
func (s *scanner) sort(members []member, first int) {
	slices.SortFunc(members, s.compare)
	s.spare = s.spare[:0]
	for i, m := range members {
		if i > 0 {
			s.spare = append(s.spare, ',')
		}
		s.spare = append(s.spare, s.out[m.start:m.end]...)
	}
	copy(s.out[first:], s.spare)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
