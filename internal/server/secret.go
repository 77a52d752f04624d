package server

import (
	"crypto/rand"
	"encoding/base64"
)

// newEndpointSecret makes a secret for a receiver: whsec_ and 32 random bytes,
// as the Standard Webhooks specification wants it (24 to 64 bytes).
func newEndpointSecret() (string, error) {
	var raw [32]byte
	rand.Read(raw[:])
	return "whsec_" + base64.StdEncoding.EncodeToString(raw[:]), nil
}
