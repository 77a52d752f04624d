package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// AppUsageStatsIn asks what applications were sent.
type AppUsageStatsIn struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	AppIDs []string  `json:"appIds,omitempty" nullable:"true" maxItems:"1000" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"Ids or uids; all applications when left out"`
}

// AppUsageStatsOut is the task that counts.
type AppUsageStatsOut struct {
	TaskOut
	UnresolvedAppIDs []string `json:"unresolvedAppIds" doc:"Those that there are not; the others are counted"`
}

// EndpointStats counts the deliveries of an endpoint.
type EndpointStats struct {
	Success  int64 `json:"success"`
	Pending  int64 `json:"pending" doc:"Waiting for an attempt, for their turn, or for the endpoint to be enabled"`
	Sending  int64 `json:"sending" doc:"Always 0: what is under way counts as pending"`
	Fail     int64 `json:"fail"`
	Canceled int64 `json:"canceled"`
}

func registerStatistics(a *API) {
	register(a, operation{
		id: "statistics.aggregate-event-types", method: http.MethodPut, path: "/api/v1/stats/usage/event-types", summary: "Gather the event types that applications subscribe to",
		access: accessOrg, status: http.StatusAccepted,
	}, func(ctx context.Context, _ *struct{}) (*Body[TaskOut], error) {
		out, err := a.begin(ctx, hook.TaskAggregateEventTypes, struct{}{})
		return answerWith(http.StatusAccepted, out), err
	})
	register(a, operation{
		id: "statistics.aggregate-app-stats", method: http.MethodPost, path: "/api/v1/stats/usage/app", summary: "Count what applications were sent",
		access: accessOrg, status: http.StatusAccepted,
	}, a.countApps)
	register(a, operation{
		id: "endpoint.get-stats", method: http.MethodGet, path: "/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats", summary: "Count an endpoint's deliveries by state", access: accessRead,
	}, a.endpointStats)
}

func (a *API) countApps(ctx context.Context, in *struct{ Body AppUsageStatsIn }) (*Body[AppUsageStatsOut], error) {
	r, err := span(in.Body.Since, &in.Body.Until)
	if err != nil {
		return nil, err
	}
	if err := distinct("appIds", in.Body.AppIDs); err != nil {
		return nil, err
	}
	out := AppUsageStatsOut{UnresolvedAppIDs: []string{}}
	task := hook.StatsTask{Since: r.Since, Until: r.Until, All: in.Body.AppIDs == nil}
	for _, ref := range in.Body.AppIDs {
		x, err := a.app(ctx, ref)
		switch {
		case isNotFound(err):
			out.UnresolvedAppIDs = append(out.UnresolvedAppIDs, ref)
		case err != nil:
			return nil, err
		default:
			task.Apps = append(task.Apps, x.ID)
		}
	}
	slices.Sort(task.Apps)
	task.Apps = slices.Compact(task.Apps)
	out.TaskOut, err = a.begin(ctx, hook.TaskAppStats, task)
	return answerWith(http.StatusAccepted, out), err
}

func (a *API) endpointStats(ctx context.Context, in *struct {
	EndpointPath
	Since time.Time `query:"since" doc:"Only deliveries made at or after this time"`
	Until time.Time `query:"until" doc:"Only deliveries made before this time"`
}) (*Body[EndpointStats], error) {
	_, e, err := a.endpoint(ctx, in.AppID, in.EndpointID)
	if err != nil {
		return nil, err
	}
	if !in.Since.IsZero() && !in.Until.IsZero() && !in.Until.After(in.Since) {
		return nil, invalid("is not after since", "query", "until")
	}
	now := time.Now()
	if in.Since.After(now) {
		return answer(EndpointStats{}), nil
	}
	if in.Until.After(now) {
		in.Until = time.Time{} // keys end long before the year 9999
	}
	n, err := a.Store.EndpointStats(ctx, e.ID, hook.Range{Since: in.Since, Until: in.Until})
	return answerWith(http.StatusOK, EndpointStats{
		Success: n[hook.Delivered], Pending: n[hook.Pending] + n[hook.Waiting] + n[hook.Held], Fail: n[hook.Failed], Canceled: n[hook.Canceled],
	}), err
}
