package seal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestSealedValuesOpenInTheirContextOnly(t *testing.T) {
	t.Parallel()
	r, err := NewRing(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("secret"), 1000)} {
		sealed, err := r.Seal(plain, "secret")
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 1 && bytes.Contains(sealed, plain[:6]) {
			t.Error("the plain text is in what was sealed")
		}
		if got, err := r.Open(sealed, "secret"); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := r.Open(sealed, "headers"); err == nil {
			t.Error("it opened in another context")
		}
		for i := range sealed[:min(len(sealed), 60)] {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1
			if _, err := r.Open(bad, "secret"); err == nil {
				t.Errorf("it opened with byte %d changed", i)
			}
		}
	}
	for _, short := range [][]byte{nil, {1}, bytes.Repeat([]byte{1}, 40)} {
		if _, err := r.Open(short, "secret"); err == nil {
			t.Errorf("%d bytes opened", len(short))
		}
	}
}

func TestRotationOpensOldAndSealsUnderTheNew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	old, err := FromFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := old.Seal([]byte("s"), "c")
	if err != nil {
		t.Fatal(err)
	}
	if err := AddToFile(dir); err != nil {
		t.Fatal(err)
	}
	both, err := FromFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := both.Open(sealed, "c"); err != nil || string(got) != "s" {
		t.Errorf("%q, %v", got, err)
	}
	again, err := both.Seal([]byte("s"), "c")
	if err != nil {
		t.Fatal(err)
	}
	if err := KeepFirst(dir); err != nil {
		t.Fatal(err)
	}
	fresh, err := FromFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fresh.Open(again, "c"); err != nil || string(got) != "s" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := fresh.Open(sealed, "c"); hook.CodeOf(err) != hook.CodeConflict {
		t.Errorf("under a key that was removed: %v", err)
	}
}

func TestKeysAreRefusedWithTheWayOut(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{"none": nil, "not base64": {"!"}, "short": {"AAAA"}} {
		if _, err := NewRing(keys...); hook.CodeOf(err) != hook.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	if _, err := FromFile(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, FileName), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := FromFile(dir); hook.CodeOf(err) != hook.CodeInvalid {
		t.Errorf("a key that others can read: %v", err)
	}
}
