package hook

import "time"

// Source is a URL that receives from one provider.
type Source struct {
	ID  Key
	Org Key
	App Key // its hidden application
	// UID is the owner's own name for it; empty when it has none.
	UID      string
	Name     string
	Type     string // the provider as the API names it; empty for those of the file
	Provider string
	Metadata map[string]string
	Settings SourceSettings
	// Token is the last segment of its URL.
	Token         Secret
	ManagedByFile bool
	Disabled      bool
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// SourceSettings are the policies of a source that the API made. Those of the
// configuration file stand in the file.
type SourceSettings struct {
	Quarantine     bool     `json:"quarantine,omitempty"` // bad signatures are kept and answered 200
	Redeliver      bool     `json:"redeliver,omitempty"`  // duplicates are forwarded
	AllowIPs       []string `json:"allowIps,omitempty"`
	ProviderIPs    bool     `json:"providerIps,omitempty"`
	MaxBody        int64    `json:"maxBody,omitempty"`
	FlowID         string   `json:"flowId,omitempty"`
	ForwardHeaders []string `json:"forwardHeaders,omitempty"`
}

// Rejected is a request that came with a signature which did not verify. It is
// kept apart from messages and forwarded to nobody.
type Rejected struct {
	ID     Key
	Org    Key
	Source Key
	// Reason is the class of the fault, for example "mismatch".
	Reason     string
	ReceivedAt time.Time
	Remote     string // address of the sender
	Method     string
	URL        string // path of our own URL, as the sender asked for it
	Headers    []Header
	// Body is cut at 64 KiB unless the request is in quarantine; Size is its true length.
	Body []byte
	Size int
	// Quarantined requests were answered with 200 and are kept until someone decides.
	Quarantined bool
	// Accepted is the message that it became, 0 until then.
	Accepted Key
}

// Whole says whether all of the body was kept.
func (r *Rejected) Whole() bool { return len(r.Body) == r.Size }
