package hook

import "time"

// Event is what a provider's rules find in a verified request: the
// classification of a message, before there is one.
type Event struct {
	// Type is the event type, [a-zA-Z0-9\-_.]+, for example "veriff.decision.approved".
	Type string
	// ID is the provider's own event id; empty where it sends none.
	ID string
	// DedupeKey tells this event from every other of its source: "id:" and the
	// provider's event id where it has one, else "sha256:" and the hex hash of
	// the canonical JSON (keys sorted, white space dropped), or of the raw
	// bytes when the body is not JSON. Empty: each is an event of its own.
	DedupeKey string
	// Family names the event types that replace each other for one subject;
	// empty when the event replaces nothing.
	Family string
	// Subjects are whom the event is about, the provider's primary kind first.
	Subjects []Subject
	// OccurredAt is when it happened by the provider's clock; zero where it sends no time.
	OccurredAt time.Time
	// Rank orders events of one subject that carry no time: lower came first. 0 is "unknown".
	Rank int
	// Final says that no other type of the family follows in the ordinary course of things.
	Final bool
	// Meanings explain the codes in the event, for people; filled only when asked for.
	Meanings []Meaning
}

// Subject is whom a message is about, for example {"session", "12df6045-…"}.
type Subject struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// Meaning says what one code in a payload stands for.
type Meaning struct {
	Field string `json:"field"` // path in the payload, for example "verification.code"
	Value string `json:"value"`
	Text  string `json:"meaning"`
}
