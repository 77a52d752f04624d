package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sigpost/sigpost/internal/hook"
)

// reader is one walk over a document and its destination, side by side.
type reader struct {
	doc     *document
	faults  Faults
	depth   int
	aliases int                 // aliases that the walk is inside of
	open    map[*yaml.Node]bool // their anchors
	stopped bool                // by too many aliased values; said once
}

func (r *reader) fault(n *yaml.Node, path, format string, args ...any) {
	r.faults = append(r.faults, Fault{Path: path, Line: n.Line, Message: fmt.Sprintf(format, args...)})
}

// value reads n, which stands at path, into to.
func (r *reader) value(n *yaml.Node, path string, to reflect.Value) {
	if !r.enter(n, path) {
		return
	}
	defer r.leave()
	if _, seen := r.doc.lines[path]; !seen {
		r.doc.lines[path] = n.Line
	}
	if n.Kind == yaml.AliasNode {
		r.alias(n, path, func(n *yaml.Node) { r.value(n, path, to) })
		return
	}
	if !plainTag(n) {
		r.fault(n, path, "tags are not understood; put a value that begins with ! in quotes")
		return
	}
	if isNull(n) {
		return // keeps what it has
	}
	r.typed(n, path, to)
}

func (r *reader) enter(n *yaml.Node, path string) bool {
	if r.aliases > 0 {
		r.doc.aliased++
	}
	if r.doc.aliased > maxAliased {
		if !r.stopped {
			r.fault(n, path, "aliases stand for more than %d values from here on; write them out, or use fewer", maxAliased)
		}
		r.stopped = true
	}
	if r.stopped {
		return false
	}
	if r.depth >= maxDepth {
		r.fault(n, path, "this is nested deeper than %d levels", maxDepth)
		return false
	}
	r.depth++
	return true
}

func (r *reader) leave() { r.depth-- }

// alias calls read with what the alias n stands for.
func (r *reader) alias(n *yaml.Node, path string, read func(*yaml.Node)) {
	anchor := n.Alias
	if r.open[anchor] {
		r.fault(n, path, "this alias stands inside the value that it stands for")
		return
	}
	r.open[anchor] = true
	r.aliases++
	read(anchor)
	r.aliases--
	delete(r.open, anchor)
}

var (
	rawType             = reflect.TypeFor[Raw]()
	secretType          = reflect.TypeFor[hook.Secret]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// typed reads n, which is neither alias nor null, by the type of to.
func (r *reader) typed(n *yaml.Node, path string, to reflect.Value) {
	t := to.Type()
	switch {
	case t == rawType:
		to.Set(reflect.ValueOf(Raw{doc: r.doc, node: n, path: path}))
	case t.Kind() == reflect.Pointer:
		if to.IsNil() {
			to.Set(reflect.New(t.Elem()))
		}
		r.typed(n, path, to.Elem())
	case reflect.PointerTo(t).Implements(textUnmarshalerType):
		r.scalar(n, path, to)
	case t.Kind() == reflect.Struct:
		r.structure(n, path, to)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		r.mapping(n, path, to)
	case t.Kind() == reflect.Slice:
		r.list(n, path, to)
	default:
		r.scalar(n, path, to)
	}
}

func (r *reader) list(n *yaml.Node, path string, to reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		r.mismatch(n, path, "a list", to.Type())
		return
	}
	out := reflect.MakeSlice(to.Type(), 0, len(n.Content))
	for i, child := range n.Content {
		at, item := element(path, i), reflect.New(to.Type().Elem()).Elem()
		if isNull(child) {
			r.fault(child, at, `this item is empty; remove it, or write "" for empty text`)
		} else {
			r.value(child, at, item)
		}
		out = reflect.Append(out, item) // faulty ones too: later items keep their index
		if r.stopped {
			break
		}
	}
	to.Set(out)
}

// mismatch says that n has the wrong shape: want names the right one.
func (r *reader) mismatch(n *yaml.Node, path, want string, t reflect.Type) {
	switch {
	case n.Kind == yaml.MappingNode:
		r.fault(n, path, "this must be %s, not a mapping (name: value)", want)
	case n.Kind == yaml.SequenceNode:
		r.fault(n, path, "this must be %s, not a list", want)
	case holdsSecret(t, nil):
		r.fault(n, path, "this must be %s, not a single value", want)
	case t.Kind() == reflect.Slice:
		r.fault(n, path, "%s must be %s; write [%s]", quote(n.Value), want, quote(n.Value))
	default:
		r.fault(n, path, "%s must be %s", quote(n.Value), want)
	}
}

// holdsSecret reports whether a value of type t may hold a secret, so that
// what was written in its place must not be shown.
func holdsSecret(t reflect.Type, seen []reflect.Type) bool {
	if t == secretType || t == rawType {
		return true
	}
	for _, s := range seen {
		if s == t {
			return false
		}
	}
	seen = append(seen, t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return holdsSecret(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() && holdsSecret(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// plainTag reports whether the value is of one of YAML's own plain types.
func plainTag(n *yaml.Node) bool {
	switch strings.TrimPrefix(n.Tag, "!!") {
	case "str", "int", "float", "bool", "null", "timestamp":
		return n.Kind == yaml.ScalarNode
	case "merge": // a "<<" that is no key
		return n.Kind == yaml.ScalarNode
	case "map":
		return n.Kind == yaml.MappingNode
	case "seq":
		return n.Kind == yaml.SequenceNode
	}
	return n.Tag == ""
}
