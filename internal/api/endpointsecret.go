package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// EndpointSecretOut shows the secret in force; of an Ed25519 key the public half.
type EndpointSecretOut struct {
	Key string `json:"key"`
}

// EndpointSecretRotateIn puts another secret in force.
type EndpointSecretRotateIn struct {
	Key                *string `json:"key,omitempty" maxLength:"512" doc:"Made when left out"`
	GracePeriodSeconds *int    `json:"gracePeriodSeconds,omitempty" minimum:"0" maximum:"604800" default:"86400" doc:"How long the old secret is used, too"`
}

// EndpointHeadersOut shows the headers that are added, without credentials.
type EndpointHeadersOut struct {
	Headers   map[string]string `json:"headers"`
	Sensitive []string          `json:"sensitive" doc:"Headers whose values are not shown"`
}

// EndpointHeadersIn replaces the headers that are added.
type EndpointHeadersIn struct {
	Headers map[string]string `json:"headers"`
}

// EndpointHeadersPatchIn changes some of them; null removes one.
type EndpointHeadersPatchIn struct {
	Headers       map[string]*string `json:"headers"`
	DeleteHeaders []string           `json:"deleteHeaders,omitempty"`
}

func registerEndpointSecrets(a *API) {
	const one = "/api/v1/app/{app_id}/endpoint/{endpoint_id}"
	register(a, operation{id: "endpoint.get-secret", method: http.MethodGet, path: one + "/secret", summary: "Read the endpoint's signing secret", access: accessSecret},
		func(ctx context.Context, in *struct{ EndpointPath }) (*Body[EndpointSecretOut], error) {
			_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
			if err != nil {
				return nil, err
			}
			return a.showSecret(ctx, e)
		})
	register(a, operation{id: "endpoint.rotate-secret", method: http.MethodPost, path: one + "/secret/rotate", summary: "Rotate the endpoint's signing secret", access: accessManageSecret, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			EndpointPath
			Body EndpointSecretRotateIn
		}) (*None, error) {
			_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
			if err != nil {
				return nil, err
			}
			return nil, a.rotateSecret(ctx, e, in.Body)
		})
	register(a, operation{id: "endpoint.get-headers", method: http.MethodGet, path: one + "/headers", summary: "Read the headers that are added to the endpoint's requests", access: accessRead},
		func(ctx context.Context, in *struct{ EndpointPath }) (*Body[EndpointHeadersOut], error) {
			_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
			if err != nil {
				return nil, err
			}
			return answer(headersOut(e)), nil
		})
	register(a, operation{id: "endpoint.set-headers", method: http.MethodPut, path: one + "/headers", summary: "Set the headers that are added to the endpoint's requests", access: accessManage, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			EndpointPath
			Body EndpointHeadersIn
		}) (*None, error) {
			_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
			if err != nil {
				return nil, err
			}
			return nil, a.setHeaders(ctx, e, in.Body.Headers)
		})
	register(a, operation{id: "endpoint.patch-headers", method: http.MethodPatch, path: one + "/headers", summary: "Change some of the headers that are added to the endpoint's requests", access: accessManage, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			EndpointPath
			Body EndpointHeadersPatchIn
		}) (*None, error) {
			_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
			if err != nil {
				return nil, err
			}
			return nil, a.patchHeaders(ctx, e, in.Body)
		})
}

func (a *API) showSecret(ctx context.Context, e hook.Endpoint) (*Body[EndpointSecretOut], error) {
	if e.ManagedByFile {
		secret, err := a.Runtime.FileSecret(ctx, e)
		if err != nil {
			return nil, err
		}
		return answer(EndpointSecretOut{a.Runtime.ShownSecret(secret)}), nil
	}
	live, err := a.Store.Secrets(ctx, e.ID, time.Now())
	if err != nil {
		return nil, err
	}
	if len(live) == 0 {
		return nil, hook.Errorf(hook.CodeNotFound, "the endpoint has no secret; rotate it to make one")
	}
	return answer(EndpointSecretOut{a.Runtime.ShownSecret(live[0].Value)}), nil
}

// defaultGrace is how long an old secret is used beside the new one.
const defaultGrace = 24 * time.Hour

func (a *API) rotateSecret(ctx context.Context, e hook.Endpoint, in EndpointSecretRotateIn) error {
	if e.ManagedByFile {
		return errManaged("endpoint")
	}
	grace := defaultGrace
	if in.GracePeriodSeconds != nil {
		grace = time.Duration(*in.GracePeriodSeconds) * time.Second
	}
	err := a.edit(ctx, fmt.Sprint("endpoint ", e.ID), func() error {
		e, err := a.Store.Endpoint(ctx, e.App, e.ID) // its scheme may have been changed
		if err != nil {
			return err
		}
		fresh, err := a.Runtime.EndpointSecret(e.SchemeName, hook.Secret(value(in.Key)))
		if err != nil {
			return invalid(err.Error(), "body", "key")
		}
		_, err = a.Store.UpdateEndpoint(ctx, e, hook.SecretChange{Fresh: fresh, Grace: grace, At: time.Now()})
		return err
	})
	if err != nil {
		return err
	}
	return a.Runtime.AppChanged(ctx, e.App)
}

func headersOut(e hook.Endpoint) EndpointHeadersOut {
	out := EndpointHeadersOut{Headers: map[string]string{}, Sensitive: []string{}}
	for _, h := range e.Headers {
		if hook.SensitiveHeader(h.Name) {
			out.Sensitive = append(out.Sensitive, h.Name)
			continue
		}
		out.Headers[h.Name] = h.Value
	}
	return out
}

func (a *API) setHeaders(ctx context.Context, e hook.Endpoint, headers map[string]string) error {
	list, err := headersOf(headers)
	if err != nil {
		return err
	}
	_, err = a.editEndpoint(ctx, e, nil, func(e *hook.Endpoint) error {
		e.Headers = list
		return nil
	})
	return err
}

func (a *API) patchHeaders(ctx context.Context, e hook.Endpoint, in EndpointHeadersPatchIn) error {
	_, err := a.editEndpoint(ctx, e, nil, func(e *hook.Endpoint) (err error) {
		e.Headers, err = in.merged(e.Headers)
		return err
	})
	return err
}

// merged are the headers that an endpoint has after the change.
func (in *EndpointHeadersPatchIn) merged(have []hook.Header) ([]hook.Header, error) {
	merged := map[string]string{}
	gone := slices.Clone(in.DeleteHeaders)
	for name := range in.Headers {
		gone = append(gone, name) // it is put back under the name as it is written now
	}
	for _, h := range have {
		if !slices.ContainsFunc(gone, func(name string) bool { return strings.EqualFold(name, h.Name) }) {
			merged[h.Name] = h.Value
		}
	}
	for name, v := range in.Headers {
		if v != nil {
			merged[name] = *v
		}
	}
	return headersOf(merged)
}
