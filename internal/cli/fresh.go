package cli

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/sigpost/sigpost/internal/provider"
)

// generatedIDs are the ids in a sample that look as if a machine had made them:
// that of the event, and those of its subjects. They are what sets one event
// apart from another. A repository's name, or a customer number, is not.
func generatedIDs(d *provider.Definition, s provider.Sample) []string {
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

// freshIDs puts new ids of the same forms in the place of ids, wherever they stand in body.
func freshIDs(body []byte, ids []string) []byte {
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

// freshTime gives the event the present time, for a provider without ids. It is
// nil when the body has no time as text either.
func freshTime(d *provider.Definition, body []byte) []byte {
	for _, rule := range d.Rules {
		for _, place := range rule.Time {
			path := strings.Join(place.Keys, ".")
			if place.Header != "" || gjson.GetBytes(body, path).Type != gjson.String {
				continue
			}
			changed, err := sjson.SetBytes(body, path, time.Now().UTC().Format(time.RFC3339Nano))
			if err == nil {
				return changed
			}
		}
	}
	return nil
}

// headerID is an id for a header, where neither sample nor user gives one:
// random, or always the same for the same body.
func headerID(form string, body []byte, same bool) string {
	raw := randomBytes()
	if same {
		sum := sha256.Sum256(body)
		raw = sum[:16]
	}
	if form == messageForm {
		return "msg_" + hex.EncodeToString(raw)
	}
	return newUUID(raw)
}

// messageForm is the form of the ids that schemes sign; other headers carry UUIDs.
const messageForm = "msg_"

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
