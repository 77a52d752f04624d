package provider

import (
	"crypto/sha256"
	"encoding/hex"
)

// Canonical is body with the members of every object sorted by the raw text
// of their names and the white space dropped; numbers and texts stay as they
// are written and duplicate names keep their order. Two bodies that differ
// only in property order or layout have the same canonical form. It is false
// when body is not JSON, or is nested deeper than 100 levels.
func Canonical(body []byte) ([]byte, bool) {
	var s scanner
	if !s.scan(body, nil) {
		return nil, false
	}
	return s.out, true
}

// DedupeKey tells one event of a source from every other: "id:" and the
// provider's event id; without one, "sha256:" and the hex hash of the
// canonical body, or of its bytes when it is not JSON.
func DedupeKey(id string, body []byte) string {
	if id != "" {
		return "id:" + id
	}
	if canonical, ok := Canonical(body); ok {
		body = canonical
	}
	return hashKey(body)
}

func hashKey(content []byte) string {
	sum := sha256.Sum256(content)
	key := make([]byte, 0, len("sha256:")+2*len(sum))
	return string(hex.AppendEncode(append(key, "sha256:"...), sum[:]))
}
