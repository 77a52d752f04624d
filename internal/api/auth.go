package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// Caller is who makes a request, and what he may do.
type Caller struct {
	Org hook.Key
	// App is the only application that he reaches; 0 is all of the organization's.
	App    hook.Key
	Scope  hook.Scope
	Portal hook.Portal
	// Token is the key that he came with; 0 for a JWT, a cookie or the control socket.
	Token hook.Key
	Name  string // of the key
	// Operator says that he came through the control socket.
	Operator bool
	// User is the person whose browser it is, and Session that browser's; nil for who
	// came with a token.
	User    *hook.User
	Session *hook.Session
}

type callerKey struct{}

func withCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// caller is who makes the request; operations that need no token have none.
func caller(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}

// access is what an operation needs of its caller.
type access int

const (
	accessOpen         access = iota // nothing
	accessRead                       // one application's things, without secrets
	accessTypes                      // event types, to read
	accessSecret                     // the secrets of endpoints
	accessManage                     // the endpoints of an application, to change
	accessManageSecret               // their secrets, to change
	accessResend                     // to have messages sent again
	accessSend                       // to create messages
	accessOrgRead                    // the organization's things, without secrets
	accessOrg                        // the organization's things, to change
	accessAdmin                      // tokens, settings
	accessOwn                        // the caller's own token or session
	accessSignIn                     // nothing, but it makes a session
)

// capabilities are what a portal needs for an access.
var capabilities = map[access]string{
	accessRead: "ViewBase", accessTypes: "ViewBase", accessSecret: "ViewEndpointSecret", accessManage: "ManageEndpoint",
	accessManageSecret: "ManageEndpointSecret", accessResend: "CreateAttempts",
}

// allow says whether the caller may use an operation with this access.
func allow(ctx context.Context, need access) error {
	if need == accessOpen || need == accessSignIn {
		return nil
	}
	c := caller(ctx)
	if c == nil {
		return hook.Errorf(hook.CodeUnknown, "a token is needed: send Authorization: Bearer …")
	}
	if c.may(need) {
		return nil
	}
	if c.Scope == hook.ScopeApp && capabilities[need] != "" {
		return hook.Errorf(hook.CodeDenied, "this portal token may not do this: it needs the capability %s, and must not be read-only", capabilities[need])
	}
	if c.User != nil {
		return hook.Errorf(hook.CodeDenied, "the role %s may not do this; an administrator can give you another", c.Scope)
	}
	return hook.Errorf(hook.CodeDenied, "a token with scope %s may not do this", c.Scope)
}

func (c *Caller) may(need access) bool {
	switch c.Scope {
	case hook.ScopeAdmin:
		return true
	case hook.ScopeDeveloper:
		return need != accessAdmin
	case hook.ScopeViewer:
		return need == accessRead || need == accessTypes || need == accessOrgRead || need == accessOwn
	case hook.ScopeSend:
		return need == accessSend || need == accessOwn
	case hook.ScopeApp:
		return need == accessOwn || c.portalMay(need)
	}
	return false
}

func (c *Caller) portalMay(need access) bool {
	capability := capabilities[need]
	switch {
	case capability == "":
		return false
	case capability == "ViewBase":
		return true
	case c.Portal.ReadOnly:
		return false
	}
	return len(c.Portal.Capabilities) == 0 || slices.Contains(c.Portal.Capabilities, capability)
}

// reaches says whether the caller may know of an application of his organization.
func (c *Caller) reaches(app hook.Key) bool { return c.App == 0 || c.App == app }

// TokenPrefix begins every key of ours, so that one that leaked is recognised.
const TokenPrefix = "sigpost_"

// NewToken makes a key and its hash.
func NewToken() (hook.Secret, [32]byte) {
	var raw [32]byte
	rand.Read(raw[:])
	text := TokenPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	return hook.Secret(text), sha256.Sum256([]byte(text))
}

var errNoToken = hook.Errorf(hook.CodeUnknown, "a token is needed: send Authorization: Bearer …; `sigpost token create` makes one")

var errBadToken = hook.Errorf(hook.CodeUnknown, "the token is not valid: it is wrong, has expired or was revoked")

// authenticate finds out who makes a request. Who sends a token is who it says, whatever
// cookie his browser adds. used says that the caller does something, rather than wait.
func (a *API) authenticate(r *http.Request, from *sender, used bool) (*Caller, error) {
	if _, given := r.Header["Authorization"]; !given && from.cookie != "" {
		return a.fromCookie(r.Context(), r, from, used)
	}
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	text = strings.TrimSpace(text)
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return nil, errNoToken
	}
	hash := sha256.Sum256([]byte(text))
	now := time.Now()
	if c, ok := a.tokens.find(hash, now); ok {
		return c, nil
	}
	look := a.fromKey
	if strings.Count(text, ".") == 2 {
		look = a.fromJWT
	}
	c, end, err := look(r.Context(), text)
	if err != nil {
		return nil, err
	}
	a.tokens.add(hash, c, now, end)
	return c, nil
}

// fromKey finds a key of ours. end is when it expires; zero for never.
func (a *API) fromKey(ctx context.Context, text string) (c *Caller, end time.Time, err error) {
	t, err := a.Store.TokenByHash(ctx, sha256.Sum256([]byte(text)))
	if isNotFound(err) || err == nil && !t.ExpiresAt.IsZero() && !time.Now().Before(t.ExpiresAt) {
		return nil, end, errBadToken
	}
	return &Caller{Org: t.Org, App: t.App, Scope: t.Scope, Portal: t.Portal, Token: t.ID, Name: tokenName(&t)}, t.ExpiresAt, err
}

// tokenName is how a key is called: those of portals have no name, but perhaps a session's.
func tokenName(t *hook.Token) string {
	switch {
	case t.Name != "" || t.Scope != hook.ScopeApp:
		return t.Name
	case t.Session != "":
		return "portal " + t.Session
	}
	return "portal"
}

// claims of a token that its owner signed himself.
type claims struct {
	jwt.RegisteredClaims
	Organization string `json:"organization"`
}

// fromJWT reads a token signed with the server's secret: of an organization
// (sub is org_…), which is made on first use, or of one application (sub is
// app_…, with the claim organization).
func (a *API) fromJWT(ctx context.Context, text string) (_ *Caller, end time.Time, err error) {
	if a.JWTSecret == "" {
		return nil, end, hook.Errorf(hook.CodeUnknown, "JWTs are not accepted here: no jwt_secret is configured")
	}
	var c claims
	key := func(*jwt.Token) (any, error) { return []byte(a.JWTSecret.Reveal()), nil }
	if _, err := jwt.ParseWithClaims(text, &c, key, jwt.WithValidMethods([]string{"HS256"})); err != nil {
		return nil, end, errBadToken
	}
	if c.ExpiresAt != nil {
		end = c.ExpiresAt.Time
	}
	if strings.HasPrefix(c.Subject, string(hook.KindOrganization)) {
		org, err := a.organization(ctx, c.Subject)
		return &Caller{Org: org, Scope: hook.ScopeAdmin}, end, err
	}
	id, err := a.IDs.Key(hook.KindApplication, c.Subject)
	if err != nil || !strings.HasPrefix(c.Organization, string(hook.KindOrganization)) {
		return nil, end, errBadToken
	}
	org, err := a.organization(ctx, c.Organization)
	if err != nil {
		return nil, end, err
	}
	if _, err := a.Store.Application(ctx, org, id); err != nil {
		return nil, end, errBadToken
	}
	return &Caller{Org: org, App: id, Scope: hook.ScopeApp}, end, nil
}

// knownOrganization is organization for those who would not make one.
func (a *API) knownOrganization(ctx context.Context, id string) (hook.Key, error) {
	all, err := a.Store.Organizations(ctx)
	if err != nil {
		return 0, err
	}
	for _, o := range all {
		if o.External == id || a.IDs.Public(hook.KindOrganization, o.ID) == id {
			return o.ID, nil
		}
	}
	return 0, hook.Errorf(hook.CodeNotFound, "there is no organization %.60s", id)
}

// organization is the key behind an id of a JWT: one of ours, or the owner's own.
func (a *API) organization(ctx context.Context, id string) (hook.Key, error) {
	if k, err := a.IDs.Key(hook.KindOrganization, id); err == nil {
		o, err := a.Store.Organization(ctx, k)
		return o.ID, err
	}
	const longest = 64
	if len(id) > longest {
		return 0, errBadToken
	}
	o, err := a.Store.OrganizationByExternal(ctx, id)
	return o.ID, err
}
