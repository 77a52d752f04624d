package hook

import (
	"encoding/json"
	"time"
)

// EventType is a named kind of message.
type EventType struct {
	Org          Key
	Name         string // [a-zA-Z0-9\-_.]+, at most 256
	Description  string
	Archived     bool
	Deprecated   bool
	Schemas      json.RawMessage // version to JSON Schema; nil when there is none
	GroupName    string
	FeatureFlags []string // nil when there are none
	CreatedAt    time.Time
	UpdatedAt    time.Time
}
