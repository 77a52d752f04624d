package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// EventTypePath names an event type in a path.
type EventTypePath struct {
	Name string `path:"event_type_name" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The event type's name"`
}

// EventTypeUpsertIn replaces an event type.
type EventTypeUpsertIn struct {
	Description  string   `json:"description" maxLength:"16384"`
	Archived     bool     `json:"archived,omitempty"`
	Deprecated   bool     `json:"deprecated,omitempty"`
	Schemas      Object   `json:"schemas,omitempty" nullable:"true" doc:"The JSON Schema of each version"`
	GroupName    *string  `json:"groupName,omitempty" nullable:"true" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	FeatureFlags []string `json:"featureFlags,omitempty" nullable:"true" maxItems:"100" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"Portals see it only when they have one of these"`
	FeatureFlag  *string  `json:"featureFlag,omitempty" nullable:"true" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"Of earlier clients: the only one of featureFlags"`
}

// EventTypeIn makes an event type.
type EventTypeIn struct {
	Name string `json:"name" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	EventTypeUpsertIn
}

// EventTypePatch changes an event type.
type EventTypePatch struct {
	Description  *string         `json:"description,omitempty" maxLength:"16384"`
	Archived     *bool           `json:"archived,omitempty"`
	Deprecated   *bool           `json:"deprecated,omitempty"`
	Schemas      Maybe[Object]   `json:"schemas,omitzero"`
	GroupName    Maybe[string]   `json:"groupName,omitzero" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	FeatureFlags Maybe[[]string] `json:"featureFlags,omitzero" maxItems:"100" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	FeatureFlag  Maybe[string]   `json:"featureFlag,omitzero" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
}

// EventTypeOut is an event type.
type EventTypeOut struct {
	Name         string    `json:"name"`
	Description  string    `json:"description"`
	Archived     bool      `json:"archived" required:"false"`
	Deprecated   bool      `json:"deprecated"`
	Schemas      Object    `json:"schemas,omitempty" nullable:"true"`
	GroupName    *string   `json:"groupName,omitempty" nullable:"true"`
	FeatureFlags []string  `json:"featureFlags,omitempty" nullable:"true"`
	FeatureFlag  *string   `json:"featureFlag,omitempty" nullable:"true"`
	CreatedAt    time.Time `json:"createdAt"`
	UpdatedAt    time.Time `json:"updatedAt"`
}

func eventTypeOut(t hook.EventType, schemas bool) EventTypeOut {
	out := EventTypeOut{
		Name: t.Name, Description: t.Description, Archived: t.Archived, Deprecated: t.Deprecated, GroupName: pointer(t.GroupName), FeatureFlags: t.FeatureFlags,
		CreatedAt: when(t.CreatedAt), UpdatedAt: when(t.UpdatedAt),
	}
	if len(t.FeatureFlags) > 0 {
		out.FeatureFlag = &t.FeatureFlags[0]
	}
	if schemas {
		out.Schemas = Object(t.Schemas)
	}
	return out
}

// into puts what a caller sent into an event type.
func (in *EventTypeUpsertIn) into(t *hook.EventType) error {
	t.Description, t.Archived, t.Deprecated, t.GroupName, t.FeatureFlags = in.Description, in.Archived, in.Deprecated, value(in.GroupName), in.FeatureFlags
	if len(in.FeatureFlags) == 0 && in.FeatureFlag != nil {
		t.FeatureFlags = []string{*in.FeatureFlag}
	}
	t.Schemas = nil
	if !isNull(in.Schemas) {
		t.Schemas = []byte(in.Schemas)
	}
	return checkEventType(t)
}

func isNull(o Object) bool { return len(o) == 0 || string(o) == "null" }

// maxSchemas bounds the schemas of one event type, in bytes.
const maxSchemas = 512 << 10

func checkEventType(t *hook.EventType) error {
	if !inPath(t.Name) {
		return invalid("must not be . or .., which no URL can name", "body", "name")
	}
	if len(t.Schemas) > maxSchemas {
		return invalid("are longer than 512 KiB", "body", "schemas")
	}
	if len(t.FeatureFlags) == 0 {
		t.FeatureFlags = nil
	}
	if err := distinct("featureFlags", t.FeatureFlags); err != nil {
		return err
	}
	return checkText("description", t.Description, 16384)
}

func registerEventTypes(a *API) {
	const all, one = "/api/v1/event-type", "/api/v1/event-type/{event_type_name}"
	register(a, operation{id: "event-type.list", method: http.MethodGet, path: all, summary: "List event types", access: accessTypes}, a.listEventTypes)
	register(a, operation{id: "event-type.create", method: http.MethodPost, path: all, summary: "Create an event type", access: accessOrg, status: http.StatusCreated}, a.createEventType)
	register(a, operation{id: "event-type.get", method: http.MethodGet, path: one, summary: "Read an event type", access: accessTypes}, a.readEventType)
	register(a, operation{id: "event-type.upsert", method: http.MethodPut, path: one, summary: "Create or replace an event type", access: accessOrg, also: http.StatusCreated}, a.putEventType)
	register(a, operation{id: "event-type.patch", method: http.MethodPatch, path: one, summary: "Change an event type", access: accessOrg}, a.patchEventType)
	register(a, operation{id: "event-type.delete", method: http.MethodDelete, path: one, summary: "Archive an event type, or delete it for good", access: accessOrg, status: http.StatusNoContent}, a.deleteEventType)
}

// EventTypeListIn are the parameters of the list of event types. Its rows have
// names instead of ids, so its iterators are longer.
type EventTypeListIn struct {
	Limit    int    `query:"limit" minimum:"1" maximum:"250" default:"50" doc:"Limit the number of returned items"`
	Iterator string `query:"iterator" maxLength:"512" doc:"The iterator returned from a prior invocation"`
	Order    string `query:"order" enum:"ascending,descending" doc:"The sorting order of the returned items, by name; ascending when left out"`
}

// place is the name behind which a page begins, and whether it goes back from there.
func (in *EventTypeListIn) place() (after string, back bool, err error) {
	text, back := strings.CutPrefix(in.Iterator, backwards)
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || in.Iterator != "" && !isTypeName(string(raw)) {
		return "", false, invalid("is not an iterator of this list; leave it out to begin, or pass on the one of the last answer", "query", "iterator")
	}
	return string(raw), back, nil
}

// isTypeName says whether an event type may have this name.
func isTypeName(s string) bool {
	return s != "" && len(s) <= 256 && inPath(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

func (a *API) listEventTypes(ctx context.Context, in *struct {
	EventTypeListIn
	IncludeArchived bool `query:"include_archived" doc:"With those that are archived"`
	WithContent     bool `query:"with_content" doc:"With their schemas"`
}) (*Body[ListOut[EventTypeOut]], error) {
	after, back, err := in.place()
	if err != nil {
		return nil, err
	}
	ascending := (in.Order != "descending") != back
	rows, err := a.Store.EventTypes(ctx, caller(ctx).Org, after, ascending, in.Limit+1, in.IncludeArchived)
	if err != nil {
		return nil, err
	}
	out := ListOut[EventTypeOut]{Data: []EventTypeOut{}, Done: len(rows) <= in.Limit && !back}
	rows = rows[:min(len(rows), in.Limit)]
	if back {
		slices.Reverse(rows)
	}
	place := func(name, prefix string) *string {
		s := prefix + base64.RawURLEncoding.EncodeToString([]byte(name))
		return &s
	}
	switch {
	case len(rows) > 0:
		out.Iterator = place(rows[len(rows)-1].Name, "")
	case in.Iterator != "":
		out.Iterator = place(after, "")
	}
	if in.Iterator != "" && len(rows) > 0 {
		out.PrevIterator = place(rows[0].Name, backwards)
	}
	for _, t := range rows {
		if caller(ctx).sees(&t) {
			out.Data = append(out.Data, eventTypeOut(t, in.WithContent))
		}
	}
	return answer(out), nil
}

// sees says whether a caller may know of an event type: one behind feature flags
// is hidden from portals that have none of them.
func (c *Caller) sees(t *hook.EventType) bool {
	if c.Scope != hook.ScopeApp || len(t.FeatureFlags) == 0 {
		return true
	}
	return slices.ContainsFunc(t.FeatureFlags, func(f string) bool { return slices.Contains(c.Portal.FeatureFlags, f) })
}

// eventType finds an event type that the caller may know of.
func (a *API) eventType(ctx context.Context, name string) (hook.EventType, error) {
	t, err := a.Store.EventType(ctx, caller(ctx).Org, name)
	if err == nil && !caller(ctx).sees(&t) {
		return hook.EventType{}, hook.Errorf(hook.CodeNotFound, "there is no event type %q", name)
	}
	return t, err
}

func (a *API) createEventType(ctx context.Context, in *struct{ Body EventTypeIn }) (*Body[EventTypeOut], error) {
	t := hook.EventType{Org: caller(ctx).Org, Name: in.Body.Name}
	if err := in.Body.into(&t); err != nil {
		return nil, err
	}
	t, err := a.Store.CreateEventType(ctx, t)
	return answerWith(http.StatusCreated, eventTypeOut(t, true)), err
}

func (a *API) readEventType(ctx context.Context, in *struct{ EventTypePath }) (*Body[EventTypeOut], error) {
	t, err := a.eventType(ctx, in.Name)
	return answerWith(http.StatusOK, eventTypeOut(t, true)), err
}

func (a *API) putEventType(ctx context.Context, in *struct {
	EventTypePath
	Body EventTypeUpsertIn
}) (*Body[EventTypeOut], error) {
	t := hook.EventType{Org: caller(ctx).Org, Name: in.Name}
	if err := in.Body.into(&t); err != nil {
		return nil, err
	}
	made, err := a.Store.PutEventType(ctx, t)
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	t, err = a.Store.EventType(ctx, t.Org, t.Name)
	return answerWith(status, eventTypeOut(t, true)), err
}

func (a *API) patchEventType(ctx context.Context, in *struct {
	EventTypePath
	Body EventTypePatch
}) (*Body[EventTypeOut], error) {
	var t hook.EventType
	err := a.edit(ctx, fmt.Sprint("event type ", caller(ctx).Org, in.Name), func() (err error) {
		if t, err = a.eventType(ctx, in.Name); err != nil {
			return err
		}
		in.Body.into(&t)
		if err := checkEventType(&t); err != nil {
			return err
		}
		t, err = a.Store.UpdateEventType(ctx, t)
		return err
	})
	return answerWith(http.StatusOK, eventTypeOut(t, true)), err
}

func (in *EventTypePatch) into(t *hook.EventType) {
	if in.Archived != nil {
		t.Archived = *in.Archived
	}
	if in.Deprecated != nil {
		t.Deprecated = *in.Deprecated
	}
	if in.Description != nil {
		t.Description = *in.Description
	}
	switch {
	case in.FeatureFlag.Null:
		t.FeatureFlags = nil
	case in.FeatureFlag.Set:
		t.FeatureFlags = []string{in.FeatureFlag.Value}
	}
	in.FeatureFlags.into(&t.FeatureFlags)
	in.GroupName.into(&t.GroupName)
	if in.Schemas.Set {
		t.Schemas = []byte(in.Schemas.Value)
	}
}

func (a *API) deleteEventType(ctx context.Context, in *struct {
	EventTypePath
	Expunge bool `query:"expunge" doc:"Delete it for good"`
}) (*None, error) {
	return nil, a.Store.DeleteEventType(ctx, caller(ctx).Org, in.Name, in.Expunge)
}
