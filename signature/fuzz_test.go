package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// listForms are schemes of every list form, under one secret that fits them all.
func listForms() []Scheme {
	repeated := Veriff()
	repeated.Header, repeated.Multi = "X-Repeated", MultiRepeated
	wide := Scheme{Header: "X-Wide", Multi: MultiSpace, Variants: []Variant{{Algorithm: HMACSHA512, Encoding: Base64URL}}}
	pair := Stripe()
	pair.Multi = MultiNone
	return []Scheme{Veriff(), Meetbot(), StandardWebhooks(), Stripe(), Slack(), repeated, wide, pair}
}

// Nobody without the secret makes a valid header, and no header makes a panic.
func FuzzVerify(f *testing.F) {
	const secret = "c2VjcmV0"
	for i, s := range listForms() {
		r := signed(f, s, "{}", secret, secret)
		values := r.Header.Values(s.Header)
		f.Add(uint8(i), values[0], values[len(values)-1], "msg_1", "1614265330", []byte("{}"))
		f.Add(uint8(i), "t=1,v1=00,v0=11,t=2", "v1,AA== v1a,BB", "", "-1", []byte(nil))
		f.Add(uint8(i), ",, ,", "=\x00", " ", "99999999999999999999", []byte("x"))
	}
	f.Fuzz(func(t *testing.T, which uint8, first, second, id, stamp string, body []byte) {
		forms := listForms()
		s := forms[int(which)%len(forms)]
		r := Request{Header: headersOf([]HeaderField{{s.Header, first}, {s.IDHeader, id}, {s.TimestampHeader, stamp}}), Body: body}
		if second != "" {
			r.Header.Add(s.Header, second)
		}
		got, err := s.Verify(r, signedAt, secret)
		if err != nil {
			if !isRefusal(err) && !errors.Is(err, ErrTimestamp) {
				t.Fatalf("an error of no known kind: %v", err)
			}
			return
		}
		// It verifies, so what we sign for it must stand in it.
		at := got.Timestamp
		if at.IsZero() {
			at = signedAt
		}
		want, err := s.Sign(Content{ID: got.ID, Timestamp: at, Body: body}, secret)
		if err != nil {
			return // an id that we would not write, or a time with leading zeros
		}
		_, bare, _ := strings.Cut(want[len(want)-1].Value, s.Variants[0].Prefix)
		bare = strings.TrimRight(bare, "=")
		if all := first + "," + second; !strings.Contains(strings.ToLower(all), strings.ToLower(bare)) && stamp == strconv.FormatInt(at.Unix(), 10) {
			t.Fatalf("%s: %q is valid, but we sign %q", s.Name, all, bare)
		}
	})
}

func FuzzDecodeSignature(f *testing.F) {
	for _, text := range []string{"", "00", strings.Repeat("aF", 32), strings.Repeat("A", 43) + "=", "QQ==", "Q-_Q", strings.Repeat("=", 90)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, a := range []Algorithm{HMACSHA1, HMACSHA256, HMACSHA512, Ed25519} {
			for _, e := range []Encoding{Hex, Base64, Base64URL} {
				var into [maxSignature]byte
				size, ok := decodeSignature(&Variant{Algorithm: a, Encoding: e}, text, &into)
				if ok && size != signatureSize(a) {
					t.Fatalf("%s %s of %q has %d bytes", a, e, text, size)
				}
			}
		}
	})
}

// There is only one text, but for its padding, that decodes to given bytes.
func FuzzDecodeBase64(f *testing.F) {
	for _, text := range []string{"", "QQ==", "QQ", "QR==", "QQ=\n=", "Q-_Q", "Q+/Q", "====", "QUJD===="} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, url bool) {
		raw, ok := decodeBase64(text, url)
		if !ok {
			return
		}
		encoding := base64.StdEncoding
		if url {
			encoding = base64.URLEncoding
		}
		if padded := encoding.EncodeToString(raw); text != padded && text != strings.TrimRight(padded, "=") {
			t.Fatalf("%q decodes to %x, which is written %q", text, raw, padded)
		}
	})
}

func FuzzParseTimestamp(f *testing.F) {
	for _, text := range []string{"", "0", "1614265330", "-1", "+1", "1e3", " 1", "999999999999999999", "9999999999999999999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := strconv.ParseUint(text, 10, 64)
		for _, unit := range []TimestampUnit{Seconds, Milliseconds} {
			at, ok := parseTimestamp(text, unit)
			if want := err == nil && len(text) <= maxDigits; ok != want {
				t.Fatalf("parseTimestamp(%q) = %v, want %v", text, ok, want)
			}
			if ok && strings.TrimLeft(text, "0") != strings.TrimLeft(formatTimestamp(at, unit), "0") {
				t.Fatalf("%q (%d) became %v", text, n, at)
			}
		}
	})
}

func FuzzRewrites(f *testing.F) {
	for _, text := range []string{compactJSON, indentedJSON("  "), pythonJSON, "", "x", `{"a":"\`, "[[[[[[", "}}}}{", "[ ]", "{,:,:}", "\xef\xbb\xbf{}\r\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		for _, c := range rewrites(body) {
			if bytes.Equal(c.body, body) {
				t.Fatalf("%s changes nothing of %q", c.code, body)
			}
			if len(c.body) > 5*len(body)+2048 {
				t.Fatalf("%d bytes became %d", len(body), len(c.body))
			}
		}
		if !bytes.Equal(before, body) {
			t.Fatal("the body itself was changed")
		}
		if unclosed(body) && json.Valid(body) {
			t.Fatalf("%q is whole", body)
		}
		if !json.Valid(body) || !looksLikeJSON(body) {
			return
		}
		var want bytes.Buffer
		if err := json.Compact(&want, body); err != nil {
			t.Fatal(err)
		}
		if got, ok := respace(body, "", ""); !ok || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("compact form %q, want %q", got, want.Bytes())
		}
		want.Reset()
		if err := json.Indent(&want, body, "", "\t"); err != nil {
			t.Fatal(err)
		}
		if got, ok := respace(body, "\t", " "); ok && !bytes.Equal(got, bytes.TrimSpace(want.Bytes())) {
			t.Fatalf("indented form %q, want %q", got, want.Bytes())
		}
	})
}

func FuzzExplain(f *testing.F) {
	const secret = "bWFya2VyLXNlY3JldC1rZXk"
	for i, s := range listForms() {
		r := signed(f, s, compactJSON, secret)
		f.Add(uint8(i), s.Header, r.Header.Get(s.Header), "1614265330", "gzip", []byte(pythonJSON))
		f.Add(uint8(i), "Stripe-Signature", "t=1,v1=00", "x", strings.Repeat("g", 500), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, name, value, stamp, encoding string, body []byte) {
		if strings.Contains(name+encoding, secret) {
			return // who says it himself may read it
		}
		forms := listForms()
		s := forms[int(which)%len(forms)]
		r := Request{Header: headersOf([]HeaderField{{name, value}, {s.TimestampHeader, stamp}, {s.IDHeader, "msg_1"}, {"Content-Encoding", encoding}}), Body: body}
		secrets := []KnownSecret{{Value: "b3RoZXI"}, {Value: secret}, {Value: secret + "\n", Previous: true}}
		e := newExplainer(s, r, secrets, signedAt.Add(time.Hour))
		got := e.run()
		if e.tries > explainTries {
			t.Fatalf("%d tries", e.tries)
		}
		if got.Valid != (len(got.Findings) == 0) || len(got.Findings) > 40 {
			t.Fatalf("valid is %v with %d findings", got.Valid, len(got.Findings))
		}
		expected, err := s.Sign(Content{ID: "msg_1", Timestamp: signedAt, Body: body}, secret)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(got.Findings, func(f Finding) bool {
			text := f.Code + f.Message + f.Fix
			return len(text) > 1000 || strings.Contains(text, secret) || strings.Contains(text, expected[len(expected)-1].Value)
		}) {
			t.Fatalf("too much is told: %+v", got.Findings)
		}
	})
}
