package provider

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// GeneratedIDs are the ids in a sample that look as if a machine had made them:
// that of the event, and those of its subjects. They are what sets one event
// apart from another. A repository's name, or a customer number, is not.
func (d *Definition) GeneratedIDs(s Sample) []string {
	event := d.Classify(s.Header, s.Body)
	var ids []string
	for _, subject := range event.Subjects {
		if freshID(subject.ID) != "" {
			ids = append(ids, subject.ID)
		}
	}
	if freshID(event.ID) != "" {
		ids = append(ids, event.ID)
	}
	return ids
}

// FreshIDs puts new ids of the same forms in the place of ids, wherever they stand in body.
func FreshIDs(body []byte, ids []string) []byte {
	for _, id := range ids {
		body = bytes.ReplaceAll(body, []byte(id), []byte(freshID(id)))
	}
	return body
}

// The forms of ids that machines make.
var (
	uuidForm     = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	hexForm      = regexp.MustCompile(`^[0-9a-f]{16,64}$`)
	prefixedForm = regexp.MustCompile(`^[a-z]{2,12}_[0-9A-Za-z]{8,64}$`)
)

// freshID is a random id of the form of id: a UUID, hexadecimal digits, or letters
// and digits after a prefix ("evt_…"). It is empty for any other form.
func freshID(id string) string {
	switch {
	case uuidForm.MatchString(id):
		return newUUID(randomBytes())
	case hexForm.MatchString(id):
		return hex.EncodeToString(append(randomBytes(), randomBytes()...))[:len(id)]
	case prefixedForm.MatchString(id):
		prefix, rest, _ := strings.Cut(id, "_")
		text := rand.Text() + rand.Text() + rand.Text()
		if rest != strings.ToUpper(rest) {
			text = strings.ToLower(text)
		}
		return prefix + "_" + text[:len(rest)]
	}
	return ""
}

// HeaderID is an id for a header, where neither sample nor user gives one:
// random, or always the same for the same body.
func HeaderID(form string, body []byte, same bool) string {
	raw := randomBytes()
	if same {
		sum := sha256.Sum256(body)
		raw = sum[:16]
	}
	if form == MessageForm {
		return "msg_" + hex.EncodeToString(raw)
	}
	return newUUID(raw)
}

// MessageForm is the form of the ids that schemes sign; other headers carry UUIDs.
const MessageForm = "msg_"

// newUUID is a UUID of version 4 (RFC 9562) made of 16 random bytes.
func newUUID(raw []byte) string {
	b := bytes.Clone(raw)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func randomBytes() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails; see crypto/rand
	return b
}

// Fresh is a sample as an event that never was: with new ids, also in the headers. signed is the
// one that the scheme signs, if it signs one.
func (d *Definition) Fresh(s Sample) (fresh Sample, signed string) {
	fresh = Sample{EventType: s.EventType, Body: FreshIDs(s.Body, d.GeneratedIDs(s)), Header: s.Header.Clone()}
	if fresh.Header == nil {
		fresh.Header = http.Header{}
	}
	if name := d.Scheme.IDHeader; name != "" {
		signed = HeaderID(MessageForm, nil, false)
		fresh.Header.Set(name, signed)
		return fresh, signed
	}
	for _, place := range d.ID {
		if place.Header != "" {
			fresh.Header.Set(place.Header, HeaderID("", nil, false))
			break
		}
	}
	return fresh, ""
}
