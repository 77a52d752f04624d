package hook

import "time"

// User is a person who signs in to the dashboard. Names are one space for the whole
// store, because who signs in says no organization.
type User struct {
	ID   Key
	Org  Key
	Name string
	// Role is what he may do: ScopeAdmin, ScopeDeveloper or ScopeViewer.
	Role Scope
	// Password is its hash, with how it was made; empty when none was set.
	Password  Secret
	Disabled  bool
	CreatedAt time.Time
	UpdatedAt time.Time
	SeenAt    time.Time // zero: he was never here
}

// How long a person stays signed in, and how long a link is good for.
const (
	SessionIdle = 12 * time.Hour     // after the last request
	SessionLife = 7 * 24 * time.Hour // after signing in
	LinkLife    = 15 * time.Minute
)

// Session is one browser in which a person is signed in. Its token is in the
// browser's cookie and never kept.
type Session struct {
	ID   Key
	Org  Key
	User Key
	Hash [32]byte // SHA-256 of the token
	// ByLink says that a link began it and that no password was set since: it may set
	// one without the old one.
	ByLink    bool
	CreatedAt time.Time
	SeenAt    time.Time
}

// EndsAt is when the session ends unless it is used before.
func (s *Session) EndsAt() time.Time {
	idle, life := s.SeenAt.Add(SessionIdle), s.CreatedAt.Add(SessionLife)
	if idle.Before(life) {
		return idle
	}
	return life
}

// Link signs a person in once. Its token is shown to whoever made it and never kept.
type Link struct {
	User      Key
	Hash      [32]byte
	ExpiresAt time.Time
}
