package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// EnvironmentOut is what an organization decided: its event types and settings.
type EnvironmentOut struct {
	Version    int            `json:"version" required:"false"`
	CreatedAt  time.Time      `json:"createdAt"`
	EventTypes []EventTypeOut `json:"eventTypes"`
	Settings   Object         `json:"settings" nullable:"true"`
	Connectors []Object       `json:"connectors" doc:"Always empty: there are no connectors here"`
}

// EnvironmentIn is what is taken over from an export.
type EnvironmentIn struct {
	EventTypes []EventTypeIn `json:"eventTypes,omitempty" nullable:"true" maxItems:"10000"`
	Settings   Object        `json:"settings,omitempty" nullable:"true" doc:"What is left out stays as it is"`
	Connectors []Object      `json:"connectors,omitempty" nullable:"true" doc:"Must be empty: there are no connectors here"`
}

func registerEnvironment(a *API) {
	register(a, operation{id: "environment.export", method: http.MethodPost, path: "/api/v1/environment/export", summary: "Export event types and settings", access: accessOrgRead}, a.exportEnvironment)
	register(a, operation{
		id: "environment.import", method: http.MethodPost, path: "/api/v1/environment/import", summary: "Import event types and settings; nothing is deleted",
		access: accessOrg, status: http.StatusNoContent, body: importLimit,
	}, a.importEnvironment)
}

// allEventTypes calls f for each event type of the caller's organization.
func (a *API) allEventTypes(ctx context.Context, archived bool, f func(*hook.EventType)) error {
	const step = 250
	after := ""
	for {
		list, err := a.Store.EventTypes(ctx, caller(ctx).Org, after, true, step, archived)
		if err != nil {
			return err
		}
		for i := range list {
			f(&list[i])
		}
		if len(list) < step {
			return nil
		}
		after = list[len(list)-1].Name
	}
}

func (a *API) exportEnvironment(ctx context.Context, _ *struct{}) (*Body[EnvironmentOut], error) {
	org, err := a.Store.Organization(ctx, caller(ctx).Org)
	if err != nil {
		return nil, err
	}
	out := EnvironmentOut{Version: 1, CreatedAt: when(time.Now()), EventTypes: []EventTypeOut{}, Connectors: []Object{}}
	if out.Settings, err = json.Marshal(org.Settings); err != nil {
		return nil, err
	}
	err = a.allEventTypes(ctx, true, func(t *hook.EventType) { out.EventTypes = append(out.EventTypes, eventTypeOut(*t, true)) })
	return answer(out), err
}

func (a *API) importEnvironment(ctx context.Context, in *struct{ Body EnvironmentIn }) (*None, error) {
	if len(in.Body.Connectors) > 0 {
		return nil, invalid("must be empty: there are no connectors here; import the rest without them", "body", "connectors")
	}
	org, err := a.Store.Organization(ctx, caller(ctx).Org)
	if err != nil {
		return nil, err
	}
	settings, err := settingsFrom(org.Settings, in.Body.Settings)
	if err != nil {
		return nil, err
	}
	if settings != org.Settings && !caller(ctx).may(accessAdmin) {
		return nil, hook.Errorf(hook.CodeDenied, "a token with scope %s may not change settings; import without them", caller(ctx).Scope)
	}
	types := make([]hook.EventType, len(in.Body.EventTypes))
	for i := range in.Body.EventTypes {
		types[i] = hook.EventType{Org: org.ID, Name: in.Body.EventTypes[i].Name}
		if err := in.Body.EventTypes[i].into(&types[i]); err != nil {
			return nil, invalid(err.Error(), "body", "eventTypes", strconv.Itoa(i))
		}
	}
	for _, t := range types {
		if _, err := a.Store.PutEventType(ctx, t); err != nil {
			return nil, err
		}
	}
	if settings == org.Settings {
		return nil, nil
	}
	_, err = a.editSettings(ctx, func(s hook.OrgSettings) (hook.OrgSettings, error) { return settingsFrom(s, in.Body.Settings) })
	return nil, err
}

// settingsFrom are settings after an import. Those that are not ours are ignored.
func settingsFrom(s hook.OrgSettings, imported Object) (hook.OrgSettings, error) {
	if isNull(imported) {
		return s, nil
	}
	if err := json.Unmarshal(imported, &s); err != nil {
		return s, invalid("is of another type than the export has", "body", "settings")
	}
	if err := checkPortal(&s.Portal); err != nil {
		return s, err
	}
	switch s.SignatureHeaders {
	case "", hook.HeadersWebhook, hook.HeadersSvix, hook.HeadersBoth:
		return s, nil
	}
	return s, invalid("is one of webhook, svix and both", "body", "settings", "signatureHeaders")
}
