package hook

import (
	"slices"
	"strings"
	"time"
)

// Endpoint is a URL that gets messages.
type Endpoint struct {
	ID  Key
	Org Key
	App Key
	// UID is the owner's own name for it; empty when it has none.
	UID         string
	Name        string // of the configuration file, unique within its source; empty otherwise
	URL         string
	Description string
	Metadata    map[string]string
	// Channels are the ones that it gets messages of; empty means all.
	Channels []string
	// Throttle bounds its attempts a second; 0 is no bound.
	Throttle int
	// EventTypes are patterns of the event types that it gets; empty means all.
	EventTypes []string
	Headers    []Header // added to each request
	// Timeout bounds one whole exchange; 0 means DefaultTimeout.
	Timeout time.Duration
	// Concurrency bounds attempts under way at once; 0 means DefaultConcurrency.
	Concurrency int
	// Schedule are the waits between attempts; nil means the default schedule.
	Schedule []time.Duration
	// Schedules are those of some event types; the first that fits counts.
	Schedules []TypeSchedule
	// Window is how long after acceptance the last attempt is made; 0 means 168 h.
	Window time.Duration
	// SuccessCodes count as delivered; empty means any 2xx.
	SuccessCodes []int
	// SchemeName names the signature scheme; empty means Standard Webhooks.
	SchemeName string
	// Policy names the provider whose send policy is used; empty means ours.
	Policy string
	// Order says whether it gets the messages about one subject one after another.
	Order Order
	// Untrusted: its URL was given with an application's own token, so it is never
	// on a private network, whatever the operator allows for his own.
	Untrusted bool
	// ManagedByFile: made by the configuration file and read-only elsewhere.
	ManagedByFile bool
	// OfSource: 410 is an ordinary failure, and it is never disabled by itself.
	OfSource bool
	State    EndpointState
	// Reason says why it is paused or disabled.
	Reason    string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Defaults of an endpoint.
const (
	DefaultTimeout     = 15 * time.Second
	DefaultConcurrency = 32
)

// RetryWaits are the waits after each failure; the last one repeats until the
// window is over. They are the example of the Standard Webhooks specification,
// carried on for a week.
func RetryWaits() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

// RetryWindow is how long after acceptance the last attempt is made.
const RetryWindow = 168 * time.Hour

// EndpointState says whether an endpoint gets its messages now.
type EndpointState int

// The states.
const (
	Enabled  EndpointState = 0
	Paused   EndpointState = 1 // by hand
	Disabled EndpointState = 2 // by rule, or because it left the configuration
)

// DisabledByHand is the reason of an endpoint that somebody disabled.
const DisabledByHand = "disabled by hand"

func (s EndpointState) String() string {
	switch s {
	case Enabled:
		return "enabled"
	case Paused:
		return "paused"
	case Disabled:
		return "disabled"
	}
	return "unknown"
}

// Label is the endpoint's name for the log: where that is its URL, without the
// query, which may hold a secret.
func (e *Endpoint) Label() string {
	name := e.Name
	if name == "" {
		name = e.URL
	}
	if label, _, found := strings.Cut(name, "?"); found {
		return label + "?…"
	}
	return name
}

// TypeSchedule are the waits between attempts for the event types that fit a pattern.
type TypeSchedule struct {
	EventTypes []string        `json:"event_types"`
	Waits      []time.Duration `json:"waits"`
}

// ScheduleFor are the waits for an event type; nil means the default schedule.
func (e *Endpoint) ScheduleFor(eventType string) []time.Duration {
	for i := range e.Schedules {
		if slices.ContainsFunc(e.Schedules[i].EventTypes, func(p string) bool { return MatchEventType(p, eventType) }) {
			return e.Schedules[i].Waits
		}
	}
	return e.Schedule
}

// Succeeded says whether an answer with this status means delivered.
func (e *Endpoint) Succeeded(status int) bool {
	if len(e.SuccessCodes) > 0 {
		return slices.Contains(e.SuccessCodes, status)
	}
	return status >= 200 && status < 300
}

// Wants says whether the endpoint gets messages of this event type in these
// channels. An endpoint that names channels gets those messages that have one of
// them.
func (e *Endpoint) Wants(eventType string, channels []string) bool {
	if len(e.Channels) > 0 && !slices.ContainsFunc(channels, func(c string) bool { return slices.Contains(e.Channels, c) }) {
		return false
	}
	if len(e.EventTypes) == 0 {
		return true
	}
	for _, p := range e.EventTypes {
		if MatchEventType(p, eventType) {
			return true
		}
	}
	return false
}

// MatchEventType says whether an event type fits a pattern, in which each *
// stands for any run of characters, dots included.
func MatchEventType(pattern, eventType string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == eventType
	}
	if !strings.HasPrefix(eventType, head) {
		return false
	}
	eventType = eventType[len(head):]
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, p := range parts[:len(parts)-1] {
		i := strings.Index(eventType, p)
		if i < 0 {
			return false
		}
		eventType = eventType[i+len(p):]
	}
	return strings.HasSuffix(eventType, last)
}
