package event

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"testing"
)

func TestEventIsAJSONDecisionOfExactlyOneKibibyte(t *testing.T) {
	t.Parallel()
	body := make([]byte, Size)
	NewTemplate().Fill(body, 123456)
	var got struct {
		Verification struct {
			ID         string `json:"id"`
			AttemptID  string `json:"attemptId"`
			VendorData string `json:"vendorData"`
			Status     string `json:"status"`
		} `json:"verification"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	v := got.Verification
	if !uuid.MatchString(v.ID) || !uuid.MatchString(v.AttemptID) || v.ID == v.AttemptID {
		t.Errorf("id %q, attempt %q", v.ID, v.AttemptID)
	}
	if v.VendorData != "bench-000000123456" || v.Status != "approved" {
		t.Errorf("vendorData %q, status %q", v.VendorData, v.Status)
	}
}

func TestEventsAreAllDifferentAndKeepTheirNumber(t *testing.T) {
	t.Parallel()
	tmpl := NewTemplate()
	seen := map[string]bool{}
	body := make([]byte, Size)
	for n := range uint64(20000) {
		tmpl.Fill(body, n)
		got, err := tmpl.Number(body)
		if err != nil || got != n {
			t.Fatalf("number %d read back as %d, %v", n, got, err)
		}
		seen[string(body[tmpl.session:tmpl.session+uuidLen])] = true
		seen[string(body[tmpl.attempt:tmpl.attempt+uuidLen])] = true
	}
	if len(seen) != 40000 {
		t.Errorf("%d different ids, want 40000", len(seen))
	}
}

func TestNumberRefusesAForeignBody(t *testing.T) {
	t.Parallel()
	tmpl := NewTemplate()
	for _, body := range [][]byte{nil, []byte("{}"), make([]byte, Size), make([]byte, Size+1)} {
		if _, err := tmpl.Number(body); !errors.Is(err, ErrForeign) {
			t.Errorf("%d bytes: %v, want ErrForeign", len(body), err)
		}
	}
}

func TestBookSignsTheExactBytes(t *testing.T) {
	t.Parallel()
	const secret = "abcdef12-abcd-abcd-abcd-abcdef012345"
	book := NewBook(secret, 101)
	body, sig := make([]byte, Size), make([]byte, SignatureLen)
	for _, n := range []uint64{0, 1, 50, 51, 100} {
		book.Write(body, sig, n)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		if want := hex.EncodeToString(mac.Sum(nil)); string(sig) != want {
			t.Errorf("event %d: signature %s, want %s", n, sig, want)
		}
	}
}

func TestBookFromGoesOnWhereAnotherEnds(t *testing.T) {
	t.Parallel()
	all, rest := NewBook("secret", 30), NewBookFrom("secret", 20, 10)
	want, wantSig := make([]byte, Size), make([]byte, SignatureLen)
	got, gotSig := make([]byte, Size), make([]byte, SignatureLen)
	for n := rest.First(); n < rest.First()+uint64(rest.Len()); n++ {
		all.Write(want, wantSig, n)
		rest.Write(got, gotSig, n)
		if string(got) != string(want) || string(gotSig) != string(wantSig) {
			t.Errorf("event %d differs", n)
		}
	}
}

func TestWriteAllocatesNothing(t *testing.T) {
	book := NewBook("secret", 2)
	body, sig := make([]byte, Size), make([]byte, SignatureLen)
	if n := testing.AllocsPerRun(100, func() { book.Write(body, sig, 1) }); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
}

func TestMessageBookSignsTheWholeRequest(t *testing.T) {
	t.Parallel()
	book := NewMessageBook("secret", 5, `{"a":1,"payload":`, `{"payload":`)
	body, sig := make([]byte, book.Longest()), make([]byte, SignatureLen)
	for n, length := range []int{Size + 18, Size + 12, Size + 18} {
		got := body[:book.Write(body, sig, uint64(n))]
		mac := hmac.New(sha256.New, []byte("secret"))
		mac.Write(got)
		if want := hex.EncodeToString(mac.Sum(nil)); string(sig) != want || len(got) != length || !json.Valid(got) {
			t.Errorf("event %d: %d bytes, signature %s, want %d and %s: %s", n, len(got), sig, length, want, got)
		}
	}
}

func TestIdempotencyKeysAreOfTheSDKsFormAndDiffer(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^auto_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for n := range uint64(10000) {
		key := IdempotencyKey(n)
		if !form.MatchString(key) {
			t.Fatalf("key %q", key)
		}
		seen[key] = true
	}
	if len(seen) != 10000 {
		t.Errorf("%d different keys, want 10000", len(seen))
	}
}
