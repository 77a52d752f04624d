package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// OrgMessageOut is a message of whichever application, without its payload.
type OrgMessageOut struct {
	MessageOut
	AppID           string     `json:"appId"`
	SourceID        *string    `json:"sourceId,omitempty" doc:"The source that received it"`
	Source          *string    `json:"source,omitempty" doc:"The source's name"`
	Operational     bool       `json:"operational,omitempty" doc:"It was made for the endpoints of operational webhooks"`
	Family          *string    `json:"family,omitempty" doc:"Event types of one family replace each other for a subject"`
	Size            int        `json:"size" doc:"Of the payload, in bytes"`
	LastDuplicateAt *time.Time `json:"lastDuplicateAt,omitempty"`
	State           string     `json:"state" enum:"delivered,pending,failed,canceled,held,unmatched" doc:"Of its deliveries together: what needs care the most. Unmatched has none"`
	Attempts        int        `json:"attempts" doc:"How many were made, of all its deliveries"`
}

// OrgMessageListOut is a page of messages.
type OrgMessageListOut struct {
	ListOut[OrgMessageOut]
	Scanned int `json:"scanned,omitempty" doc:"How many messages were looked at, with the filters endpoint, state, subject and text. When it is not done, iterator goes on where it stopped, also when the page has few messages, or none"`
}

// OrgMessageDetailOut is a message with all that became of it.
type OrgMessageDetailOut struct {
	OrgMessageOut
	Headers    []MessageHeaderOut `json:"headers" doc:"Those that came with it and go on"`
	Deliveries []OrgDeliveryOut   `json:"deliveries"`
	Next       *string            `json:"next,omitempty" doc:"What happens next, in words, where there is no delivery to say it"`
}

// MessageHeaderOut is a header line.
type MessageHeaderOut struct {
	Name  string `json:"name"`
	Value string `json:"value" doc:"[redacted] when it may be a credential"`
}

// OrgDeliveryOut is a delivery with its endpoint and its attempts.
type OrgDeliveryOut struct {
	DeliveryOut
	Endpoint string          `json:"endpoint" doc:"Its name in the configuration file, else its description, its uid or its URL"`
	URL      string          `json:"url" doc:"The endpoint's URL as it is now"`
	Deleted  bool            `json:"deleted,omitempty" doc:"The endpoint is not there any more"`
	Log      []OrgAttemptOut `json:"log" doc:"The attempts, the oldest first"`
}

// OrgAttemptOut is an attempt of a delivery.
type OrgAttemptOut struct {
	MessageAttemptOut
	Number     int     `json:"number" doc:"Of its delivery, from 1"`
	DurationMs float64 `json:"durationMs" doc:"responseDurationMs with its fraction"`
}

func registerOrgMessages(a *API) {
	const all, one = "/api/v1/msg", "/api/v1/msg/{msg_id}"
	register(a, operation{id: "organization.list-messages", method: http.MethodGet, path: all, summary: "List the messages of all applications and sources, the newest first", access: accessOrgRead}, a.listOrgMessages)
	register(a, operation{id: "organization.get-message", method: http.MethodGet, path: one, summary: "Read a message of any application, where it is and what happens next", access: accessOrgRead}, a.readOrgMessage)
}

// OrgMessageChoiceIn chooses messages of an organization.
type OrgMessageChoiceIn struct {
	Source            string   `query:"source" maxLength:"256" doc:"Only those that this source received: its id, uid or name"`
	AppID             string   `query:"app_id" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]*$" doc:"Only those of this application: its id or uid"`
	EventTypes        []string `query:"event_types" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" maxItems:"100" doc:"Only these"`
	EventTypePatterns []string `query:"event_type_patterns" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.*]+$" maxItems:"100" doc:"Only those that match one of these, where * stands for any characters"`
}

func (a *API) listOrgMessages(ctx context.Context, in *struct {
	ListIn
	RangeIn
	OrgMessageChoiceIn
	MessageSieveIn
}) (*Body[OrgMessageListOut], error) {
	p, back, err := a.page(in.ListIn, hook.KindMessage, false)
	if err != nil {
		return nil, err
	}
	app, err := a.chosenApp(ctx, in.Source, in.AppID)
	if err != nil {
		return nil, err
	}
	if !in.MessageSieveIn.empty() {
		return a.siftOrgMessages(ctx, &in.MessageSieveIn, &in.OrgMessageChoiceIn, app, in.bounds(), p, in.ListIn, back)
	}
	from := a.origins(ctx)
	rows, next, err := fill(p, func(p hook.Page) ([]hook.Message, hook.Key, error) {
		rows, next, err := a.orgMessages(ctx, app, &in.OrgMessageChoiceIn, in.bounds(), p)
		if err != nil {
			return nil, 0, err
		}
		rows, err = from.reached(ctx, rows)
		return rows, next, err
	})
	if err != nil {
		return nil, err
	}
	deliveries, err := a.Store.DeliveriesOf(ctx, rows)
	if err != nil {
		return nil, err
	}
	out, keys := make([]OrgMessageOut, len(rows)), make([]hook.Key, len(rows))
	for i := range rows {
		m := &rows[i]
		out[i], keys[i] = a.orgMessageOut(m, from.known[m.App], deliveries[m.ID], false), m.ID
	}
	return answer(OrgMessageListOut{listOut(a, hook.KindMessage, out, keys, next, in.ListIn, back).Body, 0}), nil
}

// siftOrgMessages lists those that have to be looked at one by one.
func (a *API) siftOrgMessages(ctx context.Context, in *MessageSieveIn, choice *OrgMessageChoiceIn, app hook.Key, r hook.Range, p hook.Page, list ListIn, back bool) (*Body[OrgMessageListOut], error) {
	s, err := a.newSieve(ctx, in, choice, app, r)
	if err != nil {
		return nil, err
	}
	rows, next, err := s.sift(ctx, choice, p)
	if err != nil {
		return nil, err
	}
	out, keys := make([]OrgMessageOut, len(rows)), make([]hook.Key, len(rows))
	for i := range rows {
		out[i], keys[i] = a.orgMessageOut(&rows[i].Message, s.from.known[rows[i].App], rows[i].deliveries, false), rows[i].ID
	}
	return answer(OrgMessageListOut{listOut(a, hook.KindMessage, out, keys, next, list, back).Body, s.scanned}), nil
}

// chosenApp is the application that a list is about; 0 is all of the organization's.
func (a *API) chosenApp(ctx context.Context, source, app string) (hook.Key, error) {
	switch {
	case source != "" && app != "":
		return 0, invalid("give either this or source", "query", "app_id")
	case app != "":
		x, err := a.app(ctx, app)
		return x.ID, err
	case source == "":
		return caller(ctx).App, nil
	}
	k, err := a.rejectingSource(ctx, source)
	if err != nil {
		return 0, err
	}
	x, err := a.Store.Source(ctx, caller(ctx).Org, k)
	return x.App, err
}

// orgMessages reads messages by the index of an application where it can.
func (a *API) orgMessages(ctx context.Context, app hook.Key, in *OrgMessageChoiceIn, r hook.Range, p hook.Page) ([]hook.Message, hook.Key, error) {
	if app != 0 && len(in.EventTypePatterns) == 0 {
		return a.Store.ListMessagesOf(ctx, hook.MessageQuery{App: app, Types: in.EventTypes, Range: r, Page: p})
	}
	types := slices.Concat(in.EventTypes, in.EventTypePatterns)
	return a.Store.ListMessages(ctx, hook.MessageFilter{Org: caller(ctx).Org, App: app, Types: types, Range: r, Page: p})
}

// addressee is what a message was sent to: a source, which is zero for other applications.
type addressee struct {
	hook.Source
	operational bool
}

// origins finds out what messages were sent to, each application once.
type origins struct {
	a      *API
	caller *Caller
	// known has nil for an application that the caller does not reach, or that was deleted.
	known map[hook.Key]*addressee
}

func (a *API) origins(ctx context.Context) *origins {
	return &origins{a, caller(ctx), map[hook.Key]*addressee{}}
}

// reached leaves out the messages of deleted applications, which are gone for the
// caller although their rows are purged later.
func (o *origins) reached(ctx context.Context, rows []hook.Message) ([]hook.Message, error) {
	kept := rows[:0]
	for _, m := range rows {
		x, err := o.of(ctx, m.App)
		if err != nil {
			return nil, err
		}
		if x != nil {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

func (o *origins) of(ctx context.Context, app hook.Key) (*addressee, error) {
	if x, ok := o.known[app]; ok {
		return x, nil
	}
	o.known[app] = nil
	if !o.caller.reaches(app) {
		return nil, nil
	}
	found, err := o.a.Store.Application(ctx, o.caller.Org, app)
	if isNotFound(err) {
		return nil, nil
	}
	x := addressee{operational: found.Kind == hook.AppOperational}
	if err == nil && found.Kind == hook.AppOfSource {
		x.Source, err = o.a.Store.SourceByApp(ctx, o.caller.Org, app)
	}
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	o.known[app] = &x
	return &x, nil
}

// orgMessageOut shows a message that was sent to x.
func (a *API) orgMessageOut(m *hook.Message, x *addressee, deliveries []hook.Delivery, body bool) OrgMessageOut {
	out := OrgMessageOut{
		MessageOut: a.messageOut(m, body), AppID: a.IDs.Public(hook.KindApplication, m.App), Operational: x.operational, Family: pointer(m.Family), Size: m.Size, State: stateOf(deliveries),
	}
	if x.ID != 0 {
		out.SourceID, out.Source = pointer(a.IDs.Public(hook.KindSource, x.ID)), pointer(x.Name)
	}
	if !m.LastDuplicateAt.IsZero() {
		out.LastDuplicateAt = pointer(when(m.LastDuplicateAt))
	}
	for i := range deliveries {
		out.Attempts += deliveries[i].Attempts
	}
	return out
}

// stateOf sums up the states of deliveries: what needs care the most comes first.
func stateOf(deliveries []hook.Delivery) string {
	if len(deliveries) == 0 {
		return "unmatched"
	}
	for _, s := range []hook.DeliveryState{hook.Failed, hook.Pending, hook.Waiting, hook.Held, hook.Canceled} {
		if slices.ContainsFunc(deliveries, func(d hook.Delivery) bool { return d.State == s }) {
			return s.String()
		}
	}
	return hook.Delivered.String()
}

func (a *API) readOrgMessage(ctx context.Context, in *struct {
	MsgID string `path:"msg_id" minLength:"1" maxLength:"64" doc:"The message's id"`
	Raw   bool   `query:"raw" doc:"The payload in rawPayload, byte for byte, also when it is a JSON object"`
}) (*Body[OrgMessageDetailOut], error) {
	k, err := a.IDs.Key(hook.KindMessage, in.MsgID)
	if err != nil {
		return nil, err
	}
	m, err := a.Store.OrgMessage(ctx, caller(ctx).Org, k)
	if err != nil {
		return nil, err
	}
	x, err := a.origins(ctx).of(ctx, m.App)
	if err == nil && x == nil {
		err = hook.Errorf(hook.CodeNotFound, "there is no message %s", in.MsgID)
	}
	if err != nil {
		return nil, err
	}
	deliveries, err := a.Store.Deliveries(ctx, &m)
	if err != nil {
		return nil, err
	}
	out := OrgMessageDetailOut{OrgMessageOut: a.orgMessageOut(&m, x, deliveries, true), Headers: []MessageHeaderOut{}}
	if in.Raw && m.Body != nil {
		raw, kind := base64.StdEncoding.EncodeToString(m.Body), contentType(&m)
		out.Payload, out.RawPayload, out.ContentType = nil, &raw, pointer(kind)
	}
	for _, h := range m.Headers {
		if hook.SensitiveHeader(h.Name) {
			h.Value = "[redacted]"
		}
		out.Headers = append(out.Headers, MessageHeaderOut(h))
	}
	if len(deliveries) == 0 {
		out.Next = pointer("nothing: no endpoint asked for its event type and channels when it came; replay what is missing to one that does now")
	}
	out.Deliveries, err = a.orgDeliveries(ctx, &m, deliveries)
	return answerWith(http.StatusOK, out), err
}

func (a *API) orgDeliveries(ctx context.Context, m *hook.Message, deliveries []hook.Delivery) ([]OrgDeliveryOut, error) {
	among := make([]hook.Key, len(deliveries))
	for i := range deliveries {
		among[i] = deliveries[i].Endpoint
	}
	endpoints, err := a.endpointsAmong(ctx, m.App, among)
	if err != nil {
		return nil, err
	}
	out, now := make([]OrgDeliveryOut, len(deliveries)), time.Now()
	for i := range deliveries {
		if out[i], err = a.orgDeliveryOut(ctx, m, &deliveries[i], endpoints, now); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (a *API) orgDeliveryOut(ctx context.Context, m *hook.Message, d *hook.Delivery, endpoints map[hook.Key]hook.Endpoint, now time.Time) (OrgDeliveryOut, error) {
	shown, err := a.deliveryOut(ctx, m, m.Body != nil, d, endpoints, now)
	if err != nil {
		return OrgDeliveryOut{}, err
	}
	out := OrgDeliveryOut{DeliveryOut: shown, Endpoint: "(deleted)", URL: deletedURL, Deleted: true, Log: []OrgAttemptOut{}}
	if e, there := endpoints[d.Endpoint]; there {
		out.Endpoint, out.URL, out.Deleted = endpointLabel(&e), e.URL, false
	}
	attempts, err := a.Store.Attempts(ctx, d)
	for i := range attempts {
		t := &attempts[i]
		out.Log = append(out.Log, OrgAttemptOut{a.attemptOut(t, endpoints, true), t.Number, float64(t.Duration.Microseconds()) / 1000})
	}
	return out, err
}

// endpointLabel is what people call an endpoint.
func endpointLabel(e *hook.Endpoint) string {
	for _, name := range []string{e.Name, e.Description, e.UID} {
		if name != "" {
			return name
		}
	}
	return e.Label()
}
