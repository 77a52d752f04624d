package hook

import (
	"log/slog"
	"time"
)

// Secret is a text that must never be seen in a log, an error or an answer:
// every way of printing it gives "[redacted]". Reveal is the one way out.
type Secret string

const redacted = "[redacted]"

// Reveal is the text itself. Call it where the secret is used, and nowhere else.
func (s Secret) Reveal() string { return string(s) }

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SecretChange is what a change of an endpoint or source does to its secrets; the zero
// value leaves them as they are.
type SecretChange struct {
	// Replace puts List in the place of all of them, the newest first.
	Replace bool
	List    []Secret
	// Fresh is put in force. Those that are live at At stay valid for Grace, or until
	// their own earlier end; without grace they end at once.
	Fresh Secret
	Grace time.Duration
	At    time.Time
	// Keep leaves those that are live as they are, whatever Grace is.
	Keep bool
}

// LiveSecret is a secret of an endpoint or source with its place in a rotation.
type LiveSecret struct {
	ID    Key
	Value Secret
	// ExpiresAt is when it stops being used; zero for the one in force.
	ExpiresAt time.Time
}
