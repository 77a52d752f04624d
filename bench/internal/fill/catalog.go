// Package fill makes a store with as many messages as a large installation has, to measure
// lists on. It writes with the product's own store, in the way the product does – append,
// record, index – but without HTTP, which would take most of the time.
package fill

import (
	"fmt"

	"github.com/sigpost/sigpost/internal/hook"
)

// Event types, channels and tags of the messages, as a list is asked for them. Their places
// in the row of numbers decide what meets: [Common] stands on the odd ones, channel i on
// those that are i modulo Channels, tag i modulo Tags.
const (
	Common   = "bench.common" // every second message
	Rare     = "bench.rare"   // every RareEvery-th message, which has the tag RareTag as well
	RareTag  = "tag-rare"
	Channels = 8
	Tags     = 16

	RareEvery = 10_000
	// otherTypes share what Common leaves, so that there are 20 event types.
	otherTypes = 18
)

// Type is the name of the i-th other type.
func Type(i int) string { return fmt.Sprintf("bench.type.%02d", i) }

// Channel is the name of channel i.
func Channel(i int) string { return fmt.Sprintf("ch-%d", i) }

// Tag is the name of tag i.
func Tag(i int) string { return fmt.Sprintf("tag-%d", i) }

// Kind is what a message is found by.
type Kind struct {
	Type, Channel, Tag string
	Rare               bool
}

// Ordinary is the kind of message n if none is rare.
func Ordinary(n int) Kind {
	k := Kind{Type: Common, Channel: Channel(n % Channels), Tag: Tag(n % Tags)}
	if n%2 == 0 {
		k.Type = Type(n / 2 % otherTypes)
	}
	return k
}

// KindOf is the kind of message n of a store.
func KindOf(n int) Kind {
	k := Ordinary(n)
	if n%RareEvery == 0 {
		k.Type, k.Rare = Rare, true
	}
	return k
}

// tags of a message.
func (k Kind) tags() []string {
	if k.Rare {
		return []string{k.Tag, RareTag}
	}
	return []string{k.Tag}
}

// Heads are the beginnings of requests that make ordinary messages, up to the payload: one
// whole cycle of kinds.
func Heads() []string {
	const cycle = 144 // the least common multiple of 2·otherTypes, Channels and Tags
	heads := make([]string, cycle)
	for n := range heads {
		k := Ordinary(n)
		heads[n] = fmt.Sprintf(`{"eventType":%q,"channels":[%q],"tags":[%q],"payload":`, k.Type, k.Channel, k.Tag)
	}
	return heads
}

// result is what came of a delivery: its state, and its one attempt.
type result struct {
	state   hook.DeliveryState
	outcome hook.Outcome
	status  int
}

// resultOf is what came of the delivery of message n: of a hundred, three were given up,
// one waits for its next attempt, one was canceled.
func resultOf(n int) result {
	switch n % 100 {
	case 0:
		return result{hook.Failed, hook.OutcomeStatus, 500}
	case 1:
		return result{hook.Failed, hook.OutcomeTimeout, 0}
	case 2:
		return result{hook.Pending, hook.OutcomeStatus, 503}
	case 3:
		return result{hook.Canceled, hook.OutcomeStatus, 503}
	case 4:
		return result{hook.Failed, hook.OutcomeStatus, 404}
	}
	return result{hook.Delivered, hook.OutcomeDelivered, 200}
}
