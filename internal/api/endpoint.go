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
func endpointsPage[T any](ctx context.Context, a *API, app hook.Key, in OrderedIn, show func(e hook.Endpoint, failing time.Time) T) (*Body[ListOut[T]], error) {
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
	for i := range rows {
		keys[i] = rows[i].ID
	}
	failing, err := a.Store.FailingSince(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i, e := range rows {
		out[i] = show(e, failing[e.ID])
	}
	return listOut(a, hook.KindEndpoint, out, keys, next, in.ListIn, back), nil
}

// oneEndpoint answers with an endpoint in the form of one face, unless it was not
// found or changed.
func oneEndpoint[T any](ctx context.Context, a *API, e hook.Endpoint, err error, show func(e hook.Endpoint, failing time.Time) T) (*Body[T], error) {
	if err != nil {
		return nil, err
	}
	failing, err := a.Store.FailingSince(ctx, []hook.Key{e.ID})
	return answerWith(http.StatusOK, show(e, failing[e.ID])), err
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
	return answerWith(http.StatusCreated, a.endpointOut(e, time.Time{})), err
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
	return oneEndpoint(ctx, a, e, err, a.endpointOut)
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
		return answerWith(http.StatusCreated, a.endpointOut(e, time.Time{})), err
	}
	if err != nil {
		return nil, err
	}
	e, err = a.editEndpoint(ctx, e, in.Body.Signature, in.Body.into)
	return oneEndpoint(ctx, a, e, err, a.endpointOut)
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
	return oneEndpoint(ctx, a, e, err, a.endpointOut)
}

func (a *API) deleteEndpoint(ctx context.Context, in *struct{ EndpointPath }) (*None, error) {
	_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
	if err != nil {
		return nil, err
	}
	return nil, a.removeEndpoint(ctx, e)
}
