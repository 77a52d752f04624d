package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// TokenIn makes a key of the API.
type TokenIn struct {
	Name      string     `json:"name" minLength:"1" maxLength:"256" doc:"What it is for"`
	Scope     string     `json:"scope" enum:"admin,developer,viewer,send,app"`
	AppID     *string    `json:"appId,omitempty" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The one application that it reaches, by id or uid; for scope app"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"Never when left out"`
}

// TokenOut is a key of the API, without the key itself.
type TokenOut struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Scope     string     `json:"scope" enum:"admin,developer,viewer,send,app"`
	AppID     *string    `json:"appId,omitempty" nullable:"true"`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" nullable:"true"`
}

// TokenCreatedOut is a new key.
type TokenCreatedOut struct {
	TokenOut
	Token string `json:"token" doc:"The key; it is shown this once"`
}

// TokenPath names a key in a path.
type TokenPath struct {
	TokenID string `path:"token_id" minLength:"1" maxLength:"64" pattern:"^[a-zA-Z0-9_]+$"`
}

func (a *API) tokenOut(t hook.Token) TokenOut {
	out := TokenOut{ID: a.IDs.Public(hook.KindToken, t.ID), Name: t.Name, Scope: string(t.Scope), CreatedAt: when(t.CreatedAt)}
	if t.App != 0 {
		out.AppID = pointer(a.IDs.Public(hook.KindApplication, t.App))
	}
	if !t.ExpiresAt.IsZero() {
		out.ExpiresAt = pointer(when(t.ExpiresAt))
	}
	return out
}

func registerTokens(a *API) {
	const all, one = "/api/v1/auth/token", "/api/v1/auth/token/{token_id}"
	register(a, operation{id: "authentication.token.list", method: http.MethodGet, path: all, summary: "List the keys of the API, without those of portals", access: accessAdmin}, a.listTokens)
	register(a, operation{id: "authentication.token.create", method: http.MethodPost, path: all, summary: "Create a key of the API", access: accessAdmin, status: http.StatusCreated}, a.createToken)
	register(a, operation{id: "authentication.token.delete", method: http.MethodDelete, path: one, summary: "Revoke a key of the API", access: accessAdmin, status: http.StatusNoContent}, a.deleteToken)
}

func (a *API) listTokens(ctx context.Context, in *OrderedIn) (*Body[ListOut[TokenOut]], error) {
	p, back, err := a.page(in.ListIn, hook.KindToken, in.Order == "ascending")
	if err != nil {
		return nil, err
	}
	limit := p.Limit
	p.Limit++
	rows, err := a.Store.Tokens(ctx, caller(ctx).Org, p)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, limit, func(t *hook.Token) hook.Key { return t.ID })
	out, keys := make([]TokenOut, len(rows)), make([]hook.Key, len(rows))
	for i, t := range rows {
		out[i], keys[i] = a.tokenOut(t), t.ID
	}
	return listOut(a, hook.KindToken, out, keys, next, in.ListIn, back), nil
}

func (a *API) createToken(ctx context.Context, in *struct{ Body TokenIn }) (*Body[TokenCreatedOut], error) {
	t := hook.Token{Org: caller(ctx).Org, Scope: hook.Scope(in.Body.Scope), Name: in.Body.Name, ExpiresAt: value(in.Body.ExpiresAt)}
	if err := checkText("name", t.Name, 1024); err != nil {
		return nil, err
	}
	if in.Body.ExpiresAt != nil && !t.ExpiresAt.After(time.Now()) {
		return nil, invalid("is over already; leave it out for a token that does not expire", "body", "expiresAt")
	}
	if when(t.ExpiresAt).Year() > 9999 { // RFC 3339 cannot write it, and no list could show it
		return nil, invalid("is after the year 9999 in UTC; leave it out for a token that does not expire", "body", "expiresAt")
	}
	switch {
	case t.Scope == hook.ScopeApp && in.Body.AppID == nil:
		return nil, invalid("is missing; which application is a token of scope app for?", "body", "appId")
	case t.Scope != hook.ScopeApp && in.Body.AppID != nil:
		return nil, invalid("goes with scope app only", "body", "appId")
	case in.Body.AppID != nil:
		app, err := a.app(ctx, *in.Body.AppID)
		if isNotFound(err) {
			return nil, invalid(err.Error(), "body", "appId")
		}
		if err != nil {
			return nil, err
		}
		if err := notHidden(app); err != nil {
			return nil, err
		}
		t.App = app.ID
	}
	text, hash := NewToken()
	t.Hash = hash
	t, err := a.Store.CreateToken(ctx, t)
	if err != nil {
		return nil, err
	}
	return answerWith(http.StatusCreated, TokenCreatedOut{TokenOut: a.tokenOut(t), Token: text.Reveal()}), nil
}

func (a *API) deleteToken(ctx context.Context, in *struct{ TokenPath }) (*None, error) {
	id, err := a.IDs.Key(hook.KindToken, in.TokenID)
	if err != nil {
		return nil, err
	}
	c := caller(ctx)
	if id == c.Token {
		return nil, hook.Errorf(hook.CodeConflict, "this is the token of the request itself; revoke it with another one, so that you are not locked out")
	}
	if err := a.Store.RevokeToken(ctx, c.Org, id); err != nil {
		return nil, err
	}
	a.tokens.clear()
	return nil, nil
}
