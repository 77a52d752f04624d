// Package password keeps the passwords of people as hashes (Argon2id, RFC 9106) and
// tells whether a password is the one behind a hash. It knows nobody, and keeps nothing.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/sigpost/sigpost/internal/hook"
)

// cost is what one hash takes. That of new hashes is what OWASP's Password Storage Cheat
// Sheet names for Argon2id; that of old ones stands in them, so it may be raised.
type cost struct {
	memory  uint32 // KiB
	rounds  uint32
	threads uint8
}

var (
	present = cost{memory: 19 << 10, rounds: 2, threads: 1}
	// most bounds what a hash may ask for: the store is trusted, but not with all memory.
	most = cost{memory: 256 << 10, rounds: 16, threads: 16}
)

const (
	saltBytes = 16
	hashBytes = 32
	// atOnce bounds how many hashes are made at once, and so their memory – which is twice as much
	// as they use, for what the last ones used is still garbage – and the time that is left
	// for deliveries; others wait.
	atOnce = 2
)

var errForm = errors.New("the hash of a password is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")

// Hasher makes and checks hashes. Make one with New.
type Hasher struct {
	places chan struct{}
	decoy  string
}

// New makes a Hasher.
func New() *Hasher {
	h := &Hasher{places: make(chan struct{}, atOnce)}
	var salt [saltBytes]byte
	rand.Read(salt[:])
	h.decoy = present.write(salt[:], make([]byte, hashBytes)) // no password is known to have this hash
	return h
}

// Hash is the hash of a password under a fresh salt, in the form of the reference
// implementation ($argon2id$…).
func (h *Hasher) Hash(ctx context.Context, password hook.Secret) (hook.Secret, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	var salt [saltBytes]byte
	rand.Read(salt[:])
	return hook.Secret(present.write(salt[:], present.derive(password, salt[:], hashBytes))), nil
}

// Verify says whether a password is the one behind a hash. Without a hash it is not, and
// that takes as long: the time tells nobody whether there is one.
func (h *Hasher) Verify(ctx context.Context, hash, password hook.Secret) (bool, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	text := hash.Reveal()
	if text == "" {
		text = h.decoy
	}
	c, salt, want, err := read(text)
	if err != nil {
		return false, err
	}
	same := subtle.ConstantTimeCompare(c.derive(password, salt, uint32(len(want))), want) == 1
	return same && hash != "", nil
}

func (h *Hasher) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.places <- struct{}{}:
		return func() { <-h.places }, nil
	case <-ctx.Done():
		return nil, hook.Errorf(hook.CodeUnavailable, "too many sign in at once; try again in a moment: %w", ctx.Err())
	}
}

func (c cost) derive(password hook.Secret, salt []byte, size uint32) []byte {
	return argon2.IDKey([]byte(password.Reveal()), salt, c.rounds, c.memory, c.threads, size)
}

func (c cost) write(salt, hash []byte) string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.rounds, c.threads, enc.EncodeToString(salt), enc.EncodeToString(hash))
}

func read(text string) (c cost, salt, hash []byte, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errForm
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.rounds, &c.threads); err != nil {
		return c, nil, nil, errForm
	}
	if c.rounds < 1 || c.threads < 1 || c.memory > most.memory || c.rounds > most.rounds || c.threads > most.threads {
		return c, nil, nil, errForm
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return c, nil, nil, errForm
	}
	hash, err = base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(hash) < 16 {
		return c, nil, nil, errForm
	}
	return c, salt, hash, nil
}
