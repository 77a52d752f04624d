package store

import "crypto/rand"

// newToken makes the last segment of a source's URL: 26 base32 characters, 130 random bits.
func newToken() string { return rand.Text() }
