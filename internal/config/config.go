// Package config reads the configuration – file, environment, flags – and
// reports everything that is wrong with it at once, each fault with its key,
// the value and the way out. It applies nothing.
package config

import (
	"path/filepath"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/strictyaml"
)

// Config is a whole configuration, checked.
type Config struct {
	// Listen is the address that serves everything.
	Listen string `yaml:"listen"`
	// IntakeListen serves webhooks alone; empty for none.
	IntakeListen string `yaml:"intake_listen"`
	// Data is the data directory.
	Data string `yaml:"data"`
	// DatabaseURL is the PostgreSQL database that nodes share (postgres://…);
	// empty means the SQLite file in the data directory.
	DatabaseURL     hook.Secret `yaml:"database_url"`
	DatabaseURLFile string      `yaml:"database_url_file"`
	// DatabaseNotify is how nodes that share a database tell each other: "listen", or
	// "poll" where they cannot, as behind a pooler that gives a connection for one transaction.
	DatabaseNotify string `yaml:"database_notify"`
	// PublicURL is what the world sees of us.
	PublicURL string `yaml:"public_url"`
	// AllowNets are private networks that endpoints may be on.
	AllowNets []Network `yaml:"allow_nets"`
	// TrustedProxies are the networks whose X-Forwarded-For counts.
	TrustedProxies []Network `yaml:"trusted_proxies"`
	// EgressProxy is the proxy for all requests to endpoints.
	EgressProxy string `yaml:"egress_proxy"`
	TLS         TLS    `yaml:"tls"`
	// JWTSecret verifies the HS256 tokens of the API that its owner signs
	// himself; empty refuses them.
	JWTSecret     hook.Secret `yaml:"jwt_secret"`
	JWTSecretFile string      `yaml:"jwt_secret_file"`
	// MasterKey seals what is kept secret at rest: base64 of 32 bytes, several
	// separated by commas, the one in force first. Empty means the file
	// master.key in the data directory.
	MasterKey     hook.Secret `yaml:"master_key"`
	MasterKeyFile string      `yaml:"master_key_file"`
	// SignatureHeaders are the names of signature headers on the way out:
	// "webhook", "svix" or "both".
	SignatureHeaders string `yaml:"signature_headers"`
	// ControlSocket is where the command line finds the server.
	ControlSocket string `yaml:"control_socket"`
	Log           Log    `yaml:"log"`
	// ShutdownTimeout is how long a stop may take to deliver what is queued.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout"`
	// Retention is how long is kept what came and went.
	Retention Retention `yaml:"retention"`
	Alerts    Alerts    `yaml:"alerts"`
	// Providers are the user's own.
	Providers []strictyaml.Raw `yaml:"providers"`
	Sources   []Source         `yaml:"sources"`

	// Warnings are not faults, but worth a look.
	Warnings []string `yaml:"-"`
}

// TLS names certificate files in PEM; both or none.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// Source is one source of the file.
type Source struct {
	Name     string `yaml:"name"`
	Provider string `yaml:"provider"`
	// Token is the last part of its URL; empty for its name, or a random one
	// where the provider does not sign.
	Token     hook.Secret `yaml:"token"`
	TokenFile string      `yaml:"token_file"`
	// Secret, SecretFile, Secrets and SecretsFile all end up in Secrets. They
	// may all be live at once.
	Secret      hook.Secret   `yaml:"secret"`
	SecretFile  string        `yaml:"secret_file"`
	Secrets     []hook.Secret `yaml:"secrets"`
	SecretsFile string        `yaml:"secrets_file"` // one a line
	// AuthClient must come in the provider's header for it.
	AuthClient     hook.Secret `yaml:"auth_client"`
	AuthClientFile string      `yaml:"auth_client_file"`
	FlowID         string      `yaml:"flow_id"`
	// OnBadSignature is "reject" or "quarantine".
	OnBadSignature string `yaml:"on_bad_signature"`
	// OnDuplicate is "drop" or "forward".
	OnDuplicate string    `yaml:"on_duplicate"`
	AllowIPs    []Network `yaml:"allow_ips"`
	// ProviderIPs adds the addresses that the provider publishes to AllowIPs.
	ProviderIPs bool `yaml:"provider_ips"`
	// MaxBody is the longest body taken.
	MaxBody Size `yaml:"max_body"`
	// ForwardHeaders go on although they are withheld otherwise.
	ForwardHeaders []string   `yaml:"forward_headers"`
	Endpoints      []Endpoint `yaml:"endpoints"`
}

// Endpoint is one endpoint of a source of the file.
type Endpoint struct {
	Name string `yaml:"name"`
	URL  string `yaml:"url"`
	// Secret, SecretFile and Secrets all end up in Secrets, the newest first;
	// none means that one is made.
	Secret      hook.Secret       `yaml:"secret"`
	SecretFile  string            `yaml:"secret_file"`
	Secrets     []hook.Secret     `yaml:"secrets"`
	EventTypes  []string          `yaml:"event_types"`
	Headers     map[string]string `yaml:"headers"`
	Timeout     time.Duration     `yaml:"timeout"`
	Concurrency int               `yaml:"concurrency"`
	// Retries are the waits between attempts, instead of the usual ones.
	Retries []time.Duration `yaml:"retries"`
	// RetriesFor are those of some event types; the first that fits counts.
	RetriesFor []RetriesFor `yaml:"retries_for"`
	// Throttle bounds its attempts a second; 0 is no bound.
	Throttle int `yaml:"throttle"`
	// Policy names a provider; requests are sent the way it sends them.
	Policy    string     `yaml:"policy"`
	Signature *Signature `yaml:"signature"`
	Paused    bool       `yaml:"paused"`
	// Order is "none", "subject" or "subject:" and a kind; OrderBy is "acceptance" or
	// "occurrence". The rest is as in hook.Order.
	Order       string        `yaml:"order"`
	OrderBy     string        `yaml:"order_by"`
	OrderWindow time.Duration `yaml:"order_window"`
	LatestOnly  bool          `yaml:"latest_only"`
	OnPoison    string        `yaml:"on_poison"`
	PoisonAfter int           `yaml:"poison_after"`
}

// RetriesFor are the waits between attempts for some event types.
type RetriesFor struct {
	EventTypes []string        `yaml:"event_types"`
	Retries    []time.Duration `yaml:"retries"`
}

// Ordering is how the endpoint's messages are ordered.
func (e *Endpoint) Ordering() hook.Order {
	o := hook.Order{By: e.Order, ByOccurrence: e.OrderBy == orderByOccurrence, Window: e.OrderWindow, LatestOnly: e.LatestOnly, OnPoison: hook.PoisonPolicy(e.OnPoison), PoisonAfter: e.PoisonAfter}
	if o.By == "none" {
		o.By = ""
	}
	return o
}

const (
	orderByAcceptance = "acceptance"
	orderByOccurrence = "occurrence"
)

// Signature is how an endpoint's requests are signed, when not by Standard Webhooks.
type Signature struct {
	Scheme     string      `yaml:"scheme"`
	Secret     hook.Secret `yaml:"secret"`
	SecretFile string      `yaml:"secret_file"`
}

const (
	// DefaultData is the data directory when none is named.
	DefaultData = "./sigpost-data"
	// SocketName is the name of the control socket in the data directory.
	SocketName = "control.sock"

	// NotifyListen and NotifyPoll are how nodes tell each other.
	NotifyListen = "listen"
	NotifyPoll   = "poll"

	defaultListen   = "127.0.0.1:8080"
	defaultShutdown = 15 * time.Second
	defaultMaxBody  = 1 << 20
	limitMaxBody    = 20 << 20
	// limitEndpoints bounds the fan-out of one message.
	limitEndpoints = 500
)

// Default is the configuration that an empty file gives.
func Default() *Config {
	return &Config{
		Listen: defaultListen, Data: DefaultData, ControlSocket: filepath.Join(DefaultData, SocketName),
		Log: Log{Level: "info", Format: "text"}, ShutdownTimeout: defaultShutdown, SignatureHeaders: string(hook.HeadersWebhook), Alerts: defaultAlerts(),
		DatabaseNotify: NotifyListen,
	}
}

// ProviderFacts is what the configuration must know of a provider.
type ProviderFacts struct {
	Signed        bool
	AuthClient    bool // it sends a client key in a header
	FlowID        bool // its events carry a flow id
	HasAddresses  bool // it publishes the addresses that it sends from
	HasSendPolicy bool
	HTTPSOnly     bool // it posts to https URLs only
	StandardPort  bool // it posts to the standard port only
	// Subjects are the kinds of subjects that its events name.
	Subjects []string
	// CheckSecret says in words what is wrong with a secret by the provider's rules.
	CheckSecret func(secret string) []string
}

// Catalog knows the providers.
type Catalog interface {
	// Define adds a provider of the file. Its error is strictyaml.Faults.
	Define(raw strictyaml.Raw) error
	// Facts looks a provider up; the error says what is near.
	Facts(name string) (ProviderFacts, error)
}
