package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// MessagePath names a message of an application in a path.
type MessagePath struct {
	AppPath
	MsgID string `path:"msg_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The message's id or eventId"`
}

// MessageIn makes a message.
type MessageIn struct {
	EventType              string         `json:"eventType" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Payload                Object         `json:"payload" doc:"Sent byte for byte as it is written here"`
	EventID                *string        `json:"eventId,omitempty" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"Unique within the application for eight days"`
	Channels               []string       `json:"channels,omitempty" maxItems:"10" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$"`
	Tags                   []string       `json:"tags,omitempty" maxItems:"5" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_./\\\\#]+$"`
	Application            *ApplicationIn `json:"application,omitempty" doc:"Made when the application of the path does not exist"`
	DeliverAt              *time.Time     `json:"deliverAt,omitempty" doc:"When it is sent; at once when left out, at most 30 days from now"`
	PayloadRetentionPeriod *int           `json:"payloadRetentionPeriod,omitempty" minimum:"1" maximum:"90" doc:"Days until the payload is deleted"`
	PayloadRetentionHours  *int           `json:"payloadRetentionHours,omitempty" minimum:"1" maximum:"2160" doc:"Hours until the payload is deleted"`
	TransformationsParams  Object         `json:"transformationsParams,omitempty" doc:"Changes nothing: there are no transformations here"`
	RawPayload             *string        `json:"rawPayload,omitempty" maxLength:"1398104" doc:"Any bytes in base64, instead of payload; payload is then {}"`
	ContentType            *string        `json:"contentType,omitempty" maxLength:"256" doc:"Of rawPayload; application/json when left out"`
	Subjects               []SubjectInOut `json:"subjects,omitempty" maxItems:"10" doc:"Whom it is about"`
}

// SubjectInOut is whom a message is about.
type SubjectInOut struct {
	Kind string `json:"kind" minLength:"1" maxLength:"64" pattern:"^[a-z][a-z0-9_\\-]*$"`
	ID   string `json:"id" minLength:"1" maxLength:"512"`
}

// MessageOut is a message.
type MessageOut struct {
	ID          string         `json:"id"`
	EventID     *string        `json:"eventId,omitempty" nullable:"true"`
	EventType   string         `json:"eventType"`
	Payload     Object         `json:"payload"`
	Channels    []string       `json:"channels,omitempty" nullable:"true"`
	Tags        []string       `json:"tags,omitempty" nullable:"true"`
	Timestamp   time.Time      `json:"timestamp"`
	DeliverAt   *time.Time     `json:"deliverAt,omitempty" nullable:"true"`
	RawPayload  *string        `json:"rawPayload,omitempty" doc:"The body in base64, when it is not a JSON object"`
	ContentType *string        `json:"contentType,omitempty" doc:"Of the body, when it is not a JSON object"`
	Subjects    []SubjectInOut `json:"subjects,omitempty"`
	Duplicates  int            `json:"duplicates,omitempty" doc:"How often the same event came again"`
	OccurredAt  *time.Time     `json:"occurredAt,omitempty" doc:"When it happened by the provider's clock"`
	Test        bool           `json:"test,omitempty" doc:"It is a test event that was made here, not an event of the provider"`
}

// ListedMessageOut is a message in the list of its application.
type ListedMessageOut struct {
	MessageOut
	State *string `json:"state,omitempty" enum:"delivered,pending,failed,canceled,held,unmatched" doc:"With with_state: of its deliveries together, what needs care the most. Unmatched has none"`
}

// Bounds of a message.
const (
	maxPayload   = 1 << 20
	maxDeliverAt = 30 * 24 * time.Hour
)

// expired stands for a payload that was deleted.
const expired = `{"expired":true}`

// messageOut shows a message. body says that it was read, and that it should be shown.
func (a *API) messageOut(m *hook.Message, body bool) MessageOut {
	out := MessageOut{
		ID: a.IDs.Public(hook.KindMessage, m.ID), EventID: pointer(m.Event.ID), EventType: m.Type, Channels: m.Channels, Tags: m.Tags, Timestamp: when(m.ReceivedAt),
		Duplicates: m.Duplicates, Test: m.Test(),
	}
	for _, s := range m.Subjects {
		out.Subjects = append(out.Subjects, SubjectInOut(s))
	}
	if !m.OccurredAt.IsZero() {
		at := when(m.OccurredAt)
		out.OccurredAt = &at
	}
	switch {
	case !body:
	case m.Body == nil:
		out.Payload = Object(expired)
	case isObject(m.Body):
		out.Payload = Object(m.Body)
	default:
		raw, kind := base64.StdEncoding.EncodeToString(m.Body), contentType(m)
		out.RawPayload, out.ContentType = &raw, pointer(kind)
	}
	return out
}

func isObject(body []byte) bool {
	text := strings.TrimLeft(string(body[:min(len(body), 64)]), " \t\r\n")
	return strings.HasPrefix(text, "{") && json.Valid(body)
}

func contentType(m *hook.Message) string {
	for _, h := range m.Headers {
		if strings.EqualFold(h.Name, "Content-Type") {
			return h.Value
		}
	}
	return ""
}

func registerMessages(a *API) {
	const all, one = "/api/v1/app/{app_id}/msg", "/api/v1/app/{app_id}/msg/{msg_id}"
	register(a, operation{id: "message.list", method: http.MethodGet, path: all, summary: "List an application's messages", access: accessRead}, a.listMessages)
	register(a, operation{id: "message.create", method: http.MethodPost, path: all, summary: "Create a message and send it to all subscribed endpoints", access: accessSend, status: http.StatusAccepted}, a.createMessage)
	register(a, operation{id: "message.precheck", method: http.MethodPost, path: all + "/precheck/active", summary: "Say whether any active endpoint would get such a message", access: accessSend}, a.precheckMessage)
	register(a, operation{id: "message.get", method: http.MethodGet, path: one, summary: "Read a message", access: accessRead}, a.readMessage)
}

// message finds a message of an application by its id or eventId.
func (a *API) message(ctx context.Context, app hook.Key, ref string) (hook.Message, error) {
	id, err := a.messageKey(ctx, app, ref)
	if err != nil {
		return hook.Message{}, err
	}
	m, _, err := a.Store.MessageInfo(ctx, app, id)
	return m, err
}

func (a *API) messageKey(ctx context.Context, app hook.Key, ref string) (hook.Key, error) {
	if strings.HasPrefix(ref, string(hook.KindMessage)) {
		if id, err := a.IDs.Key(hook.KindMessage, ref); err == nil {
			return id, nil
		}
	}
	return a.Store.MessageByEventID(ctx, app, ref)
}

func (a *API) listMessages(ctx context.Context, in *struct {
	AppPath
	ListIn
	RangeIn
	Channel     string   `query:"channel" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$"`
	Tag         string   `query:"tag" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_./\\\\#]+$"`
	EventTypes  []string `query:"event_types" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" maxItems:"100"`
	WithContent Shown    `query:"with_content" doc:"With the payloads"`
	Search      string   `query:"search" maxLength:"256" doc:"An id, an eventId, or text in the payload"`
	WithState   bool     `query:"with_state" doc:"With the state of each message's deliveries"`
}) (*Body[ListOut[ListedMessageOut]], error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	p, back, err := a.page(in.ListIn, hook.KindMessage, false)
	if err != nil {
		return nil, err
	}
	q := hook.MessageQuery{App: app.ID, Types: in.EventTypes, Channel: in.Channel, Tag: in.Tag, Range: in.bounds(), Bodies: in.WithContent.want(), Text: in.Search}
	if in.Search != "" && in.Iterator == "" {
		if k, err := a.messageKey(ctx, app.ID, in.Search); err == nil {
			return a.oneMessage(ctx, app.ID, k, in.ListIn, in.WithContent.want(), in.WithState)
		}
	}
	list, next, err := fill(p, func(p hook.Page) ([]hook.Message, hook.Key, error) {
		q.Page = p
		return a.Store.ListMessagesOf(ctx, q)
	})
	if err != nil {
		return nil, err
	}
	return a.listed(ctx, list, next, in.ListIn, back, in.WithContent.want(), in.WithState)
}

// listed is a page of messages, with the state of their deliveries if that is asked for.
func (a *API) listed(ctx context.Context, list []hook.Message, next hook.Key, in ListIn, back, bodies, states bool) (*Body[ListOut[ListedMessageOut]], error) {
	var deliveries map[hook.Key][]hook.Delivery
	if states {
		var err error
		if deliveries, err = a.Store.DeliveriesOf(ctx, list); err != nil {
			return nil, err
		}
	}
	out, keys := make([]ListedMessageOut, len(list)), make([]hook.Key, len(list))
	for i := range list {
		m := &list[i]
		out[i], keys[i] = ListedMessageOut{MessageOut: a.messageOut(m, bodies)}, m.ID
		if states {
			out[i].State = pointer(stateOf(deliveries[m.ID]))
		}
	}
	return listOut(a, hook.KindMessage, out, keys, next, in, back), nil
}

// oneMessage is a list of the one message that was searched for by its id.
func (a *API) oneMessage(ctx context.Context, app, k hook.Key, in ListIn, body, state bool) (*Body[ListOut[ListedMessageOut]], error) {
	m, err := a.withBody(ctx, app, k)
	if err != nil {
		return nil, err
	}
	return a.listed(ctx, []hook.Message{m}, 0, in, false, body, state)
}

// withBody reads a message of an application; the body is nil when it was deleted.
func (a *API) withBody(ctx context.Context, app, k hook.Key) (hook.Message, error) {
	m, has, err := a.Store.MessageInfo(ctx, app, k)
	if err != nil || !has {
		return m, err
	}
	found, err := a.Store.Messages(ctx, []hook.Key{k})
	if err != nil {
		return m, err
	}
	if whole := found[k]; whole != nil {
		return *whole, nil
	}
	return m, nil
}

func (a *API) readMessage(ctx context.Context, in *struct {
	MessagePath
	WithContent Shown `query:"with_content" doc:"With the payload"`
}) (*Body[MessageOut], error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	k, err := a.messageKey(ctx, app.ID, in.MsgID)
	if err != nil {
		return nil, err
	}
	m, err := a.withBody(ctx, app.ID, k)
	if err != nil {
		return nil, err
	}
	return answer(a.messageOut(&m, in.WithContent.want())), nil
}

func (a *API) createMessage(ctx context.Context, in *struct {
	AppPath
	WithContent Shown `query:"with_content" doc:"With the payload in the answer"`
	Body        MessageIn
}) (*Body[MessageOut], error) {
	body, headers, err := in.Body.body()
	if err != nil {
		return nil, err
	}
	if err := distinctAll(map[string][]string{"channels": in.Body.Channels, "tags": in.Body.Tags}); err != nil {
		return nil, err
	}
	app, err := a.appOfMessage(ctx, in.AppID, in.Body.Application)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	incoming := hook.Incoming{
		Org: app.Org, App: app.ID, ReceivedAt: now, Headers: headers, Body: body, Channels: in.Body.Channels, Tags: in.Body.Tags,
		Event: hook.Event{Type: in.Body.EventType, ID: value(in.Body.EventID)}, Idempotency: idempotency(ctx),
	}
	for _, s := range in.Body.Subjects {
		if strings.ContainsRune(s.ID, 0) {
			return nil, invalid("holds a NUL character", "body", "subjects")
		}
		incoming.Event.Subjects = append(incoming.Event.Subjects, hook.Subject(s))
	}
	if incoming.Event.ID != "" {
		incoming.Event.DedupeKey = "id:" + incoming.Event.ID
	}
	if err := in.Body.times(&incoming, now); err != nil {
		return nil, err
	}
	receipt, err := a.Pipeline.Accept(ctx, incoming)
	if err != nil {
		return nil, err
	}
	if receipt.Duplicate && !receipt.Repeated {
		return nil, hook.Errorf(hook.CodeConflict, "a message with the eventId %q exists already: %s", incoming.Event.ID, a.IDs.Public(hook.KindMessage, receipt.Message))
	}
	if receipt.Repeated {
		m, err := a.withBody(ctx, app.ID, receipt.Message)
		return answerWith(http.StatusAccepted, a.messageOut(&m, in.WithContent.want())), err
	}
	m := hook.Message{
		ID: receipt.Message, Event: incoming.Event, ReceivedAt: now.Truncate(time.Millisecond), Headers: headers, Body: body, Channels: incoming.Channels, Tags: incoming.Tags,
	}
	out := a.messageOut(&m, in.WithContent.want())
	out.DeliverAt = in.Body.DeliverAt
	return answerWith(http.StatusAccepted, out), nil
}

// appOfMessage is the application of the path; one that does not exist is made
// when the message says what it is.
func (a *API) appOfMessage(ctx context.Context, ref string, inline *ApplicationIn) (hook.Application, error) {
	app, err := a.appToSend(ctx, ref)
	if !isNotFound(err) || inline == nil {
		if err == nil {
			err = notHidden(app)
		}
		return app, err
	}
	if strings.HasPrefix(ref, string(hook.KindApplication)) {
		return app, err
	}
	if !caller(ctx).may(accessOrg) {
		return app, hook.Errorf(hook.CodeDenied, "there is no application %s, and a token with scope %s may not make one", ref, caller(ctx).Scope)
	}
	if inline.UID == nil {
		inline.UID = &ref
	}
	if *inline.UID != ref {
		return app, invalid("is not the uid in the path", "body", "application", "uid")
	}
	x := hook.Application{Org: caller(ctx).Org}
	if err := inline.into(&x); err != nil {
		return app, err
	}
	made, err := a.Store.CreateApplication(ctx, x)
	if err != nil && hook.CodeOf(err) == hook.CodeConflict { // another request was first
		return a.app(ctx, ref)
	}
	return made, err
}

// body is what is sent, with the headers that say what it is.
func (in *MessageIn) body() ([]byte, []hook.Header, error) {
	kind, body := "application/json", []byte(in.Payload)
	if in.RawPayload != nil {
		raw, err := base64.StdEncoding.DecodeString(*in.RawPayload)
		if err != nil {
			return nil, nil, invalid("is not base64", "body", "rawPayload")
		}
		body = raw
		if in.ContentType != nil {
			kind = *in.ContentType
		}
	} else if in.ContentType != nil {
		return nil, nil, invalid("goes with rawPayload only", "body", "contentType")
	}
	if kind == "" || strings.ContainsFunc(kind, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, nil, invalid("is not a content type", "body", "contentType")
	}
	if len(body) > maxPayload {
		return nil, nil, hook.Errorf(hook.CodeTooLarge, "the payload has %d bytes; at most %d are taken", len(body), maxPayload)
	}
	return body, []hook.Header{{Name: "Content-Type", Value: kind}}, nil
}

// times puts when the message is sent and when its payload is deleted into in.
func (in *MessageIn) times(to *hook.Incoming, now time.Time) error {
	if at := in.DeliverAt; at != nil {
		if at.Sub(now) > maxDeliverAt {
			return invalid("is more than 30 days from now", "body", "deliverAt")
		}
		if at.After(now) {
			to.DeliverAt = *at
		}
	}
	switch {
	case in.PayloadRetentionHours != nil:
		to.ExpiresAt = now.Add(time.Duration(*in.PayloadRetentionHours) * time.Hour)
	case in.PayloadRetentionPeriod != nil:
		to.ExpiresAt = now.Add(time.Duration(*in.PayloadRetentionPeriod) * 24 * time.Hour)
	}
	return nil
}

// MessagePrecheckIn asks for a kind of message.
type MessagePrecheckIn struct {
	EventType string   `json:"eventType" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Channels  []string `json:"channels,omitempty" maxItems:"10" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$"`
}

// MessagePrecheckOut says whether it would be sent to anyone.
type MessagePrecheckOut struct {
	Active bool `json:"active"`
}

func (a *API) precheckMessage(ctx context.Context, in *struct {
	AppPath
	Body MessagePrecheckIn
}) (*Body[MessagePrecheckOut], error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	return answer(MessagePrecheckOut{a.Pipeline.Active(app.ID, in.Body.EventType, in.Body.Channels)}), nil
}
