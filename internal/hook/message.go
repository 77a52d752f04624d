package hook

import (
	"slices"
	"time"
)

// Message is one accepted event. It never changes after it was kept.
type Message struct {
	ID  Key
	Org Key
	App Key // the application whose endpoints get it; a source's hidden one for received webhooks

	Event
	ReceivedAt time.Time
	// Channels and Tags are the producer's; nil for received webhooks.
	Channels []string
	Tags     []string
	// ExpiresAt is when its payload is deleted; zero means with its application's others.
	ExpiresAt time.Time
	// Headers are the ones that go on to endpoints, in the order received.
	Headers []Header
	Body    []byte

	// Size is the length of the body in bytes, also where Body was not read.
	Size int
	// Fanout is how many deliveries were made with the message; their keys
	// follow the message's own key directly.
	Fanout int
	// Duplicates is how often the same event came again.
	Duplicates int
	// LastDuplicateAt is when it last came again; zero if never.
	LastDuplicateAt time.Time
}

// Header is one header line.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TestHeader marks a message that was no event of its provider; it goes on to endpoints.
// What comes in with it from elsewhere loses it.
const TestHeader = "Sigpost-Test"

// Test says whether a message is a test event that was made here.
func (m *Message) Test() bool {
	return slices.Contains(m.Headers, Header{TestHeader, "true"})
}

// Hash is the dedupe key of a message in the form the store keeps: the first
// 128 bits of a SHA-256 over the application and Event.DedupeKey.
type Hash [16]byte

// DedupeWindow is how long an event is remembered as already seen. Veriff, the
// most patient of the known providers, repeats itself for a week.
const DedupeWindow = 8 * 24 * time.Hour

// MessageFilter chooses messages of one organization, whichever application they
// are of. Zero fields but Org choose all.
type MessageFilter struct {
	Org   Key
	App   Key
	Types []string // patterns with *, any of these
	Range Range
	Page  Page
}
