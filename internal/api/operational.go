package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Operational webhooks tell an organization what becomes of its endpoints, sources
// and messages (package alert). They are messages of an application of its own,
// which is made with its first endpoint, so they are signed, retried and listed as
// all others are.

// OperationalPath names an endpoint of operational webhooks in a path.
type OperationalPath struct {
	EndpointID string `path:"endpoint_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The endpoint's id or uid"`
}

// OperationalWebhookEndpointFields are what PUT and POST have in common.
type OperationalWebhookEndpointFields struct {
	URL          string            `json:"url" minLength:"1" maxLength:"65536" format:"uri"`
	Description  string            `json:"description,omitempty" maxLength:"4096"`
	ThrottleRate *int              `json:"throttleRate,omitempty" minimum:"1" maximum:"65535" doc:"Attempts a second"`
	RateLimit    *int              `json:"rateLimit,omitempty" minimum:"1" maximum:"65535" doc:"Earlier name of throttleRate"`
	UID          *string           `json:"uid,omitempty" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Disabled     *bool             `json:"disabled,omitempty"`
	EventTypes   []string          `json:"eventTypes,omitempty" maxItems:"64" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The operational events that it gets; all when left out"`
	FilterTypes  []string          `json:"filterTypes,omitempty" maxItems:"64" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"Earlier name of eventTypes"`
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// OperationalWebhookEndpointIn makes an endpoint of operational webhooks.
type OperationalWebhookEndpointIn struct {
	OperationalWebhookEndpointFields
	Secret  *string           `json:"secret,omitempty" maxLength:"512" doc:"whsec_ and base64, or whsk_ for Ed25519; made when left out"`
	Headers map[string]string `json:"headers,omitempty"`
}

// OperationalWebhookEndpointUpsertIn replaces one.
type OperationalWebhookEndpointUpsertIn struct {
	OperationalWebhookEndpointFields
}

// OperationalWebhookEndpointOut is an endpoint of operational webhooks.
type OperationalWebhookEndpointOut struct {
	ID           string            `json:"id"`
	URL          string            `json:"url"`
	Description  string            `json:"description"`
	ThrottleRate *int              `json:"throttleRate,omitempty" nullable:"true"`
	RateLimit    *int              `json:"rateLimit,omitempty" nullable:"true"`
	UID          *string           `json:"uid,omitempty" nullable:"true"`
	Disabled     bool              `json:"disabled" required:"false"`
	EventTypes   []string          `json:"eventTypes" nullable:"true" required:"false"`
	FilterTypes  []string          `json:"filterTypes" nullable:"true" required:"false"`
	Metadata     map[string]string `json:"metadata"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
	State        string            `json:"state" enum:"enabled,paused,disabled"`
	Reason       *string           `json:"reason,omitempty" doc:"Why it is disabled"`
	FailingSince *time.Time        `json:"failingSince,omitempty" nullable:"true" doc:"Since when every attempt has failed; absent while it works"`
}

func (a *API) operationalOut(e hook.Endpoint, failing time.Time) OperationalWebhookEndpointOut {
	o := a.endpointOut(e, failing)
	return OperationalWebhookEndpointOut{
		ID: o.ID, URL: o.URL, Description: o.Description, ThrottleRate: o.ThrottleRate, RateLimit: o.RateLimit, UID: o.UID, Disabled: o.Disabled,
		EventTypes: o.EventTypes, FilterTypes: o.FilterTypes, Metadata: o.Metadata, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, State: o.State, Reason: o.Reason,
		FailingSince: o.FailingSince,
	}
}

// into puts what a caller sent into an endpoint.
func (in *OperationalWebhookEndpointFields) into(e *hook.Endpoint) error {
	known := hook.AlertKinds()
	field, types := "eventTypes", in.EventTypes
	if len(types) == 0 {
		field, types = "filterTypes", in.FilterTypes
	}
	for i, t := range types {
		switch {
		case !slices.Contains(known, hook.AlertKind(t)):
			return invalid(t+" is no operational event; there are "+listed(known), "body", field)
		case slices.Contains(types[:i], t):
			return invalid(t+" is there twice", "body", field)
		}
	}
	f := EndpointFields{
		URL: in.URL, Description: in.Description, ThrottleRate: in.ThrottleRate, RateLimit: in.RateLimit, UID: in.UID, Disabled: in.Disabled,
		EventTypes: types, Metadata: in.Metadata,
	}
	return f.into(e)
}

// listed are names with commas between them.
func listed[T ~string](list []T) string {
	names := make([]string, len(list))
	for i, x := range list {
		names[i] = string(x)
	}
	return strings.Join(names, ", ")
}

func registerOperational(a *API) {
	const all, one = "/api/v1/operational-webhook/endpoint", "/api/v1/operational-webhook/endpoint/{endpoint_id}"
	const id = "operational-webhook.endpoint."
	register(a, operation{id: id + "list", method: http.MethodGet, path: all, summary: "List the endpoints of operational webhooks", access: accessOrgRead}, a.listOperational)
	register(a, operation{id: id + "create", method: http.MethodPost, path: all, summary: "Create an endpoint of operational webhooks", access: accessOrg, status: http.StatusCreated}, a.createOperational)
	register(a, operation{id: id + "get", method: http.MethodGet, path: one, summary: "Read an endpoint of operational webhooks", access: accessOrgRead}, a.readOperational)
	register(a, operation{id: id + "upsert", method: http.MethodPut, path: one, summary: "Replace an endpoint of operational webhooks", access: accessOrg}, a.putOperational)
	register(a, operation{id: id + "delete", method: http.MethodDelete, path: one, summary: "Delete an endpoint of operational webhooks", access: accessOrg, status: http.StatusNoContent},
		func(ctx context.Context, in *struct{ OperationalPath }) (*None, error) {
			e, err := a.operationalEndpoint(ctx, in.EndpointID)
			if err != nil {
				return nil, err
			}
			return nil, a.removeEndpoint(ctx, e)
		})
	registerOperationalSecrets(a, id, one)
}

func registerOperationalSecrets(a *API, id, one string) {
	register(a, operation{id: id + "get-secret", method: http.MethodGet, path: one + "/secret", summary: "Read the endpoint's signing secret", access: accessOrg},
		func(ctx context.Context, in *struct{ OperationalPath }) (*Body[EndpointSecretOut], error) {
			e, err := a.operationalEndpoint(ctx, in.EndpointID)
			if err != nil {
				return nil, err
			}
			return a.showSecret(ctx, e)
		})
	register(a, operation{id: id + "rotate-secret", method: http.MethodPost, path: one + "/secret/rotate", summary: "Rotate the endpoint's signing secret", access: accessOrg, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			OperationalPath
			Body EndpointSecretRotateIn
		}) (*None, error) {
			e, err := a.operationalEndpoint(ctx, in.EndpointID)
			if err != nil {
				return nil, err
			}
			return nil, a.rotateSecret(ctx, e, in.Body)
		})
	register(a, operation{id: id + "get-headers", method: http.MethodGet, path: one + "/headers", summary: "Read the headers that are added to the endpoint's requests", access: accessOrgRead},
		func(ctx context.Context, in *struct{ OperationalPath }) (*Body[EndpointHeadersOut], error) {
			e, err := a.operationalEndpoint(ctx, in.EndpointID)
			return answer(headersOut(e)), err
		})
	register(a, operation{id: id + "set-headers", method: http.MethodPut, path: one + "/headers", summary: "Set the headers that are added to the endpoint's requests", access: accessOrg, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			OperationalPath
			Body EndpointHeadersIn
		}) (*None, error) {
			e, err := a.operationalEndpoint(ctx, in.EndpointID)
			if err != nil {
				return nil, err
			}
			return nil, a.setHeaders(ctx, e, in.Body.Headers)
		})
}

// operationalApp is the key of an organization's operational application, 0
// when it has none yet: to look does not make one.
func (a *API) operationalApp(ctx context.Context, org hook.Key) (hook.Key, error) {
	list, err := a.Store.Applications(ctx, org, hook.Page{Limit: 1, Ascending: true}, hook.AppFilter{Kind: hook.AppOperational})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0].ID, nil
}

func (a *API) operationalEndpoint(ctx context.Context, ref string) (hook.Endpoint, error) {
	app, err := a.operationalApp(ctx, caller(ctx).Org)
	if err != nil {
		return hook.Endpoint{}, err
	}
	return a.endpointOf(ctx, app, ref) // an application 0 has no endpoints
}

func (a *API) listOperational(ctx context.Context, in *OrderedIn) (*Body[ListOut[OperationalWebhookEndpointOut]], error) {
	app, err := a.operationalApp(ctx, caller(ctx).Org)
	if err != nil {
		return nil, err
	}
	return endpointsPage(ctx, a, app, *in, a.operationalOut)
}

func (a *API) createOperational(ctx context.Context, in *struct{ Body OperationalWebhookEndpointIn }) (*Body[OperationalWebhookEndpointOut], error) {
	var e hook.Endpoint
	err := in.Body.into(&e)
	if err != nil {
		return nil, err
	}
	if e.Headers, err = headersOf(in.Body.Headers); err != nil {
		return nil, err
	}
	app, err := a.Store.OperationalApp(ctx, caller(ctx).Org)
	if err != nil {
		return nil, err
	}
	e.Org, e.App = app.Org, app.ID
	e, err = a.makeEndpoint(ctx, e, in.Body.Secret, nil)
	return answerWith(http.StatusCreated, a.operationalOut(e, time.Time{})), err
}

func (a *API) readOperational(ctx context.Context, in *struct{ OperationalPath }) (*Body[OperationalWebhookEndpointOut], error) {
	e, err := a.operationalEndpoint(ctx, in.EndpointID)
	return oneEndpoint(ctx, a, e, err, a.operationalOut)
}

func (a *API) putOperational(ctx context.Context, in *struct {
	OperationalPath
	Body OperationalWebhookEndpointUpsertIn
}) (*Body[OperationalWebhookEndpointOut], error) {
	e, err := a.operationalEndpoint(ctx, in.EndpointID)
	if err != nil {
		return nil, err
	}
	in.Body.UID = keptUID(in.Body.UID, in.EndpointID, hook.KindEndpoint)
	e, err = a.editEndpoint(ctx, e, nil, in.Body.into)
	return oneEndpoint(ctx, a, e, err, a.operationalOut)
}
