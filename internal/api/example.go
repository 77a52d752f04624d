package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// EventExampleIn names the event type of an example.
type EventExampleIn struct {
	EventType    string `json:"eventType" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	ExampleIndex int    `json:"exampleIndex,omitempty" minimum:"0" maximum:"1000000" doc:"Which of the examples of the schema, when it has some"`
}

// sendExample sends a message that is made from the schema of an event type, to one
// endpoint, whatever event types that wants.
func (a *API) sendExample(ctx context.Context, in *struct {
	EndpointPath
	Body EventExampleIn
}) (*Body[MessageOut], error) {
	app, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
	if err != nil {
		return nil, err
	}
	t, err := a.eventType(ctx, in.Body.EventType)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	body, err := exampleOf(&t, in.Body.ExampleIndex, now)
	if err != nil {
		return nil, err
	}
	headers := []hook.Header{{Name: "Content-Type", Value: "application/json"}}
	incoming := hook.Incoming{Org: app.Org, App: app.ID, ReceivedAt: now, Headers: headers, Body: body, Event: hook.Event{Type: t.Name}, Only: e.ID}
	receipt, err := a.Pipeline.Accept(ctx, incoming)
	if err != nil {
		return nil, err
	}
	m := hook.Message{ID: receipt.Message, Event: incoming.Event, ReceivedAt: now.Truncate(time.Millisecond), Headers: headers, Body: body}
	return answerWith(http.StatusAccepted, a.messageOut(&m, true)), nil
}

// exampleOf is a payload of an event type: one of the examples of its newest schema,
// or one made from it.
func exampleOf(t *hook.EventType, index int, now time.Time) ([]byte, error) {
	schema := newestSchema(t.Schemas)
	v := any(map[string]any{"type": t.Name, "timestamp": now.UTC().Format(time.RFC3339), "data": map[string]any{}})
	if schema != nil {
		if examples, ok := schema["examples"].([]any); ok && len(examples) > 0 && index >= len(examples) {
			return nil, invalid("is beyond the last one: the schema has "+strconv.Itoa(len(examples))+" examples, counted from 0", "body", "exampleIndex")
		}
		v = (&sampler{root: schema, index: index, now: now}).value(schema, 0)
	}
	var body bytes.Buffer
	w := json.NewEncoder(&body)
	w.SetEscapeHTML(false)
	if err := w.Encode(v); err != nil {
		return nil, err
	}
	if body.Len() > maxPayload {
		return nil, hook.Errorf(hook.CodeTooLarge, "the example has %d bytes; at most %d are sent", body.Len(), maxPayload)
	}
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), nil
}

// newestSchema is the schema with the highest version; nil when there is none.
func newestSchema(raw json.RawMessage) map[string]any {
	var versions map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&versions); err != nil {
		return nil
	}
	maps.DeleteFunc(versions, func(_ string, v any) bool { _, ok := v.(map[string]any); return !ok })
	if len(versions) == 0 {
		return nil
	}
	newest := slices.MaxFunc(slices.Collect(maps.Keys(versions)), func(a, b string) int {
		n, errN := strconv.Atoi(strings.TrimPrefix(a, "v"))
		m, errM := strconv.Atoi(strings.TrimPrefix(b, "v"))
		switch {
		case errN == nil && errM == nil && n != m:
			return cmp.Compare(n, m)
		case (errN == nil) != (errM == nil): // a number is newer than a word
			return cmp.Compare(boolInt(errN == nil), boolInt(errM == nil))
		}
		return cmp.Compare(a, b)
	})
	schema, _ := versions[newest].(map[string]any)
	return schema
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
