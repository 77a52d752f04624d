package api

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigpost/sigpost/internal/hook"
)

func schemaOf[T any](r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

// Object is a JSON object, kept as it was written.
type Object json.RawMessage

// MarshalJSON writes the object; an empty one is {}.
func (o Object) MarshalJSON() ([]byte, error) {
	if len(o) == 0 {
		return []byte("{}"), nil
	}
	return o, nil
}

// UnmarshalJSON keeps the bytes, which must be UTF-8: they are written into
// answers as they are.
func (o *Object) UnmarshalJSON(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("has bytes that are not UTF-8, which JSON is made of")
	}
	*o = append((*o)[:0], raw...)
	return nil
}

// Schema of any object.
func (Object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// Maybe is a field of a PATCH: left out it changes nothing, null clears it.
type Maybe[T any] struct {
	Set   bool
	Null  bool
	Value T
}

// UnmarshalJSON notes that the field was there.
func (m *Maybe[T]) UnmarshalJSON(raw []byte) error {
	m.Set = true
	if string(raw) == "null" {
		m.Null = true
		return nil
	}
	return json.Unmarshal(raw, &m.Value)
}

// Schema of T, or null.
func (m Maybe[T]) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeFor[T](), false, "")
	s.Nullable = true
	return &s
}

// into puts the value into a field, when the PATCH has it.
func (m Maybe[T]) into(field *T) {
	switch {
	case m.Null:
		var zero T
		*field = zero
	case m.Set:
		*field = m.Value
	}
}

// Body is an answer, with the status of its operation unless it has its own.
type Body[T any] struct {
	Status int
	Body   T
}

func (b *Body[T]) orStatus(status int) {
	if b.Status == 0 {
		b.Status = status
	}
}

// None is an answer without a body.
type None struct{}

// Empty is the answer {}.
type Empty struct{}

func answer[T any](v T) *Body[T] { return &Body[T]{Body: v} }

func answerWith[T any](status int, v T) *Body[T] { return &Body[T]{Status: status, Body: v} }

// pointer is nil for the zero value: what is not set is left out of answers.
func pointer[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// value is what p points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// first is the first of the pointers that is set: fields that have two names.
func first[T any](ps ...*T) *T {
	for _, p := range ps {
		if p != nil {
			return p
		}
	}
	return nil
}

// orEmpty is m, never null in an answer.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// when is a time of an answer, in UTC.
func when(t time.Time) time.Time { return t.UTC() }

// Limits of what an owner may write about a thing.
const (
	metadataEntries = 50
	metadataBytes   = 4096
)

// checkMetadata bounds metadata, which is otherwise the owner's own affair.
func checkMetadata(m map[string]string) error {
	if len(m) > metadataEntries {
		return invalid("has more than 50 entries", "body", "metadata")
	}
	size := 0
	for k, v := range m {
		size += len(k) + len(v)
		if strings.ContainsRune(k, 0) || strings.ContainsRune(v, 0) {
			return invalid("holds a NUL character", "body", "metadata")
		}
	}
	if size > metadataBytes {
		return invalid("is longer than 4096 bytes", "body", "metadata")
	}
	return nil
}

// checkText refuses what cannot be shown, and what is too long.
func checkText(field, text string, most int) error {
	switch {
	case strings.ContainsRune(text, 0):
		return invalid("holds a NUL character", "body", field)
	case len(text) > most:
		return invalid("is too long", "body", field)
	}
	return nil
}

// distinct refuses a list that names something twice. (The library's own check
// cannot compare items of a wrong type.)
func distinct(field string, list []string) error {
	for i, x := range list {
		if slices.Contains(list[:i], x) {
			return invalid("has "+x+" twice", "body", field)
		}
	}
	return nil
}

// distinctAll does so for several lists by their fields.
func distinctAll(lists map[string][]string) error {
	for _, field := range slices.Sorted(maps.Keys(lists)) {
		if err := distinct(field, lists[field]); err != nil {
			return err
		}
	}
	return nil
}

// inPath says whether a name can stand alone in a path: . and .. mean something
// there, and no client would send them.
func inPath(name string) bool { return name != "." && name != ".." }

// keptUID is the uid of what a PUT replaces: the one in the body, or else the one
// in the path, which must go on naming it.
func keptUID(given *string, ref string, kind hook.Kind) *string {
	if given == nil && !strings.HasPrefix(ref, string(kind)) {
		return &ref
	}
	return given
}

// checkUID refuses an owner's id that looks like one of ours, or that no path can hold.
func checkUID(uid string, kind hook.Kind) error {
	if !inPath(uid) {
		return invalid("must not be . or .., which no URL can name", "body", "uid")
	}
	if strings.HasPrefix(uid, string(kind)) {
		return invalid("must not begin with "+string(kind)+", which is how our own ids begin", "body", "uid")
	}
	return nil
}
