package strictyaml

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// document is what the readings of one document share.
type document struct {
	scalar  func(path, value string) (string, error)
	lines   map[string]int // of every value that was read, by path
	aliased int            // values read through aliases so far
}

// line is that of the value at path or, where nothing stands there, of what
// is around it.
func (doc *document) line(path string) int {
	for {
		if line, ok := doc.lines[path]; ok || path == "" {
			return line
		}
		path = parent(path)
	}
}

// Raw is a part of a document that is decoded later, by somebody who knows
// what it must be. It keeps its path, its lines and the decoder's options.
// The zero Raw is what a missing key leaves. All Raws of one document together
// serve one goroutine.
type Raw struct {
	doc  *document
	node *yaml.Node
	path string
}

// IsZero reports whether there is no value.
func (r Raw) IsZero() bool { return r.node == nil }

// IsText reports whether the value is a single one: neither list nor mapping.
func (r Raw) IsText() bool {
	n := r.node
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n != nil && n.Kind == yaml.ScalarNode
}

// Path is where the value stands in its document.
func (r Raw) Path() string { return r.path }

// Decode reads the value into what into points to; see the package's [Decode].
// The faults have paths and lines of the whole document.
func (r Raw) Decode(into any) error {
	if r.IsZero() {
		return nil
	}
	return decodeNode(r.doc, r.node, r.path, into)
}

// Fault makes a fault of a value that was decoded from r and turned out wrong
// by rules other than its type's. at is its path below r ("endpoints[1].url";
// empty for r itself). Where nothing stands there the line is that of the
// nearest value around it.
func (r Raw) Fault(at, format string, args ...any) Fault {
	f := Fault{Path: r.path, Message: fmt.Sprintf(format, args...)}
	switch {
	case at == "":
	case r.path == "" || at[0] == '[':
		f.Path += at
	default:
		f.Path += "." + at
	}
	if r.doc != nil {
		f.Line = r.doc.line(f.Path)
	}
	return f
}
