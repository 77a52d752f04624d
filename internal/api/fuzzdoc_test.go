package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// fuzzDoc is what the OpenAPI document says, read as a client would read it: the
// library that wrote it has no part in judging the answers.
type fuzzDoc struct {
	Paths      map[string]map[string]*fuzzOp `json:"paths"`
	Components struct {
		Schemas map[string]*fuzzSchema `json:"schemas"`
	} `json:"components"`

	ops      []*fuzzOp
	patterns map[string]*regexp.Regexp
}

// fuzzOp is one operation.
type fuzzOp struct {
	method, path string

	ID         string `json:"operationId"`
	Parameters []struct {
		Name     string      `json:"name"`
		In       string      `json:"in"`
		Required bool        `json:"required"`
		Schema   *fuzzSchema `json:"schema"`
	} `json:"parameters"`
	RequestBody *struct {
		Content fuzzContent `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content fuzzContent `json:"content"`
	} `json:"responses"`
}

type fuzzContent map[string]struct {
	Schema *fuzzSchema `json:"schema"`
}

// fuzzSchema has every keyword that the document uses; one that is not here is an
// error, for what the judge does not know he would let pass.
type fuzzSchema struct {
	Ref         string                 `json:"$ref"`
	Type        fuzzTypes              `json:"type"`
	Properties  map[string]*fuzzSchema `json:"properties"`
	Required    []string               `json:"required"`
	Additional  *fuzzAdditional        `json:"additionalProperties"`
	Items       *fuzzSchema            `json:"items"`
	OneOf       []*fuzzSchema          `json:"oneOf"`
	Enum        []any                  `json:"enum"`
	Format      string                 `json:"format"`
	Encoding    string                 `json:"contentEncoding"`
	Pattern     string                 `json:"pattern"`
	MinLength   int                    `json:"minLength"`
	MaxLength   *int                   `json:"maxLength"`
	MaxItems    *int                   `json:"maxItems"`
	Unique      bool                   `json:"uniqueItems"`
	Minimum     *float64               `json:"minimum"`
	Maximum     *float64               `json:"maximum"`
	Default     any                    `json:"default"`
	Description string                 `json:"description"`
}

// fuzzTypes is one type or several.
type fuzzTypes []string

func (t *fuzzTypes) UnmarshalJSON(raw []byte) error {
	if raw[0] == '[' {
		return json.Unmarshal(raw, (*[]string)(t))
	}
	*t = make(fuzzTypes, 1)
	return json.Unmarshal(raw, &(*t)[0])
}

// fuzzAdditional is false, true (a schema of nothing) or a schema.
type fuzzAdditional struct {
	allowed bool
	schema  *fuzzSchema
}

func (a *fuzzAdditional) UnmarshalJSON(raw []byte) error {
	if raw[0] != '{' {
		return json.Unmarshal(raw, &a.allowed)
	}
	a.allowed = true
	return strictJSON(raw, &a.schema)
}

func strictJSON(raw []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// readFuzzDoc reads a document. Schemas are read strictly, the rest is not.
func readFuzzDoc(raw []byte) (*fuzzDoc, error) {
	d := &fuzzDoc{patterns: map[string]*regexp.Regexp{}}
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, err
	}
	var strict struct {
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(raw, &strict); err != nil {
		return nil, err
	}
	for name, text := range strict.Components.Schemas {
		if err := strictJSON(text, new(fuzzSchema)); err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			op := d.Paths[path][method]
			op.method, op.path = strings.ToUpper(method), path
			d.ops = append(d.ops, op)
		}
	}
	return d, nil
}

// match is the operation that a path as it was escaped is for; nil when there is
// none. A slash at the end does not count.
func (d *fuzzDoc) match(method, escaped string) *fuzzOp {
	if method == "HEAD" {
		method = "GET"
	}
	given := strings.Split(strings.TrimSuffix(escaped, "/"), "/")
	var best *fuzzOp
	for _, op := range d.ops {
		if op.method != method || !op.fits(given) {
			continue
		}
		if best == nil || strings.Count(op.path, "{") < strings.Count(best.path, "{") {
			best = op
		}
	}
	return best
}

func (op *fuzzOp) fits(given []string) bool {
	parts := strings.Split(op.path, "/")
	if len(parts) != len(given) {
		return false
	}
	for i, part := range parts {
		plain, err := url.PathUnescape(given[i])
		if err != nil || plain == "" && part != "" || !strings.HasPrefix(part, "{") && plain != part {
			return false
		}
	}
	return true
}

func (d *fuzzDoc) resolve(s *fuzzSchema) *fuzzSchema {
	for s.Ref != "" {
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}

func (d *fuzzDoc) pattern(text string) *regexp.Regexp {
	if d.patterns[text] == nil {
		d.patterns[text] = regexp.MustCompile(text)
	}
	return d.patterns[text]
}

// judge says what is wrong with a value by its schema; "" when it is right.
// Numbers are json.Number.
func (d *fuzzDoc) judge(v any, s *fuzzSchema, at string) string {
	s = d.resolve(s)
	if len(s.OneOf) > 0 {
		fits := 0
		for _, one := range s.OneOf {
			if d.judge(v, one, at) == "" {
				fits++
			}
		}
		if fits != 1 {
			return fmt.Sprintf("%s: fits %d of the schemas of oneOf", at, fits)
		}
	}
	kind, whole := jsonType(v)
	if len(s.Type) > 0 && !slices.Contains(s.Type, kind) && !(whole && slices.Contains(s.Type, "integer")) {
		return fmt.Sprintf("%s: is %s, not %s", at, kind, strings.Join(s.Type, " or "))
	}
	if len(s.Enum) > 0 && v != nil && !slices.ContainsFunc(s.Enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(v) }) {
		return fmt.Sprintf("%s: %v is none of %v", at, v, s.Enum)
	}
	switch v := v.(type) {
	case string:
		return d.judgeText(v, s, at)
	case json.Number:
		return judgeNumber(v, s, at)
	case []any:
		return d.judgeList(v, s, at)
	case map[string]any:
		return d.judgeObject(v, s, at)
	}
	return ""
}

// jsonType is the type of a value; whole says that a number has no fraction.
func jsonType(v any) (kind string, whole bool) {
	switch v := v.(type) {
	case nil:
		return "null", false
	case bool:
		return "boolean", false
	case string:
		return "string", false
	case json.Number:
		return "number", !strings.ContainsAny(v.String(), ".eE")
	case []any:
		return "array", false
	}
	return "object", false
}

func (d *fuzzDoc) judgeText(v string, s *fuzzSchema, at string) string {
	n := utf8.RuneCountInString(v)
	switch {
	case n < s.MinLength, s.MaxLength != nil && n > *s.MaxLength:
		return fmt.Sprintf("%s: has %d characters", at, n)
	case s.Pattern != "" && !d.pattern(s.Pattern).MatchString(v):
		return fmt.Sprintf("%s: %q does not match %s", at, v, s.Pattern)
	}
	var err error
	switch {
	case s.Format == "date-time":
		_, err = time.Parse(time.RFC3339Nano, v)
	case s.Format == "uri":
		_, err = url.Parse(v)
	case s.Encoding == "base64":
		_, err = base64.StdEncoding.DecodeString(v)
	}
	if err != nil {
		return fmt.Sprintf("%s: %v", at, err)
	}
	return ""
}

func judgeNumber(v json.Number, s *fuzzSchema, at string) string {
	n, err := v.Float64()
	if s.Format == "int64" && err == nil {
		_, err = v.Int64()
	}
	if err != nil || s.Minimum != nil && n < *s.Minimum || s.Maximum != nil && n > *s.Maximum {
		return fmt.Sprintf("%s: %s is out of range", at, v)
	}
	return ""
}

func (d *fuzzDoc) judgeList(v []any, s *fuzzSchema, at string) string {
	if s.MaxItems != nil && len(v) > *s.MaxItems {
		return fmt.Sprintf("%s: has %d items", at, len(v))
	}
	seen := map[string]bool{}
	for i, item := range v {
		if text := fmt.Sprint(item); s.Unique && seen[text] {
			return fmt.Sprintf("%s: has %s twice", at, text)
		} else {
			seen[text] = true
		}
		if s.Items == nil {
			continue
		}
		if wrong := d.judge(item, s.Items, fmt.Sprintf("%s[%d]", at, i)); wrong != "" {
			return wrong
		}
	}
	return ""
}

func (d *fuzzDoc) judgeObject(v map[string]any, s *fuzzSchema, at string) string {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Sprintf("%s: has no %s", at, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		of := s.Properties[name]
		if of == nil {
			switch {
			case len(s.Properties) > 0:
				// Receivers ignore what they do not know, but what we send we declare.
				return fmt.Sprintf("%s: %s is not in the document", at, name)
			case s.Additional == nil || s.Additional.allowed && s.Additional.schema == nil:
				continue
			case !s.Additional.allowed:
				return fmt.Sprintf("%s: %s is not allowed", at, name)
			}
			of = s.Additional.schema
		}
		if wrong := d.judge(v[name], of, at+"."+name); wrong != "" {
			return wrong
		}
	}
	return ""
}
