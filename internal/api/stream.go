package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	streamPath = "/api/v1/stream"
	// heartbeat is how often a stream shows that it lives, asks whether its token
	// still does, and looks for what nobody told of.
	heartbeat = 15 * time.Second
	// streamPace is the least time between two looks at the store.
	streamPace = 50 * time.Millisecond
	// streamPatience is how long a receiver may take for what was read at once.
	streamPatience = 30 * time.Second
)

// StreamMessageOut is the data of an event "message".
type StreamMessageOut struct {
	MessageOut
	AppID string `json:"appId"`
}

// StreamAttemptOut is the data of an event "attempt".
type StreamAttemptOut struct {
	MessageAttemptOut
	AppID     string `json:"appId"`
	EventType string `json:"eventType"`
}

// stream is one open stream.
type stream struct {
	*subscription
	api       *API
	w         http.ResponseWriter
	control   *http.ResponseController
	cursor    hook.Key // everything up to it was sent
	announced hook.Key // the cursor that the receiver knows
	trusted   bool     // it came through the control socket
	out       bytes.Buffer
}

// Stream sends messages and attempts as server-sent events as they come, until
// the caller leaves, his token ends or the server stops. The id of each event is
// a place: who comes back with it gets what came after, nothing twice.
func (a *API) Stream(w http.ResponseWriter, r *http.Request, c *Caller) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		a.fail(w, r, newFault(http.StatusMethodNotAllowed, r.Method+" is not for this path; the header Allow says what is"))
		return
	}
	ctx := withCaller(r.Context(), c)
	s, err := a.openStream(ctx, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer a.Hub.unsubscribe(s.subscription)
	s.w, s.control = w, http.NewResponseController(w)
	_ = s.control.SetReadDeadline(time.Time{}) // else the server takes a long stream for a slow request
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if err := s.run(ctx, r); err != nil && ctx.Err() == nil {
		a.Log.Debug("stream ended", "path", r.URL.Path, "error", err)
	}
}

// openStream subscribes to what a request asks for.
func (a *API) openStream(ctx context.Context, r *http.Request) (*stream, error) {
	c, q := caller(ctx), r.URL.Query()
	f := streamFilter{org: c.Org, app: c.App, kinds: commaList(q["kinds"]), types: commaList(q["event_types"])}
	need := accessOrgRead
	if ref := q.Get("app_id"); ref != "" || c.App != 0 {
		need = accessRead
	}
	if err := allow(ctx, need); err != nil {
		return nil, err
	}
	if ref := q.Get("app_id"); ref != "" {
		app, err := a.app(ctx, ref)
		if err != nil {
			return nil, err
		}
		f.app = app.ID
	}
	const most = 100
	for _, k := range f.kinds {
		if k != EventMessage && k != EventAttempt {
			return nil, invalid("is a list of message and attempt", "query", "kinds")
		}
	}
	if len(f.types) > most {
		return nil, invalid("has more than 100 items", "query", "event_types")
	}
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = q.Get("last_event_id")
	}
	s := &stream{api: a, trusted: c.Operator}
	var err error
	if s.cursor, err = a.place(last); err != nil {
		return nil, err
	}
	// Subscribed before the first look, so that nothing falls in between.
	s.subscription, err = a.Hub.subscribe(f)
	return s, err
}

// place is the key in the id of an event; 0 without one.
func (a *API) place(id string) (hook.Key, error) {
	if id == "" {
		return 0, nil
	}
	kind := hook.KindMessage
	if strings.HasPrefix(id, string(hook.KindAttempt)) {
		kind = hook.KindAttempt
	}
	k, err := a.IDs.Key(kind, id)
	if err != nil {
		return 0, invalid("is not the id of an event of this stream; leave it out to begin now", "query", "last_event_id")
	}
	return k, nil
}

// commaList are the items of a query parameter that is a list: joined by commas,
// repeated, or both.
func commaList(values []string) (list []string) {
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			if item != "" {
				list = append(list, item)
			}
		}
	}
	return list
}

// run catches up and follows. What ends it on our side is told in a comment.
func (s *stream) run(ctx context.Context, r *http.Request) error {
	s.out.WriteString("retry: 2000\n\n")
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	pace := time.NewTimer(0)
	<-pace.C
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return s.comment("the server stops; come back with the last id")
		case <-s.wake:
		case <-beat.C:
			if s.revoked(r) {
				return s.comment("the token is not valid any more")
			}
			s.out.WriteString(": still here\n\n")
		}
		if err := s.catchUp(ctx); err != nil {
			return err
		}
		pace.Reset(streamPace)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done: // seen again above
		case <-pace.C:
		}
	}
}

// revoked says whether the token that opened the stream would no longer do so.
func (s *stream) revoked(r *http.Request) bool {
	if s.trusted {
		return false
	}
	_, err := s.api.authenticate(r, s.api.sender(r), false)
	return err != nil && hook.CodeOf(err) == hook.CodeUnknown
}

func (s *stream) comment(text string) error {
	fmt.Fprintf(&s.out, ": %s\n\n", text)
	return s.flush()
}

// catchUp sends what is in the store after the cursor, one bounded page at a time.
func (s *stream) catchUp(ctx context.Context) error {
	for {
		messages, attempts, upTo, more, err := s.api.Store.After(ctx, s.org, s.app, s.cursor)
		if err != nil {
			if ctx.Err() == nil {
				s.api.Log.ErrorContext(ctx, "stream failed", "error", err)
				_ = s.comment("something went wrong here; come back with the last id")
			}
			return err
		}
		if err := s.page(ctx, messages, attempts); err != nil {
			return err
		}
		s.cursor = upTo
		s.seen.Store(int64(upTo))
		if !more && s.announced != s.cursor {
			// No event, only the place: what was passed over is not read again.
			fmt.Fprintf(&s.out, "id: %s\n\n", s.api.IDs.Public(hook.KindMessage, s.cursor))
			s.announced = s.cursor
		}
		if err := s.flush(); err != nil || !more {
			return err
		}
	}
}

// page writes messages and attempts, each in the order of their keys, as one.
func (s *stream) page(ctx context.Context, messages []hook.Message, attempts []hook.AttemptRow) error {
	endpoints := map[hook.Key]map[hook.Key]hook.Endpoint{} // by application
	for len(messages) > 0 || len(attempts) > 0 {
		if len(attempts) == 0 || len(messages) > 0 && messages[0].ID < attempts[0].ID {
			m := &messages[0]
			messages = messages[1:]
			if !s.wants(EventMessage, m.Type) {
				continue
			}
			if err := s.event(EventMessage, s.api.IDs.Public(hook.KindMessage, m.ID), s.api.streamMessage(m)); err != nil {
				return err
			}
			continue
		}
		r := &attempts[0]
		attempts = attempts[1:]
		if !s.wants(EventAttempt, r.Of.Type) {
			continue
		}
		known := endpoints[r.Of.App]
		if known == nil {
			known = map[hook.Key]hook.Endpoint{}
			endpoints[r.Of.App] = known
		}
		if _, ok := known[r.Endpoint]; !ok {
			e, err := s.api.Store.Endpoint(ctx, r.Of.App, r.Endpoint)
			if err != nil && !isNotFound(err) {
				return err
			}
			if err != nil {
				e.URL = deletedURL
			}
			known[r.Endpoint] = e
		}
		if err := s.event(EventAttempt, s.api.IDs.Public(hook.KindAttempt, r.ID), s.api.streamAttempt(r, known)); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) streamMessage(m *hook.Message) StreamMessageOut {
	return StreamMessageOut{a.messageOut(m, false), a.IDs.Public(hook.KindApplication, m.App)}
}

func (a *API) streamAttempt(r *hook.AttemptRow, endpoints map[hook.Key]hook.Endpoint) StreamAttemptOut {
	return StreamAttemptOut{a.attemptOut(&r.Attempt, endpoints, true), a.IDs.Public(hook.KindApplication, r.Of.App), r.Of.Type}
}

func (s *stream) event(kind, id string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	fmt.Fprintf(&s.out, "id: %s\nevent: %s\ndata: %s\n\n", id, kind, text)
	return nil
}

// flush sends what was written. Who does not read it in time is cut off, and
// comes back with the last id that he got.
func (s *stream) flush() error {
	if s.out.Len() == 0 {
		return nil
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(streamPatience)) // not every writer has one
	_, err := s.w.Write(s.out.Bytes())
	s.out.Reset()
	if err != nil {
		return err
	}
	return s.control.Flush()
}

// registerStream documents the stream. It is no operation of the library, which
// would answer at once and be done.
func registerStream(a *API) {
	registry := a.huma.OpenAPI().Components.Schemas
	parameter := func(name, in, doc string, schema *huma.Schema) *huma.Param {
		p := &huma.Param{Name: name, In: in, Description: doc, Schema: schema}
		if schema.Type == huma.TypeArray {
			no := false
			p.Explode = &no
		}
		return p
	}
	text := &huma.Schema{Type: huma.TypeString}
	kind := &huma.Schema{Type: huma.TypeString, Enum: []any{EventMessage, EventAttempt}}
	h := &huma.Operation{
		OperationID: "v1.stream.get", Method: http.MethodGet, Path: streamPath, Tags: []string{"stream"}, Metadata: map[string]any{accessKey: accessOrgRead},
		Summary:     "Follow messages and attempts as they come",
		Description: "Server-sent events of the kinds message and attempt. The id of an event is a place: come back with it, and the stream goes on behind it. An id without data only moves the place.",
		Parameters: []*huma.Param{
			parameter("app_id", "query", "Only those of this application: its id or uid", text),
			parameter("event_types", "query", "Only those of these event types", &huma.Schema{Type: huma.TypeArray, Items: text}),
			parameter("kinds", "query", "Only these kinds of events", &huma.Schema{Type: huma.TypeArray, Items: kind}),
			parameter("last_event_id", "query", "Where to go on; the header Last-Event-ID comes first", text),
			parameter("Last-Event-ID", "header", "Where to go on", text),
		},
		Responses: map[string]*huma.Response{"200": {
			Description: "The stream",
			Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{
				Description: "The data of each event",
				OneOf:       []*huma.Schema{schemaOf[StreamMessageOut](registry), schemaOf[StreamAttemptOut](registry)},
			}}},
		}},
	}
	a.huma.OpenAPI().AddOperation(h)
	a.document(h, operation{access: accessOrgRead, method: http.MethodGet})
	h.Responses["429"] = &huma.Response{Description: http.StatusText(http.StatusTooManyRequests), Content: map[string]*huma.MediaType{"application/json": {Schema: schemaOf[HTTPErrorOut](registry)}}}
}
