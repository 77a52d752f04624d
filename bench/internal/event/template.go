// Package event makes the events that the bench sends: decisions as Veriff posts them,
// each 1,024 bytes long and different from every other, with their signatures computed
// before the clock starts. It knows nothing of connections or of time.
package event

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Size is the length of every body in bytes.
const Size = 1024

// digits is the length of an event's number as it stands in the body.
const digits = 12

// uuidLen is the length of a UUID as text.
const uuidLen = 36

// form is a decision with four gaps: session, attempt, vendor data and padding. Session,
// attempt and vendor data differ in every event, as they do in life: each is a subject
// that a gateway may have to remember.
const form = `{"status":"success","verification":{"id":"%s","attemptId":"%s","code":9001,` +
	`"person":{"gender":"F","idNumber":null,"lastName":"EXAMPLE","firstName":"ALEX","citizenship":null,` +
	`"dateOfBirth":"1990-01-31","nationality":"EE","yearOfBirth":"1990","placeOfBirth":null,"pepSanctionMatch":null},` +
	`"reason":null,"status":"approved","comments":["%s"],` +
	`"document":{"type":"PASSPORT","number":"B01234567","country":"EE","validFrom":"2021-03-04","validUntil":"2031-03-04"},` +
	`"reasonCode":null,"vendorData":"bench-%s","decisionTime":"2026-01-02T03:04:05.678Z",` +
	`"acceptanceTime":"2026-01-02T03:01:00.000Z","additionalVerifiedData":{},"riskLabels":[]},` +
	`"technicalData":{"ip":"192.0.2.10"}}`

// ErrForeign says that a body is not one that this package made.
var ErrForeign = errors.New("not an event of this bench")

// Template is the body of every event with the places where they differ.
// It is read-only after NewTemplate and safe for concurrent use.
type Template struct {
	body                     []byte
	session, attempt, number int // where each begins
}

// NewTemplate builds the template.
func NewTemplate() *Template {
	session := strings.Repeat("s", uuidLen)
	attempt := strings.Repeat("a", uuidLen)
	number := strings.Repeat("#", digits)
	bare := len(form) - 4*len("%s") + len(session) + len(attempt) + len(number)
	body := fmt.Appendf(nil, form, session, attempt, strings.Repeat("-", Size-bare), number)
	return &Template{
		body:    body,
		session: bytes.Index(body, []byte(session)),
		attempt: bytes.Index(body, []byte(attempt)),
		number:  bytes.Index(body, []byte(number)),
	}
}

// Fill writes event n into body, which must be Size bytes long. n must be below 10^12.
func (t *Template) Fill(body []byte, n uint64) {
	copy(body, t.body)
	putUUID(body[t.session:], mix(2*n), mix(2*n+1))
	putUUID(body[t.attempt:], mix(^(2 * n)), mix(^(2*n + 1)))
	for i := t.number + digits - 1; i >= t.number; i-- {
		body[i] = byte('0' + n%10)
		n /= 10
	}
}

// Number reads the number of an event back from its body, or gives ErrForeign.
// It looks at the length and at the number only.
func (t *Template) Number(body []byte) (uint64, error) {
	if len(body) != Size {
		return 0, ErrForeign
	}
	var n uint64
	for _, c := range body[t.number : t.number+digits] {
		if c < '0' || c > '9' {
			return 0, ErrForeign
		}
		n = n*10 + uint64(c-'0')
	}
	return n, nil
}

// putUUID writes 128 bits in the shape of a random UUID (RFC 9562, version 4).
func putUUID(dst []byte, hi, lo uint64) {
	var raw [16]byte
	for i := range 8 {
		raw[i] = byte(hi >> (8 * i))
		raw[8+i] = byte(lo >> (8 * i))
	}
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	hex.Encode(dst[0:8], raw[0:4])
	hex.Encode(dst[9:13], raw[4:6])
	hex.Encode(dst[14:18], raw[6:8])
	hex.Encode(dst[19:23], raw[8:10])
	hex.Encode(dst[24:36], raw[10:16])
	dst[8], dst[13], dst[18], dst[23] = '-', '-', '-', '-'
}

// IdempotencyKey is the key of the request that sends event n, as the SDKs make one for each:
// "auto_" and a UUID.
func IdempotencyKey(n uint64) string {
	const prefix = "auto_"
	var key [len(prefix) + uuidLen]byte
	copy(key[:], prefix)
	putUUID(key[len(prefix):], mix(^mix(2*n)), mix(^mix(2*n+1)))
	return string(key[:])
}

// mix is the output step of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
// number generators", 2014). It is a bijection, so different numbers never give the same
// session, and neighbours look unrelated, so no store profits from ordered ids.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
