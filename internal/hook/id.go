package hook

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"
)

// Key is the integer primary key of a row: 41 bits of milliseconds since
// [Epoch], 14 bits of sequence under 8 bits of node. Keys of one process rise
// strictly, so rows arrive in the order of their primary key and a B-tree
// only ever grows at its right edge. Zero means "none".
type Key int64

// Epoch is the instant of key 0. 41 bits of milliseconds reach to 2069.
var Epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	sequenceBits = 14
	nodeBits     = 8
	maxSequence  = 1<<sequenceBits - 1
)

// KeyAt is the smallest key of the instant t: the lower bound of a range scan
// "since t". Instants before Epoch give 0, those after the last that a key can
// have, in 2069, the greatest key.
func KeyAt(t time.Time) Key {
	ms := t.Sub(Epoch).Milliseconds()
	switch {
	case ms < 0:
		return 0
	case ms >= 1<<(63-nodeBits-sequenceBits):
		return 1<<63 - 1
	}
	return Key(ms << (nodeBits + sequenceBits))
}

// Time is when the key was made, in whole milliseconds.
func (k Key) Time() time.Time {
	return Epoch.Add(time.Duration(int64(k)>>(nodeBits+sequenceBits)) * time.Millisecond)
}

// KeySequence hands out keys that rise strictly, whatever the clock does: when
// it stands still or goes back, or a millisecond's sequence is used up, keys
// run ahead of it.
type KeySequence struct {
	mu   sync.Mutex
	node int64
	last int64 // milliseconds << sequenceBits | sequence
}

// NewKeySequence makes keys for node (0–255) that are greater than after, the
// highest key already in the store.
func NewKeySequence(node uint8, after Key) *KeySequence {
	ms := int64(after) >> (nodeBits + sequenceBits)
	seq := int64(after) & maxSequence
	return &KeySequence{node: int64(node), last: ms<<sequenceBits | seq}
}

// Take returns the first of n consecutive keys (first, first+1, … first+n-1).
// n is at most 16,383, the room of one millisecond.
func (s *KeySequence) Take(now time.Time, n int) Key {
	if n < 1 || n > maxSequence {
		panic(fmt.Sprintf("hook: %d keys asked for at once, 1 to %d can be had", n, maxSequence))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.last + 1
	if fresh := now.Sub(Epoch).Milliseconds() << sequenceBits; fresh > next {
		next = fresh
	}
	if next&maxSequence+int64(n)-1 > maxSequence { // a run must not cross into the node's bits
		next = (next>>sequenceBits + 1) << sequenceBits
	}
	s.last = next + int64(n) - 1
	ms, seq := next>>sequenceBits, next&maxSequence
	return Key(ms<<(nodeBits+sequenceBits) | s.node<<sequenceBits | seq)
}

// Kind says what a public id names; its text is the id's prefix.
type Kind string

// The kinds of public ids, as SDKs of the wire API expect them.
const (
	KindOrganization Kind = "org_"
	KindApplication  Kind = "app_"
	KindEndpoint     Kind = "ep_"
	KindSource       Kind = "src_"
	KindMessage      Kind = "msg_"
	KindDelivery     Kind = "dlv_"
	KindAttempt      Kind = "atmpt_"
	KindRejected     Kind = "rej_"
	KindToken        Kind = "key_"
	KindTask         Kind = "qtask_"
	KindUser         Kind = "user_"
	KindAudit        Kind = "audit_"
	KindSecret       Kind = "sec_"
)

// IDs turns keys into public ids and back. A public id is its kind's prefix and
// 27 base62 characters (the shape of a KSUID; 22 for sources), which are the key
// followed by a tail. The tail is the key under AES with a secret of the store:
// nobody outside can guess the id of another row, no row has to keep a tail,
// and an id that was not made here is told from one that was without a look-up.
// Ids of one kind sort by time.
type IDs struct{ block cipher.Block }

// IDSecretSize is the size of the secret behind the tails, in bytes.
const IDSecretSize = 16

// NewIDs makes ids under secret, which must stay the same for the life of a store.
func NewIDs(secret [IDSecretSize]byte) *IDs {
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // the size is right, and AES has no other error
	}
	return &IDs{block}
}

// Public is the public id of the row with key k.
func (ids *IDs) Public(kind Kind, k Key) string {
	raw := ids.raw(kind, k)
	size, width := rawSize(kind)
	return string(kind) + base62(raw[:size], width)
}

// Key is the key inside the public id s. The error is an *Error with code
// CodeNotFound when s was never made by Public, whatever is wrong with it.
func (ids *IDs) Key(kind Kind, s string) (Key, error) {
	text, ok := strings.CutPrefix(s, string(kind))
	size, width := rawSize(kind)
	if !ok || len(text) != width {
		return 0, Errorf(CodeNotFound, "%q is not an id of the form %s…, which has %d characters", clip(s), kind, len(kind)+width)
	}
	got, ok := unbase62(text, size)
	if !ok {
		return 0, Errorf(CodeNotFound, "there is nothing with the id %q", clip(s))
	}
	k := Key(binary.BigEndian.Uint64(got))
	want := ids.raw(kind, k)
	if string(want[:size]) != string(got) {
		return 0, Errorf(CodeNotFound, "there is nothing with the id %q", clip(s))
	}
	return k, nil
}

func rawSize(kind Kind) (bytes, characters int) {
	if kind == KindSource {
		return 16, 22
	}
	return 20, 27
}

func (ids *IDs) raw(kind Kind, k Key) (raw [24]byte) {
	binary.BigEndian.PutUint64(raw[:8], uint64(k))
	var in [aes.BlockSize]byte
	binary.BigEndian.PutUint64(in[:8], uint64(k))
	copy(in[8:], kind)
	ids.block.Encrypt(raw[8:], in[:])
	return raw
}

const base62Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// base62 writes raw, a big-endian number, with exactly width digits. The digits
// are in ASCII order, so equal widths sort as the numbers do.
func base62(raw []byte, width int) string {
	var words [5]uint32
	n := len(raw) / 4
	for i := range n {
		words[i] = binary.BigEndian.Uint32(raw[4*i:])
	}
	// Five digits at a time: 62⁵ is the greatest power that fits a word.
	const chunk, power = 5, 62 * 62 * 62 * 62 * 62
	var out [27]byte
	for end := width; end > 0; end -= chunk {
		var rest uint64
		for w := range n {
			v := rest<<32 | uint64(words[w])
			words[w] = uint32(v / power)
			rest = v % power
		}
		for i := end - 1; i >= max(0, end-chunk); i-- {
			out[i] = base62Digits[rest%62]
			rest /= 62
		}
	}
	return string(out[:width])
}

func unbase62(text string, size int) ([]byte, bool) {
	n := new(big.Int)
	base := big.NewInt(62)
	for i := range len(text) {
		d := strings.IndexByte(base62Digits, text[i])
		if d < 0 {
			return nil, false
		}
		n.Add(n.Mul(n, base), big.NewInt(int64(d)))
	}
	if n.BitLen() > size*8 {
		return nil, false
	}
	return n.FillBytes(make([]byte, size)), true
}

// clip keeps what a caller sent from filling an error message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
