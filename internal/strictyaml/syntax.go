package strictyaml

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// charactersFault names the first line that is not text. The parser finds
// these too, but does not say where.
func charactersFault(data []byte) *Fault {
	line := 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return &Fault{Line: line, Message: "this is not UTF-8 text; save the file as UTF-8"}
		case r == '\n':
			line++
		case r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return &Fault{Line: line, Message: "this line has a control character; remove it"}
		}
		i += size
	}
	return nil
}

var (
	syntaxLine    = regexp.MustCompile(`^line (\d+): `)
	lineFromZero  = regexp.MustCompile(`^did not find expected (<|node content|'-' indicator|key|',' or)`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntaxFault words what the parser said about data.
func syntaxFault(err error, data []byte) *Fault {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		// The name is left out: it may be a secret that begins with an asterisk.
		before, _, _ := bytes.Cut(data, []byte("*"+m[1]))
		return &Fault{Line: 1 + bytes.Count(before, []byte("\n")), Message: "there is no anchor for this alias (*…); put a value that begins with * in quotes"}
	}
	line := 1 // the parser leaves it out for the first
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
		if lineFromZero.MatchString(text) { // its scanner counts from one, its grammar from zero
			line++
		}
	}
	return &Fault{Line: line, Message: "this is not valid YAML: " + text + wayOut(text, data)}
}

// wayOut ends the message of a fault that the parser words as text.
func wayOut(text string, data []byte) string {
	switch {
	case strings.Contains(text, "cannot start any token") && bytes.ContainsRune(data, '\t'):
		return "; indent with spaces, never with tabs"
	case strings.Contains(text, "cannot start any token"):
		return "; put a value that begins with @, ` or % in quotes"
	case strings.Contains(text, "mapping values are not allowed"):
		return "; check the indentation, and put a value that has a colon and a space in quotes"
	case lineFromZero.MatchString(text):
		return "; check the indentation and brackets here and in the lines below"
	}
	return ""
}
