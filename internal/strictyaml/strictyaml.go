// Package strictyaml reads YAML into Go values and finds all faults at once,
// each with its line, its key and the way out: unknown, double and misplaced
// keys, values of the wrong type, aliases that blow up. It is the one home of
// the YAML library, and it never writes YAML.
//
// Destinations are structs (tags as in `yaml:"name"`; `yaml:",inline"` for an
// embedded struct), slices, maps with text keys, pointers, text, booleans and
// numbers, [time.Duration] ("5m"), everything with UnmarshalText, and [Raw].
// What a document leaves out, or leaves empty as in `name:`, keeps the value
// that the destination already has.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"

	"go.yaml.in/yaml/v3"
)

const (
	// maxDepth bounds nesting. Nothing that a person writes comes near it.
	maxDepth = 100
	// maxAliased bounds how many values all aliases of a document together
	// stand for. Nine lines of nested aliases can stand for a billion.
	maxAliased = 100_000
)

// Decoder decodes with options. The zero value has none.
type Decoder struct {
	// Scalar, if set, turns the text of every single value (never of a key)
	// into the text that is converted, for example to expand variables. It runs
	// after parsing, so what it returns is one value whatever characters it
	// has. path is where the value stands, as in Fault. Its error becomes the
	// message of a fault and must not hold the value, which may be a secret.
	Scalar func(path, value string) (string, error)
}

// Decode reads one YAML document into the value that into points to. The error
// is [Faults] with every fault of the document; into then holds what could be
// read. An empty document changes nothing. More than one document is a fault.
func Decode(data []byte, into any) error { return Decoder{}.Decode(data, into) }

// Decode is [Decode] with the options of d.
func (d Decoder) Decode(data []byte, into any) error {
	root, fault := parse(data)
	if fault != nil {
		return Faults{*fault}
	}
	if root == nil {
		return nil
	}
	return decodeNode(&document{scalar: d.Scalar, lines: map[string]int{}}, root, "", into)
}

// decodeNode decodes the value at path into what into points to.
func decodeNode(doc *document, n *yaml.Node, path string, into any) error {
	to := reflect.ValueOf(into)
	if to.Kind() != reflect.Pointer || to.IsNil() {
		return fmt.Errorf("decode YAML: the destination must be a pointer, not %T", into)
	}
	r := &reader{doc: doc, open: map[*yaml.Node]bool{}}
	r.value(n, path, to.Elem())
	if len(r.faults) == 0 {
		return nil
	}
	return r.faults
}

// parse is the root value of the only document in data; nil when it is empty.
func parse(data []byte) (root *yaml.Node, fault *Fault) {
	defer func() {
		if v := recover(); v != nil { // the library panics on some input that it thinks impossible
			root, fault = nil, &Fault{Message: "this is not valid YAML"}
		}
	}()
	if fault := charactersFault(data); fault != nil {
		return nil, fault
	}
	parser := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	err := parser.Decode(&first)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, syntaxFault(err, data)
	}
	err = parser.Decode(&second)
	if err == nil {
		return nil, &Fault{Line: second.Line, Message: "a second document begins here; there must be only one, so remove the line \"---\" above it"}
	}
	if !errors.Is(err, io.EOF) {
		return nil, syntaxFault(err, data)
	}
	if len(first.Content) == 0 {
		return nil, nil
	}
	return first.Content[0], nil
}
