package api

import (
	"context"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Store is what the API reads and writes. Every method is told the organization
// or application whose rows it may touch; what is another's is not found.
type Store interface {
	organizationStore
	applicationStore
	endpointStore
	secretStore
	messageStore
	tokenStore
	userStore
	sessionStore
	auditStore
	countStore
	idempotencyStore
	taskStore
	attemptStore
	timelineStore
	orgMessageStore
	rejectedStore
	ingestStore
	Ping(ctx context.Context) error
}

type organizationStore interface {
	Organization(ctx context.Context, id hook.Key) (hook.Organization, error)
	// OrganizationByExternal makes it on first use.
	OrganizationByExternal(ctx context.Context, external string) (hook.Organization, error)
	Organizations(ctx context.Context) ([]hook.Organization, error)
	// SetOrgSettings refuses, with CodeStale, when the settings are not as they were.
	SetOrgSettings(ctx context.Context, id hook.Key, was, s hook.OrgSettings) error
}

type applicationStore interface {
	CreateApplication(ctx context.Context, a hook.Application) (hook.Application, error)
	Application(ctx context.Context, org, id hook.Key) (hook.Application, error)
	ApplicationByUID(ctx context.Context, org hook.Key, uid string) (hook.Application, error)
	// UpdateApplication, UpdateEndpoint and others refuse, with CodeStale, what was
	// changed since it was read.
	UpdateApplication(ctx context.Context, a hook.Application) (hook.Application, error)
	DeleteApplication(ctx context.Context, org, id hook.Key, now time.Time) error
	Applications(ctx context.Context, org hook.Key, page hook.Page, f hook.AppFilter) ([]hook.Application, error)
}

type endpointStore interface {
	CreateEndpoint(ctx context.Context, e hook.Endpoint, secret hook.Secret) (hook.Endpoint, error)
	Endpoint(ctx context.Context, app, id hook.Key) (hook.Endpoint, error)
	EndpointByUID(ctx context.Context, app hook.Key, uid string) (hook.Endpoint, error)
	UpdateEndpoint(ctx context.Context, e hook.Endpoint, secrets hook.SecretChange) (hook.Endpoint, error)
	DeleteEndpoint(ctx context.Context, app, id hook.Key) error
	ListEndpoints(ctx context.Context, app hook.Key, page hook.Page) ([]hook.Endpoint, error)
	EndpointsOf(ctx context.Context, app hook.Key) ([]hook.Endpoint, error)
	Health(ctx context.Context, endpoint hook.Key) (hook.Health, error)
	// FailingSince says of some endpoints since when every attempt has failed; those that
	// work are left out.
	FailingSince(ctx context.Context, endpoints []hook.Key) (map[hook.Key]time.Time, error)
}

type secretStore interface {
	// Secrets are the live ones, the one in force first.
	Secrets(ctx context.Context, owner hook.Key, now time.Time) ([]hook.LiveSecret, error)
}

type messageStore interface {
	MessageInfo(ctx context.Context, app, id hook.Key) (m hook.Message, hasBody bool, err error)
	Messages(ctx context.Context, keys []hook.Key) (map[hook.Key]*hook.Message, error)
	MessageByEventID(ctx context.Context, app hook.Key, eventID string) (hook.Key, error)
	ListMessagesOf(ctx context.Context, q hook.MessageQuery) (list []hook.Message, next hook.Key, err error)
	Deliveries(ctx context.Context, m *hook.Message) ([]hook.Delivery, error)
	DeliveriesOf(ctx context.Context, messages []hook.Message) (map[hook.Key][]hook.Delivery, error)
}

type tokenStore interface {
	CreateToken(ctx context.Context, t hook.Token) (hook.Token, error)
	TokenByHash(ctx context.Context, hash [32]byte) (hook.Token, error)
	Tokens(ctx context.Context, org hook.Key, page hook.Page) ([]hook.Token, error)
	RevokeToken(ctx context.Context, org, id hook.Key) error
	ExpireTokens(ctx context.Context, org, app hook.Key, sessions []string, at time.Time) (int64, error)
}

type idempotencyStore interface {
	// BeginRequest gives the answer that was kept for a key, of a request that made no
	// message, or lets this one be done: KeepAnswer or DropRequest ends it.
	BeginRequest(ctx context.Context, i *hook.Idempotency) (known hook.Answer, answered bool, err error)
	DropRequest(ctx context.Context, i hook.Idempotency) error
	KeepAnswer(ctx context.Context, org hook.Key, i hook.Idempotency, status int, body []byte) error
}
