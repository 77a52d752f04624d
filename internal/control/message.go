package control

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sigpost/sigpost/internal/hook"
)

// List is one page, the newest first. Next, when it is not empty, is the value
// of "before" for the next page.
type List[T any] struct {
	Data []T    `json:"data"`
	Next string `json:"next,omitempty"`
}

// Message is a message as people see it.
type Message struct {
	ID            string         `json:"id"`
	Source        string         `json:"source,omitempty"`
	Type          string         `json:"type"`
	EventID       string         `json:"eventId,omitempty"`
	Family        string         `json:"family,omitempty"`
	Subjects      []hook.Subject `json:"subjects,omitempty"`
	OccurredAt    *time.Time     `json:"occurredAt,omitempty"`
	ReceivedAt    time.Time      `json:"receivedAt"`
	Size          int            `json:"size"`
	Duplicates    int            `json:"duplicates"`
	LastDuplicate *time.Time     `json:"lastDuplicateAt,omitempty"`
	State         string         `json:"state"`
	Deliveries    []Delivery     `json:"deliveries"`
	Headers       []hook.Header  `json:"headers,omitempty"`
	// Body is the payload when it is UTF-8, else BodyBase64 has it.
	Body       string `json:"body,omitempty"`
	BodyBase64 []byte `json:"bodyBase64,omitempty"`
}

// Delivery is a delivery as people see it.
type Delivery struct {
	ID       string     `json:"id"`
	Endpoint string     `json:"endpoint"`
	URL      string     `json:"url"`
	State    string     `json:"state"`
	Attempts int        `json:"attempts"`
	NextAt   *time.Time `json:"nextAt,omitempty"`
	// Next says in words what happens next, and why.
	Next string    `json:"next"`
	Log  []Attempt `json:"log,omitempty"`
}

// Attempt is an attempt as people see it.
type Attempt struct {
	ID       string    `json:"id"`
	Number   int       `json:"number"`
	At       time.Time `json:"at"`
	Millis   float64   `json:"durationMs"`
	Outcome  string    `json:"outcome"`
	Status   int       `json:"status,omitempty"`
	Trigger  string    `json:"trigger"`
	Reason   string    `json:"reason,omitempty"`
	Response string    `json:"response,omitempty"`
}

func (a *api) listMessages(r *http.Request) (any, error) {
	ctx, q := r.Context(), r.URL.Query()
	var f hook.MessageFilter
	var err error
	if f.Limit, err = limitOf(r); err != nil {
		return nil, err
	}
	if f.Before, err = a.cursor(r, hook.KindMessage); err != nil {
		return nil, err
	}
	s, err := a.source(ctx, q.Get("source"))
	if err != nil {
		return nil, err
	}
	if s != nil {
		f.App = s.App
	}
	f.Types = q["type"]
	messages, err := a.Store.ListMessages(ctx, f)
	if err != nil {
		return nil, err
	}
	n, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	list := List[Message]{Data: []Message{}}
	for i := range messages {
		m, err := a.message(ctx, n, &messages[i], false)
		if err != nil {
			return nil, err
		}
		list.Data = append(list.Data, m)
	}
	if len(messages) == f.Limit {
		list.Next = list.Data[len(list.Data)-1].ID
	}
	return list, nil
}

func (a *api) showMessage(r *http.Request) (any, error) {
	m, n, err := a.find(r)
	if err != nil {
		return nil, err
	}
	v, err := a.message(r.Context(), n, m, true)
	if err != nil {
		return nil, err
	}
	v.Headers = m.Headers
	if utf8.Valid(m.Body) {
		v.Body = string(m.Body)
	} else {
		v.BodyBase64 = m.Body
	}
	return v, nil
}

// resendMessage sends a message again to the endpoints that it went to, or to
// the one named "endpoint" in the query, also when that one never had it.
func (a *api) resendMessage(r *http.Request) (any, error) {
	ctx := r.Context()
	m, n, err := a.find(r)
	if err != nil {
		return nil, err
	}
	deliveries, err := a.Store.Deliveries(ctx, m)
	if err != nil {
		return nil, err
	}
	only := r.URL.Query().Get("endpoint")
	now, again, deleted := time.Now(), map[hook.Key]bool{}, 0
	for i := range deliveries {
		d := &deliveries[i]
		if n.endpoint(d.Endpoint).ID == 0 {
			deleted++
			continue
		}
		if only != "" && !n.isEndpoint(d.Endpoint, only) || again[d.Endpoint] {
			continue
		}
		if err := a.Store.Resend(ctx, d.ID, now); err != nil {
			return nil, err
		}
		again[d.Endpoint] = true
		a.Dispatch.Due(d.Endpoint, now)
	}
	if len(again) == 0 && deleted > 0 && only == "" {
		return nil, hook.Errorf(hook.CodeConflict, "the endpoint that it went to was deleted; name another one of its source with --endpoint")
	}
	if len(again) == 0 {
		if err := a.deliverTo(ctx, n, m, only, now); err != nil {
			return nil, err
		}
	}
	return a.message(ctx, n, m, true)
}

// deliverTo gives a message to an endpoint that never had it.
func (a *api) deliverTo(ctx context.Context, n *names, m *hook.Message, endpoint string, now time.Time) error {
	if endpoint == "" {
		return hook.Errorf(hook.CodeConflict, "the message went to no endpoint; name one with --endpoint")
	}
	for _, e := range n.endpoints {
		if e.App != m.App || !n.isEndpoint(e.ID, endpoint) {
			continue
		}
		_, err := a.Store.Deliver(ctx, hook.Delivery{Org: m.Org, Message: m.ID, Endpoint: e.ID, State: hook.Pending, NextAt: now, Since: now, Trigger: hook.Manual})
		if err != nil {
			return err
		}
		a.Dispatch.Due(e.ID, now)
		return nil
	}
	return hook.Errorf(hook.CodeNotFound, "source %s has no endpoint %q; `sigpost endpoint list` shows those there are", n.source(m.App), endpoint)
}

// find is the message that the path names.
func (a *api) find(r *http.Request) (*hook.Message, *names, error) {
	k, err := a.Store.IDs().Key(hook.KindMessage, r.PathValue("id"))
	if err != nil {
		return nil, nil, err
	}
	m, err := a.Store.Message(r.Context(), k)
	if err != nil {
		return nil, nil, err
	}
	n, err := a.names(r.Context())
	return m, n, err
}

// message is m as people see it; log says whether its attempts are wanted.
func (a *api) message(ctx context.Context, n *names, m *hook.Message, log bool) (Message, error) {
	ids := a.Store.IDs()
	v := Message{
		ID: ids.Public(hook.KindMessage, m.ID), Source: n.source(m.App), Type: m.Type, EventID: m.Event.ID, Family: m.Family,
		Subjects: m.Subjects, OccurredAt: known(m.OccurredAt), ReceivedAt: m.ReceivedAt, Size: m.Size,
		Duplicates: m.Duplicates, LastDuplicate: known(m.LastDuplicateAt), Deliveries: []Delivery{},
	}
	deliveries, err := a.Store.Deliveries(ctx, m)
	if err != nil {
		return v, err
	}
	for i := range deliveries {
		d, err := a.delivery(ctx, n, &deliveries[i], log)
		if err != nil {
			return v, err
		}
		v.Deliveries = append(v.Deliveries, d)
	}
	v.State = stateOf(v.Deliveries)
	return v, nil
}

// stateOf sums up the states of deliveries: what still needs care comes first.
func stateOf(deliveries []Delivery) string {
	if len(deliveries) == 0 {
		return "unmatched"
	}
	for _, s := range []hook.DeliveryState{hook.Failed, hook.Pending, hook.Held, hook.Canceled} {
		for _, d := range deliveries {
			if d.State == s.String() {
				return d.State
			}
		}
	}
	return hook.Delivered.String()
}

func (a *api) delivery(ctx context.Context, n *names, d *hook.Delivery, log bool) (Delivery, error) {
	ids := a.Store.IDs()
	e := n.endpoint(d.Endpoint)
	v := Delivery{ID: ids.Public(hook.KindDelivery, d.ID), Endpoint: e.Name, URL: e.URL, State: d.State.String(), Attempts: d.Attempts, Next: nextStep(d, e)}
	if d.State == hook.Pending {
		v.NextAt = known(d.NextAt)
	}
	if !log {
		return v, nil
	}
	attempts, err := a.Store.Attempts(ctx, d)
	if err != nil {
		return v, err
	}
	for _, t := range attempts {
		v.Log = append(v.Log, Attempt{
			ID: ids.Public(hook.KindAttempt, t.ID), Number: t.Number, At: t.At, Millis: float64(t.Duration.Microseconds()) / 1000, Outcome: string(t.Outcome),
			Status: t.Status, Trigger: t.Trigger.String(), Reason: t.Reason, Response: strings.ToValidUTF8(string(t.Response), "\uFFFD"),
		})
	}
	return v, nil
}

// nextStep says what happens next with a delivery, and why.
func nextStep(d *hook.Delivery, e hook.Endpoint) string {
	switch d.State {
	case hook.Delivered:
		return "nothing: it is delivered"
	case hook.Failed:
		return "nothing by itself: the retry window is over, or the endpoint said that it is gone; `sigpost message resend` tries again"
	case hook.Canceled:
		return "nothing: it was canceled"
	case hook.Held:
		return "it waits until the endpoint is enabled: it is " + e.State.String() + reason(e)
	}
	if d.Holder != 0 {
		return "it is being attempted, or waits for its turn in memory"
	}
	return "it is tried again when it is due"
}

func reason(e hook.Endpoint) string {
	if e.Reason == "" {
		return ""
	}
	return " (" + e.Reason + ")"
}

// known is t, or nil when there is none.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
