package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sigpost/sigpost/internal/hook"
)

// OrganizationOut is the organization of the caller.
type OrganizationOut struct {
	ID               string            `json:"id"`
	Name             string            `json:"name"`
	SignatureHeaders *string           `json:"signatureHeaders" nullable:"true" enum:"webhook,svix,both" doc:"Names of the signature headers of all its messages; null is the server's choice"`
	Retention        RetentionOut      `json:"retention" doc:"How long is kept what applications were sent"`
	SourceRetention  RetentionOut      `json:"sourceRetention" doc:"How long is kept what sources received"`
	AuditRetention   *int              `json:"auditRetention" nullable:"true" doc:"Days for which the audit log is kept; null is 365, -1 for ever"`
	Portal           PortalSettingsOut `json:"portal"`
}

// RetentionOut are ages in days; null is the server's choice, -1 for ever.
type RetentionOut struct {
	Payloads *int `json:"payloads" nullable:"true" doc:"The bodies"`
	Attempts *int `json:"attempts" nullable:"true" doc:"Requests and their answers"`
	Messages *int `json:"messages" nullable:"true" doc:"Everything else; nothing outlives its message"`
}

// RetentionPatch changes ages; what is left out stays.
type RetentionPatch struct {
	Payloads Maybe[int] `json:"payloads,omitzero" minimum:"-1" maximum:"36500" doc:"Days; -1 for ever, null the server's choice"`
	Attempts Maybe[int] `json:"attempts,omitzero" minimum:"-1" maximum:"36500"`
	Messages Maybe[int] `json:"messages,omitzero" minimum:"-1" maximum:"36500"`
}

func retentionOut(r hook.Retention) RetentionOut {
	days := func(d hook.Days) *int { return pointer(int(d)) }
	return RetentionOut{days(r.Payloads), days(r.Attempts), days(r.Messages)}
}

func (in *RetentionPatch) into(field string, r *hook.Retention) error {
	if in == nil {
		return nil
	}
	for name, x := range map[string]struct {
		from Maybe[int]
		into *hook.Days
	}{"payloads": {in.Payloads, &r.Payloads}, "attempts": {in.Attempts, &r.Attempts}, "messages": {in.Messages, &r.Messages}} {
		days := int(*x.into)
		x.from.into(&days)
		if x.from.Set && !x.from.Null && days == 0 {
			return invalid("0 days would keep nothing; give at least 1, -1 for ever, or null for the server's choice", "body", field, name)
		}
		*x.into = hook.Days(days)
	}
	return nil
}

// OrganizationPatch changes its settings.
type OrganizationPatch struct {
	SignatureHeaders Maybe[string]        `json:"signatureHeaders,omitzero" enum:"webhook,svix,both" doc:"null leaves it to the server"`
	Retention        *RetentionPatch      `json:"retention,omitempty"`
	SourceRetention  *RetentionPatch      `json:"sourceRetention,omitempty"`
	AuditRetention   Maybe[int]           `json:"auditRetention,omitzero" minimum:"-1" maximum:"36500" doc:"Days; -1 for ever, null for 365"`
	Portal           *PortalSettingsPatch `json:"portal,omitempty"`
}

func (a *API) organizationOut(o hook.Organization) OrganizationOut {
	return OrganizationOut{
		ID: a.IDs.Public(hook.KindOrganization, o.ID), Name: o.Name, SignatureHeaders: pointer(string(o.Settings.SignatureHeaders)),
		Retention: retentionOut(o.Settings.Retention), SourceRetention: retentionOut(o.Settings.SourceRetention), AuditRetention: pointer(int(o.Settings.AuditRetention)),
		Portal: portalSettingsOut(&o.Settings.Portal),
	}
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
		if err := in.Body.Retention.into("retention", &s.Retention); err != nil {
			return s, err
		}
		if err := in.Body.SourceRetention.into("sourceRetention", &s.SourceRetention); err != nil {
			return s, err
		}
		if days := in.Body.AuditRetention; days.Set {
			if !days.Null && days.Value == 0 {
				return s, invalid("0 days would keep nothing; give at least 1, -1 for ever, or null for 365", "body", "auditRetention")
			}
			s.AuditRetention = hook.Days(days.Value)
		}
		return s, in.Body.Portal.into(&s.Portal)
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
	a.portals.clear()
	a.framers.clear()
	return o, a.Runtime.OrgChanged(ctx, o.ID)
}
