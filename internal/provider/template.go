package provider

import (
	"fmt"
	"strings"
)

// maxType is the most characters of an event type, as in the wire API.
const maxType = 256

// Template makes an event type: text with places in braces, for example
// "veriff.decision.{verification.status}". What comes out of a request is
// made fit for a type: every character outside [a-zA-Z0-9\-_.] becomes "_".
type Template struct {
	written string
	parts   []part
}

type part struct {
	literal string
	path    *Path // nil for a literal
}

// UnmarshalText reads the written form.
func (t *Template) UnmarshalText(b []byte) error {
	*t = Template{written: string(b)}
	rest := t.written
	for rest != "" {
		literal, place, found := strings.Cut(rest, "{")
		if literal != "" {
			if clean(literal) != literal {
				return fmt.Errorf("%q: event types are made of letters, digits, '-', '_' and '.'", literal)
			}
			t.parts = append(t.parts, part{literal: literal})
		}
		if !found {
			break
		}
		place, after, closed := strings.Cut(place, "}")
		if !closed {
			return fmt.Errorf("%q: the brace is not closed", b)
		}
		var p Path
		if err := p.UnmarshalText([]byte(place)); err != nil {
			return err
		}
		t.parts = append(t.parts, part{path: &p})
		rest = after
	}
	if len(t.parts) == 0 {
		return fmt.Errorf("the event type is empty")
	}
	return nil
}

// String is the written form.
func (t Template) String() string { return t.written }

// make fills the template in; false when a place has no value.
func (t *Template) make(r *request) (string, bool) {
	if len(t.parts) == 1 && t.parts[0].path == nil {
		return t.parts[0].literal, true
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.path == nil {
			b.WriteString(p.literal)
			continue
		}
		s := r.text(p.path)
		if s == "" {
			return "", false
		}
		b.WriteString(clean(s))
	}
	s := b.String()
	return s[:min(len(s), maxType)], true
}

// clean makes s fit for an event type. It gives s itself when there is nothing to do.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
			return c
		default:
			return '_'
		}
	}, s)
}
