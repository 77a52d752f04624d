package hook

import "time"

// TaskStep is one step of a task: what it does to deliveries, and how far the task
// is then. All of it is kept, or nothing.
type TaskStep struct {
	// From is the task as it was read. The step is refused when the task is no
	// longer running or no longer at this cursor: it was paused or canceled, or
	// another has made the step.
	From Task
	// Again are deliveries to be made due again, each with a retry window of its own.
	Again []Redelivery
	// Make are deliveries to be added late, with a new key each. One is left out when
	// the endpoint has got a late delivery of its message meanwhile.
	Make []Delivery
	// Cancel are deliveries to be canceled.
	Cancel []Key
	// If must still hold of a delivery of Again or Cancel, or it is left alone. So is
	// one that a living process has in memory: an attempt may be under way.
	If StepCondition
	// State is what the deliveries of Again are then: pending, or held.
	State DeliveryState
	// Keep says how the task is to stand when the step has changed n deliveries. It
	// may be called more than once.
	Keep func(n int) Task
}

// Redelivery makes a delivery due again.
type Redelivery struct {
	Delivery Key
	At       time.Time
}

// StepCondition is what must hold of a delivery that a step changes.
type StepCondition struct {
	States []DeliveryState // any of these; empty is any
	// Before is when the retry window of one that is sent again must have begun
	// before: a newer one was sent again already, or is not to be sent yet. To be
	// canceled, a delivery must not have been sent again since then.
	Before time.Time
}
