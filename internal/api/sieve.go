package api

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// MessageSieveIn chooses messages by what no index knows: they are looked at one by one, the
// newest first, as far as one request may.
type MessageSieveIn struct {
	Endpoint string `query:"endpoint" maxLength:"64" pattern:"^[a-zA-Z0-9_]*$" doc:"Only those that went to this endpoint: its id"`
	State    string `query:"state" enum:"delivered,pending,failed,canceled,held,unmatched" doc:"Only those in this state"`
	Subject  string `query:"subject" maxLength:"600" doc:"Only those about this subject: its kind, a colon and its id"`
	Text     string `query:"text" minLength:"2" maxLength:"256" doc:"Only those whose payload holds exactly this, or whose id or eventId it is"`
}

func (in *MessageSieveIn) empty() bool { return *in == MessageSieveIn{} }

// A request looks at so many messages, so much of their payloads, and for so long; then it says where it stopped.
const (
	sieveRows  = 1000
	sieveBytes = 16 << 20
	sieveTime  = 500 * time.Millisecond
)

// sieve keeps the messages that a request asks for.
type sieve struct {
	a        *API
	in       *MessageSieveIn
	types    []string // patterns
	bounds   hook.Range
	org, app hook.Key
	endpoint hook.Key
	subject  hook.Subject
	message  hook.Key // when the text is the id of one
	from     *origins
	begun    time.Time
	scanned  int
	bytes    int
}

// sifted is a message that was kept, with its deliveries.
type sifted struct {
	hook.Message
	deliveries []hook.Delivery
}

func (a *API) newSieve(ctx context.Context, in *MessageSieveIn, choice *OrgMessageChoiceIn, app hook.Key, r hook.Range) (*sieve, error) {
	c := caller(ctx)
	s := &sieve{
		a: a, in: in, types: slices.Concat(choice.EventTypes, choice.EventTypePatterns), bounds: r, org: c.Org, app: app, from: a.origins(ctx), begun: time.Now(),
	}
	if in.Endpoint != "" {
		id, err := a.IDs.Key(hook.KindEndpoint, in.Endpoint)
		if err != nil {
			return nil, err
		}
		e, err := a.Store.EndpointOf(ctx, c.Org, id)
		if err != nil {
			return nil, err
		}
		if app != 0 && e.App != app || !c.reaches(e.App) {
			return nil, hook.Errorf(hook.CodeNotFound, "there is no endpoint %s here", in.Endpoint)
		}
		s.endpoint, s.app = id, e.App
	}
	if in.Subject != "" {
		kind, id, ok := strings.Cut(in.Subject, ":")
		if !ok || kind == "" || id == "" {
			return nil, invalid("is not a kind, a colon and an id, for example session:12df6045", "query", "subject")
		}
		s.subject = hook.Subject{Kind: kind, ID: id}
	}
	if k, err := a.IDs.Key(hook.KindMessage, in.Text); err == nil {
		s.message = k
	}
	return s, nil
}

// read reads messages by the index that leaves the fewest.
func (s *sieve) read(ctx context.Context, choice *OrgMessageChoiceIn, p hook.Page) ([]hook.Message, hook.Key, error) {
	if s.message != 0 {
		m, err := s.a.Store.OrgMessage(ctx, s.org, s.message)
		if isNotFound(err) {
			return nil, 0, nil
		}
		return []hook.Message{m}, 0, err
	}
	if s.subject.Kind != "" {
		return s.a.Store.ListBySubject(ctx, s.org, s.subject.Kind, s.subject.ID, p)
	}
	return s.a.orgMessages(ctx, s.app, choice, s.bounds, p)
}

// sift reads until a page is full, the end is reached, or enough was looked at. next is the
// last that was looked at, 0 at the end.
func (s *sieve) sift(ctx context.Context, choice *OrgMessageChoiceIn, p hook.Page) (kept []sifted, next hook.Key, err error) {
	limit := p.Limit
	const step = 100
	for p.Limit = step; ; {
		rows, more, err := s.read(ctx, choice, p)
		if err != nil {
			return nil, 0, err
		}
		for i := range rows {
			m := &rows[i]
			s.scanned++
			x, ok, err := s.keeps(ctx, m)
			if err != nil {
				return nil, 0, err
			}
			if ok {
				kept = append(kept, x)
			}
			if len(kept) == limit || s.spent() {
				if i == len(rows)-1 && more == 0 {
					return kept, 0, nil
				}
				return kept, m.ID, nil
			}
		}
		if more == 0 || s.spent() || s.past(more, p.Ascending) {
			return kept, more, nil
		}
		p.After = more
	}
}

// past says that no message after a key is within the bounds of time.
func (s *sieve) past(k hook.Key, ascending bool) bool {
	return !ascending && !s.bounds.Since.IsZero() && k < hook.KeyAt(s.bounds.Since)
}

func (s *sieve) spent() bool {
	return s.scanned >= sieveRows || s.bytes >= sieveBytes || time.Since(s.begun) > sieveTime
}

// keeps looks at one message: what costs the least first.
func (s *sieve) keeps(ctx context.Context, m *hook.Message) (x sifted, ok bool, err error) {
	switch {
	case s.app != 0 && m.App != s.app,
		!s.bounds.Since.IsZero() && m.ID < hook.KeyAt(s.bounds.Since), !s.bounds.Until.IsZero() && m.ID >= hook.KeyAt(s.bounds.Until),
		len(s.types) > 0 && !slices.ContainsFunc(s.types, func(p string) bool { return hook.MatchEventType(p, m.Type) }):
		return x, false, nil
	}
	if source, err := s.from.of(ctx, m.App); err != nil || source == nil {
		return x, false, err // its application was deleted, or is not for the caller
	}
	deliveries, err := s.a.Store.Deliveries(ctx, m)
	if err != nil {
		return x, false, err
	}
	switch {
	case s.endpoint != 0 && !slices.ContainsFunc(deliveries, func(d hook.Delivery) bool { return d.Endpoint == s.endpoint }),
		s.in.State != "" && stateOf(deliveries) != s.in.State:
		return x, false, nil
	}
	if s.in.Text != "" && s.in.Text != m.Event.ID && s.message == 0 {
		whole, err := s.a.Store.OrgMessage(ctx, s.org, m.ID)
		if isNotFound(err) {
			return x, false, nil
		}
		if err != nil {
			return x, false, err
		}
		s.bytes += len(whole.Body)
		if !bytes.Contains(whole.Body, []byte(s.in.Text)) {
			return x, false, nil
		}
	}
	return sifted{*m, deliveries}, true, nil
}
