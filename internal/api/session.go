package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sigpost/sigpost/internal/hook"
)

// SignInIn is a name and its password.
type SignInIn struct {
	Name     string `json:"name" minLength:"1" maxLength:"256"`
	Password string `json:"password" minLength:"1" maxLength:"1024"`
}

// RedeemIn is the token of a link.
type RedeemIn struct {
	Token string `json:"token" minLength:"1" maxLength:"256" doc:"From the link, where it stands in the fragment"`
}

// PasswordIn sets the own password.
type PasswordIn struct {
	Current  *string `json:"current,omitempty" maxLength:"1024" doc:"The old password; not needed after signing in with a link"`
	Password string  `json:"password" minLength:"1" maxLength:"1024" doc:"At least 12 characters"`
}

// PersonOut is who is signed in.
type PersonOut struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role" enum:"admin,developer,viewer"`
}

// SignedInOut is the answer to signing in.
type SignedInOut struct {
	User            PersonOut `json:"user"`
	ExpiresAt       time.Time `json:"expiresAt" doc:"When the session ends unless it is used before"`
	MustSetPassword bool      `json:"mustSetPassword" doc:"The person came with a link and has set no password since"`
}

// SessionOut says who the caller is.
type SessionOut struct {
	User            *PersonOut      `json:"user,omitempty" doc:"Not there for who came with a token"`
	Organization    OrganizationRef `json:"organization"`
	Scopes          []string        `json:"scopes"`
	ExpiresAt       *time.Time      `json:"expiresAt" nullable:"true" doc:"When the session ends unless it is used before; null for tokens"`
	MustSetPassword bool            `json:"mustSetPassword"`
	Portal          *PortalOut      `json:"portal,omitempty" doc:"Of the token of a portal"`
}

// OrganizationRef names an organization.
type OrganizationRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// PortalOut is what the token of a portal reaches.
type PortalOut struct {
	AppID        string   `json:"appId"`
	ReadOnly     bool     `json:"readOnly"`
	Capabilities []string `json:"capabilities" nullable:"true" doc:"All when null"`
	Colour       *string  `json:"colour" nullable:"true" doc:"#rrggbb"`
	Logo         *string  `json:"logo" nullable:"true" doc:"data:image/…;base64,…"`
}

// signedIn is an answer that puts a session into the browser.
type signedIn struct {
	SetCookie string `header:"Set-Cookie"`
	Body      SignedInOut
}

// signedOut is an answer that takes it away.
type signedOut struct {
	SetCookie string `header:"Set-Cookie"`
}

const (
	sessionPath     = "/api/v1/auth/session"
	sessionLinkPath = sessionPath + "/link"
	// signInLimit is the longest body that anybody may send.
	signInLimit = 16 << 10
)

func registerSessions(a *API) {
	register(a, operation{id: "authentication.session.create", method: http.MethodPost, path: sessionPath, summary: "Sign in with name and password", access: accessSignIn, body: signInLimit}, a.signIn)
	register(a, operation{id: "authentication.session.redeem", method: http.MethodPost, path: sessionLinkPath, summary: "Sign in with a link", access: accessSignIn, body: signInLimit}, a.redeem)
	register(a, operation{id: "authentication.session.get", method: http.MethodGet, path: sessionPath, summary: "Who am I?", access: accessOwn}, a.whoAmI)
	register(a, operation{id: "authentication.session.delete", method: http.MethodDelete, path: sessionPath, summary: "Sign out", access: accessOwn, status: http.StatusNoContent}, a.signOut)
	register(a, operation{id: "authentication.session.password", method: http.MethodPost, path: sessionPath + "/password", summary: "Set the own password", access: accessOwn}, a.setPassword)
}

// signsIn says whether a request is one of those with which people sign in.
func signsIn(r *http.Request) bool {
	return r.Method == http.MethodPost && (r.URL.Path == sessionPath || r.URL.Path == sessionLinkPath)
}

// isSession says whether a path is one of a session's. No idempotency key counts there: what is
// kept under one is a fast hash of the request, which would lay open the password in it, and
// an answer that is given again has no cookie.
func isSession(path string) bool {
	return path == sessionPath || strings.HasPrefix(path, sessionPath+"/")
}

// One answer for a wrong name, a wrong password and a person who is disabled.
var errBadCredentials = &fault{status: http.StatusUnauthorized, code: "bad_credentials", detail: "name or password is wrong"}

// signInPatience is how long a person may wait until it is his turn.
const signInPatience = 10 * time.Second

func (a *API) signIn(ctx context.Context, in *struct{ Body SignInIn }) (*signedIn, error) {
	from := senderOf(ctx)
	if err := from.mustBeOwn(); err != nil {
		return nil, err
	}
	u, err := a.Store.UserByName(ctx, in.Body.Name)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	ok, err := a.guess(ctx, in.Body.Name, u.Password, hook.Secret(in.Body.Password))
	if err != nil {
		return nil, err
	}
	if !ok || u.Disabled {
		a.Log.WarnContext(ctx, "sign-in refused", "remote", from.addr().String())
		return nil, errBadCredentials
	}
	token, hash := newSessionToken()
	x, err := a.Store.CreateSession(ctx, hook.Session{Org: u.Org, User: u.ID, Hash: hash, CreatedAt: time.Now()}, u.Password)
	if hook.CodeOf(err) == hook.CodeUnknown { // changed while it was looked at
		return nil, errBadCredentials
	}
	if err != nil {
		return nil, err
	}
	a.guesses.giveBack(in.Body.Name, from.addr())
	return a.signedIn(ctx, from, &u, &x, token, hook.ActorUser)
}

// guess checks a password, unless there were too many guesses. It takes the same time whether or not there is a
// hash to compare with.
func (a *API) guess(ctx context.Context, name string, hash, password hook.Secret) (bool, error) {
	if wait := a.guesses.take(name, senderOf(ctx).addr(), time.Now()); wait > 0 {
		return false, tooMany("too many passwords were tried; wait a while, or sign in with a link that an administrator makes", wait)
	}
	ctx, cancel := context.WithTimeout(ctx, signInPatience)
	defer cancel()
	return a.Passwords.Verify(ctx, hash, password)
}

func (a *API) redeem(ctx context.Context, in *struct{ Body RedeemIn }) (*signedIn, error) {
	from := senderOf(ctx)
	if err := from.mustBeOwn(); err != nil {
		return nil, err
	}
	token, hash := newSessionToken()
	u, x, err := a.Store.Redeem(ctx, sha256.Sum256([]byte(in.Body.Token)), hook.Session{Hash: hash, CreatedAt: time.Now()})
	if err != nil {
		if hook.CodeOf(err) == hook.CodeUnknown {
			a.Log.WarnContext(ctx, "sign-in link refused", "remote", from.addr().String())
		}
		return nil, err
	}
	return a.signedIn(ctx, from, &u, &x, token, hook.ActorLink)
}

// signedIn puts a new session in the place of the one that the browser had.
func (a *API) signedIn(ctx context.Context, from *sender, u *hook.User, x *hook.Session, token hook.Secret, how hook.ActorKind) (*signedIn, error) {
	id := a.IDs.Public(hook.KindUser, u.ID)
	a.addAudit(ctx, hook.Audit{Org: u.Org, Actor: hook.Actor{Kind: how, ID: id, Name: u.Name}, Action: "authentication.session.create", Object: hook.Named{Kind: "user", ID: id, Name: u.Name}})
	if from.cookie != "" {
		old, _, err := a.Store.SessionByHash(ctx, sha256.Sum256([]byte(from.cookie)))
		if err == nil {
			err = a.Store.EndSession(ctx, old.Org, old.ID)
		}
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		a.sessions.clear()
	}
	return &signedIn{from.cookieOf(token), SignedInOut{a.person(u), when(x.EndsAt()), x.ByLink || u.Password == ""}}, nil
}

func (a *API) person(u *hook.User) PersonOut {
	return PersonOut{a.IDs.Public(hook.KindUser, u.ID), u.Name, string(u.Role)}
}

func (a *API) whoAmI(ctx context.Context, _ *struct{}) (*Body[SessionOut], error) {
	c := caller(ctx)
	o, err := a.Store.Organization(ctx, c.Org)
	if err != nil {
		return nil, err
	}
	out := SessionOut{Organization: OrganizationRef{a.IDs.Public(hook.KindOrganization, o.ID), o.Name}, Scopes: []string{string(c.Scope)}}
	switch {
	case c.User != nil:
		p := a.person(c.User)
		out.User, out.ExpiresAt, out.MustSetPassword = &p, pointer(when(c.Session.EndsAt())), c.Session.ByLink || c.User.Password == ""
	case c.App != 0:
		out.Portal = &PortalOut{a.IDs.Public(hook.KindApplication, c.App), c.Portal.ReadOnly, c.Portal.Capabilities, pointer(o.Settings.Portal.Colour), pointer(o.Settings.Portal.Logo)}
	}
	return answer(out), nil
}

var errNoPerson = hook.Errorf(hook.CodeDenied, "this is for people who are signed in; a token is revoked by DELETE /api/v1/auth/token/{token_id}")

func (a *API) signOut(ctx context.Context, _ *struct{}) (*signedOut, error) {
	c := caller(ctx)
	if c.User == nil {
		return nil, errNoPerson
	}
	if err := a.Store.EndSession(ctx, c.Org, c.Session.ID); err != nil {
		return nil, err
	}
	a.sessions.clear()
	return &signedOut{senderOf(ctx).cookieOf("")}, nil
}

// leastPassword is how many characters a password has at least.
const leastPassword = 12

func (a *API) setPassword(ctx context.Context, in *struct{ Body PasswordIn }) (*signedIn, error) {
	c := caller(ctx)
	if c.User == nil {
		return nil, errNoPerson
	}
	password := hook.Secret(in.Body.Password)
	switch {
	case utf8.RuneCountInString(in.Body.Password) < leastPassword:
		return nil, invalid("has fewer than 12 characters; a few words are easy to remember and hard to guess", "body", "password")
	case strings.EqualFold(in.Body.Password, c.User.Name):
		return nil, invalid("is the name, which others know", "body", "password")
	}
	if !c.Session.ByLink && c.User.Password != "" {
		ok, err := a.guess(ctx, c.User.Name, c.User.Password, hook.Secret(value(in.Body.Current)))
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, invalid("is not the password", "body", "current")
		}
		a.guesses.giveBack(c.User.Name, senderOf(ctx).addr())
	}
	hash, err := a.Passwords.Hash(ctx, password)
	if err != nil {
		return nil, err
	}
	token, fresh := newSessionToken()
	if err := a.Store.SetPassword(ctx, *c.Session, c.User.Password, hash, fresh); err != nil {
		return nil, err
	}
	a.sessions.clear()
	return &signedIn{senderOf(ctx).cookieOf(token), SignedInOut{a.person(c.User), when(c.Session.EndsAt()), false}}, nil
}

// newSessionToken makes what stands in a cookie, and its hash. It is no key of the API.
func newSessionToken() (hook.Secret, [32]byte) {
	var raw [32]byte
	rand.Read(raw[:])
	text := base64.RawURLEncoding.EncodeToString(raw[:])
	return hook.Secret(text), sha256.Sum256([]byte(text))
}

// touchEvery is how often the use of a session is written down.
const touchEvery = time.Minute

var errSignedOut = hook.Errorf(hook.CodeUnknown, "you are not signed in, or not any more; sign in again")

// fromCookie finds the person whose browser makes a request. A cookie counts only for
// pages of our own, so that no other page acts, or reads, in his name. used says that the request
// is his doing, which keeps him signed in.
func (a *API) fromCookie(ctx context.Context, r *http.Request, from *sender, used bool) (*Caller, error) {
	switch {
	case from.page == pageOther:
		return nil, errNoToken
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		if err := from.mustBeOwn(); err != nil {
			return nil, err
		}
	}
	hash, now := sha256.Sum256([]byte(from.cookie)), time.Now()
	if c, ok := a.sessions.find(hash, now); ok {
		return c, nil
	}
	x, u, err := a.Store.SessionByHash(ctx, hash)
	if isNotFound(err) || err == nil && (u.Disabled || !now.Before(x.EndsAt())) {
		return nil, errSignedOut
	}
	if err != nil {
		return nil, err
	}
	if used && now.Sub(x.SeenAt) >= touchEvery {
		if err := a.Store.TouchSession(ctx, x, now); err != nil {
			return nil, err
		}
		x.SeenAt = now
	}
	c := &Caller{Org: x.Org, Scope: u.Role, User: &u, Session: &x}
	if used {
		a.sessions.add(hash, c, now, x.EndsAt())
	}
	return c, nil
}
