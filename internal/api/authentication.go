package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// AppPortalAccessIn asks for a portal of one application.
type AppPortalAccessIn struct {
	Application  *ApplicationIn `json:"application,omitempty" doc:"Made when the application of the path does not exist"`
	ReadOnly     *bool          `json:"readOnly,omitempty" doc:"Nothing can be changed, whatever the capabilities are; the organization's portal.readOnlyDefault when left out"`
	Capabilities []string       `json:"capabilities,omitempty" maxItems:"6" enum:"ViewBase,ViewEndpointSecret,ManageEndpointSecret,ManageTransformations,CreateAttempts,ManageEndpoint" doc:"All when left out; ViewBase always"`
	FeatureFlags []string       `json:"featureFlags,omitempty" maxItems:"25" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Expiry       *int           `json:"expiry,omitempty" minimum:"3600" maximum:"604800" default:"604800" doc:"Seconds until the token expires"`
	SessionID    *string        `json:"sessionId,omitempty" minLength:"1" maxLength:"64" pattern:"^[a-zA-Z0-9@_\\-]+$" doc:"A name by which this token can be expired"`
}

// AppPortalAccessOut opens a portal.
type AppPortalAccessOut struct {
	URL   string `json:"url" format:"uri" doc:"Opens the portal; the token is in its fragment, which is not sent to any server"`
	Token string `json:"token"`
}

// ApplicationTokenExpireIn ends tokens of one application.
type ApplicationTokenExpireIn struct {
	Expiry     *int     `json:"expiry,omitempty" minimum:"0" maximum:"259200" doc:"Seconds until they expire; at once when left out"`
	SessionIDs []string `json:"sessionIds,omitempty" maxItems:"1000" minLength:"1" maxLength:"64" pattern:"^[a-zA-Z0-9@_\\-]+$" doc:"Only the tokens of these sessions"`
}

func registerAuthentication(a *API) {
	register(a, operation{id: "authentication.app-portal-access", method: http.MethodPost, path: "/api/v1/auth/app-portal-access/{app_id}", summary: "Open the portal of an application", access: accessOrg}, a.openPortal)
	register(a, operation{id: "authentication.expire-all", method: http.MethodPost, path: "/api/v1/auth/app/{app_id}/expire-all", summary: "Expire the tokens of an application", access: accessOrg, status: http.StatusNoContent}, a.expireTokens)
	register(a, operation{id: "authentication.logout", method: http.MethodPost, path: "/api/v1/auth/logout", summary: "Revoke the token of an application that this request is made with", access: accessOwn, status: http.StatusNoContent}, a.logout)
}

// longestPortal is how long the token of a portal is valid unless its maker says otherwise.
const longestPortal = 7 * 24 * time.Hour

func (a *API) openPortal(ctx context.Context, in *struct {
	AppPath
	Body AppPortalAccessIn
}) (*Body[AppPortalAccessOut], error) {
	app, err := a.appOfMessage(ctx, in.AppID, in.Body.Application)
	if err != nil {
		return nil, err
	}
	for i, c := range in.Body.Capabilities {
		if slices.Contains(in.Body.Capabilities[:i], c) {
			return nil, invalid(c+" is there twice", "body", "capabilities")
		}
	}
	if in.Body.Capabilities != nil && !slices.Contains(in.Body.Capabilities, "ViewBase") {
		in.Body.Capabilities = append(in.Body.Capabilities, "ViewBase") // an empty list is not "all"
	}
	valid := longestPortal
	if in.Body.Expiry != nil {
		valid = time.Duration(*in.Body.Expiry) * time.Second
	}
	o, err := a.Store.Organization(ctx, app.Org)
	if err != nil {
		return nil, err
	}
	readOnly := o.Settings.Portal.ReadOnly
	if in.Body.ReadOnly != nil {
		readOnly = *in.Body.ReadOnly
	}
	text, hash := NewToken()
	_, err = a.Store.CreateToken(ctx, hook.Token{
		Org: app.Org, App: app.ID, Scope: hook.ScopeApp, Session: value(in.Body.SessionID), Hash: hash, ExpiresAt: time.Now().Add(valid),
		Portal: hook.Portal{ReadOnly: readOnly, Capabilities: in.Body.Capabilities, FeatureFlags: in.Body.FeatureFlags},
	})
	if err != nil {
		return nil, err
	}
	return answer(AppPortalAccessOut{URL: a.PublicURL() + "/portal?org=" + a.IDs.Public(hook.KindOrganization, app.Org) + "#key=" + text.Reveal(), Token: text.Reveal()}), nil
}

func (a *API) expireTokens(ctx context.Context, in *struct {
	AppPath
	Body ApplicationTokenExpireIn
}) (*None, error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	at := time.Now().Add(time.Duration(value(in.Body.Expiry)) * time.Second)
	if _, err := a.Store.ExpireTokens(ctx, app.Org, app.ID, in.Body.SessionIDs, at); err != nil {
		return nil, err
	}
	a.tokens.clear()
	return nil, nil
}

func (a *API) logout(ctx context.Context, _ *struct{}) (*None, error) {
	c := caller(ctx)
	switch {
	case c.Scope != hook.ScopeApp:
		return nil, hook.Errorf(hook.CodeDenied, "only the token of an application logs out; a token with scope %s is revoked by DELETE /api/v1/auth/token/{token_id}", c.Scope)
	case c.Token == 0:
		return nil, hook.Errorf(hook.CodeDenied, "a JWT cannot be revoked: it is not kept here and is valid until it expires")
	}
	if err := a.Store.RevokeToken(ctx, c.Org, c.Token); err != nil {
		return nil, err
	}
	a.tokens.clear()
	return nil, nil
}
