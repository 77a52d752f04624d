package signature

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// unpacked are further bodies that may have been signed: the content of a
// compressed one, and JSON whose strings were escaped in another way, as
// serialisers of other languages do.
func unpacked(body []byte) []rewrite {
	var all []rewrite
	if plain, ok := gunzip(body); ok {
		all = append(all, rewrite{plain, CodeContentEncoding, "the sender signed the body before it compressed it", "see that it reaches the verifier uncompressed, or that nothing in front compresses it"})
	}
	if !looksLikeJSON(body) {
		return all
	}
	const message = parserMessage + "its characters are escaped in another way than they were signed"
	for _, change := range []func([]byte) []byte{unescape, escape, escapeSlashes, func(b []byte) []byte { return escapeSlashes(escape(b)) }} {
		changed := change(body)
		if !bytes.Equal(changed, body) {
			all = append(all, rewrite{changed, CodeBodyEscaped, message, parserFix})
		}
		if compact, ok := respace(changed, "", ""); ok && !bytes.Equal(changed, body) && !bytes.Equal(compact, changed) {
			all = append(all, rewrite{compact, CodeBodyEscaped, message, parserFix})
		}
	}
	return all
}

// gunzip undoes gzip up to the longest body that is changed, so that a small
// body cannot grow without bound.
func gunzip(body []byte) ([]byte, bool) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, false
	}
	plain, err := io.ReadAll(io.LimitReader(z, explainBody+1))
	return plain, err == nil && len(plain) <= explainBody
}

// unescape writes \/ as / and \uXXXX as the character, except for the ones
// that JSON cannot have bare.
func unescape(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for i := 0; i < len(body); {
		if body[i] != '\\' || i+1 == len(body) {
			out = append(out, body[i])
			i++
			continue
		}
		r, size := escaped(body[i:])
		switch {
		case body[i+1] == '/':
			out = append(out, '/')
			i += 2
		case size > 0 && r >= ' ' && r != '"' && r != '\\':
			out = utf8.AppendRune(out, r)
			i += size
		default:
			out = append(out, body[i:i+2]...)
			i += 2
		}
	}
	return out
}

// escaped reads \uXXXX, or two of them that are one character (RFC 8259,
// section 7). The size is 0 for anything else.
func escaped(text []byte) (r rune, size int) {
	first, ok := unit(text)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, 6
	}
	second, ok := unit(text[6:])
	if r := utf16.DecodeRune(first, second); ok && r != utf8.RuneError {
		return r, 12
	}
	return 0, 0
}

func unit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}

// escape writes every character beyond ASCII as \uXXXX in lower case, as
// Python and PHP do unless told otherwise. Broken UTF-8 stays as it is.
func escape(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		switch {
		case r < utf8.RuneSelf || size == 1:
			out = append(out, body[i])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
	}
	return out
}

// escapeSlashes writes / as \/, as PHP does.
func escapeSlashes(body []byte) []byte {
	return bytes.ReplaceAll(unslash(body), []byte("/"), []byte(`\/`))
}

func unslash(body []byte) []byte { return bytes.ReplaceAll(body, []byte(`\/`), []byte("/")) }
