package api

import (
	"context"
	"net/http"
)

func registerHealth(a *API) {
	register(a, operation{id: "health.get", method: http.MethodGet, path: "/api/v1/health", summary: "Verify the API server is up and running", status: http.StatusNoContent},
		func(ctx context.Context, _ *struct{}) (*None, error) {
			if err := a.Store.Ping(ctx); err != nil {
				a.Log.ErrorContext(ctx, "health check failed", "error", err)
				return nil, newFault(http.StatusServiceUnavailable, "the store does not answer")
			}
			return nil, nil
		})
	register(a, operation{id: "health.ping", method: http.MethodGet, path: "/api/v1/health/ping", summary: "The same without asking the store", status: http.StatusNoContent},
		func(context.Context, *struct{}) (*None, error) { return nil, nil })
}
