package provider

import (
	"fmt"
	"strings"

	"github.com/sigpost/sigpost/signature"
)

// schemeShort says in a few words how d signs.
func schemeShort(d *Definition) string {
	if !d.Signed() {
		return "nothing"
	}
	names := make([]string, len(d.Scheme.Variants))
	for i, v := range d.Scheme.Variants {
		names[i] = algorithmWords(v.Algorithm)
	}
	return "`" + d.Scheme.Header + "`, " + strings.Join(names, " or ")
}

// schemeWords says how d signs.
func schemeWords(d *Definition) string {
	if !d.Signed() {
		return "None."
	}
	s := d.Scheme
	words := make([]string, 0, 8)
	for _, v := range s.Variants {
		words = append(words, variantWords(v))
	}
	out := fmt.Sprintf("The header `%s` carries %s.", s.Header, strings.Join(words, ", or "))
	content := s.Content
	if content == "" {
		content = "{body}"
	}
	out += fmt.Sprintf(" Signed is `%s`, over the exact bytes.", content)
	if s.IDHeader != "" {
		out += fmt.Sprintf(" The id stands in `%s`.", s.IDHeader)
	}
	out += timestampWords(s) + multiWords(s.Multi)
	for _, a := range s.Aliases {
		out += fmt.Sprintf(" The headers may also be %s.", inCode([]string{a.IDHeader, a.TimestampHeader, a.Header}))
	}
	return out
}

func variantWords(v signature.Variant) string {
	encoding := string(v.Encoding)
	if encoding == "" {
		encoding = string(signature.Hex)
	}
	words := encoding + " " + algorithmWords(v.Algorithm)
	if v.Prefix != "" {
		words = "`" + v.Prefix + "` and the " + words
	} else {
		words = "the " + words
	}
	switch v.Key {
	case signature.KeyBase64, signature.KeyHex:
		words += ", its key decoded from " + string(v.Key)
		if v.KeyPrefix != "" {
			words += " after `" + v.KeyPrefix + "`"
		}
	default:
		words += ", its key the text of the secret"
	}
	if v.PublicKeyPrefix != "" {
		words += " (public keys after `" + v.PublicKeyPrefix + "`)"
	}
	return words
}

func timestampWords(s signature.Scheme) string {
	where := ""
	if s.TimestampHeader != "" {
		where = "in `" + s.TimestampHeader + "`"
	}
	if s.TimestampPair != "" {
		where = "in the pair `" + s.TimestampPair + "=`"
	}
	if where == "" {
		return " No time is signed."
	}
	unit := "seconds"
	if s.TimestampUnit == signature.Milliseconds {
		unit = "milliseconds"
	}
	return fmt.Sprintf(" The time, in Unix %s, stands %s and may be off by %s.", unit, where, short(s.Tolerance))
}

func multiWords(m signature.Multi) string {
	switch m {
	case signature.MultiComma:
		return " Several signatures may stand there, separated by commas; one that verifies is enough."
	case signature.MultiSpace:
		return " Several signatures may stand there, separated by spaces; one that verifies is enough."
	case signature.MultiRepeated:
		return " The header may come several times; one that verifies is enough."
	default:
		return ""
	}
}

func algorithmWords(a signature.Algorithm) string {
	switch a {
	case signature.HMACSHA1:
		return "HMAC-SHA1"
	case signature.HMACSHA256:
		return "HMAC-SHA256"
	case signature.HMACSHA512:
		return "HMAC-SHA512"
	case signature.Ed25519:
		return "Ed25519"
	default:
		return string(a)
	}
}

// secretWords says what a secret looks like.
func secretWords(rules SecretRules) string {
	words := make([]string, len(rules.Forms))
	for i, f := range rules.Forms {
		words[i] = f.words()
	}
	if len(words) == 0 {
		return "Any text will do."
	}
	return "It has " + strings.Join(words, "; or ") + "."
}

func (f SecretForm) words() string {
	unit, words := "characters", ""
	if f.Base64 {
		unit = "bytes in base64"
	}
	switch {
	case f.Min == f.Max && f.Min > 0:
		words = fmt.Sprintf("%d %s", f.Min, unit)
	case f.Max > 0:
		words = fmt.Sprintf("%d to %d %s", f.Min, f.Max, unit)
	case f.Min > 0:
		words = fmt.Sprintf("at least %d %s", f.Min, unit)
	default:
		words = "any number of " + unit
	}
	for i, c := range f.Require {
		sep := ", "
		if i == 0 {
			sep = ", among them "
		}
		words += sep + article(c.words())
	}
	if f.Prefix != "" && f.Base64 {
		words += " after `" + f.Prefix + "`"
	} else if f.Prefix != "" {
		words += " and begins with `" + f.Prefix + "`"
	}
	return words
}

func article(noun string) string {
	if strings.IndexByte("aeiou", noun[0]) >= 0 {
		return "an " + noun
	}
	return "a " + noun
}
