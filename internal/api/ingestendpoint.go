package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// SourceEndpointPath names an endpoint of a source in a path.
type SourceEndpointPath struct {
	SourcePath
	EndpointID string `path:"endpoint_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The endpoint's id or uid"`
}

// IngestEndpointFields are what PUT and POST have in common.
type IngestEndpointFields struct {
	URL          string            `json:"url" minLength:"1" maxLength:"65536" format:"uri"`
	Description  string            `json:"description,omitempty" maxLength:"4096"`
	ThrottleRate *int              `json:"throttleRate,omitempty" minimum:"1" maximum:"65535" doc:"Attempts a second"`
	RateLimit    *int              `json:"rateLimit,omitempty" minimum:"1" maximum:"65535" doc:"Earlier name of throttleRate"`
	UID          *string           `json:"uid,omitempty" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Disabled     *bool             `json:"disabled,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	EventTypes   []string          `json:"eventTypes,omitempty" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The event types that it gets, exactly; see eventTypePatterns"`
	EndpointExtension
}

// IngestEndpointIn makes an endpoint of a source.
type IngestEndpointIn struct {
	IngestEndpointFields
	Secret  *string           `json:"secret,omitempty" maxLength:"512" doc:"whsec_ and base64, or whsk_ for Ed25519; made when left out"`
	Headers map[string]string `json:"headers,omitempty"`
}

// IngestEndpointUpsertIn replaces an endpoint of a source.
type IngestEndpointUpsertIn struct{ IngestEndpointFields }

// IngestEndpointOut is an endpoint of a source.
type IngestEndpointOut struct {
	ID           string            `json:"id"`
	URL          string            `json:"url"`
	Description  string            `json:"description"`
	ThrottleRate *int              `json:"throttleRate,omitempty" nullable:"true"`
	RateLimit    *int              `json:"rateLimit,omitempty" nullable:"true"`
	UID          *string           `json:"uid,omitempty" nullable:"true"`
	Disabled     bool              `json:"disabled" required:"false"`
	Metadata     map[string]string `json:"metadata"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`

	Name              *string       `json:"name,omitempty" doc:"Its name in the configuration file"`
	EventTypePatterns []string      `json:"eventTypePatterns,omitempty" doc:"The event types that it gets, with * as a wildcard; all when left out"`
	Signature         *SignatureOut `json:"signature,omitempty"`
	Policy            *string       `json:"policy,omitempty"`
	OrderOut
	Paused    bool    `json:"paused"`
	State     string  `json:"state" enum:"enabled,paused,disabled"`
	Reason    *string `json:"reason,omitempty" doc:"Why it is paused or disabled"`
	ManagedBy string  `json:"managedBy" enum:"api,file" doc:"What file manages is read-only here"`

	Retries      []int        `json:"retries,omitempty" doc:"When they are not the usual ones"`
	RetriesFor   []RetriesFor `json:"retriesFor,omitempty"`
	FailingSince *time.Time   `json:"failingSince,omitempty" nullable:"true" doc:"Since when every attempt has failed; absent while it works"`
}

func (a *API) ingestEndpointOut(e hook.Endpoint, failing time.Time) IngestEndpointOut {
	o := a.endpointOut(e, failing)
	return IngestEndpointOut{
		ID: o.ID, URL: o.URL, Description: o.Description, ThrottleRate: o.ThrottleRate, RateLimit: o.RateLimit, UID: o.UID, Disabled: o.Disabled,
		Metadata: o.Metadata, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, Name: pointer(e.Name), EventTypePatterns: e.EventTypes, Signature: o.Signature, Policy: o.Policy,
		OrderOut: o.OrderOut, Paused: o.Paused, State: o.State, Reason: o.Reason, ManagedBy: o.ManagedBy,
		Retries: o.Retries, RetriesFor: o.RetriesFor, FailingSince: o.FailingSince,
	}
}

// into puts what a caller sent into an endpoint. The event types stay as they
// are unless there are others: this face of the wire API has no name for them.
func (in *IngestEndpointFields) into(e *hook.Endpoint) error {
	f := EndpointFields{
		URL: in.URL, Description: in.Description, ThrottleRate: in.ThrottleRate, RateLimit: in.RateLimit, UID: in.UID, Disabled: in.Disabled,
		Channels: e.Channels, Metadata: in.Metadata, EndpointExtension: in.EndpointExtension,
	}
	switch {
	case in.EventTypePatterns != nil && len(in.EventTypePatterns) == 0:
		e.EventTypes = nil
	case len(in.EventTypes) > 0:
		f.EventTypes = in.EventTypes
	case in.EventTypePatterns == nil && !hasPatterns(e.EventTypes):
		f.EventTypes = e.EventTypes
	}
	return f.into(e)
}

func registerIngestEndpoints(a *API) {
	const all, one = "/ingest/api/v1/source/{source_id}/endpoint", "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}"
	register(a, operation{id: "ingest.endpoint.list", method: http.MethodGet, path: all, summary: "List the endpoints of a source", access: accessOrgRead}, a.listIngestEndpoints)
	register(a, operation{id: "ingest.endpoint.create", method: http.MethodPost, path: all, summary: "Create an endpoint of a source", access: accessOrg, status: http.StatusCreated}, a.createIngestEndpoint)
	register(a, operation{id: "ingest.endpoint.get", method: http.MethodGet, path: one, summary: "Read an endpoint of a source", access: accessOrgRead}, a.readIngestEndpoint)
	register(a, operation{id: "ingest.endpoint.upsert", method: http.MethodPut, path: one, summary: "Replace an endpoint of a source", access: accessOrg}, a.putIngestEndpoint)
	register(a, operation{id: "ingest.endpoint.delete", method: http.MethodDelete, path: one, summary: "Delete an endpoint of a source", access: accessOrg, status: http.StatusNoContent}, a.deleteIngestEndpoint)
	registerIngestEndpointSecrets(a, one)
	registerIngestReplay(a, one)
}

func registerIngestEndpointSecrets(a *API, one string) {
	register(a, operation{id: "ingest.endpoint.get-secret", method: http.MethodGet, path: one + "/secret", summary: "Read the endpoint's signing secret", access: accessOrg},
		func(ctx context.Context, in *struct{ SourceEndpointPath }) (*Body[EndpointSecretOut], error) {
			e, err := a.sourceEndpoint(ctx, in.SourceEndpointPath)
			if err != nil {
				return nil, err
			}
			return a.showSecret(ctx, e)
		})
	register(a, operation{id: "ingest.endpoint.rotate-secret", method: http.MethodPost, path: one + "/secret/rotate", summary: "Rotate the endpoint's signing secret", access: accessOrg, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			SourceEndpointPath
			Body EndpointSecretRotateIn
		}) (*None, error) {
			e, err := a.sourceEndpoint(ctx, in.SourceEndpointPath)
			if err != nil {
				return nil, err
			}
			return nil, a.rotateSecret(ctx, e, in.Body)
		})
	register(a, operation{id: "ingest.endpoint.get-headers", method: http.MethodGet, path: one + "/headers", summary: "Read the headers that are added to the endpoint's requests", access: accessOrgRead},
		func(ctx context.Context, in *struct{ SourceEndpointPath }) (*Body[EndpointHeadersOut], error) {
			e, err := a.sourceEndpoint(ctx, in.SourceEndpointPath)
			return answer(headersOut(e)), err
		})
	register(a, operation{id: "ingest.endpoint.set-headers", method: http.MethodPut, path: one + "/headers", summary: "Set the headers that are added to the endpoint's requests", access: accessOrg, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			SourceEndpointPath
			Body EndpointHeadersIn
		}) (*None, error) {
			e, err := a.sourceEndpoint(ctx, in.SourceEndpointPath)
			if err != nil {
				return nil, err
			}
			return nil, a.setHeaders(ctx, e, in.Body.Headers)
		})
}

// sourceEndpoint finds an endpoint of a source; both by id or uid.
func (a *API) sourceEndpoint(ctx context.Context, in SourceEndpointPath) (hook.Endpoint, error) {
	x, err := a.source(ctx, in.SourceID)
	if err != nil {
		return hook.Endpoint{}, err
	}
	return a.endpointOf(ctx, x.App, in.EndpointID)
}

func (a *API) listIngestEndpoints(ctx context.Context, in *struct {
	SourcePath
	OrderedIn
}) (*Body[ListOut[IngestEndpointOut]], error) {
	x, err := a.source(ctx, in.SourceID)
	if err != nil {
		return nil, err
	}
	return endpointsPage(ctx, a, x.App, in.OrderedIn, a.ingestEndpointOut)
}

func (a *API) createIngestEndpoint(ctx context.Context, in *struct {
	SourcePath
	Body IngestEndpointIn
}) (*Body[IngestEndpointOut], error) {
	x, err := a.source(ctx, in.SourceID)
	if err != nil {
		return nil, err
	}
	e := hook.Endpoint{Org: x.Org, App: x.App, OfSource: true}
	if err := in.Body.into(&e); err != nil {
		return nil, err
	}
	if e.Headers, err = headersOf(in.Body.Headers); err != nil {
		return nil, err
	}
	e, err = a.makeEndpoint(ctx, e, in.Body.Secret, in.Body.Signature)
	return answerWith(http.StatusCreated, a.ingestEndpointOut(e, time.Time{})), err
}

func (a *API) readIngestEndpoint(ctx context.Context, in *struct{ SourceEndpointPath }) (*Body[IngestEndpointOut], error) {
	e, err := a.sourceEndpoint(ctx, in.SourceEndpointPath)
	return oneEndpoint(ctx, a, e, err, a.ingestEndpointOut)
}

func (a *API) putIngestEndpoint(ctx context.Context, in *struct {
	SourceEndpointPath
	Body IngestEndpointUpsertIn
}) (*Body[IngestEndpointOut], error) {
	e, err := a.sourceEndpoint(ctx, in.SourceEndpointPath)
	if err != nil {
		return nil, err
	}
	in.Body.UID = keptUID(in.Body.UID, in.EndpointID, hook.KindEndpoint)
	e, err = a.editEndpoint(ctx, e, in.Body.Signature, in.Body.into)
	return oneEndpoint(ctx, a, e, err, a.ingestEndpointOut)
}

func (a *API) deleteIngestEndpoint(ctx context.Context, in *struct{ SourceEndpointPath }) (*None, error) {
	e, err := a.sourceEndpoint(ctx, in.SourceEndpointPath)
	if err != nil {
		return nil, err
	}
	return nil, a.removeEndpoint(ctx, e)
}

// removeEndpoint deletes an endpoint and lets go of it.
func (a *API) removeEndpoint(ctx context.Context, e hook.Endpoint) error {
	if e.ManagedByFile {
		return errManaged("endpoint")
	}
	if err := a.Store.DeleteEndpoint(ctx, e.App, e.ID); err != nil {
		return err
	}
	if err := a.Runtime.AppChanged(ctx, e.App); err != nil {
		return err
	}
	a.Alerts.EndpointDeleted(ctx, e)
	return nil
}
