package server

import (
	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/provider"
)

// Providers answers the API: all that are known, by name.
func (s *Server) Providers() []api.ProviderDetailOut {
	set := s.builder.Load().providers
	var list []api.ProviderDetailOut
	for _, name := range set.Names() {
		if d, err := set.Lookup(name); err == nil {
			list = append(list, providerOut(d))
		}
	}
	return list
}

func providerOut(d *provider.Definition) api.ProviderDetailOut {
	out := api.ProviderDetailOut{ProviderOut: api.ProviderOut{
		Name: d.Name, Aliases: some(d.Aliases), Title: d.Title, Kind: d.Kind, About: d.About, Docs: d.Docs, Notes: some(d.Notes), Signed: d.Signed(), Scheme: d.Scheme.Name,
		PrimarySubject: d.Primary, Subjects: some(d.SubjectKinds()), Setup: d.Steps(), Addresses: []string{}, Webhooks: []api.ProviderWebhookOut{}, EventTypes: []api.ProviderTypeOut{}, SampleNames: []string{},
	}, Samples: []api.ProviderSampleOut{}}
	if d.Signed() {
		out.Secret = api.ProviderSecretOut{Needed: true, About: d.Secret.About, Rules: d.Secret.Words(), Pattern: d.Secret.Pattern(), Generate: d.Secret.Chosen}
	}
	for _, n := range d.Addresses {
		out.Addresses = append(out.Addresses, n.String())
	}
	for _, w := range d.Webhooks {
		out.Webhooks = append(out.Webhooks, api.ProviderWebhookOut{Name: w.Name, About: w.About, EventTypes: some(w.EventTypes)})
	}
	for _, t := range d.Types {
		out.EventTypes = append(out.EventTypes, api.ProviderTypeOut{Name: t.Name, About: t.About, Final: t.Final})
	}
	for _, x := range d.Samples() {
		out.SampleNames = append(out.SampleNames, x.EventType)
		out.Samples = append(out.Samples, api.ProviderSampleOut{Name: x.EventType, EventType: x.EventType, Body: string(x.Body)})
	}
	return out
}

// some is a list that is never null in an answer.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// NewSourceSecret answers the API: a secret by the provider's rules, where one may be chosen.
func (s *Server) NewSourceSecret(name string) (hook.Secret, error) {
	d, err := s.builder.Load().providers.Lookup(name)
	if err != nil {
		return "", err
	}
	if !d.Secret.Chosen {
		return "", hook.Errorf(hook.CodeInvalid, "is missing: %s issues it; %s", d.Title, d.Secret.About)
	}
	secret, err := d.GenerateSecret()
	return hook.Secret(secret), err
}
