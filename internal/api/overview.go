package api

import (
	"context"
	"net/http"
	"sort"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

type countStore interface {
	Counts(ctx context.Context, org hook.Key, r hook.Range) ([]hook.Count, error)
	BacklogOf(ctx context.Context, org hook.Key, now time.Time) (hook.Backlog, error)
	FailingOf(ctx context.Context, org hook.Key, limit int) ([]hook.Health, error)
	EndpointOf(ctx context.Context, org, id hook.Key) (hook.Endpoint, error)
}

// OverviewIn says of what time.
type OverviewIn struct {
	Since  time.Time `query:"since" doc:"An hour before until when left out; at most 400 days"`
	Until  time.Time `query:"until" doc:"Now when left out"`
	Points int       `query:"points" minimum:"1" maximum:"500" default:"60" doc:"How many buckets at most, and one more where since is within one: they are whole minutes, or hours where it was longer than a day ago"`
}

// OverviewOut is what happened, and what is the matter now.
type OverviewOut struct {
	StepSeconds        int             `json:"stepSeconds" doc:"The length of a bucket"`
	Buckets            []BucketOut     `json:"buckets" doc:"The oldest first, those without any too"`
	Totals             FiguresOut      `json:"totals"`
	OldestPending      *PendingOut     `json:"oldestPending,omitempty" doc:"The delivery that has been due the longest; not there when none is"`
	Pending            int             `json:"pending" doc:"Deliveries that are on their way: due, being sent, or waiting for a retry"`
	PendingMore        bool            `json:"pendingMore" doc:"There are more; it is not counted further"`
	EndpointsInTrouble []TroubleOut    `json:"endpointsInTrouble" doc:"Those that fail, or were disabled because they did: at most 20, those with the most failures first"`
	RejectedBySource   []SourceRejects `json:"rejectedBySource" doc:"The most first"`
}

// FiguresOut are sums of one span of time.
type FiguresOut struct {
	Received  int64 `json:"received" doc:"Messages that were kept; without duplicates"`
	Rejected  int64 `json:"rejected" doc:"Requests to sources that were refused"`
	Delivered int64 `json:"delivered" doc:"Deliveries that arrived"`
	Failed    int64 `json:"failed" doc:"Deliveries that were given up"`
	P50Ms     int64 `json:"p50Ms" doc:"Half of those that arrived took so long at most, from when the message was accepted, or sent again, with all retries; within a fifth"`
	P99Ms     int64 `json:"p99Ms" doc:"So did 99 of 100"`
}

// BucketOut are the sums of one bucket.
type BucketOut struct {
	At time.Time `json:"at" doc:"Its beginning"`
	FiguresOut
}

// PendingOut is a delivery that waits.
type PendingOut struct {
	At         time.Time `json:"at" doc:"When it was due"`
	MessageID  string    `json:"messageId"`
	EndpointID string    `json:"endpointId"`
}

// TroubleOut is an endpoint that does not get what it should.
type TroubleOut struct {
	EndpointID   string    `json:"endpointId"`
	AppID        *string   `json:"appId,omitempty"`
	SourceID     *string   `json:"sourceId,omitempty" doc:"Where it is an endpoint of a source"`
	Name         string    `json:"name"`
	URL          string    `json:"url"`
	State        string    `json:"state" enum:"enabled,paused,disabled"`
	Reason       string    `json:"reason"`
	FailingSince time.Time `json:"failingSince"`
	Failures     int       `json:"failures" doc:"Attempts that failed since then"`
	SuccessRate  float64   `json:"successRate" doc:"Of its last 100 attempts, from 0 to 1"`
}

// SourceRejects says how many requests to a source were refused.
type SourceRejects struct {
	SourceID string `json:"sourceId"`
	Name     string `json:"name" doc:"Empty when it was deleted"`
	Count    int64  `json:"count"`
}

func registerOverview(a *API) {
	register(a, operation{id: "overview.get", method: http.MethodGet, path: "/api/v1/overview", summary: "What happened, and what is the matter now", access: accessOrgRead}, a.overview)
}

// figures adds counts up.
type figures struct {
	FiguresOut
	took hook.Latencies
}

func (f *figures) add(c *hook.Count) {
	switch {
	case c.Kind == hook.CountReceived:
		f.Received += c.N
	case c.Kind == hook.CountRejected:
		f.Rejected += c.N
	case c.Kind == hook.CountFailed:
		f.Failed += c.N
	case c.Kind.Delivered():
		f.Delivered += c.N
		if f.took == nil {
			f.took = hook.Latencies{}
		}
		f.took[c.Kind] += c.N
	}
}

func (f *figures) out() FiguresOut {
	f.P50Ms, f.P99Ms = f.took.Quantile(0.5).Milliseconds(), f.took.Quantile(0.99).Milliseconds()
	return f.FiguresOut
}

const (
	// minutesLast is how long there are figures for each minute, and figuresLast how long there are any.
	minutesLast = 24 * time.Hour
	figuresLast = 400 * 24 * time.Hour
)

// steps are the buckets of a span: whole minutes, or hours where minutes are not kept.
func (in *OverviewIn) steps(now time.Time) (r hook.Range, step time.Duration, err error) {
	r = hook.Range{Since: in.Since, Until: in.Until}
	if r.Until.IsZero() {
		r.Until = now
	}
	if r.Since.IsZero() {
		r.Since = r.Until.Add(-time.Hour)
	}
	switch {
	case !r.Since.Before(r.Until):
		return r, 0, invalid("is not before until", "query", "since")
	case r.Since.Before(hook.Epoch):
		return r, 0, invalid("is before the year 2000; there are no figures of then", "query", "since")
	case r.Until.Sub(r.Since) > figuresLast:
		return r, 0, invalid("is more than 400 days before until; figures are kept no longer", "query", "since")
	}
	unit := time.Minute
	if r.Since.Before(now.Add(-minutesLast)) {
		unit = time.Hour
	}
	step = unit
	if least := r.Until.Sub(r.Since) / time.Duration(max(1, in.Points)); least > unit {
		step = (least + unit - 1) / unit * unit
	}
	r.Since = time.UnixMilli(r.Since.UnixMilli() - r.Since.UnixMilli()%unit.Milliseconds()).UTC()
	return r, step, nil
}

func (a *API) overview(ctx context.Context, in *OverviewIn) (*Body[OverviewOut], error) {
	now := time.Now()
	r, step, err := in.steps(now)
	if err != nil {
		return nil, err
	}
	org := caller(ctx).Org
	counts, err := a.Store.Counts(ctx, org, r)
	if err != nil {
		return nil, err
	}
	out := OverviewOut{StepSeconds: int(step.Seconds()), Buckets: []BucketOut{}}
	var total figures
	buckets := make([]figures, (r.Until.Sub(r.Since)+step-1)/step)
	rejected := map[hook.Key]int64{}
	for i := range counts {
		c := &counts[i]
		total.add(c)
		buckets[c.At.Sub(r.Since)/step].add(c)
		if c.Kind == hook.CountRejected {
			rejected[c.About] += c.N
		}
	}
	for i := range buckets {
		out.Buckets = append(out.Buckets, BucketOut{r.Since.Add(time.Duration(i) * step), buckets[i].out()})
	}
	out.Totals = total.out()
	if out.RejectedBySource, err = a.rejectedBySource(ctx, rejected); err != nil {
		return nil, err
	}
	is, err := a.present(ctx, now)
	if err != nil {
		return nil, err
	}
	out.OldestPending, out.Pending, out.PendingMore, out.EndpointsInTrouble = is.oldest, is.pending, is.more, is.trouble
	return answer(out), nil
}

func (a *API) rejectedBySource(ctx context.Context, counts map[hook.Key]int64) ([]SourceRejects, error) {
	list := []SourceRejects{}
	for id, n := range counts {
		x, err := a.Store.Source(ctx, caller(ctx).Org, id)
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		list = append(list, SourceRejects{a.IDs.Public(hook.KindSource, id), x.Name, n})
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].Count != list[j].Count {
			return list[i].Count > list[j].Count
		}
		return list[i].SourceID < list[j].SourceID
	})
	return list, nil
}

// present is what is the matter now. It is looked for at most every few seconds, however
// many look at it.
type present struct {
	oldest  *PendingOut
	pending int
	more    bool
	trouble []TroubleOut
}

// presentAge is how old it may be.
const presentAge = 3 * time.Second

func (a *API) present(ctx context.Context, now time.Time) (present, error) {
	org := caller(ctx).Org
	if p, ok := a.presents.find(org, now); ok {
		return p, nil
	}
	b, err := a.Store.BacklogOf(ctx, org, now)
	if err != nil {
		return present{}, err
	}
	p := present{pending: b.N, more: b.More, trouble: []TroubleOut{}}
	if b.Oldest.ID != 0 {
		p.oldest = &PendingOut{when(b.Oldest.NextAt), a.IDs.Public(hook.KindMessage, b.Oldest.Message), a.IDs.Public(hook.KindEndpoint, b.Oldest.Endpoint)}
	}
	const most = 20
	failing, err := a.Store.FailingOf(ctx, org, most)
	if err != nil {
		return present{}, err
	}
	for i := range failing {
		t, err := a.trouble(ctx, org, &failing[i])
		if isNotFound(err) {
			continue // it was deleted
		}
		if err != nil {
			return present{}, err
		}
		p.trouble = append(p.trouble, t)
	}
	a.presents.addUntil(org, p, now.Add(presentAge))
	return p, nil
}

func (a *API) trouble(ctx context.Context, org hook.Key, h *hook.Health) (TroubleOut, error) {
	e, err := a.Store.EndpointOf(ctx, org, h.Endpoint)
	if err != nil {
		return TroubleOut{}, err
	}
	out := TroubleOut{
		EndpointID: a.IDs.Public(hook.KindEndpoint, e.ID), Name: endpointLabel(&e), URL: e.URL, State: e.State.String(), Reason: e.Reason,
		FailingSince: when(h.FailingSince), Failures: h.Failures,
	}
	if e.OfSource {
		x, err := a.Store.SourceByApp(ctx, org, e.App)
		if err != nil {
			return TroubleOut{}, err
		}
		out.SourceID = pointer(a.IDs.Public(hook.KindSource, x.ID))
	} else {
		out.AppID = pointer(a.IDs.Public(hook.KindApplication, e.App))
	}
	const last = 100
	rows, _, err := a.Store.ListAttempts(ctx, hook.AttemptQuery{Endpoint: e.ID, Class: -1, Page: hook.Page{Limit: last}})
	if err != nil {
		return TroubleOut{}, err
	}
	good := 0
	for i := range rows {
		if rows[i].Outcome == hook.OutcomeDelivered {
			good++
		}
		if out.Reason == "" {
			out.Reason = rows[i].Reason
		}
	}
	if len(rows) > 0 {
		out.SuccessRate = float64(good) / float64(len(rows))
	}
	return out, nil
}
