package signature

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestHeadersAreMissingOrMalformed(t *testing.T) {
	t.Parallel()
	good := signed(t, StandardWebhooks(), "{}", whsec)
	sig := good.Header.Get("webhook-signature")
	v := signed(t, Veriff(), "{}", "s")
	hexSig := v.Header.Get("X-HMAC-SIGNATURE")
	for name, c := range map[string]struct {
		scheme Scheme
		r      Request
		want   error
	}{
		"no headers":           {StandardWebhooks(), Request{}, ErrMissingHeader},
		"no signature":         {StandardWebhooks(), good.with("webhook-signature"), ErrMissingHeader},
		"no id":                {StandardWebhooks(), good.with("webhook-id"), ErrMissingHeader},
		"empty id":             {StandardWebhooks(), good.with("webhook-id", ""), ErrMissingHeader},
		"no timestamp":         {StandardWebhooks(), good.with("webhook-timestamp"), ErrMissingHeader},
		"two ids":              {StandardWebhooks(), good.with("webhook-id", "msg_1", "msg_1"), ErrMalformedHeader},
		"two timestamps":       {StandardWebhooks(), good.with("webhook-timestamp", "1614265330", "1614265330"), ErrMalformedHeader},
		"long id":              {StandardWebhooks(), good.with("webhook-id", strings.Repeat("a", maxHeader+1)), ErrMalformedHeader},
		"long signature":       {StandardWebhooks(), good.with("webhook-signature", strings.Repeat(" ", maxHeader)+sig), ErrMalformedHeader},
		"33 signatures":        {StandardWebhooks(), good.with("webhook-signature", strings.Repeat(sig+" ", 33)), ErrMalformedHeader},
		"33 unknown forms":     {StandardWebhooks(), good.with("webhook-signature", strings.Repeat("v9,x ", 32)+sig), ErrMalformedHeader},
		"only an unknown form": {StandardWebhooks(), good.with("webhook-signature", "v2,AAAA"), ErrMalformedHeader},
		"empty signature":      {Veriff(), v.with("X-HMAC-SIGNATURE", ""), ErrMalformedHeader},
		"repeated signature":   {Veriff(), v.with("X-HMAC-SIGNATURE", hexSig, hexSig), ErrMalformedHeader},
		"joined signature":     {Veriff(), v.with("X-HMAC-SIGNATURE", hexSig+","+hexSig), ErrMalformedHeader},
		"one byte short":       {Veriff(), v.with("X-HMAC-SIGNATURE", hexSig[:62]), ErrMalformedHeader},
		"one byte long":        {Veriff(), v.with("X-HMAC-SIGNATURE", hexSig+"00"), ErrMalformedHeader},
		"half a byte long":     {Veriff(), v.with("X-HMAC-SIGNATURE", hexSig+"0"), ErrMalformedHeader},
		"not hex":              {Veriff(), v.with("X-HMAC-SIGNATURE", "g"+hexSig[1:]), ErrMalformedHeader},
		"with a prefix":        {Veriff(), v.with("X-HMAC-SIGNATURE", "sha256="+hexSig), ErrMalformedHeader},
		"without its prefix":   {GitHub(), v.with("X-Hub-Signature-256", hexSig), ErrMalformedHeader},
		"prefix in upper case": {GitHub(), v.with("X-Hub-Signature-256", "SHA256="+hexSig), ErrMalformedHeader},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, c.scheme, c.r, c.want, "QUJD")
		})
	}
}

func TestHexMayBeUpperCase(t *testing.T) {
	t.Parallel()
	r := signed(t, Veriff(), "{}", "s")
	wantSecret(t, Veriff(), r.with("X-HMAC-SIGNATURE", strings.ToUpper(r.Header.Get("X-HMAC-SIGNATURE"))), 0, "s")
}

func TestBase64PaddingMayBeLeftOutButNotChanged(t *testing.T) {
	t.Parallel()
	s, name := StandardWebhooks(), "webhook-signature"
	r := signed(t, s, "{}", whsec)
	sig := r.Header.Get(name)
	wantSecret(t, s, r.with(name, strings.TrimRight(sig, "=")), 0, whsec)
	wantSecret(t, s, r, 0, strings.TrimPrefix(whsec, "whsec_"))
	for _, bad := range []string{sig + "=", sig[:len(sig)-2] + "==", sig[:10] + "\n" + sig[10:], sig[:20]} {
		wantError(t, s, r.with(name, bad), ErrMalformedHeader, whsec)
	}
	raw := make([]byte, 32)
	raw[0], raw[31] = 0xfb, 1
	for text, want := range map[string]bool{
		base64.StdEncoding.EncodeToString(raw):    true,
		base64.RawStdEncoding.EncodeToString(raw): true,
		base64.URLEncoding.EncodeToString(raw):    false, // the other alphabet
	} {
		var into [maxSignature]byte
		if _, ok := decodeSignature(&Variant{Algorithm: HMACSHA256, Encoding: Base64}, text, &into); ok != want {
			t.Errorf("decodeSignature(%q) = %v, want %v", text, ok, want)
		}
	}
}

func TestBase64RefusesStrayBits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"QQ==": true, "QQ": true, "QUI=": true, "QUJD": true, "": true,
		"QR==": false, "QQ=": false, "QUJD====": false, "Q": false, "QQ\n==": false, "=": false, "====": false, "Q=Q=": false,
	} {
		if _, ok := decodeBase64(text, false); ok != want {
			t.Errorf("decodeBase64(%q) = %v, want %v", text, ok, want)
		}
	}
}

func TestStripePairs(t *testing.T) {
	t.Parallel()
	s, name := Stripe(), "Stripe-Signature"
	r := signed(t, s, "{}", "whsec_plain")
	good := r.Header.Get(name)
	stamp, v1, _ := strings.Cut(good, ",")
	v0 := strings.Replace(v1, "v1=", "v0=", 1)
	wrong := "v1=" + strings.Repeat("00", 32)
	for _, value := range []string{good, v1 + "," + stamp, stamp + ", " + v1, good + "," + v0, stamp + "," + wrong + "," + v1, good + "," + wrong, "x=y,nonsense," + good, "v1=zz," + good} {
		wantSecret(t, s, r.with(name, value), 0, "whsec_plain")
	}
	wantError(t, s, r.with(name, stamp+","+wrong+","+v0), ErrMismatch, "whsec_plain")
	for _, value := range []string{stamp, v1, stamp + "," + v0, good + "," + stamp, good + ",t=1", "t=," + v1, "t=x," + v1, "t=-1," + v1} {
		wantError(t, s, r.with(name, value), ErrMalformedHeader, "whsec_plain")
	}
	wantError(t, s, r.with(name, good, good), ErrMalformedHeader, "whsec_plain")
	wantError(t, s, r.with(name, "t=1614265331,"+v1), ErrMismatch, "whsec_plain")
	two := signed(t, s, "{}", "new", "old")
	if n := strings.Count(two.Header.Get(name), "v1="); n != 2 {
		t.Errorf("two secrets make %d v1", n)
	}
	wantSecret(t, s, two, 0, "old")
}

func TestPairsWithoutListHaveOneSignature(t *testing.T) {
	t.Parallel()
	s := Stripe()
	s.Multi = MultiNone
	r := signed(t, s, "{}", "new", "old")
	wantSecret(t, s, r, 0, "new")
	wantError(t, s, signed(t, Stripe(), "{}", "new", "old"), ErrMalformedHeader, "new")
}

func TestToleranceIsInclusiveOnBothSides(t *testing.T) {
	t.Parallel()
	for _, s := range []Scheme{StandardWebhooks(), Stripe(), Slack()} {
		r := signed(t, s, "{}", "c2VjcmV0")
		for skew, want := range map[time.Duration]bool{
			0: true, s.Tolerance: true, -s.Tolerance: true,
			s.Tolerance + 1: false, -s.Tolerance - 1: false, 1<<63 - 1: false,
		} {
			_, err := s.Verify(r, signedAt.Add(skew), "c2VjcmV0")
			if (err == nil) != want || !want && !errors.Is(err, ErrTimestamp) {
				t.Errorf("%s at %v: %v", s.Name, skew, err)
			}
			if te, ok := errors.AsType[*TimestampError](err); ok && (te.Skew != skew || !te.Timestamp.Equal(signedAt)) {
				t.Errorf("%s: TimestampError %+v at %v", s.Name, te, skew)
			}
		}
	}
}

func TestWrongSignatureIsMismatchEvenWhenOld(t *testing.T) {
	t.Parallel()
	r := signed(t, Slack(), "{}", "s")
	if _, err := Slack().Verify(r, signedAt.Add(time.Hour), "other"); !errors.Is(err, ErrMismatch) {
		t.Errorf("Verify: %v", err)
	}
}

func TestTimestampsAreDigitsOnly(t *testing.T) {
	t.Parallel()
	r := signed(t, StandardWebhooks(), "{}", whsec)
	for _, text := range []string{"-1", "+1", "1.0", "1e9", " 1614265330", "0x1", "١", strings.Repeat("1", 19)} {
		wantError(t, StandardWebhooks(), r.with("webhook-timestamp", text), ErrMalformedHeader, whsec)
		if _, ok := parseTimestamp(text, Seconds); ok {
			t.Errorf("parseTimestamp(%q) takes it", text)
		}
	}
	if _, err := StandardWebhooks().Verify(r.with("webhook-timestamp", "999999999999999999"), signedAt, whsec); !errors.Is(err, ErrMismatch) {
		t.Errorf("a far time: %v", err)
	}
}

func TestMillisecondsAreWrittenAndRead(t *testing.T) {
	t.Parallel()
	s := StandardWebhooks()
	s.TimestampUnit = Milliseconds
	fields, err := s.Sign(Content{ID: "m", Timestamp: time.UnixMilli(1614265330123)}, whsec)
	if err != nil || fields[1].Value != "1614265330123" {
		t.Fatalf("Sign: %v, %v", fields, err)
	}
	got, err := s.Verify(Request{Header: headersOf(fields)}, signedAt, whsec)
	if err != nil || !got.Timestamp.Equal(time.UnixMilli(1614265330123)) {
		t.Errorf("Verify: %+v, %v", got, err)
	}
}

func TestSvixHeadersAreTakenAsOneSet(t *testing.T) {
	t.Parallel()
	s := StandardWebhooks()
	own := signed(t, s, "{}", whsec)
	svix := Request{Header: headersOf([]HeaderField{
		{"svix-id", own.Header.Get("webhook-id")},
		{"svix-timestamp", own.Header.Get("webhook-timestamp")},
		{"svix-signature", own.Header.Get("webhook-signature")},
	}), Body: own.Body}
	wantSecret(t, s, svix, 0, whsec)
	// A foreign id beside the signature is neither needed nor believed.
	got, err := s.Verify(svix.with("webhook-id", "msg_forged").with("webhook-timestamp", "1"), signedAt, whsec)
	if err != nil || got.ID != "msg_1" || !got.Timestamp.Equal(signedAt) {
		t.Errorf("Verify = %+v, %v", got, err)
	}
	wantError(t, s, svix.with("svix-id").with("webhook-id", "msg_1"), ErrMissingHeader, whsec)
	wantError(t, s, svix.with("svix-timestamp").with("webhook-timestamp", "1614265330"), ErrMissingHeader, whsec)
	wantError(t, s, own.with("webhook-id").with("svix-id", "msg_1"), ErrMissingHeader, whsec)
}

func TestWhsecIsBase64ForStandardWebhooksOnly(t *testing.T) {
	t.Parallel()
	for _, s := range builtin() {
		decoded := s.Name == "standard-webhooks"
		// Two texts for the same key bytes: with padding and without.
		r := signed(t, s, "{}", "whsec_c2VjcmV0MQ==")
		_, err := s.Verify(r, signedAt, "whsec_c2VjcmV0MQ")
		if same := err == nil; same != decoded {
			t.Errorf("%s: decoded is %v, want %v", s.Name, same, decoded)
		}
		if _, err := NewVerifier(s, "whsec_not base64!"); (err != nil) != decoded {
			t.Errorf("%s: a secret that is not base64: %v", s.Name, err)
		}
	}
}

func ed25519Keys() (seed, whole, public string) {
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
	encode := base64.StdEncoding.EncodeToString
	return "whsk_" + encode(private.Seed()), "whsk_" + encode(private), "whpk_" + encode(private[ed25519.SeedSize:])
}

func TestEd25519SignsWithPrivateAndVerifiesWithEitherHalf(t *testing.T) {
	t.Parallel()
	s := StandardWebhooks()
	seed, whole, public := ed25519Keys()
	for _, private := range []string{seed, whole} {
		r := signed(t, s, "{}", private)
		if sig := r.Header.Get("webhook-signature"); !strings.HasPrefix(sig, "v1a,") {
			t.Errorf("signature %s", sig)
		}
		for _, key := range []string{seed, whole, public} {
			wantSecret(t, s, r, 1, whsec, key)
		}
		r.Body = []byte("other")
		wantError(t, s, r, ErrMismatch, public)
	}
	mixed := signed(t, s, "{}", whsec, seed)
	wantSecret(t, s, mixed, 0, public)
	wantSecret(t, s, mixed, 0, whsec)
	if _, err := NewSigner(s, public); !errors.Is(err, ErrBadSecret) {
		t.Errorf("NewSigner with a public key: %v", err)
	}
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(whole, "whsk_"))
	raw[63] ^= 1
	if _, err := NewSigner(s, "whsk_"+base64.StdEncoding.EncodeToString(raw)); !errors.Is(err, ErrBadSecret) {
		t.Errorf("NewSigner with halves of two keys: %v", err)
	}
}

// An HMAC under the public key's bytes must not pass for a v1a signature, nor
// the other way round.
func TestVariantsAreNotMixed(t *testing.T) {
	t.Parallel()
	_, _, public := ed25519Keys()
	r := signed(t, StandardWebhooks(), "{}", strings.TrimPrefix(public, "whpk_"))
	wantError(t, StandardWebhooks(), r, ErrMismatch, public)

	// Nor may a sender that has two keys of one algorithm use the wrong one.
	s := Scheme{Header: "X-Sig", Multi: MultiComma, Variants: []Variant{
		{Algorithm: HMACSHA256, Prefix: "test=", KeyPrefix: "test_"},
		{Algorithm: HMACSHA256, Prefix: "live=", KeyPrefix: "live_"},
	}}
	r = signed(t, s, "{}", "live_key")
	wantSecret(t, s, r, 1, "test_key", "live_key")
	value := strings.Replace(r.Header.Get("X-Sig"), "live=", "test=", 1)
	wantError(t, s, r.with("X-Sig", value), ErrMismatch, "test_key", "live_key")
}

func TestBareEd25519KeyIsPublicToVerifierAndSeedToSigner(t *testing.T) {
	t.Parallel()
	s := Scheme{Header: "X-Ed", Variants: []Variant{{Algorithm: Ed25519, Key: KeyHex}}}
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32)))
	r := signed(t, s, "{}", hex.EncodeToString(private.Seed()))
	wantSecret(t, s, r, 0, hex.EncodeToString(private[32:]))
	wantError(t, s, r, ErrMismatch, hex.EncodeToString(private.Seed()))
}

func TestSignRefusesWhatCouldNotBeVerified(t *testing.T) {
	t.Parallel()
	for _, c := range []Content{
		{ID: "m"}, {Timestamp: signedAt}, {ID: "m", Timestamp: time.Unix(-1, 0)},
		{ID: "m\r\nx: y", Timestamp: signedAt}, {ID: " m", Timestamp: signedAt}, {ID: "m\n", Timestamp: signedAt},
	} {
		if got, err := StandardWebhooks().Sign(c, whsec); !errors.Is(err, ErrMissingHeader) {
			t.Errorf("Sign(%+v) = %v, %v", c, got, err)
		}
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	t.Parallel()
	s := Scheme{
		Header: "X Y", IDHeader: "X-ID", Multi: "both", Content: "{timestamp}", TimestampUnit: "h",
		Aliases:  []HeaderNames{{Header: "A"}},
		Variants: []Variant{{Algorithm: "md5", Encoding: "rot13", Key: "pem", Prefix: "a\n", PublicKeyPrefix: "p"}},
	}
	err := s.Validate()
	for _, key := range []string{"header:", "aliases[0].id_header:", "multi:", "content: {body}", "content: {timestamp}", "content: {id}", "tolerance:", "timestamp_unit:",
		"variants[0].algorithm:", "variants[0].encoding:", "variants[0].key:", "variants[0].prefix:", "variants[0].public_key_prefix:"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%q is not in %v", key, err)
		}
	}
	for _, bad := range []func(*Scheme){
		func(s *Scheme) { s.Content = "{body" },
		func(s *Scheme) { s.Content = "{bodies}" },
		func(s *Scheme) { s.Variants = nil },
		func(s *Scheme) { s.TimestampHeader = "X-T" }, // carried, not signed
		func(s *Scheme) { s.Tolerance = time.Minute },
		func(s *Scheme) { s.TimestampPair, s.Multi = "t", MultiSpace },
		func(s *Scheme) { s.Variants[0].Algorithm = Ed25519 },
		func(s *Scheme) { s.Multi, s.Variants[0].Prefix = MultiSpace, "a b" },
		func(s *Scheme) { s.Multi, s.Variants[0].Prefix = MultiComma, "a,b" },
	} {
		s := Veriff()
		bad(&s)
		if err := s.Validate(); !errors.Is(err, ErrBadScheme) {
			t.Errorf("Validate(%+v): %v", s, err)
		}
	}
}

func TestBuiltinSchemesAreValidAndNamed(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		s, ok := Lookup(name)
		if !ok || s.Name != name || s.Validate() != nil {
			t.Errorf("Lookup(%q) = %v, %v; %v", name, s.Name, ok, s.Validate())
		}
	}
	if _, ok := Lookup("Veriff"); ok {
		t.Error("names have one spelling")
	}
	if got := fmt.Sprint(Names()); got != "[veriff metamap meeva meetbot standard-webhooks stripe github slack]" {
		t.Error(got)
	}
}

func TestCustomSharesNothing(t *testing.T) {
	t.Parallel()
	in := StandardWebhooks()
	out, err := Custom(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Variants[0].Prefix, in.Aliases[0].Header = "x", "x"
	if out.Variants[0].Prefix != "v1," || out.Aliases[0].Header != "svix-signature" {
		t.Error("a change of the argument reached the copy")
	}
}

func TestRepeatedHeadersAreOneList(t *testing.T) {
	t.Parallel()
	s := Scheme{Header: "X-Sig", Multi: MultiRepeated, Variants: []Variant{{Algorithm: HMACSHA256}}}
	r := signed(t, s, "{}", "new", "old")
	both := r.Header["X-Sig"]
	if len(both) != 2 {
		t.Fatalf("two secrets make %d headers", len(both))
	}
	wantSecret(t, s, r, 0, "old")
	wantSecret(t, s, r.with("X-Sig", both[0]+", "+both[1]), 0, "old") // joined on the way
	wantSecret(t, s, r.with("X-Sig", both[1], "nonsense"), 0, "old")
	wantError(t, s, r.with("X-Sig", both[0]), ErrMismatch, "old")
}
