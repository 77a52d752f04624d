package alert

import (
	"context"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// endpointData is what an operational webhook says of an endpoint.
type endpointData struct {
	AppID       string `json:"appId"`
	AppUID      string `json:"appUid,omitempty"`
	EndpointID  string `json:"endpointId"`
	EndpointUID string `json:"endpointUid,omitempty"`
}

// ingestData is that of an endpoint of a source.
type ingestData struct {
	SourceID    string `json:"sourceId"`
	SourceUID   string `json:"sourceUid,omitempty"`
	EndpointID  string `json:"endpointId"`
	EndpointUID string `json:"endpointUid,omitempty"`
}

// disabledFields are added when an endpoint was disabled.
type disabledFields struct {
	FailSince *time.Time `json:"failSince,omitempty"`
	Trigger   string     `json:"trigger"` // "manual" or "automatic"
	Reason    string     `json:"reason"`
}

// warnedFields are added when an endpoint is warned about.
type warnedFields struct {
	FailSince *time.Time `json:"failSince"`
	Percent   int        `json:"percent"`
	DisableAt *time.Time `json:"disableAt,omitempty"`
}

// owner is whose an endpoint is.
type owner struct {
	app    hook.Application
	source *hook.Source // of the endpoints of a source
	// name is what people call it: "application acme".
	name string
}

func (a *Alerts) owner(ctx context.Context, org, app hook.Key) (o owner, err error) {
	if o.app, err = a.Store.Application(ctx, org, app); err != nil {
		return o, err
	}
	switch {
	case o.app.Kind == hook.AppOperational:
		o.name = "operational webhooks"
	case o.app.Kind == hook.AppOfSource:
		x, err := a.Store.SourceByApp(ctx, org, app)
		if err != nil {
			return o, err
		}
		o.source, o.name = &x, "source "+x.Name
	case o.app.UID != "":
		o.name = "application " + o.app.UID
	default:
		o.name = "application " + o.app.Name
	}
	return o, nil
}

// look is the command that lists the owner's endpoints.
func (a *Alerts) look(o *owner) string {
	if o.source != nil {
		return "sigpost endpoint list"
	}
	return "sigpost endpoint list --app " + a.IDs.Public(hook.KindApplication, o.app.ID)
}

func (a *Alerts) endpointData(o *owner, e *hook.Endpoint) endpointData {
	return endpointData{
		AppID: a.IDs.Public(hook.KindApplication, o.app.ID), AppUID: o.app.UID, EndpointID: a.IDs.Public(hook.KindEndpoint, e.ID), EndpointUID: e.UID,
	}
}

func (a *Alerts) ingestData(o *owner, e *hook.Endpoint) ingestData {
	return ingestData{
		SourceID: a.IDs.Public(hook.KindSource, o.source.ID), SourceUID: o.source.UID, EndpointID: a.IDs.Public(hook.KindEndpoint, e.ID), EndpointUID: e.UID,
	}
}

// about begins an alert about an endpoint.
func (a *Alerts) about(kind hook.AlertKind, s hook.Severity, o *owner, e *hook.Endpoint) hook.Alert {
	return hook.Alert{
		Kind: kind, Severity: s, Org: e.Org, At: time.Now(), About: a.IDs.Public(hook.KindEndpoint, e.ID), Name: e.Label() + " of " + o.name, Look: a.look(o),
	}
}

// with gives an alert its data, unless it is about operational webhooks.
func (o *owner) with(x hook.Alert, data any) hook.Alert {
	if o.app.Kind != hook.AppOperational {
		x.Data = data
	}
	return x
}

// EndpointCreated tells that an endpoint was made.
func (a *Alerts) EndpointCreated(ctx context.Context, e hook.Endpoint) {
	ctx = context.WithoutCancel(ctx) // that it was done holds although the caller has gone
	if e.State == hook.Disabled {    // it was born so, which is no news
		a.once(ctx, disabledClaim(&e), func(context.Context) error { return nil })
	}
	a.changed(ctx, hook.AlertEndpointCreated, e, "was created")
}

// EndpointDeleted tells that an endpoint was deleted.
func (a *Alerts) EndpointDeleted(ctx context.Context, e hook.Endpoint) {
	a.changed(context.WithoutCancel(ctx), hook.AlertEndpointDeleted, e, "was deleted")
}

// EndpointChanged tells that somebody changed an endpoint, and what that means:
// it may be disabled now, or enabled again.
func (a *Alerts) EndpointChanged(ctx context.Context, before, after hook.Endpoint) {
	ctx = context.WithoutCancel(ctx)
	a.changed(ctx, hook.AlertEndpointUpdated, after, "was changed")
	switch {
	case before.State != hook.Disabled && after.State == hook.Disabled:
		a.tellDisabled(ctx, after, time.Time{})
	case before.State == hook.Disabled && after.State != hook.Disabled:
		a.tellEnabled(ctx, after)
	}
}

// EndpointEnabled tells that an endpoint gets its messages again. It does not block.
func (a *Alerts) EndpointEnabled(e hook.Endpoint) {
	a.later(func(ctx context.Context) { a.tellEnabled(ctx, e) })
}

// EndpointDisabled tells that an endpoint was disabled by rule, and why; failing
// since when, where that is known. The store must have it so already. It does not
// block. Of one endpoint that is disabled it is told once, however often this is
// called.
func (a *Alerts) EndpointDisabled(e hook.Endpoint, reason string, failingSince time.Time) {
	e.State, e.Reason = hook.Disabled, reason
	a.later(func(ctx context.Context) { a.tellDisabled(ctx, e, failingSince) })
}

// EndpointWarned tells that an endpoint has been failing for a part, in percent,
// of the time after which it is disabled: at disableAt, zero when it never is. It
// does not block. Each percentage of one time of failing is told once, and none
// that is lower than one that was told, so it may be called as often as the state
// is looked at.
func (a *Alerts) EndpointWarned(e hook.Endpoint, percent int, failingSince, disableAt time.Time) {
	a.later(func(ctx context.Context) { a.tellWarned(ctx, e, percent, failingSince, disableAt) })
}

// changed tells of what somebody did to an endpoint.
func (a *Alerts) changed(ctx context.Context, kind hook.AlertKind, e hook.Endpoint, did string) {
	o, err := a.owner(ctx, e.Org, e.App)
	if err != nil {
		a.notTold(ctx, kind, err)
		return
	}
	x := o.with(a.about(kind, hook.Info, &o, &e), a.endpointData(&o, &e))
	x.Title = fmt.Sprintf("Endpoint %s %s", x.Name, did)
	_ = a.Raise(ctx, x) // logged, and there is nothing to take back
}

func (a *Alerts) notTold(ctx context.Context, kind hook.AlertKind, err error) {
	if hook.CodeOf(err) != hook.CodeNotFound { // else it was deleted meanwhile
		a.Log.WarnContext(ctx, "alert not told", "kind", string(kind), "error", err)
	}
}

// disabledClaim is the right to tell that an endpoint is disabled: there is one
// until it is enabled again.
func disabledClaim(e *hook.Endpoint) hook.AlertClaim {
	return hook.AlertClaim{About: e.ID, Org: e.Org, Kind: hook.AlertEndpointDisabled, Mark: 1}
}

func (a *Alerts) tellDisabled(ctx context.Context, e hook.Endpoint, failingSince time.Time) {
	if now, err := a.Store.Endpoint(ctx, e.App, e.ID); err != nil {
		a.notTold(ctx, hook.AlertEndpointDisabled, err) // the sweep does it
		return
	} else if now.State != hook.Disabled {
		return // it was enabled while this waited
	}
	a.once(ctx, disabledClaim(&e), func(ctx context.Context) error {
		o, err := a.owner(ctx, e.Org, e.App)
		if err != nil {
			return err
		}
		x := a.about(hook.AlertEndpointDisabled, hook.Critical, &o, &e)
		f := disabledFields{instant(failingSince), "automatic", e.Reason}
		if e.Reason == hook.DisabledByHand {
			x.Severity, f.Trigger = hook.Info, "manual"
		}
		x.Title, x.Since, x.Why = fmt.Sprintf("Endpoint %s was disabled", x.Name), failingSince, e.Reason
		x.Next = "What comes for it is held, and goes out when it is enabled again."
		if o.source != nil {
			x.Kind = hook.AlertIngestDisabled
			return a.Raise(ctx, o.with(x, struct {
				ingestData
				disabledFields
			}{a.ingestData(&o, &e), f}))
		}
		return a.Raise(ctx, o.with(x, struct {
			endpointData
			disabledFields
		}{a.endpointData(&o, &e), f}))
	})
}

func (a *Alerts) tellEnabled(ctx context.Context, e hook.Endpoint) {
	if err := a.Store.ForgetAlert(ctx, e.ID, hook.AlertEndpointDisabled); err != nil {
		a.Log.WarnContext(ctx, "alert not forgotten yet", "endpoint", e.Label(), "error", err) // the sweep does it
	}
	a.changed(ctx, hook.AlertEndpointEnabled, e, "was enabled")
}

// percents is more than there are: a mark has the time and, below it, the percentage.
const percents = 128

func (a *Alerts) tellWarned(ctx context.Context, e hook.Endpoint, percent int, failingSince, disableAt time.Time) {
	c := hook.AlertClaim{About: e.ID, Org: e.Org, Kind: hook.AlertEndpointWarned, Mark: failingSince.UnixMilli()*percents + int64(percent)}
	a.once(ctx, c, func(ctx context.Context) error {
		o, err := a.owner(ctx, e.Org, e.App)
		if err != nil {
			return err
		}
		x := a.about(hook.AlertEndpointWarned, hook.Warning, &o, &e)
		x.Title, x.Since = fmt.Sprintf("Endpoint %s has been failing for %s", x.Name, lasting(x.At.Sub(failingSince))), failingSince
		x.Why = "No attempt has succeeded since then."
		x.Next = "Endpoints of sources are never disabled by themselves; each message is tried for as long as its schedule says."
		if !disableAt.IsZero() {
			x.Next = fmt.Sprintf("It is disabled at %s unless an attempt succeeds before; %d %% of the time have passed.", at(disableAt), percent)
		}
		f := warnedFields{instant(failingSince), percent, instant(disableAt)}
		if o.source != nil {
			x.Kind = hook.AlertIngestWarned
			return a.Raise(ctx, o.with(x, struct {
				ingestData
				warnedFields
			}{a.ingestData(&o, &e), f}))
		}
		return a.Raise(ctx, o.with(x, struct {
			endpointData
			warnedFields
		}{a.endpointData(&o, &e), f}))
	})
}
