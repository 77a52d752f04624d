package fill

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/sigpost/sigpost/bench/internal/event"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
)

// Stock fills the database at url with events as a source gets them, each delivered: with
// a dedupe key and three subjects of its own, which are what makes a store that has many
// of them slower than an empty one. key is the master key of its nodes. The rows name
// an application and an endpoint that are not there, so no node does anything about them.
func Stock(ctx context.Context, url, key string, events int) error {
	ring, err := seal.NewRing(key)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Options{URL: url, Seal: ring, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	defer s.Close()
	nobody := hook.KeyAt(time.Now())
	f := &filler{store: s, template: event.NewTemplate(), org: store.DefaultOrg, app: nobody, endpoint: nobody + 1}
	f.make, f.result = f.received, func(int) result { return result{hook.Delivered, hook.OutcomeDelivered, 200} }
	if err := f.write(ctx, 0, events); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return s.Close()
}

// received is an event as a source gets it, with its delivery, held by this process until
// it is settled.
func (f *filler) received(n int) *hook.Append {
	a := f.message(n)
	id := func() string {
		var raw [16]byte
		rand.Read(raw[:])
		return hex.EncodeToString(raw[:])
	}
	rand.Read(a.Hash[:])
	a.Message.Channels, a.Message.Tags = nil, nil
	a.Message.Event = hook.Event{Type: "veriff.decision.approved", Family: "veriff.decision", OccurredAt: a.Message.ReceivedAt,
		Subjects: []hook.Subject{{Kind: "session", ID: id()}, {Kind: "attempt", ID: id()}, {Kind: "end_user", ID: id()}}}
	return a
}
