package signature

import (
	"crypto/hmac"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// otherName tries the value of every other header in the place of a missing
// one: proxies and frameworks rename headers ("_" for "-", a prefix before).
// A header of another provider is for otherProvider to tell.
func (e *explainer) otherName() {
	if _, ok := arrived(e.scheme.headerSets(), e.request.Header); ok {
		return
	}
	for i, name := range slices.Sorted(maps.Keys(e.request.Header)) {
		if i == maxSignatures || len(values(e.request.Header, name)) != 1 || isBuiltinHeader(name) {
			continue
		}
		r := e.request
		r.Header = maps.Clone(r.Header)
		r.Header[http.CanonicalHeaderKey(e.scheme.Header)] = e.request.Header[name]
		for _, k := range e.secrets {
			if e.verifies(e.scheme, r, k.Value) {
				e.add(CodeHeaderRenamed, fmt.Sprintf("the signature is good, but it stands in %q instead of %s", name, e.scheme.Header), "see what renames headers in front, or make a source for the provider that uses this name")
				return
			}
		}
	}
}

func isBuiltinHeader(name string) bool {
	for _, s := range builtin() {
		for _, set := range s.headerSets() {
			if strings.EqualFold(set.Header, name) {
				return true
			}
		}
	}
	return false
}

// minCut is how many characters of a cut signature must agree before it is
// taken for one; by chance they would once in 2^64.
const minCut = 16

// cutSignature looks whether the header is the beginning of a good one.
func (e *explainer) cutSignature() {
	names, ok := arrived(e.scheme.headerSets(), e.request.Header)
	have, err := one(names.Header, values(e.request.Header, names.key.Header))
	if !ok || err != nil || e.scheme.TimestampPair != "" {
		return
	}
	c := Content{Method: e.request.Method, URL: e.request.URL, Body: e.request.Body, ID: e.request.Header.Get(names.IDHeader)}
	c.Timestamp, _ = parseTimestamp(e.request.Header.Get(names.TimestampHeader), e.scheme.TimestampUnit)
	for _, k := range e.secrets {
		if !e.spend() {
			return
		}
		fields, err := e.scheme.Sign(c, k.Value)
		if err != nil {
			continue
		}
		want := fields[len(fields)-1].Value
		prefix := e.scheme.Variants[variantOf(e.scheme, k.Value)].Prefix
		if len(have) >= len(prefix)+minCut && len(have) < len(strings.TrimRight(want, "=")) && hmac.Equal([]byte(have), []byte(want[:len(have)])) {
			e.add(CodeTruncatedHeader, fmt.Sprintf("the header %s is the beginning of a good signature, cut after %d characters", names.Header, len(have)), "see what limits the length of headers in front, or cut the value when it was copied")
			return
		}
	}
}
