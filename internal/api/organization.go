package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sigpost/sigpost/internal/hook"
)

// OrganizationOut is the organization of the caller.
type OrganizationOut struct {
	ID               string  `json:"id"`
	Name             string  `json:"name"`
	SignatureHeaders *string `json:"signatureHeaders" nullable:"true" enum:"webhook,svix,both" doc:"Names of the signature headers of all its messages; null is the server's choice"`
}

// OrganizationPatch changes its settings.
type OrganizationPatch struct {
	SignatureHeaders Maybe[string] `json:"signatureHeaders,omitzero" enum:"webhook,svix,both" doc:"null leaves it to the server"`
}

func (a *API) organizationOut(o hook.Organization) OrganizationOut {
	return OrganizationOut{ID: a.IDs.Public(hook.KindOrganization, o.ID), Name: o.Name, SignatureHeaders: pointer(string(o.Settings.SignatureHeaders))}
}

func registerOrganization(a *API) {
	const one = "/api/v1/organization"
	register(a, operation{id: "organization.get", method: http.MethodGet, path: one, summary: "Read the organization and its settings", access: accessOrgRead}, a.readOrganization)
	register(a, operation{id: "organization.patch", method: http.MethodPatch, path: one, summary: "Change the settings of the organization", access: accessAdmin}, a.patchOrganization)
}

func (a *API) readOrganization(ctx context.Context, _ *struct{}) (*Body[OrganizationOut], error) {
	o, err := a.Store.Organization(ctx, caller(ctx).Org)
	return answerWith(http.StatusOK, a.organizationOut(o)), err
}

func (a *API) patchOrganization(ctx context.Context, in *struct{ Body OrganizationPatch }) (*Body[OrganizationOut], error) {
	o, err := a.editSettings(ctx, func(s hook.OrgSettings) (hook.OrgSettings, error) {
		names := string(s.SignatureHeaders)
		in.Body.SignatureHeaders.into(&names)
		s.SignatureHeaders = hook.HeaderNames(names)
		return s, nil
	})
	return answerWith(http.StatusOK, a.organizationOut(o)), err
}

// editSettings changes the settings of the caller's organization as they are now, and
// lets what runs follow.
func (a *API) editSettings(ctx context.Context, change func(hook.OrgSettings) (hook.OrgSettings, error)) (o hook.Organization, err error) {
	same := false
	err = a.edit(ctx, fmt.Sprint("organization ", caller(ctx).Org), func() error {
		if o, err = a.Store.Organization(ctx, caller(ctx).Org); err != nil {
			return err
		}
		was := o.Settings
		if o.Settings, err = change(was); err != nil {
			return err
		}
		if same = o.Settings == was; same {
			return nil
		}
		return a.Store.SetOrgSettings(ctx, o.ID, was, o.Settings)
	})
	if err != nil || same {
		return o, err
	}
	return o, a.Runtime.OrgChanged(ctx, o.ID)
}
