package api

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Bounds of a payload that is made from a schema.
const (
	sampledValues = 1000
	sampledDepth  = 12
	sampledText   = 1000
)

// sampler makes a value that a JSON Schema would take, as far as it can tell
// without solving it: patterns are beyond it.
type sampler struct {
	root   map[string]any
	index  int // which of the examples of the root
	now    time.Time
	values int
}

// value is a value of a schema; null where a bound is reached.
func (s *sampler) value(schema any, depth int) any {
	m, ok := schema.(map[string]any)
	if s.values++; !ok || depth > sampledDepth || s.values > sampledValues {
		return nil
	}
	if v, ok := s.given(m, depth); ok {
		return v
	}
	if ref, ok := m["$ref"].(string); ok {
		to, err := (&inliner{doc: s.root}).find(ref)
		if err != nil {
			return nil
		}
		return s.value(to, depth+1)
	}
	for _, word := range []string{"oneOf", "anyOf"} {
		if list, ok := m[word].([]any); ok && len(list) > 0 {
			return s.joined(m, list[:1], depth)
		}
	}
	if list, ok := m["allOf"].([]any); ok && len(list) > 0 {
		return s.joined(m, list, depth)
	}
	return s.typed(m, depth)
}

// given is a value that the schema names itself.
func (s *sampler) given(m map[string]any, depth int) (any, bool) {
	if list, ok := m["examples"].([]any); ok && len(list) > 0 {
		at := 0
		if depth == 0 {
			at = min(s.index, len(list)-1)
		}
		return list[at], true
	}
	for _, word := range []string{"example", "const", "default"} {
		if v, ok := m[word]; ok {
			return v, true
		}
	}
	if list, ok := m["enum"].([]any); ok && len(list) > 0 {
		return list[0], true
	}
	return nil, false
}

// joined is a value of several schemas: objects are put together.
func (s *sampler) joined(m map[string]any, list []any, depth int) any {
	var last any
	all := map[string]any{}
	if _, ok := m["properties"]; ok {
		all = s.object(m, depth)
	}
	for _, part := range list {
		last = s.value(part, depth+1)
		if o, ok := last.(map[string]any); ok {
			maps.Copy(all, o)
		}
	}
	if _, ok := last.(map[string]any); ok || len(all) > 0 {
		return all
	}
	return last
}

func (s *sampler) typed(m map[string]any, depth int) any {
	switch typeOf(m) {
	case "object":
		return s.object(m, depth)
	case "array":
		return s.array(m, depth)
	case "string":
		return s.text(m)
	case "integer":
		return int64(math.Ceil(number(m, 1)))
	case "number":
		return number(m, 0.5)
	case "boolean":
		return true
	}
	return nil
}

// typeOf is the type of a schema, also of one that only implies it.
func typeOf(m map[string]any) string {
	switch t := m["type"].(type) {
	case string:
		return t
	case []any:
		for _, one := range t {
			if name, ok := one.(string); ok && name != "null" {
				return name
			}
		}
		return "null"
	}
	switch {
	case m["properties"] != nil:
		return "object"
	case m["items"] != nil:
		return "array"
	}
	return "object"
}

func (s *sampler) object(m map[string]any, depth int) map[string]any {
	out := map[string]any{}
	properties, _ := m["properties"].(map[string]any)
	required, _ := m["required"].([]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		// Deep down only what must be there is, so that recursive schemas end early.
		if depth < sampledDepth/3 || slices.Contains(required, any(name)) {
			out[name] = s.value(properties[name], depth+1)
		}
	}
	return out
}

func (s *sampler) array(m map[string]any, depth int) []any {
	const most = 10
	n := int(min(most, max(1, bound(m, "minItems", 1))))
	if bound(m, "maxItems", 1) < 1 || depth >= sampledDepth {
		n = 0
	}
	out := make([]any, 0, n)
	for range n {
		out = append(out, s.value(m["items"], depth+1))
	}
	return out
}

func (s *sampler) text(m map[string]any) string {
	format, _ := m["format"].(string)
	text := "text"
	switch format {
	case "date-time":
		text = s.now.UTC().Format(time.RFC3339)
	case "date":
		text = s.now.UTC().Format(time.DateOnly)
	case "time":
		text = s.now.UTC().Format("15:04:05Z")
	case "duration":
		text = "PT1H"
	case "email", "idn-email":
		text = "user@example.com"
	case "hostname", "idn-hostname":
		text = "example.com"
	case "ipv4":
		text = "192.0.2.1"
	case "ipv6":
		text = "2001:db8::1"
	case "uri", "url", "iri", "uri-reference":
		text = "https://example.com/"
	case "uuid":
		text = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
	}
	if least := int(min(bound(m, "minLength", 0), sampledText)); len(text) < least {
		text += strings.Repeat("x", least-len(text))
	}
	if most := int(max(0, min(bound(m, "maxLength", sampledText), sampledText))); len(text) > most {
		text = text[:most]
	}
	return text
}

// number is a number within the bounds of a schema, usual where it may be.
func number(m map[string]any, usual float64) float64 {
	v := max(usual, bound(m, "minimum", usual))
	if _, ok := m["exclusiveMinimum"].(json.Number); ok {
		v = max(v, bound(m, "exclusiveMinimum", v)+1)
	}
	if most := bound(m, "maximum", v); most < v {
		v = most
	}
	if most, ok := m["exclusiveMaximum"].(json.Number); ok {
		if f, err := most.Float64(); err == nil && f <= v {
			v = f - 1
		}
	}
	if step := bound(m, "multipleOf", 0); step > 0 {
		v = math.Ceil(v/step) * step
	}
	const most = 1 << 53 // beyond it a JSON number is not exact everywhere
	return min(max(v, -most), most)
}

// bound is a number of a schema, or another where it has none.
func bound(m map[string]any, word string, or float64) float64 {
	n, ok := m[word].(json.Number)
	if !ok {
		return or
	}
	f, err := n.Float64()
	if err != nil {
		return or
	}
	return f
}
