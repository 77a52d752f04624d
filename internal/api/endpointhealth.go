package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// EndpointHealthOut is how an endpoint has been doing.
type EndpointHealthOut struct {
	Failing       bool       `json:"failing" doc:"Whether the last attempt that ended failed"`
	FailingSince  *time.Time `json:"failingSince,omitempty" nullable:"true" doc:"The first failure after the last success"`
	Failures      int        `json:"failures" doc:"How many attempts failed since then"`
	LastFailureAt *time.Time `json:"lastFailureAt,omitempty" nullable:"true"`
	LastSuccessAt *time.Time `json:"lastSuccessAt,omitempty" nullable:"true" doc:"The one that ended the last failures; of an endpoint that never failed it is not noted"`
	Warned        int        `json:"warned" doc:"The highest warning that was given, in percent of the time after which it is disabled"`
	DisabledAt    *time.Time `json:"disabledAt,omitempty" nullable:"true" doc:"When it will be disabled if it goes on failing"`
	Breaker       BreakerOut `json:"breaker"`
}

// BreakerOut says whether attempts are being made.
type BreakerOut struct {
	State string     `json:"state" enum:"closed,open,half-open" doc:"closed: all attempts are made; open: none; half-open: one at a time, which decides"`
	Until *time.Time `json:"until,omitempty" nullable:"true" doc:"Until when it is open"`
	Trips int        `json:"trips" doc:"How often in a row it opened"`
}

func registerEndpointHealth(a *API) {
	register(a, operation{
		id: "endpoint.health", method: http.MethodGet, path: "/api/v1/app/{app_id}/endpoint/{endpoint_id}/health", summary: "Say how an endpoint has been doing", access: accessRead,
	}, func(ctx context.Context, in *EndpointPath) (*Body[EndpointHealthOut], error) {
		_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
		if err != nil {
			return nil, err
		}
		return a.endpointHealth(ctx, e)
	})
	register(a, operation{
		id: "ingest.endpoint.health", method: http.MethodGet, path: "/ingest/api/v1/source/{source_id}/endpoint/{endpoint_id}/health", summary: "Say how an endpoint of a source has been doing", access: accessOrgRead,
	}, func(ctx context.Context, in *SourceEndpointPath) (*Body[EndpointHealthOut], error) {
		e, err := a.sourceEndpoint(ctx, *in)
		if err != nil {
			return nil, err
		}
		return a.endpointHealth(ctx, e)
	})
}

func (a *API) endpointHealth(ctx context.Context, e hook.Endpoint) (*Body[EndpointHealthOut], error) {
	h, err := a.Store.Health(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	out := EndpointHealthOut{
		Failing: !h.FailingSince.IsZero(), FailingSince: moment(h.FailingSince), Failures: h.Failures, LastFailureAt: moment(h.LastFailureAt),
		LastSuccessAt: moment(h.LastSuccessAt), Warned: h.Warned, Breaker: BreakerOut{State: breakerState(&h, time.Now()), Trips: h.Trips},
	}
	if out.Breaker.State == breakerOpen {
		out.Breaker.Until = moment(h.OpenUntil)
	}
	if out.Failing && !e.OfSource && e.State == hook.Enabled {
		out.DisabledAt = moment(h.FailingSince.Add(hook.DisableAfter))
	}
	return answerWith(http.StatusOK, out), nil
}

const (
	breakerClosed   = "closed"
	breakerOpen     = "open"
	breakerHalfOpen = "half-open"
)

func breakerState(h *hook.Health, now time.Time) string {
	switch {
	case h.Trips == 0:
		return breakerClosed
	case h.OpenUntil.After(now):
		return breakerOpen
	}
	return breakerHalfOpen
}

// moment is a time, or nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	at := when(t)
	return &at
}

// gates are what may hold the deliveries of an endpoint back.
type gates struct {
	health hook.Health
	// app bounds the attempts a second of all endpoints of its application; 0 is no bound.
	app int
}

func (a *API) gatesOf(ctx context.Context, e *hook.Endpoint) (g gates, err error) {
	if g.health, err = a.Store.Health(ctx, e.ID); err != nil {
		return g, err
	}
	app, err := a.Store.Application(ctx, e.Org, e.App)
	if isNotFound(err) {
		return g, nil // it is being deleted
	}
	g.app = app.Throttle
	return g, err
}

// waiting says why a pending delivery that is due or in memory is not being attempted,
// as far as the endpoint is the reason; empty when it is not.
func waiting(d *hook.Delivery, e *hook.Endpoint, g *gates, now time.Time) string {
	n := d.Attempts + 1
	switch breakerState(&g.health, now) {
	case breakerOpen:
		return fmt.Sprintf("attempt %d waits for the endpoint: its breaker is open until %s, for it failed again and again, or asked for time; no retry is lost", n, when(g.health.OpenUntil).Format(time.RFC3339))
	case breakerHalfOpen:
		return fmt.Sprintf("attempt %d waits for the endpoint: one attempt at a time tries whether it is back; no retry is lost", n)
	}
	switch {
	case e.Throttle > 0 && (g.app == 0 || e.Throttle <= g.app):
		return fmt.Sprintf("attempt %d waits for its turn: the endpoint gets at most %d a second", n, e.Throttle)
	case g.app > 0:
		return fmt.Sprintf("attempt %d waits for its turn: the endpoints of its application get at most %d a second together", n, g.app)
	}
	return ""
}
