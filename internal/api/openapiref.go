package api

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Bounds of one schema with all that it refers to: a few lines that refer to each
// other can stand for a billion.
const (
	inlinedValues = 20_000
	inlinedBytes  = 8 << 20 // of a whole document, with all that is referred to
	inlinedDepth  = 100
)

// inliner puts what a document refers to in the place of each reference.
type inliner struct {
	doc    map[string]any
	values int
	bytes  int
	open   map[string]bool // the references that stand around
}

// object is v, or what it refers to, when it is an object; else an empty one.
func (d *inliner) object(v any) (map[string]any, error) {
	for range inlinedDepth {
		m, _ := v.(map[string]any)
		ref, ok := m["$ref"].(string)
		if !ok {
			return m, nil
		}
		var err error
		if v, err = d.find(ref); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("its references lead in a circle")
}

// inline is v without references. A reference to what stands around it becomes {},
// which takes anything: it cannot be written out.
func (d *inliner) inline(v any, depth int) (any, error) {
	d.values++
	d.bytes += weight(v)
	if d.values > inlinedValues || d.bytes > inlinedBytes || depth > inlinedDepth {
		return nil, fmt.Errorf("has a schema that is too large or too deep with all that it refers to")
	}
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = d.inline(v[i], depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			return d.reference(ref, v, depth)
		}
		out := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			var err error
			if out[key], err = d.inline(v[key], depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// reference is what ref stands for, with what was written beside it.
func (d *inliner) reference(ref string, beside map[string]any, depth int) (any, error) {
	if d.open[ref] {
		return map[string]any{}, nil
	}
	to, err := d.find(ref)
	if err != nil {
		return nil, err
	}
	d.open[ref] = true
	defer delete(d.open, ref)
	got, err := d.inline(to, depth+1)
	if err != nil {
		return nil, err
	}
	out, ok := got.(map[string]any)
	if !ok {
		return got, nil
	}
	for _, key := range slices.Sorted(maps.Keys(beside)) {
		if key == "$ref" {
			continue
		}
		if out[key], err = d.inline(beside[key], depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// weight is about how long v is as JSON, without what is in it.
func weight(v any) int {
	switch v := v.(type) {
	case string:
		return len(v) + 2
	case map[string]any:
		n := 2
		for key := range v {
			n += len(key) + 4
		}
		return n
	}
	return 8
}

// find is what a reference within the document points to (RFC 6901).
func (d *inliner) find(ref string) (any, error) {
	if ref == "#" {
		return d.doc, nil
	}
	const longestRef = 1024
	if len(ref) > longestRef {
		return nil, fmt.Errorf("has a reference of more than %d characters", longestRef)
	}
	pointer, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, fmt.Errorf("refers to %q outside of the document; put it under components", clip(ref))
	}
	if plain, err := url.PathUnescape(pointer); err == nil {
		pointer = plain
	}
	var at any = d.doc
	for part := range strings.SplitSeq(pointer, "/") {
		m, _ := at.(map[string]any)
		if at, ok = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]; !ok {
			return nil, fmt.Errorf("refers to %q, which the document does not have", clip(ref))
		}
	}
	return at, nil
}
