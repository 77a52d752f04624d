package hook

import "time"

// Retention is how long is kept what belongs to messages, each by its own age. A part
// that is zero is decided by who is asked next: the server, or the default.
type Retention struct {
	// Payloads are the bodies. A message may have an age of its own for its payload.
	Payloads Days `json:"payloads,omitempty"`
	// Attempts are the records of requests, answers included.
	Attempts Days `json:"attempts,omitempty"`
	// Messages are all that is left: the messages, where they went and what became of that.
	Messages Days `json:"messages,omitempty"`
}

// Days is an age; 0 is not decided.
type Days int

// Forever keeps things until they are deleted by hand.
const Forever Days = -1

// MostDays bounds an age, at a hundred years.
const MostDays Days = 36_500

// DefaultRetention is that of applications, and DefaultSourceRetention that of sources.
func DefaultRetention() Retention { return Retention{90, 90, 90} }

// DefaultSourceRetention is how long is kept what sources received.
func DefaultSourceRetention() Retention { return Retention{30, 30, 30} }

// Or fills what r does not decide from another.
func (r Retention) Or(other Retention) Retention {
	for _, x := range []struct{ into, from *Days }{{&r.Payloads, &other.Payloads}, {&r.Attempts, &other.Attempts}, {&r.Messages, &other.Messages}} {
		if *x.into == 0 {
			*x.into = *x.from
		}
	}
	return r
}

// before is the key before which everything is older than an age at now; 0 is nothing.
func (d Days) before(now time.Time) Key {
	if d <= 0 {
		return 0
	}
	return KeyAt(now.AddDate(0, 0, -int(d)))
}

// Cutoffs are the keys before which things are deleted; 0 deletes none.
type Cutoffs struct{ Payloads, Attempts, Messages Key }

// At is what is deleted at now. Nothing outlives its message.
func (r Retention) At(now time.Time) Cutoffs {
	c := Cutoffs{r.Payloads.before(now), r.Attempts.before(now), r.Messages.before(now)}
	c.Payloads, c.Attempts = max(c.Payloads, c.Messages), max(c.Attempts, c.Messages)
	return c
}

// Retained is how much was deleted because of its age.
type Retained struct{ Messages, Payloads, Attempts int }
