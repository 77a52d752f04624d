package hook

import "time"

// Audit is one change that somebody made, or a secret that somebody looked at. It says who,
// what and where from, and never holds what is secret.
type Audit struct {
	ID  Key // its time is in it
	Org Key
	// Actor is who did it.
	Actor Actor
	// Action is the operation, as the API's document names it, for example endpoint.patch.
	Action string
	// Object is what it was done to, and Parent the application or source that has it.
	Object, Parent Named
	// Remote is the address that the request came from; empty for the control socket.
	Remote  string
	Changes []Change
}

// At is when it was.
func (a *Audit) At() time.Time { return a.ID.Time() }

// Actor is who made a request.
type Actor struct {
	Kind ActorKind
	ID   string // public; empty for who has none
	Name string
}

// ActorKind says how somebody showed who he is.
type ActorKind string

// The kinds.
const (
	ActorUser     ActorKind = "user"     // a person who is signed in
	ActorLink     ActorKind = "link"     // a person who signed in with a link
	ActorToken    ActorKind = "token"    // a key, a portal's token, or a JWT
	ActorOperator ActorKind = "operator" // the command line, through the control socket
)

// Named is a thing of the API.
type Named struct {
	Kind string `json:"kind"`
	ID   string `json:"id"` // as the request or the answer named it
	Name string `json:"name,omitempty"`
}

// Change is one field that a request gave. To is there for what cannot be secret.
type Change struct {
	Field string `json:"field"`
	To    any    `json:"to,omitempty"`
}

// AuditQuery chooses entries; empty fields choose all.
type AuditQuery struct {
	Org                   Key
	Actor, Action, Object string // public ids, and an operation
	Range                 Range
	Page                  Page
}

// DefaultAuditRetention is how long entries are kept.
const DefaultAuditRetention Days = 365

// Before is the key before which everything is older than the age at now; 0 is nothing.
func (d Days) Before(now time.Time) Key { return d.before(now) }
