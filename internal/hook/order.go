package hook

import (
	"regexp"
	"strings"
	"time"
)

// Order says whether an endpoint gets the messages about one subject one after
// another, and how. The zero Order is none: messages are sent as they come.
type Order struct {
	// By is "subject" for the first subject of a message, which is of the primary
	// kind of its provider, or "subject:" and a kind. Empty: there is no order.
	By string
	// ByOccurrence orders by when things happened (see [Moment]), as far as they
	// come in within Window of each other; else the order is that of acceptance.
	ByOccurrence bool
	// Window is how long a message waits for one that happened before it; 0 means
	// DefaultOrderWindow. It counts only with ByOccurrence.
	Window time.Duration
	// LatestOnly cancels what has not gone out of a subject and family when a newer
	// state of it comes in.
	LatestOnly bool
	// OnPoison says what becomes of a lane whose head fails; empty means PoisonBlock.
	OnPoison PoisonPolicy
	// PoisonAfter is after how many failures it is skipped or parked; 0 means
	// DefaultPoisonAfter.
	PoisonAfter int
}

// Defaults and bounds of an Order.
const (
	DefaultOrderWindow = 5 * time.Second
	MinOrderWindow     = time.Second
	MaxOrderWindow     = time.Hour
	DefaultPoisonAfter = 5
	MaxPoisonAfter     = 100
)

// PoisonPolicy says what becomes of a lane whose head fails again and again.
type PoisonPolicy string

// The policies.
const (
	PoisonBlock PoisonPolicy = "block" // the lane waits until its head is delivered, given up or canceled
	PoisonSkip  PoisonPolicy = "skip"  // the head has failed, and the lane goes on
	PoisonPark  PoisonPolicy = "park"  // the head leaves the lane and is tried again by itself
)

// Poison says that a delivery left its lane because it failed too often.
type Poison int

// What became of it.
const (
	NotPoisoned Poison = 0
	Skipped     Poison = 1
	Parked      Poison = 2
)

// orderedBySubject is the one way to order there is; a kind may follow.
const orderedBySubject = "subject"

var kindOfSubject = regexp.MustCompile(`^[a-z][a-z0-9_\-]{0,63}$`)

// Kind is the kind of subject that makes the lanes; empty for the first subject of
// each message.
func (o *Order) Kind() string {
	_, kind, _ := strings.Cut(o.By, ":")
	return kind
}

// Subject is the one among a message's subjects whose lane it is in; false when it
// is in none: it has no such subject, or there is no order.
func (o *Order) Subject(subjects []Subject) (Subject, bool) {
	if o.By == "" || len(subjects) == 0 {
		return Subject{}, false
	}
	kind := o.Kind()
	if kind == "" {
		return subjects[0], true
	}
	for _, s := range subjects {
		if s.Kind == kind {
			return s, true
		}
	}
	return Subject{}, false
}

// Lane is the number of the lane that a message with these subjects is in; 0 when
// it is in none.
func (o *Order) Lane(subjects []Subject) int64 {
	s, ok := o.Subject(subjects)
	if !ok {
		return 0
	}
	return max(1, s.hash())
}

// hash is FNV-1a of a subject, the same in every process and version, cut to 63 bits.
func (s *Subject) hash() int64 {
	h := uint64(14695981039346656037)
	for _, part := range [...]string{s.Kind, "\x00", s.ID} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * 1099511628211
		}
	}
	return int64(h >> 1)
}

// Wait is how long a message waits for those that happened before it.
func (o *Order) Wait() time.Duration {
	switch {
	case !o.ByOccurrence:
		return 0
	case o.Window == 0:
		return DefaultOrderWindow
	}
	return o.Window
}

// Tries is after how many failures a head is skipped or parked; 0 is never.
func (o *Order) Tries() int {
	switch {
	case o.OnPoison == "" || o.OnPoison == PoisonBlock:
		return 0
	case o.PoisonAfter == 0:
		return DefaultPoisonAfter
	}
	return o.PoisonAfter
}

// Check says what is wrong with an Order, and with which of its parts: order,
// order_by, order_window, latest_only, on_poison or poison_after. The error's text
// follows on the name of that part.
func (o *Order) Check() (part string, err error) {
	kind, named := strings.CutPrefix(o.By, orderedBySubject+":")
	switch {
	case o.By != "" && o.By != orderedBySubject && !named:
		return "order", Errorf(CodeInvalid, "is %q; it is none, subject, or subject: and a kind, for example subject:session", o.By)
	case named && !kindOfSubject.MatchString(kind):
		return "order", Errorf(CodeInvalid, "names the kind %q; a kind is up to 64 lower-case letters, digits, - and _, beginning with a letter", kind)
	case o.Window != 0 && !o.ByOccurrence:
		return "order_window", Errorf(CodeInvalid, "counts only where the order is that of occurrence; ask for that, or leave it out")
	case o.Window != 0 && (o.Window < MinOrderWindow || o.Window > MaxOrderWindow):
		return "order_window", Errorf(CodeInvalid, "is %s; it is between %s and %s", o.Window, MinOrderWindow, MaxOrderWindow)
	case o.OnPoison != "" && o.OnPoison != PoisonBlock && o.OnPoison != PoisonSkip && o.OnPoison != PoisonPark:
		return "on_poison", Errorf(CodeInvalid, "is %q; it is block, skip or park", o.OnPoison)
	case o.PoisonAfter != 0 && o.Tries() == 0:
		return "poison_after", Errorf(CodeInvalid, "counts only where what fails is skipped or parked; ask for that, or leave it out")
	case o.PoisonAfter < 0 || o.PoisonAfter > MaxPoisonAfter:
		return "poison_after", Errorf(CodeInvalid, "is %d; it is between 1 and %d", o.PoisonAfter, MaxPoisonAfter)
	case o.By != "":
		return "", nil
	case o.ByOccurrence:
		return "order_by", errNoOrder
	case o.LatestOnly:
		return "latest_only", errNoOrder
	case o.OnPoison != "":
		return "on_poison", errNoOrder
	}
	return "", nil
}

var errNoOrder = Errorf(CodeInvalid, "needs an order; set order to subject, or to subject: and a kind")

// Moment is what tells which of two messages about one subject is the newer one.
type Moment struct {
	OccurredAt time.Time
	Rank       int
	// Accepted rises with acceptance: a place in a lane, or a message's key. Moments
	// are compared only where it is the same thing in both.
	Accepted int64
}

// Before says that m is older than n: it happened earlier, where it is known of both
// when they happened, and not at the same time; else its rank is lower, where both
// have one and not the same; else it was accepted earlier. Among messages of which
// some have a time and others do not there may be circles.
func (m Moment) Before(n Moment) bool {
	if !m.OccurredAt.IsZero() && !n.OccurredAt.IsZero() {
		if a, b := m.OccurredAt.UnixMilli(), n.OccurredAt.UnixMilli(); a != b { // as precise as they are kept
			return a < b
		}
	}
	if m.Rank != 0 && n.Rank != 0 && m.Rank != n.Rank {
		return m.Rank < n.Rank
	}
	return m.Accepted < n.Accepted
}

// Moment is what tells whether a message is newer than another.
func (m *Message) Moment() Moment {
	return Moment{OccurredAt: m.OccurredAt, Rank: m.Rank, Accepted: int64(m.ID)}
}
