// Package seal encrypts what must stay secret at rest: signing secrets, header
// values, stored answers. It knows nothing of where they are kept.
//
// The cipher is XChaCha20-Poly1305, whose nonces are long enough to be random
// (https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha).
package seal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sigpost/sigpost/internal/hook"
)

// KeySize is the length of a master key in bytes.
const KeySize = chacha20poly1305.KeySize

// version is the first byte of what Seal makes, so that another cipher can follow.
const version = 1

const keyIDSize = 4

// Ring seals under its first key and opens under any. Safe for concurrent use.
type Ring struct{ keys []key }

type key struct {
	id     [keyIDSize]byte
	secret [KeySize]byte
}

// NewRing makes a ring of base64 keys of 32 bytes, the one in force first.
func NewRing(keys ...string) (*Ring, error) {
	if len(keys) == 0 {
		return nil, hook.Errorf(hook.CodeInvalid, "there is no master key")
	}
	r := &Ring{}
	for i, text := range keys {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil || len(raw) != KeySize {
			return nil, hook.Errorf(hook.CodeInvalid, "master key %d is not base64 of %d bytes; `openssl rand -base64 32` makes one", i+1, KeySize)
		}
		r.keys = append(r.keys, key{keyID(raw), [KeySize]byte(raw)})
	}
	return r, nil
}

// NewKey makes a master key.
func NewKey() string {
	var raw [KeySize]byte
	rand.Read(raw[:])
	return base64.StdEncoding.EncodeToString(raw[:])
}

// keyID tells keys apart without saying anything about them.
func keyID(raw []byte) [keyIDSize]byte {
	sum := sha256.Sum256(append([]byte("sigpost key id "), raw...))
	return [keyIDSize]byte(sum[:keyIDSize])
}

// Seal encrypts plain. What was sealed in one context does not open in another,
// so a row's value cannot be moved to where it means something else.
func (r *Ring) Seal(plain []byte, context string) ([]byte, error) {
	k := &r.keys[0]
	aead, err := chacha20poly1305.NewX(k.secret[:])
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	head := 1 + keyIDSize
	out := make([]byte, head+aead.NonceSize(), head+aead.NonceSize()+len(plain)+aead.Overhead())
	out[0] = version
	copy(out[1:], k.id[:])
	nonce := out[head:]
	rand.Read(nonce)
	return aead.Seal(out, nonce, plain, []byte(context)), nil
}

// errSealed says that a value cannot be opened, and nothing about it.
var errSealed = errors.New("the sealed value is damaged")

// Open decrypts what Seal made in the same context.
func (r *Ring) Open(sealed []byte, context string) ([]byte, error) {
	head := 1 + keyIDSize
	if len(sealed) < head+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead || sealed[0] != version {
		return nil, errSealed
	}
	for i := range r.keys {
		k := &r.keys[i]
		if string(k.id[:]) != string(sealed[1:head]) {
			continue
		}
		aead, err := chacha20poly1305.NewX(k.secret[:])
		if err != nil {
			return nil, fmt.Errorf("make cipher: %w", err)
		}
		nonce, box := sealed[head:head+aead.NonceSize()], sealed[head+aead.NonceSize():]
		plain, err := aead.Open(nil, nonce, box, []byte(context))
		if err != nil {
			return nil, errSealed
		}
		return plain, nil
	}
	return nil, hook.Errorf(hook.CodeConflict, "the data was sealed under another master key; start with the key that it was made with (SIGPOST_MASTER_KEY, or the file master.key in the data directory)")
}

// FileName is the file of the master keys in a data directory.
const FileName = "master.key"

// FromFile reads the ring of a data directory, one key a line, the one in force
// first, and makes the file, readable by its owner only, when it is missing.
func FromFile(dir string) (*Ring, error) {
	path := filepath.Join(dir, FileName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if err = makeKeys(path, []byte(NewKey()+"\n")); err == nil {
			raw, err = os.ReadFile(path) // another process may have been first
		}
	}
	if err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "master key: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "master key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, hook.Errorf(hook.CodeInvalid, "master key: others can read %s (mode %o); run chmod 600 on it", path, info.Mode().Perm())
	}
	r, err := NewRing(strings.Fields(string(raw))...)
	if err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "%s: %w", path, err)
	}
	return r, nil
}

// AddToFile puts a new key in front of those in a data directory's file.
func AddToFile(dir string) error {
	path := filepath.Join(dir, FileName)
	raw, err := os.ReadFile(path)
	if err != nil {
		return hook.Errorf(hook.CodeInvalid, "master key: %w", err)
	}
	return writeKeys(path, append([]byte(NewKey()+"\n"), raw...))
}

// KeepFirst removes all keys but the one in force, once nothing is sealed under them.
func KeepFirst(dir string) error {
	path := filepath.Join(dir, FileName)
	raw, err := os.ReadFile(path)
	if err != nil {
		return hook.Errorf(hook.CodeInvalid, "master key: %w", err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(raw)), "\n")
	return writeKeys(path, []byte(strings.TrimSpace(first)+"\n"))
}

// makeKeys makes the file unless it is there.
func makeKeys(path string, raw []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	name, err := writeBeside(path, raw)
	if err != nil {
		return err
	}
	defer os.Remove(name)
	if err := os.Link(name, path); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("write master key: %w", err)
	}
	return syncDir(path)
}

// writeKeys replaces the file whole: a key that is lost halfway is lost for ever.
func writeKeys(path string, raw []byte) error {
	name, err := writeBeside(path, raw)
	if err != nil {
		return err
	}
	if err := os.Rename(name, path); err != nil {
		os.Remove(name)
		return fmt.Errorf("write master key: %w", err)
	}
	return syncDir(path)
}

// writeBeside writes a file of its own beside path, to disk.
func writeBeside(path string, raw []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), FileName+".*")
	if err != nil {
		return "", fmt.Errorf("write master key: %w", err)
	}
	if _, err = f.Write(raw); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("write master key: %w", err)
	}
	return f.Name(), nil
}

// syncDir brings the name of a file to disk: a key that a power cut forgets
// would take everything with it that was sealed meanwhile.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write master key: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("write master key: %w", err)
	}
	return nil
}
