package event

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"sync"
)

// SignatureLen is the length of a signature as it stands in the header: hex SHA-256.
const SignatureLen = 2 * sha256.Size

// Book is a run of events, numbered from zero, with their signatures: hex HMAC-SHA256 of
// the body as Veriff computes it. Only the 32 bytes of each signature are kept; bodies are
// written when they are sent, which costs a copy of 1 KiB. Read-only after NewBook and
// safe for concurrent use.
type Book struct {
	template *Template
	sums     [][sha256.Size]byte
}

// NewBook signs n events with secret, on all cores: about 1 µs of CPU each.
func NewBook(secret string, n int) *Book {
	b := &Book{template: NewTemplate(), sums: make([][sha256.Size]byte, n)}
	parts := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for part := range parts {
		wg.Go(func() { b.sign(secret, part*n/parts, (part+1)*n/parts) })
	}
	wg.Wait()
	return b
}

// sign computes the signatures of the events from…to-1.
func (b *Book) sign(secret string, from, to int) {
	mac := hmac.New(sha256.New, []byte(secret))
	var body [Size]byte
	for i := from; i < to; i++ {
		b.template.Fill(body[:], uint64(i))
		mac.Reset()
		mac.Write(body[:])
		mac.Sum(b.sums[i][:0])
	}
}

// Len is how many events the book has.
func (b *Book) Len() int { return len(b.sums) }

// Write puts event n, which must be below Len, into body (Size bytes) and its signature
// into sig (SignatureLen bytes). It allocates nothing.
func (b *Book) Write(body, sig []byte, n uint64) {
	b.template.Fill(body, n)
	hex.Encode(sig, b.sums[n][:])
}
