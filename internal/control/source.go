package control

import (
	"context"
	"net/http"

	"github.com/sigpost/sigpost/internal/hook"
)

// Source is a source as people see it.
type Source struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Provider string `json:"provider"`
	// URL is where the provider is to post to.
	URL       string     `json:"url"`
	Disabled  bool       `json:"disabled"`
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is an endpoint as people see it.
type Endpoint struct {
	ID         string   `json:"id"`
	Source     string   `json:"source"`
	Name       string   `json:"name"`
	URL        string   `json:"url"`
	EventTypes []string `json:"eventTypes,omitempty"`
	State      string   `json:"state"`
	Reason     string   `json:"reason,omitempty"`
}

// Secrets are what an endpoint's requests are signed with, the newest first.
type Secrets struct {
	Endpoint string   `json:"endpoint"`
	Secrets  []string `json:"secrets"`
}

func (a *api) listSources(r *http.Request) (any, error) {
	n, err := a.names(r.Context())
	if err != nil {
		return nil, err
	}
	list := List[Source]{Data: []Source{}}
	for _, s := range n.sources {
		v := Source{ID: a.Store.IDs().Public(hook.KindSource, s.ID), Name: s.Name, Provider: s.Provider, URL: a.URL(s), Disabled: s.Disabled, Endpoints: []Endpoint{}}
		for _, e := range n.endpoints {
			if e.App == s.App {
				v.Endpoints = append(v.Endpoints, a.endpoint(n, e))
			}
		}
		list.Data = append(list.Data, v)
	}
	return list, nil
}

func (a *api) listEndpoints(r *http.Request) (any, error) {
	n, err := a.names(r.Context())
	if err != nil {
		return nil, err
	}
	list := List[Endpoint]{Data: []Endpoint{}}
	for _, e := range n.endpoints {
		list.Data = append(list.Data, a.endpoint(n, e))
	}
	return list, nil
}

func (a *api) endpoint(n *names, e hook.Endpoint) Endpoint {
	return Endpoint{ID: a.Store.IDs().Public(hook.KindEndpoint, e.ID), Source: n.source(e.App), Name: e.Name, URL: e.URL,
		EventTypes: e.EventTypes, State: e.State.String(), Reason: e.Reason}
}

// endpointSecret finds an endpoint by id, name or URL; "source" in the query
// tells apart equal ones.
func (a *api) endpointSecret(r *http.Request) (any, error) {
	n, err := a.names(r.Context())
	if err != nil {
		return nil, err
	}
	want, source := r.URL.Query().Get("endpoint"), r.URL.Query().Get("source")
	var found []hook.Endpoint
	for _, e := range n.endpoints {
		if (source == "" || n.source(e.App) == source) && (n.isEndpoint(e.ID, want) || a.Store.IDs().Public(hook.KindEndpoint, e.ID) == want) {
			found = append(found, e)
		}
	}
	switch {
	case len(found) == 0:
		return nil, hook.Errorf(hook.CodeNotFound, "there is no endpoint %q; `sigpost endpoint list` shows those there are", want)
	case len(found) > 1:
		return nil, hook.Errorf(hook.CodeConflict, "%d endpoints are called %q; say which with --source, or use the id", len(found), want)
	}
	secrets, err := a.Secrets(r.Context(), found[0])
	if err != nil {
		return nil, err
	}
	v := Secrets{Endpoint: found[0].Name}
	for _, s := range secrets {
		v.Secrets = append(v.Secrets, s.Reveal())
	}
	return v, nil
}

// names finds the names of things that rows know by key.
type names struct {
	sources   []hook.Source
	endpoints []hook.Endpoint
}

func (a *api) names(ctx context.Context) (*names, error) {
	sources, err := a.Store.Sources(ctx)
	if err != nil {
		return nil, err
	}
	endpoints, err := a.Store.Endpoints(ctx)
	return &names{sources, endpoints}, err
}

// source is the name of the source whose hidden application app is.
func (n *names) source(app hook.Key) string {
	for _, s := range n.sources {
		if s.App == app {
			return s.Name
		}
	}
	return ""
}

func (n *names) sourceByKey(k hook.Key) string {
	for _, s := range n.sources {
		if s.ID == k {
			return s.Name
		}
	}
	return ""
}

func (n *names) endpoint(k hook.Key) hook.Endpoint {
	for _, e := range n.endpoints {
		if e.ID == k {
			return e
		}
	}
	return hook.Endpoint{Name: "(deleted)"}
}

// isEndpoint says whether an endpoint's name or URL is want.
func (n *names) isEndpoint(k hook.Key, want string) bool {
	e := n.endpoint(k)
	return e.ID != 0 && (e.Name == want || e.URL == want)
}
