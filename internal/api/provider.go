package api

import (
	"context"
	"net/http"

	"github.com/sigpost/sigpost/internal/hook"
)

// ProviderOut is what is known of a sender, without its samples.
type ProviderOut struct {
	Name           string               `json:"name"`
	Aliases        []string             `json:"aliases"`
	Title          string               `json:"title"`
	Kind           string               `json:"kind" doc:"What it is for, in one word: identity, payments, meetings, code, generic; empty when it does not say"`
	About          string               `json:"about"`
	Docs           string               `json:"docs" doc:"The URL of its own documentation"`
	Notes          []string             `json:"notes" doc:"Traps and open questions, in Markdown"`
	Signed         bool                 `json:"signed" doc:"Whether its requests can be verified"`
	Scheme         string               `json:"scheme" doc:"The name of its signature scheme"`
	PrimarySubject string               `json:"primarySubject"`
	Subjects       []string             `json:"subjects" doc:"The kinds of subjects that its events name"`
	Secret         ProviderSecretOut    `json:"secret"`
	Setup          []string             `json:"setup" doc:"Steps in Markdown; {url} stands for the source's URL"`
	Addresses      []string             `json:"addresses" doc:"The networks that it publishes to send from"`
	Webhooks       []ProviderWebhookOut `json:"webhooks" doc:"Those that it has apart from each other"`
	EventTypes     []ProviderTypeOut    `json:"eventTypes"`
	SampleNames    []string             `json:"sampleNames" doc:"What a test event can be made of"`
}

// ProviderSecretOut are the rules for a provider's secrets.
type ProviderSecretOut struct {
	Needed   bool   `json:"needed"`
	About    string `json:"about"`
	Rules    string `json:"rules" doc:"In words"`
	Pattern  string `json:"pattern" doc:"A regular expression as JavaScript has it; empty when every text will do"`
	Generate bool   `json:"generate" doc:"Whoever sets the URL chooses the secret, so one can be made; else the provider issues it"`
}

// ProviderWebhookOut is one of a provider's webhooks.
type ProviderWebhookOut struct {
	Name       string   `json:"name"`
	About      string   `json:"about"`
	EventTypes []string `json:"eventTypes" doc:"Patterns with *"`
}

// ProviderTypeOut is an event type of a provider.
type ProviderTypeOut struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Final bool   `json:"final" doc:"No other type of its family follows in the ordinary course of things"`
}

// ProviderSampleOut is an example of an event, of people who do not exist.
type ProviderSampleOut struct {
	Name      string `json:"name"`
	EventType string `json:"eventType"`
	Body      string `json:"body"`
}

// ProviderDetailOut is a provider with its samples.
type ProviderDetailOut struct {
	ProviderOut
	Samples []ProviderSampleOut `json:"samples"`
}

// ProvidersOut are all of them.
type ProvidersOut struct {
	Data []ProviderOut `json:"data"`
}

func registerProviders(a *API) {
	const all = "/api/v1/provider"
	register(a, operation{id: "provider.list", method: http.MethodGet, path: all, summary: "List the providers that sources can be of", access: accessOrgRead}, func(context.Context, *struct{}) (*Body[ProvidersOut], error) {
		out := ProvidersOut{Data: []ProviderOut{}}
		for _, p := range a.Runtime.Providers() {
			out.Data = append(out.Data, p.ProviderOut)
		}
		return answer(out), nil
	})
	register(a, operation{id: "provider.get", method: http.MethodGet, path: all + "/{name}", summary: "Read what is known of a provider, with samples", access: accessOrgRead}, func(_ context.Context, in *struct {
		Name string `path:"name" minLength:"1" maxLength:"64" pattern:"^[a-z0-9_\\-]+$"`
	}) (*Body[ProviderDetailOut], error) {
		for _, p := range a.Runtime.Providers() {
			if p.Name == in.Name {
				return answer(p), nil
			}
		}
		return nil, hook.Errorf(hook.CodeNotFound, "there is no provider %s; GET /api/v1/provider lists those there are", in.Name)
	})
}
