package signature

import (
	"fmt"
	"strings"
)

// field is what a piece of the signed content stands for.
type field uint8

const (
	literal field = iota
	body
	timestamp
	id
	url
	method
)

// piece is one part of the signed content: fixed text or a field of the request.
type piece struct {
	field field
	text  string // of a literal
}

// message holds the fields that signed content is made of.
type message struct {
	id, timestamp, url, method string
	body                       []byte
}

// parseContent cuts a template into its pieces. The order is the template's.
func parseContent(template string) ([]piece, error) {
	var pieces []piece
	for rest := template; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			return append(pieces, piece{text: rest}), nil
		}
		if open > 0 {
			pieces = append(pieces, piece{text: rest[:open]})
		}
		name, after, ok := strings.Cut(rest[open+1:], "}")
		if !ok {
			return nil, fmt.Errorf("%q has a { without its }", template)
		}
		f, ok := fieldNamed(name)
		if !ok {
			return nil, fmt.Errorf("{%s} is not known; use {body}, {timestamp}, {id}, {url} or {method}", name)
		}
		pieces = append(pieces, piece{field: f})
		rest = after
	}
	return pieces, nil
}

func fieldNamed(name string) (field, bool) {
	switch name {
	case "body":
		return body, true
	case "timestamp":
		return timestamp, true
	case "id":
		return id, true
	case "url":
		return url, true
	case "method":
		return method, true
	}
	return literal, false
}

func has(pieces []piece, f field) bool {
	for _, p := range pieces {
		if p.field == f {
			return true
		}
	}
	return false
}

// of is the text of a piece other than the body.
func (p piece) of(m *message) string {
	switch p.field {
	case timestamp:
		return m.timestamp
	case id:
		return m.id
	case url:
		return m.url
	case method:
		return m.method
	}
	return p.text
}

// join writes the whole signed content into one slice. Only Ed25519 needs it;
// HMACs are fed piece by piece, so that the body is not copied.
func join(pieces []piece, m *message) []byte {
	if len(pieces) == 1 && pieces[0].field == body {
		return m.body
	}
	size := 0
	for _, p := range pieces {
		if p.field == body {
			size += len(m.body)
		} else {
			size += len(p.of(m))
		}
	}
	content := make([]byte, 0, size)
	for _, p := range pieces {
		if p.field == body {
			content = append(content, m.body...)
		} else {
			content = append(content, p.of(m)...)
		}
	}
	return content
}
