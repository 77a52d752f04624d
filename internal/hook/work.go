package hook

import "time"

// Incoming is a verified and classified event on its way to become a message.
type Incoming struct {
	Org        Key
	App        Key
	Event      Event
	ReceivedAt time.Time
	Headers    []Header
	Body       []byte
	// Redeliver forwards the event again when it is known already.
	Redeliver bool
	// Channels, Tags and ExpiresAt are the message's.
	Channels, Tags []string
	ExpiresAt      time.Time
	// DeliverAt is when its deliveries are due; zero means at once.
	DeliverAt time.Time
	// Only is the one endpoint that gets it; 0 is every one that wants it.
	Only Key
	// Idempotency is the request that it came with; nil when it has no key.
	Idempotency *Idempotency
}

// Idempotency binds a key of a caller to what was asked with it.
type Idempotency struct {
	Hash    Hash // of organization and key
	Request Hash // of what was asked
	// Try tells one try of a request that makes no message from the next; the
	// store sets it where nodes share it, else it is 0.
	Try Key
}

// Answer is what was answered to a request that came with an idempotency key.
type Answer struct {
	Request Hash
	// Message is what the request made; 0 when it was not a message.
	Message Key
	// Status and Body are the answer itself; zero for a message.
	Status int
	Body   []byte
}

// IdempotencyWindow is how long a key is remembered.
const IdempotencyWindow = 12 * time.Hour

// Receipt is what the sender of an event is told.
type Receipt struct {
	Message Key
	// Duplicate says that the event was known; Message is the first one's.
	Duplicate bool
	// Repeated says that the same request was made before; Message is what it made.
	Repeated bool
	// Deliveries is how many were made now.
	Deliveries int
}

// Append is one event to be kept together with where it goes, in one transaction.
type Append struct {
	// Message is kept unless the event is known; its ID and Fanout are set by the store.
	Message Message
	// Hash tells the event from others; it is looked for in the dedupe window.
	// The zero Hash is never looked for: each such message is an event of its own.
	Hash Hash
	// Idempotency is looked for before Hash; nil when there is no key. A key that
	// came with another request before is an error with CodeConflict.
	Idempotency *Idempotency
	// Repeated says that the same request was made before. Nothing was kept now;
	// Message.ID is what it made.
	Repeated bool
	// Deliveries go with the message: Org, Endpoint, State, NextAt, Since, Holder and
	// Lane are the caller's, ID and Message are set by the store. Those with a lane come
	// as Waiting and without a holder; the store says what became of them.
	Deliveries []Delivery
	// Redeliver makes the deliveries also when the event is known already.
	Redeliver bool

	// Duplicate says that the event was known; Message.ID is then the first one's.
	Duplicate bool
}

// Record is what came of one attempt.
type Record struct {
	// Delivery is as it was when the attempt began; its Holder is the fence.
	Delivery Delivery
	// Attempt is kept; its ID is set by the store. Nil when none was made, as
	// when a delivery is only handed back.
	Attempt *Attempt
	// State and NextAt are what holds from now on. A Pending one is Canceled by the
	// store when its lane has a newer state that took its place.
	State  DeliveryState
	NextAt time.Time
	// Poison says that the delivery leaves its lane: Skipped goes with Failed, Parked
	// with Pending.
	Poison Poison

	// Next is the delivery whose turn it is in the lane now, and which this holder has:
	// it is due. Nil when there is none, or it is not due yet.
	Next *Delivery
	// Refused says that the delivery was no longer this holder's, or no longer
	// pending: someone else decides about it, and nothing was recorded.
	Refused bool
}
