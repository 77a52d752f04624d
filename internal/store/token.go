package store

import "crypto/rand"

// leastToken is how long a token must be that is all that protects a source.
const leastToken = 22

// newToken makes the last segment of a source's URL: 26 base32 characters, 130 random bits.
func newToken() string { return rand.Text() }
