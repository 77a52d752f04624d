package hook

import "time"

// Token is a key of the API. The token itself is shown once and never kept.
type Token struct {
	ID  Key
	Org Key
	// App is the one application that it reaches; 0 is the whole organization.
	App       Key
	Scope     Scope
	Name      string
	Session   string // of a portal, as its caller named it
	Portal    Portal
	Hash      [32]byte // SHA-256 of the token
	CreatedAt time.Time
	ExpiresAt time.Time // zero: no end is set
}

// Portal says what a token of scope app may do.
type Portal struct {
	ReadOnly     bool     `json:"readOnly,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"`
	FeatureFlags []string `json:"featureFlags,omitempty"`
}

// Scope is what a token may do.
type Scope string

// The scopes.
const (
	ScopeAdmin     Scope = "admin"     // everything, tokens too
	ScopeDeveloper Scope = "developer" // everything but tokens
	ScopeViewer    Scope = "viewer"    // read, but no secrets
	ScopeSend      Scope = "send"      // create messages, nothing else
	ScopeApp       Scope = "app"       // one application: the portal
)
