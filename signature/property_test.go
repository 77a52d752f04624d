package signature

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// schemesToTry are the built-in schemes and made ones that use what those do
// not, each with a secret of its form.
func schemesToTry() map[string]struct {
	scheme Scheme
	secret string
} {
	seed, _, _ := ed25519Keys()
	type entry = struct {
		scheme Scheme
		secret string
	}
	all := map[string]entry{}
	for _, s := range builtin() {
		all[s.Name] = entry{s, whsec}
	}
	all["standard-webhooks v1a"] = entry{StandardWebhooks(), seed}
	all["sha1"] = entry{Scheme{Header: "X-Sig", Variants: []Variant{{Algorithm: HMACSHA1, Prefix: "sha1="}}}, "s"}
	all["sha512, base64url"] = entry{Scheme{Header: "x-sig", Variants: []Variant{{Algorithm: HMACSHA512, Encoding: Base64URL}}}, "s"}
	all["hex key, repeated"] = entry{Scheme{Header: "X-Sig", Multi: MultiRepeated, Variants: []Variant{{Algorithm: HMACSHA256, Key: KeyHex}}}, "00ff"}
	all["milliseconds"] = entry{Scheme{
		Header: "X-Sig", TimestampHeader: "X-Time", TimestampUnit: Milliseconds, Tolerance: time.Minute,
		Content: "{timestamp}\n{body}", Variants: []Variant{{Algorithm: HMACSHA256, Encoding: Base64}},
	}, "s"}
	all["url and method"] = entry{Scheme{Header: "X-Sig", Content: "{url}{method}{body}", Variants: []Variant{{Algorithm: HMACSHA256}}}, "s"}
	all["ed25519 hex over pairs"] = entry{Scheme{
		Header: "X-Sig", TimestampPair: "time", Multi: MultiComma, Tolerance: time.Minute, Content: "{timestamp}.{body}",
		Variants: []Variant{{Algorithm: Ed25519, Key: KeyBase64, Prefix: "ed=", KeyPrefix: "whsk_"}},
	}, seed}
	return all
}

func newRandom(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func randomContent(rnd *rand.Rand) Content {
	body := make([]byte, 1+rnd.IntN(300))
	for i := range body {
		body[i] = byte(rnd.Uint32())
	}
	return Content{
		ID:        "msg_" + strconv.FormatUint(rnd.Uint64(), 36),
		Timestamp: time.UnixMilli(rnd.Int64N(4e12)),
		Method:    []string{"POST", "PUT"}[rnd.IntN(2)],
		URL:       "https://example.com/" + strconv.FormatUint(rnd.Uint64(), 36),
		Body:      body,
	}
}

// flip changes one bit of a text.
func flip(rnd *rand.Rand, text []byte) []byte {
	out := bytes.Clone(text)
	out[rnd.IntN(len(out))] ^= 1 << rnd.IntN(8)
	return out
}

func TestSignThenVerifyHoldsAndOneFlippedBitFails(t *testing.T) {
	t.Parallel()
	for name, c := range schemesToTry() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rnd := newRandom(t)
			verifier, err := NewVerifier(c.scheme, c.secret)
			if err != nil {
				t.Fatal(err)
			}
			signer, err := NewSigner(c.scheme, c.secret)
			if err != nil {
				t.Fatal(err)
			}
			for range 50 {
				content := randomContent(rnd)
				fields, err := signer.Sign(content)
				if err != nil {
					t.Fatal(err)
				}
				r := Request{Method: content.Method, URL: content.URL, Header: headersOf(fields), Body: content.Body}
				got, err := verifier.Verify(r, content.Timestamp)
				if err != nil {
					t.Fatalf("%+v: %v", r, err)
				}
				if got.ID != "" && got.ID != content.ID || !got.Timestamp.IsZero() && content.Timestamp.Sub(got.Timestamp).Abs() >= time.Second {
					t.Fatalf("Verify = %+v of %+v", got, content)
				}
				for what, changed := range flipped(rnd, c.scheme, r) {
					if got, err := verifier.Verify(changed, content.Timestamp); !isRefusal(err) {
						t.Errorf("one bit of the %s of %+v: %+v, %v", what, r, got, err)
					}
				}
			}
		})
	}
}

func isRefusal(err error) bool {
	return errors.Is(err, ErrMismatch) || errors.Is(err, ErrMissingHeader) || errors.Is(err, ErrMalformedHeader)
}

// flipped are copies of the request with one bit changed, by what was changed.
func flipped(rnd *rand.Rand, s Scheme, r Request) map[string]Request {
	all := map[string]Request{}
	changed := r
	changed.Body = flip(rnd, r.Body)
	all["body"] = changed
	for _, name := range []string{s.Header, s.IDHeader, s.TimestampHeader} {
		if name == "" {
			continue
		}
		value := r.Header.Get(name)
		// A letter of a hex signature, and of its name in another case, are the same thing.
		for range 20 {
			other := string(flip(rnd, []byte(value)))
			if strings.EqualFold(other, value) && name == s.Header {
				continue
			}
			all[name] = r.with(name, other)
			break
		}
	}
	if strings.Contains(s.Content, "{url}") {
		changed := r
		changed.URL = string(flip(rnd, []byte(r.URL)))
		all["url"] = changed
	}
	if strings.Contains(s.Content, "{method}") {
		changed := r
		changed.Method = string(flip(rnd, []byte(r.Method)))
		all["method"] = changed
	}
	return all
}

func TestEveryFlippedBitOfASignatureFails(t *testing.T) {
	t.Parallel()
	for name, c := range schemesToTry() {
		r := signed(t, c.scheme, "{}", c.secret)
		value := r.Header.Get(c.scheme.Header)
		verifier, err := NewVerifier(c.scheme, c.secret)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(value) {
			other := []byte(value)
			other[bit/8] ^= 1 << (bit % 8)
			_, err := verifier.Verify(r.with(c.scheme.Header, string(other)), signedAt)
			sameHex := strings.EqualFold(string(other), value) && c.scheme.withDefaults().Variants[0].Encoding == Hex
			if err == nil && !sameHex {
				t.Errorf("%s: %q is as good as %q", name, other, value)
			}
		}
	}
}
