package hook

import "time"

// Delivery is one message on its way to one endpoint.
type Delivery struct {
	ID       Key
	Org      Key
	Message  Key
	Endpoint Key
	State    DeliveryState
	// Attempts is how many were made.
	Attempts int
	// Failures is how many of them failed since Since: the place in the schedule.
	Failures int
	// NextAt is when a pending delivery is due.
	NextAt time.Time
	// Since is when the clock of the retry window started: acceptance, or the
	// last resend by hand.
	Since time.Time
	// Holder is the incarnation that has the delivery in memory, 0 for none.
	Holder Key
	// LastAttempt is the newest attempt, 0 before the first.
	LastAttempt Key
	// Trigger is why the next attempt is made.
	Trigger Trigger
	// Lane is the number of the lane at its endpoint that it is, or was, in; 0 when it
	// is sent whatever becomes of others. Of a lane's deliveries that are not over, one
	// is Pending or Held, its head, and all others are Waiting.
	Lane int64
	// Superseded is the message for whose newer state it was canceled, 0 otherwise.
	Superseded Key
	// Poison says that it left its lane because it failed too often.
	Poison Poison
}

// DeliveryState is what is the case with a delivery. The numbers are those of
// the wire API where it has them.
type DeliveryState int

// The states.
const (
	Delivered DeliveryState = 0
	Pending   DeliveryState = 1 // waiting for its first or next attempt
	Failed    DeliveryState = 2 // given up: the retry window ended, or the endpoint said 410
	Canceled  DeliveryState = 4 // superseded, or canceled by hand
	Held      DeliveryState = 5 // the endpoint is paused or disabled; kept until it is enabled
	Waiting   DeliveryState = 6 // for its turn in its lane; the wire API has it as pending
)

func (s DeliveryState) String() string {
	switch s {
	case Delivered:
		return "delivered"
	case Pending, Waiting:
		return "pending"
	case Failed:
		return "failed"
	case Canceled:
		return "canceled"
	case Held:
		return "held"
	}
	return "unknown"
}

// Trigger is why an attempt was made.
type Trigger int

// The triggers; the first two have the numbers of the wire API. A retry is
// scheduled, whatever the first attempt was.
const (
	Scheduled Trigger = 0
	Manual    Trigger = 1 // one delivery was sent again by hand
	Duplicate Trigger = 2 // a duplicate came in and its source forwards duplicates
	Replay    Trigger = 3 // a task sent it again, with others
)

func (t Trigger) String() string {
	switch t {
	case Scheduled:
		return "scheduled"
	case Manual:
		return "manual"
	case Duplicate:
		return "duplicate"
	case Replay:
		return "replay"
	}
	return "unknown"
}

// Attempt is one HTTP try of a delivery.
type Attempt struct {
	ID       Key
	Delivery Key
	Message  Key
	Endpoint Key
	// Previous is the attempt before this one of the same delivery, 0 for the first.
	Previous Key
	// Number counts from 1.
	Number   int
	Trigger  Trigger
	At       time.Time // when it began
	Duration time.Duration
	Outcome  Outcome
	// Status is the HTTP status, 0 when no answer came.
	Status int
	// Response is the beginning of the answer's body, at most 4 KiB.
	Response []byte
	// Reason says in words what went wrong; empty when delivered.
	Reason string
	// NotBefore is when the receiver asked to be tried again at the earliest
	// (Retry-After); zero when it did not ask. It is not kept.
	NotBefore time.Time
	// Asked is what the receiver asked for with the header webhook-delivery; it is not kept.
	Asked Directive
}

// Directive is what a receiver may ask for with the response header webhook-delivery.
type Directive string

// The directives.
const (
	AbortMessage    Directive = "abort-message" // do not try this message again
	DisableEndpoint Directive = "disable"       // nor any other
)

// Outcome classifies what came of one attempt.
type Outcome string

// The outcomes.
const (
	OutcomeDelivered Outcome = "delivered"
	OutcomeStatus    Outcome = "status"   // an HTTP answer that is not success
	OutcomeRedirect  Outcome = "redirect" // 3xx: never followed
	OutcomeTimeout   Outcome = "timeout"
	OutcomeConnect   Outcome = "connect" // refused, reset, no route
	OutcomeDNS       Outcome = "dns"
	OutcomeTLS       Outcome = "tls"
	OutcomeForbidden Outcome = "forbidden" // the address is on a network that is not allowed
	OutcomeProtocol  Outcome = "protocol"  // the answer is not HTTP, or was cut
	OutcomeLoop      Outcome = "loop"      // the message went through too many Sigposts
)
