package provider

import (
	"fmt"
	"strconv"
	"strings"
)

// Path is a place in a request where a rule looks for a value, written as
//
//	verification.id          a member of the JSON body; a number picks an element of an array
//	header:X-GitHub-Event    a request header
//	resource | last_segment  a place and what to do with the text that stands there
type Path struct {
	Header    string   // the header's name; empty for a place in the body
	Keys      []string // the names from the body's top down to the value
	Transform Transform

	node *node // where the scanner notes the value
}

// Transform turns the text at a place into the value that is wanted.
type Transform string

// LastSegment is the last segment of a URL's path: MetaMap names a
// verification by the URL of its resource.
const LastSegment Transform = "last_segment"

// UnmarshalText reads the written form.
func (p *Path) UnmarshalText(b []byte) error {
	place, transform, _ := strings.Cut(string(b), "|")
	place = strings.TrimSpace(place)
	*p = Path{Transform: Transform(strings.TrimSpace(transform))}
	if p.Transform != "" && p.Transform != LastSegment {
		return fmt.Errorf("%q is not a transform; there is one, %q", p.Transform, LastSegment)
	}
	if name, ok := strings.CutPrefix(place, "header:"); ok {
		p.Header = strings.TrimSpace(name)
		if p.Header == "" {
			return fmt.Errorf("%q names no header; write header:X-Event-Id", b)
		}
		return nil
	}
	p.Keys = strings.Split(place, ".")
	for _, key := range p.Keys {
		if key == "" {
			return fmt.Errorf("%q is not a path; write names with dots between them, for example data.order.id", b)
		}
	}
	return nil
}

// String is the written form.
func (p Path) String() string {
	s := strings.Join(p.Keys, ".")
	if p.Header != "" {
		s = "header:" + p.Header
	}
	if p.Transform != "" {
		s += " | " + string(p.Transform)
	}
	return s
}

// apply transforms the text at the place; empty means there is no value.
func (t Transform) apply(s string) string {
	if t != LastSegment {
		return s
	}
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	s = strings.TrimRight(s, "/")
	return s[strings.LastIndexByte(s, '/')+1:]
}

// node is a name in the tree of all body paths of a definition. The scanner
// walks down this tree while it walks down the body, so that a body without
// the asked-for names costs next to nothing.
type node struct {
	key      string
	index    int // key as an array index, or -1
	children []*node
	slot     int // where the scanner notes the value
	last     int // one past the slots of this node and all below it
}

// add returns the node for keys, making what is missing on the way.
func (n *node) add(keys []string) *node {
	for _, key := range keys {
		next := n.child([]byte(key))
		if next == nil {
			next = &node{key: key, index: -1}
			if i, err := strconv.Atoi(key); err == nil && i >= 0 {
				next.index = i
			}
			n.children = append(n.children, next)
		}
		n = next
	}
	return n
}

// number gives every node its slot, parents before children, so that the
// slots of a subtree stand together. It returns the next free slot.
func (n *node) number(slot int) int {
	n.slot = slot
	slot++
	for _, c := range n.children {
		slot = c.number(slot)
	}
	n.last = slot
	return slot
}

// child is the node for a member of an object; nil when no rule asks for it.
// key is as written in the body, escapes and all.
func (n *node) child(key []byte) *node {
	if n == nil || len(n.children) == 0 {
		return nil
	}
	name := key
	if hasEscape(key) {
		name = unescape(key)
	}
	for _, c := range n.children {
		if c.key == string(name) {
			return c
		}
	}
	return nil
}

// element is the node for the i-th element of an array; nil when no rule asks for it.
func (n *node) element(i int) *node {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.index == i {
			return c
		}
	}
	return nil
}
