package strictyaml

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Fault is one thing that is wrong with a document.
type Fault struct {
	// Path is the key it is about, for example "sources[0].endpoints[1].url".
	// Keys with other characters than letters, digits, - and _ are in brackets
	// and quotes. Empty for the document as a whole.
	Path string `json:"path"`
	// Line counts from 1; 0 when there is none to name.
	Line int `json:"line"`
	// Message says what is wrong with which value, and the way out.
	Message string `json:"message"`
}

// String is the fault on one line: `line 7: sources[0].name: …`.
func (f Fault) String() string {
	var b strings.Builder
	if f.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", f.Line)
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Message)
	return b.String()
}

// Faults are all faults of a document, in its order.
type Faults []Fault

// Error is all faults, one a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// member is the path of the value under key in the mapping at path.
func member(path, key string) string {
	if key == "" || strings.ContainsFunc(key, isOdd) {
		return fmt.Sprintf("%s[%s]", path, quote(key))
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func isOdd(r rune) bool {
	return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// parent is the path of the mapping or list around path; empty for the root.
func parent(path string) string {
	if strings.HasSuffix(path, `"]`) {
		return path[:max(0, strings.LastIndex(path, `["`))]
	}
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// quote shows a value that somebody wrote, in quotes and at a bearable length.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return fmt.Sprintf("%q", s)
}
