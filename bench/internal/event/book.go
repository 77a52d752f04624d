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

// Book is a run of events, numbered from First, with their signatures: hex HMAC-SHA256 of
// the body as Veriff computes it. Only the 32 bytes of each signature are kept; bodies are
// written when they are sent, which costs a copy of 1 KiB. Read-only after NewBook and
// safe for concurrent use.
type Book struct {
	template *Template
	first    uint64
	sums     [][sha256.Size]byte
	heads    []string // before the events, in turn; nil: they stand alone
	longest  int      // of the heads
}

// tail follows an event that has a head.
const tail = "}"

// NewBook signs n events with secret, on all cores: about 1 µs of CPU each.
func NewBook(secret string, n int) *Book { return newBook(secret, 0, n, nil) }

// NewBookFrom is NewBook of events whose numbers begin with first: for a store that knows
// those before them, and would take them for sent again.
func NewBookFrom(secret string, first uint64, n int) *Book { return newBook(secret, first, n, nil) }

// NewMessageBook is NewBook of events that are the payloads of messages: before event i
// stands heads[i % len(heads)], which opens a JSON object up to the payload, and after it
// the object is closed. The whole is signed.
func NewMessageBook(secret string, n int, heads ...string) *Book { return newBook(secret, 0, n, heads) }

// NewMessageBookFrom is NewMessageBook of events whose numbers begin with first.
func NewMessageBookFrom(secret string, first uint64, n int, heads ...string) *Book {
	return newBook(secret, first, n, heads)
}

func newBook(secret string, first uint64, n int, heads []string) *Book {
	b := &Book{template: NewTemplate(), first: first, sums: make([][sha256.Size]byte, n), heads: heads}
	for _, head := range heads {
		b.longest = max(b.longest, len(head))
	}
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
	body := make([]byte, b.Longest())
	for i := from; i < to; i++ {
		mac.Reset()
		mac.Write(body[:b.fill(body, b.first+uint64(i))])
		mac.Sum(b.sums[i][:0])
	}
}

// First is the number of the first event, and Len how many there are.
func (b *Book) First() uint64 { return b.first }

// Len is how many events the book has.
func (b *Book) Len() int { return len(b.sums) }

// Longest is the length of the longest body.
func (b *Book) Longest() int {
	if b.heads == nil {
		return Size
	}
	return b.longest + Size + len(tail)
}

// Write puts event n, which must be one of the book's, into body (Longest bytes) and its signature
// into sig (SignatureLen bytes), and returns how long the body is. It allocates nothing.
func (b *Book) Write(body, sig []byte, n uint64) int {
	hex.Encode(sig, b.sums[n-b.first][:])
	return b.fill(body, n)
}

// fill writes event n with what stands around it.
func (b *Book) fill(body []byte, n uint64) int {
	if b.heads == nil {
		b.template.Fill(body[:Size], n)
		return Size
	}
	head := copy(body, b.heads[n%uint64(len(b.heads))])
	b.template.Fill(body[head:head+Size], n)
	return head + Size + copy(body[head+Size:], tail)
}
