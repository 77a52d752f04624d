package hook

import "time"

// Application is a group of endpoints: one customer on the way out. A source
// has a hidden one for its endpoints and messages, and an organization one for
// its operational webhooks.
type Application struct {
	ID  Key
	Org Key
	// UID is the owner's own name for it; empty when it has none.
	UID  string
	Name string
	// Throttle bounds its messages a second; 0 is no bound.
	Throttle  int
	Metadata  map[string]string
	Kind      AppKind
	CreatedAt time.Time
	UpdatedAt time.Time
}

// AppKind says whose application it is.
type AppKind int

// The kinds.
const (
	AppCustomer    AppKind = 0
	AppOfSource    AppKind = 1
	AppOperational AppKind = 2
)

// AppFilter chooses applications for a list.
type AppFilter struct {
	Kind AppKind
	// WithEndpoints leaves out those without endpoints, WithEnabledEndpoints
	// those without one that is enabled.
	WithEndpoints        bool
	WithEnabledEndpoints bool
}
