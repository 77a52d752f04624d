package api

import (
	"context"

	"github.com/sigpost/sigpost/internal/hook"
)

// registerIngestReplay declares for the endpoints of sources what registerReplay
// does for those of applications.
func registerIngestReplay(a *API, one string) {
	register(a, recoverOperation("ingest.endpoint.recover", one, accessOrg), func(ctx context.Context, in *struct {
		SourceEndpointPath
		Body RecoverIn
	}) (*Body[TaskOut], error) {
		e, err := a.sourceEndpoint(ctx, in.SourceEndpointPath)
		return a.job(ctx, e, err, hook.TaskRecover, &in.Body)
	})
	register(a, replayMissingOperation("ingest.endpoint.replay-missing", one, accessOrg), func(ctx context.Context, in *struct {
		SourceEndpointPath
		Body ReplayIn
	}) (*Body[TaskOut], error) {
		e, err := a.sourceEndpoint(ctx, in.SourceEndpointPath)
		return a.job(ctx, e, err, hook.TaskReplayMissing, &in.Body)
	})
	register(a, bulkReplayOperation("ingest.endpoint.bulk-replay", one, accessOrg), func(ctx context.Context, in *struct {
		SourceEndpointPath
		Body BulkReplayIn
	}) (*Body[TaskOut], error) {
		e, err := a.sourceEndpoint(ctx, in.SourceEndpointPath)
		return a.job(ctx, e, err, hook.TaskBulkReplay, &in.Body)
	})
	register(a, cancelPendingOperation("ingest.endpoint.cancel-pending", one, accessOrg), func(ctx context.Context, in *struct {
		SourceEndpointPath
		Body CancelPendingIn
	}) (*Body[BackgroundTaskOut], error) {
		e, err := a.sourceEndpoint(ctx, in.SourceEndpointPath)
		return a.cancelPending(ctx, e, err, &in.Body)
	})
}
