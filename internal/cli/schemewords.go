package cli

import (
	"fmt"
	"strings"

	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/signature"
)

// signatureRows say how d signs.
func signatureRows(d *provider.Definition) [][2]string {
	if !d.Signed() {
		return [][2]string{{"none", "nothing is verified; only a random token in the URL protects the source"}}
	}
	s := d.Scheme
	rows := [][2]string{{"header", s.Header}}
	for _, a := range s.Aliases {
		rows = append(rows, [2]string{"or", a.Header})
	}
	for _, v := range s.Variants {
		rows = append(rows, [2]string{"form", variantWords(v)}, [2]string{"key", keyWords(v)})
	}
	content := s.Content
	if content == "" {
		content = "{body}"
	}
	rows = append(rows, [2]string{"signed", content + ", the exact bytes"})
	if s.IDHeader != "" {
		rows = append(rows, [2]string{"id", s.IDHeader})
	}
	rows = append(rows, [2]string{"time", timeWords(s)})
	if list := listWords(s.Multi); list != "" {
		rows = append(rows, [2]string{"list", list})
	}
	if d.AuthClientHeader != "" {
		rows = append(rows, [2]string{"also", d.AuthClientHeader + ", the key of the integration in clear"})
	}
	return rows
}

func variantWords(v signature.Variant) string {
	encoding := v.Encoding
	if encoding == "" {
		encoding = signature.Hex
	}
	algorithm := strings.ToUpper(string(v.Algorithm))
	if v.Algorithm == signature.Ed25519 {
		algorithm = "Ed25519"
	}
	words := fmt.Sprintf("%s in %s", algorithm, encoding)
	if v.Prefix != "" {
		words += fmt.Sprintf(" after %q", v.Prefix)
	}
	return words
}

func keyWords(v signature.Variant) string {
	words := "the text of the secret"
	if v.Key == signature.KeyBase64 || v.Key == signature.KeyHex {
		words = "decoded from " + string(v.Key)
	}
	if v.KeyPrefix != "" {
		words += fmt.Sprintf(" after %q", v.KeyPrefix)
	}
	if v.PublicKeyPrefix != "" {
		words += fmt.Sprintf("; public keys begin with %q", v.PublicKeyPrefix)
	}
	return words
}

func timeWords(s signature.Scheme) string {
	where := s.TimestampHeader
	if s.TimestampPair != "" {
		where = s.TimestampPair + "= in the same header"
	}
	if where == "" {
		return "none is signed, so only duplicate detection stops a replay"
	}
	unit := "seconds"
	if s.TimestampUnit == signature.Milliseconds {
		unit = "milliseconds"
	}
	return fmt.Sprintf("%s, Unix %s, at most %s off", where, unit, spell(s.Tolerance))
}

func listWords(m signature.Multi) string {
	separator := map[signature.Multi]string{
		signature.MultiComma: "separated by commas", signature.MultiSpace: "separated by spaces", signature.MultiRepeated: "in repeated headers",
	}[m]
	if separator == "" {
		return ""
	}
	return "several signatures " + separator + "; one that verifies is enough"
}
