// Package api is the HTTP API: for applications that send and receive, for the
// dashboard and for portals. Its shapes are those of the wire API that the Svix
// SDKs speak, extended in the same style; docs/api.md lists what is added.
//
// Handlers decide and delegate. What a request may do is settled before they
// run (auth.go), every error is written in one place (fault.go), and the
// OpenAPI document is made from the same declarations that validate requests.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/sigpost/sigpost/internal/hook"
)

// Options of an API.
type Options struct {
	Store    Store
	Pipeline Pipeline
	Runtime  Runtime
	Alerts   Alerts
	IDs      *hook.IDs
	Log      *slog.Logger
	Version  string
	// JWTSecret verifies HS256 tokens; empty refuses them.
	JWTSecret hook.Secret
	// Intake decides about rejected requests.
	Intake Intake
	// Hub has the live stream.
	Hub *Hub
	// ParseYAML reads a document in YAML or JSON into maps, lists and scalars.
	ParseYAML func([]byte) (any, error)
	// PublicURL is what the world sees of us, without a trailing slash.
	PublicURL func() string
	// Passwords hashes passwords and checks them.
	Passwords Passwords
	// Remote is the address of who sent a request; zero when it is not known. May be nil.
	Remote func(r *http.Request) netip.Addr
}

// API serves the API. Make one with New.
type API struct {
	Options
	huma   huma.API
	mux    *http.ServeMux
	tokens cache[[32]byte, *Caller] // by the hash of what was presented
	// sessions are those of cookies, by the hash of what stands in them.
	sessions cache[[32]byte, *Caller]
	guesses  guesses
	presents cache[hook.Key, present]
	portals  cache[hook.Key, *hook.PortalSettings]
	framers  cache[struct{}, map[string]bool]
	apps     cache[appRef, hook.Application]
	flight   flight
	manual   reference // the page for people
}

// Passwords keeps passwords as hashes.
type Passwords interface {
	Hash(ctx context.Context, password hook.Secret) (hook.Secret, error)
	// Verify takes as long for an empty hash, behind which there is no password.
	Verify(ctx context.Context, hash, password hook.Secret) (bool, error)
}

// Pipeline takes messages.
type Pipeline interface {
	Accept(ctx context.Context, in hook.Incoming) (hook.Receipt, error)
	// Active says whether an enabled endpoint wants such a message.
	Active(app hook.Key, eventType string, channels []string) bool
}

// Alerts are told what callers do to endpoints.
type Alerts interface {
	EndpointCreated(ctx context.Context, e hook.Endpoint)
	EndpointChanged(ctx context.Context, before, after hook.Endpoint)
	EndpointDeleted(ctx context.Context, e hook.Endpoint)
	// Try sends a test alert on every way and says what came of it.
	Try(ctx context.Context, org hook.Key) ([]hook.AlertTry, error)
}

// Runtime is told what changed in the store, and makes it the state of the
// running parts before it returns.
type Runtime interface {
	AppChanged(ctx context.Context, app hook.Key) error
	SourceChanged(ctx context.Context, org, source hook.Key) error
	OrgChanged(ctx context.Context, org hook.Key) error
	// SourceURL is where the provider of a source is to post to.
	SourceURL(s hook.Source) string
	// CheckSource says whether a source of a provider can verify with these secrets.
	CheckSource(provider string, secrets []hook.Secret) error
	// CheckSettings says whether a provider's webhooks have what a source's
	// settings ask for; field is the one that is at fault.
	CheckSettings(provider string, s hook.SourceSettings) (field string, err error)
	// Due says that deliveries of an endpoint became due.
	Due(endpoint hook.Key, at time.Time)
	// CheckURL says whether an endpoint may have this URL, by its form alone;
	// the address is checked again whenever it is dialled. untrusted endpoints
	// are never on a private network.
	CheckURL(url string, untrusted bool) error
	// CheckPolicy says whether there is a provider with this way to deliver.
	CheckPolicy(provider string) error
	// CheckSubject says whether events of a provider name subjects of a kind; of any
	// kind when that is empty.
	CheckSubject(provider, kind string) error
	// EndpointSecret checks a secret for a scheme (empty: Standard Webhooks) and
	// returns it; an empty secret makes one.
	EndpointSecret(scheme string, secret hook.Secret) (hook.Secret, error)
	// FileSecret is the secret in force of an endpoint that the configuration file manages.
	FileSecret(ctx context.Context, e hook.Endpoint) (hook.Secret, error)
	// ShownSecret is a secret as its owner may see it: of an asymmetric key the
	// public half, which is what a receiver needs.
	ShownSecret(secret hook.Secret) string
	// NewSourceSecret makes a secret for a provider, where whoever sets the URL chooses it.
	NewSourceSecret(provider string) (hook.Secret, error)
	// TestEvent takes a sample of a source's provider in, signed as the provider would.
	// CodeInvalid when there is no such sample.
	TestEvent(ctx context.Context, x hook.Source, sample string) (TestEvent, error)
	// Providers are all that are known, by name.
	Providers() []ProviderDetailOut
	// TaskAdded wakes who works on tasks.
	TaskAdded()
}

// setErrors makes the library write errors our way. It is the library's one
// global setting.
var setErrors = sync.OnceFunc(func() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return newFault(status, message, errs...)
	}
	huma.DefaultArrayNullable = false
})

// New makes the API.
func New(o Options) *API {
	setErrors()
	a := &API{Options: o, mux: http.NewServeMux()}
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	cfg := huma.DefaultConfig("Sigpost", documentVersion)
	cfg.OpenAPI.Components.Schemas = registry
	cfg.OpenAPI.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	cfg.OpenAPI.Security = []map[string][]string{{"token": {}}}
	cfg.CreateHooks, cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = nil, "", "", ""
	cfg.AllowAdditionalPropertiesByDefault = true
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	cfg.Formats = map[string]huma.Format{"application/json": format, "json": format}
	a.huma = humago.New(a.mux, cfg)
	for _, register := range []func(*API){
		registerHealth, registerApplications, registerEndpoints, registerEndpointSecrets, registerReplay, registerEventTypes, registerEventTypeImport,
		registerMessages, registerExpunge, registerAttempts, registerDeliveries, registerSubjects, registerRejected, registerOrgMessages, registerStream,
		registerIngestSources, registerIngestEndpoints, registerOperational, registerAuthentication, registerTokens, registerOrganization,
		registerEnvironment, registerStatistics, registerEndpointHealth, registerTasks, registerAlerts, registerSessions, registerUsers, registerAudit, registerOverview, registerRaw, registerProviders, registerSourceStatus, registerTestEvents,
	} {
		register(a)
	}
	return a
}

// Document is the OpenAPI document of the API, made from its declarations.
func (a *API) Document() *huma.OpenAPI { return a.huma.OpenAPI() }

// Serves says whether a path is the API's.
func Serves(p string) bool {
	return strings.HasPrefix(p, "/api/") || strings.HasPrefix(p, "/ingest/")
}

// ServeHTTP answers requests from outside: each needs a token.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.serve(w, r, nil) }

// OrganizationHeader chooses the organization of a trusted request.
const OrganizationHeader = "Sigpost-Organization"

// Trusted answers requests whose sender is known already – through the control
// socket, which only its owner can open – as the administrator of an
// organization: the one that OrganizationHeader names, or else org.
func (a *API) Trusted(org hook.Key) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &Caller{Org: org, Scope: hook.ScopeAdmin, Operator: true}
		if id := r.Header.Get(OrganizationHeader); id != "" {
			if !strings.HasPrefix(id, string(hook.KindOrganization)) {
				a.fail(w, r, hook.Errorf(hook.CodeInvalid, "%.60q is not an organization's id, which begins with org_", id))
				return
			}
			find := a.organization
			if r.Method != http.MethodPost {
				find = a.knownOrganization // only what makes something makes an organization for it
			}
			var err error
			if c.Org, err = find(r.Context(), id); err != nil {
				a.fail(w, r, err)
				return
			}
		}
		a.serve(w, r, c)
	})
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, c *Caller) {
	defer a.catch(w, r)
	if p := r.URL.EscapedPath(); len(p) > 1 && strings.HasSuffix(p, "/") {
		r.URL.Path, r.URL.RawPath = strings.TrimSuffix(r.URL.Path, "/"), strings.TrimSuffix(r.URL.RawPath, "/")
	}
	if p := r.URL.EscapedPath(); path.Clean(p) != p {
		a.missing(w, r)
		return
	}
	if r.Header.Get("Origin") != "" {
		w.Header().Set("Vary", "Origin")
	}
	if c == nil && r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		a.preflight(w, r)
		return
	}
	stream := r.URL.Path == streamPath && r.Method == http.MethodGet
	if _, pattern := a.mux.Handler(r); pattern == "" && !stream {
		a.missing(w, r)
		return
	}
	// What is answered may hold what only this caller may see.
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	from := a.sender(r)
	if c == nil && !open(r) {
		var err error
		if c, err = a.authenticate(r, from, true); err != nil {
			a.shareRefusal(w, r)
			a.fail(w, r, err)
			return
		}
		if err := a.share(w, r, c); err != nil {
			a.fail(w, r, err)
			return
		}
	}
	ctx := withSender(r.Context(), from)
	if c != nil {
		ctx = withCaller(ctx, c)
	}
	if stream {
		a.Stream(w, r.WithContext(ctx), c)
		return
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" && r.Method == http.MethodPost && c != nil && !isSession(r.URL.Path) {
		a.once(w, r.WithContext(ctx), c, key)
		return
	}
	a.mux.ServeHTTP(w, r.WithContext(ctx))
}

// open says whether a request needs no token.
func open(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/v1/health") || signsIn(r)
}

// missing answers what no operation serves.
func (a *API) missing(w http.ResponseWriter, r *http.Request) {
	probe := r.Clone(r.Context())
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe.Method = method
		if _, pattern := a.mux.Handler(probe); pattern != "" && path.Clean(r.URL.EscapedPath()) == r.URL.EscapedPath() {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		a.fail(w, r, newFault(http.StatusMethodNotAllowed, r.Method+" is not for this path; the header Allow says what is"))
		return
	}
	a.fail(w, r, hook.Errorf(hook.CodeNotFound, "there is nothing at %s; /openapi.json lists what there is", r.URL.Path))
}

// catch turns a panic into our own trouble.
func (a *API) catch(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	a.Log.Error("panic", "method", r.Method, "path", r.URL.Path, "value", v, "stack", string(debug.Stack()))
	w.Header().Set("Retry-After", "5")
	a.fail(w, r, newFault(http.StatusServiceUnavailable, "something went wrong here; try again"))
}

// operation declares one operation of the API.
type operation struct {
	id      string // of the wire API, without "v1."
	method  string
	path    string
	summary string
	access  access
	status  int // of success; 0 is 200
	also    int // another status of success, for those that make or change
	body    int64
	files   []string // content types of an answer that is no JSON
}

// register adds an operation: its handler runs only for callers with its access.
func register[I, O any](a *API, op operation, handler func(context.Context, *I) (*O, error)) {
	status := op.status
	if status == 0 {
		status = http.StatusOK
	}
	h := huma.Operation{
		OperationID: "v1." + op.id, Method: op.method, Path: op.path, Summary: op.summary, DefaultStatus: status, MaxBodyBytes: op.body,
		Tags: []string{tag(op.id)}, Responses: map[string]*huma.Response{}, Errors: errorsOf(op), Metadata: map[string]any{accessKey: op.access},
	}
	if h.MaxBodyBytes == 0 {
		h.MaxBodyBytes = bodyLimit
		if capabilities[op.access] != "" {
			h.MaxBodyBytes = portalLimit
		}
	}
	if op.access == accessOpen || op.access == accessSignIn {
		h.Security = []map[string][]string{}
	}
	h.Middlewares = huma.Middlewares{func(c huma.Context, next func(huma.Context)) {
		if err := allow(c.Context(), op.access); err != nil {
			r, w := humago.Unwrap(c)
			a.fail(w, r, err) // before the body is read: what is wrong with it costs memory to say
			return
		}
		next(c)
	}}
	noted := audited(&op)
	huma.Register(a.huma, h, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, a.told(ctx, &h, err)
		}
		if noted {
			a.note(ctx, &op, in, out)
		}
		if b, ok := any(out).(interface{ orStatus(int) }); ok && out != nil {
			b.orStatus(status)
		}
		return out, nil
	})
	a.document(&h, op)
}

// documentVersion is that of the API, not of the program.
const documentVersion = "1.0.0"

// bodyLimit is the longest request body unless an operation says otherwise: a
// payload of 1 MiB as base64 and what stands around it.
const bodyLimit = 2 << 20

// portalLimit is the longest one of what portals may do: their keys are with customers, and to
// check a body of numbers where words belong takes hundreds of times its size.
const portalLimit = 256 << 10

func tag(id string) string {
	i := strings.LastIndexByte(id, '.')
	return id[:i]
}
