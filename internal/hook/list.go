package hook

import "time"

// Page is a place in a list whose rows are in the order of their keys.
type Page struct {
	// After is the key behind which the page begins, in the direction of the
	// list; 0 is its beginning.
	After     Key
	Ascending bool
	Limit     int
}

// Range bounds a list by the time at which its rows were made. Zero is no bound.
type Range struct {
	Since time.Time // not before
	Until time.Time // before
}

// MessageQuery chooses messages of one application. Zero fields choose all.
type MessageQuery struct {
	App     Key
	Types   []string // any of these
	Channel string
	Tag     string
	Text    string // in the body; searched within bounds
	Range   Range
	Page    Page
	// Bodies asks for the bodies, too.
	Bodies bool
}

// DeliveryQuery chooses deliveries of one endpoint by their messages.
type DeliveryQuery struct {
	Endpoint Key
	States   []DeliveryState // any of these; empty is all
	Types    []string
	Channel  string
	Tag      string
	Range    Range
	Page     Page // of delivery keys
	Bodies   bool
}

// AttemptQuery chooses attempts: of one endpoint, of one message, or of both.
type AttemptQuery struct {
	Endpoint Key // 0: all of the message's
	Message  Key // 0: all of the endpoint's
	// Delivered chooses by success; nil chooses both.
	Delivered *bool
	// Class is the class of the HTTP status: 100…500, 0 for those that got no
	// answer, -1 for all.
	Class   int
	Types   []string
	Channel string
	Tag     string
	Range   Range
	Page    Page
}

// DeliveryRow is a delivery in a list, with its message.
type DeliveryRow struct {
	Delivery
	Of *Message
}

// AttemptRow is an attempt in a list, with its message, without the body.
type AttemptRow struct {
	Attempt
	Of *Message
}

// DeliveryCount is how many deliveries are in each state.
type DeliveryCount map[DeliveryState]int64
