package signature

import (
	"bytes"
	"testing"
)

func benchmarked() []Scheme { return []Scheme{Veriff(), StandardWebhooks()} }

func BenchmarkVerify1KiB(b *testing.B) {
	for _, s := range benchmarked() {
		b.Run(s.Name, func(b *testing.B) {
			r := signed(b, s, string(bytes.Repeat([]byte("x"), 1024)), whsec)
			v, err := NewVerifier(s, whsec)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(r, signedAt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSign1KiB(b *testing.B) {
	for _, s := range benchmarked() {
		b.Run(s.Name, func(b *testing.B) {
			c := Content{ID: "msg_1", Timestamp: signedAt, Body: bytes.Repeat([]byte("x"), 1024)}
			signer, err := NewSigner(s, whsec)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := signer.Sign(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
