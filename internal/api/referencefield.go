package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// referenceField is one line of the reference: a parameter or a field of a body.
type referenceField struct {
	Name, Type, Doc, Bounds string
	Required                bool
	Depth                   int
}

// describer puts schemas into words.
type describer struct{ schemas huma.Registry }

// deepest is how far fields are shown inside of fields.
const deepest = 5

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// resolve is s, or what it refers to.
func (d describer) resolve(s *huma.Schema) *huma.Schema {
	if s != nil && s.Ref != "" {
		if found := d.schemas.SchemaFromRef(s.Ref); found != nil {
			return found
		}
	}
	if s == nil {
		return &huma.Schema{}
	}
	return s
}

func (d describer) parameter(p *huma.Param) referenceField {
	s := d.resolve(p.Schema)
	f := d.field(p.Name, s)
	f.Doc, f.Required = p.Description, p.Required
	if s.Type == huma.TypeArray {
		f.Type += ", joined by commas"
	}
	return f
}

func (d describer) field(name string, s *huma.Schema) referenceField {
	doc := s.Description
	r := d.resolve(s)
	if doc == "" && s.Ref == "" {
		doc = r.Description
	}
	return referenceField{Name: name, Type: d.kind(s), Doc: doc, Bounds: d.bounds(r)}
}

// fields are those of an object, with the fields of its fields behind each.
func (d describer) fields(s *huma.Schema) []referenceField { return d.fieldsIn(nil, s, 0, nil) }

// fieldsIn adds the fields of s. open are the schemas that stand around, so that
// what refers to itself has an end.
func (d describer) fieldsIn(list []referenceField, s *huma.Schema, depth int, open []*huma.Schema) []referenceField {
	s = d.resolve(s)
	if depth > deepest || slices.Contains(open, s) {
		return list
	}
	open = append(slices.Clip(open), s)
	for i, one := range s.OneOf {
		list = append(list, referenceField{Name: []string{"either", "or"}[min(i, 1)], Type: "object", Doc: schemaName(one), Required: true, Depth: depth})
		list = d.fieldsIn(list, one, depth+1, open)
	}
	for _, name := range d.ordered(s) {
		p := s.Properties[name]
		f := d.field(name, p)
		f.Required, f.Depth = slices.Contains(s.Required, name), depth
		list = append(list, f)
		inner := d.resolve(p)
		for inner.Type == huma.TypeArray && inner.Items != nil {
			inner = d.resolve(inner.Items)
		}
		if of, ok := inner.AdditionalProperties.(*huma.Schema); ok {
			inner = d.resolve(of)
		}
		list = d.fieldsIn(list, inner, depth+1, open)
	}
	return list
}

// ordered are the fields of an object: what is required first, then by name.
func (d describer) ordered(s *huma.Schema) []string {
	names := sortedKeys(s.Properties)
	slices.SortStableFunc(names, func(a, b string) int {
		return boolRank(slices.Contains(s.Required, b)) - boolRank(slices.Contains(s.Required, a))
	})
	return names
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func schemaName(s *huma.Schema) string {
	return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
}

// kind is what a value is, in words.
func (d describer) kind(s *huma.Schema) string {
	s = d.resolve(s)
	text := s.Type
	switch {
	case s.Type == huma.TypeArray:
		text = "list of " + plural(d.kind(s.Items))
	case s.Type == huma.TypeObject:
		text = "object"
		if of, ok := s.AdditionalProperties.(*huma.Schema); ok {
			text = "object with " + plural(d.kind(of)) + " by name"
		} else if len(s.Properties) == 0 {
			text = "any object"
		}
	case s.Type == "":
		text = "any value"
	case s.Format == "date-time":
		text = "time"
	case s.Format == "uri":
		text = "URL"
	case s.ContentEncoding == "base64":
		text = "base64"
	}
	if s.Nullable {
		text += " or null"
	}
	return text
}

// plural is a kind of which there are several.
func plural(kind string) string {
	first, rest, more := strings.Cut(kind, " ")
	switch {
	case kind == "any object":
		return "objects"
	case kind == "any value":
		return "values"
	case kind == "base64":
		return kind
	case more:
		return first + "s " + rest
	}
	return kind + "s"
}

// bounds are the limits of a value, in words.
func (d describer) bounds(s *huma.Schema) string {
	var list []string
	add := func(text string) {
		if text != "" {
			list = append(list, text)
		}
	}
	if s.Type == huma.TypeArray {
		add(between(s.MinItems, s.MaxItems, " items"))
		if s.UniqueItems {
			add("none twice")
		}
		if of := d.bounds(d.resolve(s.Items)); of != "" {
			add("each " + of)
		}
	}
	words := make([]string, len(s.Enum))
	for i, v := range s.Enum {
		words[i] = fmt.Sprint(v)
	}
	add(strings.Join(words, ", "))
	add(between(s.Minimum, s.Maximum, ""))
	text := between(s.MinLength, s.MaxLength, " characters")
	if s.Pattern != "" {
		text = strings.TrimSpace(text + " " + letters(s.Pattern))
	}
	add(text)
	if raw, err := json.Marshal(s.Default); err == nil && s.Default != nil { // it may be a pointer
		add("default " + string(raw))
	}
	return strings.Join(list, "; ")
}

// between is a range with ends that may be open.
func between[T int | float64](low, high *T, unit string) string {
	end := func(v *T) string { return strconv.FormatFloat(float64(*v), 'f', -1, 64) + unit }
	switch {
	case low != nil && high != nil:
		return strings.TrimSuffix(end(low), unit) + " to " + end(high)
	case high != nil:
		return "at most " + end(high)
	case low != nil:
		return "at least " + end(low)
	}
	return ""
}

// letters puts a pattern that only says which characters there may be into words.
func letters(pattern string) string {
	class := regexp.MustCompile(`^\^\[((?:[^\]\\^]|\\.|[^\]\\]\^)+)\]\+\$$`).FindStringSubmatch(pattern)
	if class == nil {
		return "matching " + pattern
	}
	var words []string
	for rest := class[1]; rest != ""; {
		n := 1
		switch {
		case rest[0] == '\\':
			n = 2
		case len(rest) > 2 && rest[1] == '-':
			n = 3
		}
		words = append(words, strings.TrimPrefix(rest[:n], `\`))
		rest = rest[n:]
	}
	return "of " + strings.Join(words, " ")
}
