package signature

import "bytes"

// rewrite is one thing that happens to bodies on the way.
type rewrite struct {
	body               []byte
	code, message, fix string
}

const (
	parserMessage = "a body parser re-wrote the bytes: "
	parserFix     = "give the raw body to whoever verifies or forwards it, before any parser; in a framework ask for the raw body"
)

// rewrites are the bodies that may have been signed when body is what came,
// each different from it.
func rewrites(body []byte) []rewrite {
	trimmed := bytes.TrimRight(body, "\r\n")
	all := []rewrite{
		{trimmed, CodeTrailingNewline, "a newline was added at the end of the body after it was signed", "send the bytes that were signed; many editors and `echo` add a newline (printf does not)"},
		{append(bytes.Clone(trimmed), '\n'), CodeTrailingNewline, "the newline at the end of the body was cut after it was signed", parserFix},
		{bytes.TrimSpace(body), CodeTrailingNewline, "white space was added around the body after it was signed", "send the bytes that were signed"},
		{bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), CodeLineEndings, "line endings were changed to CRLF after the body was signed", parserFix},
		{bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n")), CodeLineEndings, "line endings were changed from CRLF after the body was signed", parserFix},
		{bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), CodeBodyReindented, "a byte order mark was put before the body after it was signed", "send the bytes that were signed"},
	}
	if compact, ok := respace(body, "", ""); ok {
		all = append(all,
			rewrite{compact, CodeBodyReindented, parserMessage + "white space was added; the compact form is what was signed", parserFix},
			rewrite{append(bytes.Clone(compact), '\n'), CodeBodyReindented, parserMessage + "white space was added; the compact form with a newline is what was signed", parserFix})
	}
	for _, form := range []struct{ indent, colon string }{{"  ", " "}, {"    ", " "}, {"\t", " "}, {"   ", " "}, {" ", " "}} {
		pretty, ok := respace(body, form.indent, form.colon)
		if !ok {
			break
		}
		all = append(all,
			rewrite{pretty, CodeBodyCompacted, parserMessage + "the indented form is what was signed", parserFix},
			rewrite{append(bytes.Clone(pretty), '\n'), CodeBodyCompacted, parserMessage + "the indented form with a newline is what was signed", parserFix})
	}
	if spaced, ok := spaced(body); ok {
		all = append(all, rewrite{spaced, CodeBodyCompacted, parserMessage + "the form with a space after each colon and comma is what was signed", parserFix})
	}
	differing := all[:0]
	for _, c := range all {
		if !bytes.Equal(c.body, body) {
			differing = append(differing, c)
		}
	}
	return differing
}

// respace writes JSON with other white space between its tokens, or none when
// indent is empty. It is a scanner that knows strings from the rest and nothing
// more, so it is linear and cannot be made to recurse. False for what has no
// brackets or outgrows four times its length.
func respace(body []byte, indent, colon string) ([]byte, bool) {
	if !looksLikeJSON(body) {
		return nil, false
	}
	limit := 4*len(body) + 1024
	out := make([]byte, 0, len(body)+len(body)/2)
	depth := 0
	newline := func() {
		if indent == "" {
			return
		}
		out = append(out, '\n')
		for i := 0; i < depth && len(out) <= limit; i++ {
			out = append(out, indent...)
		}
	}
	for i := 0; i < len(body); {
		if len(out) > limit {
			return nil, false
		}
		switch c := body[i]; c {
		case ' ', '\t', '\r', '\n':
			i++
			continue
		case '"':
			end := stringEnd(body, i)
			out = append(out, body[i:end]...)
			i = end
			continue
		case '{', '[':
			out = append(out, c)
			depth++
			if next := skipSpace(body, i+1); next < len(body) && body[next] == c+2 { // {} and []
				out = append(out, body[next])
				depth--
				i = next + 1
				continue
			}
			newline()
		case '}', ']':
			depth--
			newline()
			out = append(out, c)
		case ',':
			out = append(out, c)
			newline()
		case ':':
			out = append(append(out, c), colon...)
		default:
			out = append(out, c)
		}
		i++
	}
	return out, true
}

// spaced writes JSON the way Python does: a space after each colon and comma.
func spaced(body []byte) ([]byte, bool) {
	compact, ok := respace(body, "", "")
	if !ok {
		return nil, false
	}
	out := make([]byte, 0, len(compact)+len(compact)/4)
	for i := 0; i < len(compact); {
		if compact[i] == '"' {
			end := stringEnd(compact, i)
			out = append(out, compact[i:end]...)
			i = end
			continue
		}
		out = append(out, compact[i])
		if compact[i] == ',' || compact[i] == ':' {
			out = append(out, ' ')
		}
		i++
	}
	return out, true
}

func looksLikeJSON(body []byte) bool {
	i := skipSpace(body, 0)
	return i < len(body) && (body[i] == '{' || body[i] == '[')
}

func skipSpace(body []byte, i int) int {
	for i < len(body) && (body[i] == ' ' || body[i] == '\t' || body[i] == '\r' || body[i] == '\n') {
		i++
	}
	return i
}

// stringEnd is the place after the string that begins at i.
func stringEnd(body []byte, i int) int {
	for i++; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(body)
}

// unclosed says whether body begins as JSON and ends before its brackets are closed.
func unclosed(body []byte) bool {
	if !looksLikeJSON(body) {
		return false
	}
	depth := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			end := stringEnd(body, i)
			if end == len(body) && body[end-1] != '"' {
				return true
			}
			i = end - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
	}
	return depth > 0
}
