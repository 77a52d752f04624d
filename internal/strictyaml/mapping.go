package strictyaml

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pair is one key of a mapping with its value.
type pair struct {
	key        string
	name, node *yaml.Node
}

// pairs are the keys of the mapping n and those that it merges in with "<<",
// where its own win. Double and misshapen keys are faults and left out.
func (r *reader) pairs(n *yaml.Node, path string) []pair {
	var out []pair
	var merged []*yaml.Node
	own := map[string]int{} // first line by key
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, node := n.Content[i], n.Content[i+1]
		if name.Kind == yaml.AliasNode {
			name = name.Alias
		}
		if name.Kind != yaml.ScalarNode {
			r.fault(n.Content[i], path, "a key must be text, not a list or a mapping")
			continue
		}
		if name.Tag == "!!merge" {
			merged = append(merged, node)
			continue
		}
		if first, twice := own[name.Value]; twice {
			r.fault(name, member(path, name.Value), "this key is there twice, first in line %d; remove one", first)
			continue
		}
		own[name.Value] = name.Line
		out = append(out, pair{name.Value, name, node})
	}
	for _, node := range merged {
		r.merge(node, path, func(p pair) {
			if _, taken := own[p.key]; !taken {
				own[p.key] = p.name.Line
				out = append(out, p)
			}
		})
	}
	return out
}

// merge calls add with every pair of the mapping that n stands for, or of
// each in a list of them.
func (r *reader) merge(n *yaml.Node, path string, add func(pair)) {
	if !r.enter(n, path) {
		return
	}
	defer r.leave()
	switch n.Kind {
	case yaml.AliasNode:
		r.alias(n, path, func(n *yaml.Node) { r.merge(n, path, add) })
	case yaml.SequenceNode:
		for _, child := range n.Content {
			r.merge(child, path, add)
		}
	case yaml.MappingNode:
		for _, p := range r.pairs(n, path) {
			if r.aliases > 0 {
				r.doc.aliased++ // a pair is work even when its value is never read
			}
			add(p)
		}
	default:
		r.fault(n, path, "<< merges mappings only; write <<: *name with the anchor &name at a mapping")
	}
}

func (r *reader) mapping(n *yaml.Node, path string, to reflect.Value) {
	if n.Kind != yaml.MappingNode {
		r.mismatch(n, path, "a mapping (name: value)", to.Type())
		return
	}
	out := reflect.MakeMap(to.Type())
	for _, p := range r.pairs(n, path) {
		at, item := member(path, p.key), reflect.New(to.Type().Elem()).Elem()
		if isNull(p.node) {
			r.fault(p.name, at, `this key has no value; remove it, or write "" for empty text`)
			continue
		}
		r.value(p.node, at, item)
		out.SetMapIndex(reflect.ValueOf(p.key).Convert(to.Type().Key()), item)
	}
	to.Set(out)
}

func (r *reader) structure(n *yaml.Node, path string, to reflect.Value) {
	if n.Kind != yaml.MappingNode {
		r.mismatch(n, path, "a mapping (name: value)", to.Type())
		return
	}
	known := fields(to)
	for _, p := range r.pairs(n, path) {
		at := member(path, p.key)
		field, ok := known.byName[p.key]
		if !ok {
			r.fault(p.name, at, "this key is not known%s", known.hint(p.key))
			continue
		}
		r.value(p.node, at, field)
	}
}

// fieldSet are the fields of a struct by the names that documents use.
type fieldSet struct {
	names  []string // in the order of the struct
	byName map[string]reflect.Value
}

func fields(to reflect.Value) *fieldSet {
	set := &fieldSet{byName: map[string]reflect.Value{}}
	set.add(to)
	return set
}

func (set *fieldSet) add(to reflect.Value) {
	for f, value := range to.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case options == "inline" && f.Type.Kind() == reflect.Struct:
			set.add(value)
		case !f.IsExported():
		default:
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			set.names = append(set.names, name)
			set.byName[name] = value
		}
	}
}

// hint ends a fault about a key that is none of the set.
func (set *fieldSet) hint(key string) string {
	if hint := DidYouMean(key, set.names); hint != "" {
		return "; " + hint
	}
	return "; there are " + strings.Join(set.names, ", ")
}
