package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// EndpointPath names an endpoint of an application in a path.
type EndpointPath struct {
	AppPath
	EndpointID string `path:"endpoint_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The endpoint's id or uid"`
}

// EndpointFields are what PUT and POST have in common.
type EndpointFields struct {
	URL          string            `json:"url" minLength:"1" maxLength:"65536" format:"uri"`
	Description  string            `json:"description,omitempty" maxLength:"4096"`
	ThrottleRate *int              `json:"throttleRate,omitempty" minimum:"1" maximum:"65535" doc:"Attempts a second"`
	RateLimit    *int              `json:"rateLimit,omitempty" minimum:"1" maximum:"65535" doc:"Earlier name of throttleRate"`
	UID          *string           `json:"uid,omitempty" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Disabled     *bool             `json:"disabled,omitempty"`
	EventTypes   []string          `json:"eventTypes,omitempty" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The event types that it gets; all when left out"`
	FilterTypes  []string          `json:"filterTypes,omitempty" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"Earlier name of eventTypes"`
	Channels     []string          `json:"channels,omitempty" maxItems:"10" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	EndpointExtension
}

// EndpointExtension is what Sigpost adds. What is left out of a PUT stays as it is.
type EndpointExtension struct {
	EventTypePatterns []string      `json:"eventTypePatterns,omitempty" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.*]+$" doc:"Event types with * as a wildcard, instead of eventTypes"`
	Signature         *SignatureIn  `json:"signature,omitempty" doc:"Sign as another provider does"`
	Policy            *string       `json:"policy,omitempty" maxLength:"64" doc:"Deliver as this provider does"`
	Paused            *bool         `json:"paused,omitempty" doc:"Hold deliveries until it is false again"`
	Retries           *[]int        `json:"retries,omitempty" maxItems:"64" minimum:"1" maximum:"604800" doc:"Seconds to wait after each failure, the last one repeats; the usual schedule when it is empty"`
	RetriesFor        *[]RetriesFor `json:"retriesFor,omitempty" maxItems:"64" doc:"Other waits for some event types; the first that fits counts"`
	OrderExtension
}

// SignatureIn chooses how requests to an endpoint are signed.
type SignatureIn struct {
	Scheme string  `json:"scheme" minLength:"1" maxLength:"64" doc:"A scheme's or provider's name, for example stripe"`
	Secret *string `json:"secret,omitempty" minLength:"1" maxLength:"1024"`
}

// EndpointIn makes an endpoint.
type EndpointIn struct {
	EndpointFields
	Secret  *string           `json:"secret,omitempty" maxLength:"512" doc:"whsec_ and base64, or whsk_ for Ed25519; made when left out"`
	Headers map[string]string `json:"headers,omitempty"`
	Version *int              `json:"version,omitempty" doc:"Of earlier clients; changes nothing"`
}

// EndpointUpsertIn replaces an endpoint.
type EndpointUpsertIn struct {
	EndpointFields
	Version *int `json:"version,omitempty" doc:"Of earlier clients; changes nothing"`
}

// EndpointPatch changes an endpoint.
type EndpointPatch struct {
	URL               *string            `json:"url,omitempty" minLength:"1" maxLength:"65536" format:"uri"`
	Description       *string            `json:"description,omitempty" maxLength:"4096"`
	ThrottleRate      Maybe[int]         `json:"throttleRate,omitzero" minimum:"0" maximum:"65535"`
	RateLimit         Maybe[int]         `json:"rateLimit,omitzero" minimum:"0" maximum:"65535"`
	UID               Maybe[string]      `json:"uid,omitzero" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Disabled          *bool              `json:"disabled,omitempty"`
	EventTypes        Maybe[[]string]    `json:"eventTypes,omitzero" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	FilterTypes       Maybe[[]string]    `json:"filterTypes,omitzero" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Channels          Maybe[[]string]    `json:"channels,omitzero" maxItems:"10" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$"`
	Metadata          map[string]string  `json:"metadata,omitempty"`
	Version           *int               `json:"version,omitempty"`
	EventTypePatterns Maybe[[]string]    `json:"eventTypePatterns,omitzero" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.*]+$"`
	Signature         Maybe[SignatureIn] `json:"signature,omitzero"`
	Policy            Maybe[string]      `json:"policy,omitzero" maxLength:"64"`
	Paused            Maybe[bool]        `json:"paused,omitzero"`
	Retries           *[]int             `json:"retries,omitempty" maxItems:"64" minimum:"1" maximum:"604800"`
	RetriesFor        *[]RetriesFor      `json:"retriesFor,omitempty" maxItems:"64"`
	OrderPatch
}

// SignatureOut says how requests are signed.
type SignatureOut struct {
	Scheme string `json:"scheme"`
}

// EndpointOut is an endpoint.
type EndpointOut struct {
	ID                string            `json:"id"`
	URL               string            `json:"url"`
	Description       string            `json:"description"`
	ThrottleRate      *int              `json:"throttleRate,omitempty" nullable:"true"`
	RateLimit         *int              `json:"rateLimit,omitempty" nullable:"true"`
	UID               *string           `json:"uid,omitempty" nullable:"true"`
	Disabled          bool              `json:"disabled" required:"false"`
	EventTypes        []string          `json:"eventTypes" nullable:"true" required:"false"`
	FilterTypes       []string          `json:"filterTypes" nullable:"true" required:"false"`
	Channels          []string          `json:"channels" nullable:"true" required:"false"`
	Metadata          map[string]string `json:"metadata"`
	Version           int               `json:"version"`
	CreatedAt         time.Time         `json:"createdAt"`
	UpdatedAt         time.Time         `json:"updatedAt"`
	EventTypePatterns []string          `json:"eventTypePatterns,omitempty" doc:"When it has wildcards; eventTypes is null then"`
	Signature         *SignatureOut     `json:"signature,omitempty" doc:"When it is not that of Standard Webhooks"`
	Policy            *string           `json:"policy,omitempty"`
	OrderOut
	Paused     bool         `json:"paused"`
	State      string       `json:"state" enum:"enabled,paused,disabled"`
	Reason     *string      `json:"reason,omitempty" doc:"Why it is paused or disabled"`
	ManagedBy  string       `json:"managedBy" enum:"api,file" doc:"What file manages is read-only here"`
	Retries    []int        `json:"retries,omitempty" doc:"When they are not the usual ones"`
	RetriesFor []RetriesFor `json:"retriesFor,omitempty"`
}

func hasPatterns(types []string) bool {
	return slices.ContainsFunc(types, func(t string) bool { return strings.Contains(t, "*") })
}

func (a *API) endpointOut(e hook.Endpoint) EndpointOut {
	out := EndpointOut{
		ID: a.IDs.Public(hook.KindEndpoint, e.ID), URL: e.URL, Description: e.Description, ThrottleRate: pointer(e.Throttle), RateLimit: pointer(e.Throttle), UID: pointer(e.UID),
		Disabled: e.State == hook.Disabled, EventTypes: e.EventTypes, FilterTypes: e.EventTypes, Channels: e.Channels, Metadata: orEmpty(e.Metadata), Version: 1,
		CreatedAt: when(e.CreatedAt), UpdatedAt: when(e.UpdatedAt), Policy: pointer(e.Policy), OrderOut: orderOut(&e.Order), Paused: e.State == hook.Paused,
		State: e.State.String(), Reason: pointer(e.Reason), ManagedBy: "api", Retries: secondsOf(e.Schedule), RetriesFor: retriesForOf(e.Schedules),
	}
	if e.ManagedByFile {
		out.ManagedBy = "file"
	}
	if hasPatterns(e.EventTypes) {
		out.EventTypePatterns, out.EventTypes, out.FilterTypes = e.EventTypes, nil, nil
	}
	if len(e.EventTypes) == 0 { // an empty list would mean none to some clients
		out.EventTypes, out.FilterTypes = nil, nil
	}
	if len(e.Channels) == 0 {
		out.Channels = nil
	}
	if e.SchemeName != "" {
		out.Signature = &SignatureOut{e.SchemeName}
	}
	return out
}

// into puts what a caller sent into an endpoint. What only Sigpost knows stays
// as it is when it was left out.
func (in *EndpointFields) into(e *hook.Endpoint) error {
	patterns := len(in.EventTypePatterns) > 0
	types := in.EventTypes
	if len(types) == 0 {
		types = in.FilterTypes
	}
	switch {
	case patterns && len(types) > 0:
		return invalid("give either this or eventTypes", "body", "eventTypePatterns")
	case patterns:
		e.EventTypes = in.EventTypePatterns
	case len(types) > 0 || !hasPatterns(e.EventTypes):
		e.EventTypes = types
	}
	e.URL, e.Description, e.UID, e.Channels, e.Metadata = in.URL, in.Description, value(in.UID), in.Channels, in.Metadata
	e.Throttle = value(first(in.ThrottleRate, in.RateLimit))
	if in.Policy != nil {
		e.Policy = *in.Policy
	}
	if in.Signature != nil {
		e.SchemeName = in.Signature.Scheme
	}
	in.OrderExtension.into(&e.Order)
	setState(e, in.Disabled, in.Paused)
	if err := setRetries(e, in.Retries, in.RetriesFor); err != nil {
		return err
	}
	return distinctAll(map[string][]string{
		"eventTypes": in.EventTypes, "filterTypes": in.FilterTypes, "channels": in.Channels, "eventTypePatterns": in.EventTypePatterns,
	})
}

// setState follows what a caller said of disabled and paused.
func setState(e *hook.Endpoint, disabled, paused *bool) {
	switch {
	case disabled != nil && *disabled:
		if e.State != hook.Disabled {
			e.State, e.Reason = hook.Disabled, hook.DisabledByHand
		}
	case paused != nil && *paused:
		e.State, e.Reason = hook.Paused, "paused by hand"
	case disabled != nil && e.State == hook.Disabled, paused != nil && e.State == hook.Paused:
		e.State, e.Reason = hook.Enabled, ""
	}
}

func registerEndpoints(a *API) {
	const all, one = "/api/v1/app/{app_id}/endpoint", "/api/v1/app/{app_id}/endpoint/{endpoint_id}"
	register(a, operation{id: "endpoint.list", method: http.MethodGet, path: all, summary: "List the endpoints of an application", access: accessRead}, a.listEndpoints)
	register(a, operation{id: "endpoint.create", method: http.MethodPost, path: all, summary: "Create an endpoint", access: accessManage, status: http.StatusCreated}, a.createEndpoint)
	register(a, operation{id: "endpoint.get", method: http.MethodGet, path: one, summary: "Read an endpoint", access: accessRead}, a.readEndpoint)
	register(a, operation{id: "endpoint.upsert", method: http.MethodPut, path: one, summary: "Create or replace an endpoint", access: accessManage, also: http.StatusCreated}, a.putEndpoint)
	register(a, operation{id: "endpoint.patch", method: http.MethodPatch, path: one, summary: "Change an endpoint", access: accessManage}, a.patchEndpoint)
	register(a, operation{id: "endpoint.delete", method: http.MethodDelete, path: one, summary: "Delete an endpoint", access: accessManage, status: http.StatusNoContent}, a.deleteEndpoint)
}

// endpoint finds an endpoint and its application by their ids or uids.
func (a *API) endpoint(ctx context.Context, appRef, ref string) (app hook.Application, e hook.Endpoint, err error) {
	if app, err = a.app(ctx, appRef); err != nil {
		return app, e, err
	}
	e, err = a.endpointOf(ctx, app.ID, ref)
	return app, e, err
}

func (a *API) endpointOf(ctx context.Context, app hook.Key, ref string) (hook.Endpoint, error) {
	if !strings.HasPrefix(ref, string(hook.KindEndpoint)) {
		return a.Store.EndpointByUID(ctx, app, ref)
	}
	id, err := a.IDs.Key(hook.KindEndpoint, ref)
	if err != nil {
		return hook.Endpoint{}, err
	}
	return a.Store.Endpoint(ctx, app, id)
}

func (a *API) listEndpoints(ctx context.Context, in *struct {
	AppPath
	OrderedIn
}) (*Body[ListOut[EndpointOut]], error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	return endpointsPage(ctx, a, app.ID, in.OrderedIn, a.endpointOut)
}

// endpointsPage lists an application's endpoints in the form of one face.
func endpointsPage[T any](ctx context.Context, a *API, app hook.Key, in OrderedIn, show func(hook.Endpoint) T) (*Body[ListOut[T]], error) {
	p, back, err := a.page(in.ListIn, hook.KindEndpoint, in.Order == "ascending")
	if err != nil {
		return nil, err
	}
	limit := p.Limit
	p.Limit++
	rows, err := a.Store.ListEndpoints(ctx, app, p)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, limit, func(e *hook.Endpoint) hook.Key { return e.ID })
	out, keys := make([]T, len(rows)), make([]hook.Key, len(rows))
	for i, e := range rows {
		out[i], keys[i] = show(e), e.ID
	}
	return listOut(a, hook.KindEndpoint, out, keys, next, in.ListIn, back), nil
}

// check says whether an endpoint may be as it is.
func (a *API) check(ctx context.Context, e *hook.Endpoint) error {
	e.Untrusted = e.Untrusted || caller(ctx).Scope == hook.ScopeApp
	if err := a.Runtime.CheckURL(e.URL, e.Untrusted); err != nil {
		return invalid(err.Error(), "body", "url")
	}
	if err := checkUID(e.UID, hook.KindEndpoint); err != nil {
		return err
	}
	if err := checkText("description", e.Description, 4096); err != nil {
		return err
	}
	if e.Policy != "" {
		if err := a.Runtime.CheckPolicy(e.Policy); err != nil {
			return invalid(err.Error(), "body", "policy")
		}
	}
	if err := a.checkOrder(ctx, e); err != nil {
		return err
	}
	return checkMetadata(e.Metadata)
}

func headersOf(m map[string]string) ([]hook.Header, error) {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	var list []hook.Header
	for i, name := range names {
		if err := hook.CheckHeader(name, m[name]); err != nil {
			return nil, invalid(err.Error(), "body", "headers")
		}
		if i > 0 && strings.EqualFold(name, names[i-1]) {
			return nil, invalid(name+" is there twice", "body", "headers")
		}
		list = append(list, hook.Header{Name: name, Value: m[name]})
	}
	const most = 50
	if len(list) > most {
		return nil, invalid("has more than 50 entries", "body", "headers")
	}
	return list, nil
}

// firstSecret is the secret of a new endpoint: the caller's, or a fresh one.
func (a *API) firstSecret(e *hook.Endpoint, given *string, s *SignatureIn) (hook.Secret, error) {
	field, text := "secret", value(given)
	if s != nil && s.Secret != nil {
		field, text = "signature", *s.Secret
	}
	secret, err := a.Runtime.EndpointSecret(e.SchemeName, hook.Secret(text))
	if err != nil {
		return "", invalid(err.Error(), "body", field)
	}
	return secret, nil
}

func (a *API) createEndpoint(ctx context.Context, in *struct {
	AppPath
	Body EndpointIn
}) (*Body[EndpointOut], error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	e := hook.Endpoint{Org: app.Org, App: app.ID, OfSource: app.Kind == hook.AppOfSource}
	if err := in.Body.into(&e); err != nil {
		return nil, err
	}
	if e.Headers, err = headersOf(in.Body.Headers); err != nil {
		return nil, err
	}
	e, err = a.makeEndpoint(ctx, e, in.Body.Secret, in.Body.Signature)
	return answerWith(http.StatusCreated, a.endpointOut(e)), err
}

// makeEndpoint checks and keeps a new endpoint and puts it to work.
func (a *API) makeEndpoint(ctx context.Context, e hook.Endpoint, given *string, s *SignatureIn) (hook.Endpoint, error) {
	if err := a.check(ctx, &e); err != nil {
		return e, err
	}
	secret, err := a.firstSecret(&e, given, s)
	if err != nil {
		return e, err
	}
	if e, err = a.Store.CreateEndpoint(ctx, e, secret); err != nil {
		return e, err
	}
	a.Alerts.EndpointCreated(ctx, e)
	return e, a.Runtime.AppChanged(ctx, e.App)
}

func (a *API) readEndpoint(ctx context.Context, in *struct{ EndpointPath }) (*Body[EndpointOut], error) {
	_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
	return answerWith(http.StatusOK, a.endpointOut(e)), err
}

func (a *API) putEndpoint(ctx context.Context, in *struct {
	EndpointPath
	Body EndpointUpsertIn
}) (*Body[EndpointOut], error) {
	app, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
	in.Body.UID = keptUID(in.Body.UID, in.EndpointID, hook.KindEndpoint)
	if isNotFound(err) && app.ID != 0 && !strings.HasPrefix(in.EndpointID, string(hook.KindEndpoint)) {
		e = hook.Endpoint{Org: app.Org, App: app.ID, OfSource: app.Kind == hook.AppOfSource}
		if err := in.Body.into(&e); err != nil {
			return nil, err
		}
		e, err = a.makeEndpoint(ctx, e, nil, in.Body.Signature)
		return answerWith(http.StatusCreated, a.endpointOut(e)), err
	}
	if err != nil {
		return nil, err
	}
	e, err = a.editEndpoint(ctx, e, in.Body.Signature, in.Body.into)
	return answerWith(http.StatusOK, a.endpointOut(e)), err
}

// editEndpoint changes an endpoint as it is now and puts it to work.
func (a *API) editEndpoint(ctx context.Context, e hook.Endpoint, s *SignatureIn, change func(*hook.Endpoint) error) (hook.Endpoint, error) {
	app, id := e.App, e.ID
	err := a.edit(ctx, fmt.Sprint("endpoint ", id), func() error {
		before, err := a.Store.Endpoint(ctx, app, id)
		if err != nil {
			return err
		}
		e = before
		if err := change(&e); err != nil {
			return err
		}
		if e, err = a.changeEndpoint(ctx, before, e, s); err == nil {
			a.Alerts.EndpointChanged(ctx, before, e)
		}
		return err
	})
	if err != nil {
		return e, err
	}
	return e, a.Runtime.AppChanged(ctx, e.App)
}

// changeEndpoint checks and keeps what an endpoint became.
func (a *API) changeEndpoint(ctx context.Context, before, e hook.Endpoint, s *SignatureIn) (hook.Endpoint, error) {
	if before.ManagedByFile {
		return e, errManaged("endpoint")
	}
	switch {
	case before.URL == e.URL:
	case caller(ctx).Scope != hook.ScopeApp:
		e.Untrusted = false // the operator vouches for it now
	case origin(before.URL) != origin(e.URL):
		// Credentials that were given for one host do not go to another that their
		// owner does not know of.
		e.Headers = slices.DeleteFunc(slices.Clone(e.Headers), func(h hook.Header) bool { return hook.SensitiveHeader(h.Name) })
	}
	if err := a.check(ctx, &e); err != nil {
		return e, err
	}
	var secrets hook.SecretChange
	if before.SchemeName != e.SchemeName || s != nil && s.Secret != nil {
		if !caller(ctx).may(accessManageSecret) {
			return e, hook.Errorf(hook.CodeDenied, "this token may not change the signature of an endpoint")
		}
		secret, err := a.firstSecret(&e, nil, s)
		if err != nil {
			return e, err
		}
		secrets = hook.SecretChange{Replace: true, List: []hook.Secret{secret}}
	}
	return a.Store.UpdateEndpoint(ctx, e, secrets)
}

// origin is what of a URL says who gets a request.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

func errManaged(what string) error {
	return hook.Errorf(hook.CodeConflict, "this %s is managed by the configuration file; change it there", what)
}

func (a *API) patchEndpoint(ctx context.Context, in *struct {
	EndpointPath
	Body EndpointPatch
}) (*Body[EndpointOut], error) {
	_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
	if err != nil {
		return nil, err
	}
	var s *SignatureIn
	if in.Body.Signature.Set && !in.Body.Signature.Null {
		s = &in.Body.Signature.Value
	}
	e, err = a.editEndpoint(ctx, e, s, in.Body.into)
	return answerWith(http.StatusOK, a.endpointOut(e)), err
}

func (in *EndpointPatch) into(e *hook.Endpoint) error {
	if in.URL != nil {
		e.URL = *in.URL
	}
	if in.Description != nil {
		e.Description = *in.Description
	}
	in.RateLimit.into(&e.Throttle)
	in.ThrottleRate.into(&e.Throttle)
	in.UID.into(&e.UID)
	in.FilterTypes.into(&e.EventTypes)
	in.EventTypes.into(&e.EventTypes)
	if in.EventTypePatterns.Null && !hasPatterns(e.EventTypes) {
		in.EventTypePatterns.Set = false // there are none to clear
	} else {
		in.EventTypePatterns.into(&e.EventTypes)
	}
	in.Channels.into(&e.Channels)
	in.Policy.into(&e.Policy)
	in.OrderPatch.into(&e.Order)
	if in.Metadata != nil {
		e.Metadata = in.Metadata
	}
	switch {
	case in.Signature.Null:
		e.SchemeName = ""
	case in.Signature.Set:
		e.SchemeName = in.Signature.Value.Scheme
	}
	var paused *bool
	if in.Paused.Set {
		paused = &in.Paused.Value
	}
	setState(e, in.Disabled, paused)
	if err := setRetries(e, in.Retries, in.RetriesFor); err != nil {
		return err
	}
	return distinctAll(map[string][]string{
		"eventTypes": in.EventTypes.Value, "filterTypes": in.FilterTypes.Value, "channels": in.Channels.Value, "eventTypePatterns": in.EventTypePatterns.Value,
	})
}

func (a *API) deleteEndpoint(ctx context.Context, in *struct{ EndpointPath }) (*None, error) {
	_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
	if err != nil {
		return nil, err
	}
	return nil, a.removeEndpoint(ctx, e)
}
