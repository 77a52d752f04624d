package hook

import "time"

// Organization is the boundary of isolation: every row and every token belongs to one.
type Organization struct {
	ID   Key
	Name string
	// External is the id that its owner's own tokens use for it; empty where ours is used.
	External  string
	Settings  OrgSettings
	CreatedAt time.Time
}

// OrgSettings are what an organization decides for all of its applications.
type OrgSettings struct {
	// SignatureHeaders chooses the names of signature headers; empty means the server's choice.
	SignatureHeaders HeaderNames `json:"signatureHeaders,omitempty"`
	// Retention is how long is kept what applications were sent, and SourceRetention what
	// sources received.
	Retention       Retention `json:"retention,omitzero"`
	SourceRetention Retention `json:"sourceRetention,omitzero"`
	// AuditRetention is how long the audit log is kept.
	AuditRetention Days `json:"auditRetention,omitempty"`
	// Portal is how portals look, and who may show them.
	Portal PortalSettings `json:"portal,omitzero"`
}

// HeaderNames says under which names the headers of Standard Webhooks are sent.
type HeaderNames string

// The choices.
const (
	HeadersWebhook HeaderNames = "webhook" // webhook-id, webhook-timestamp, webhook-signature
	HeadersSvix    HeaderNames = "svix"    // svix-id, svix-timestamp, svix-signature
	HeadersBoth    HeaderNames = "both"
)
