package alert

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

func TestChangesOfEndpointsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.alerts()
	e := w.endpoint(w.app, hook.Endpoint{})
	for name, c := range map[string]struct {
		wants         string
		before, after hook.EndpointState
		want          []string
	}{
		"a change":                {"*", hook.Enabled, hook.Enabled, []string{"endpoint.updated"}},
		"disabled":                {"*", hook.Enabled, hook.Disabled, []string{"endpoint.updated", "endpoint.disabled"}},
		"enabled again":           {"*", hook.Disabled, hook.Enabled, []string{"endpoint.updated", "endpoint.enabled"}},
		"paused is neither":       {"*", hook.Enabled, hook.Paused, []string{"endpoint.updated"}},
		"still disabled":          {"*", hook.Disabled, hook.Disabled, []string{"endpoint.updated"}},
		"somebody listens to one": {"endpoint.disabled", hook.Enabled, hook.Disabled, []string{"endpoint.disabled"}},
		"nobody listens":          {"message.*", hook.Enabled, hook.Disabled, nil},
	} {
		w.hooks.wants = c.wants
		before, after := e, e
		before.State, after.State, after.Reason = c.before, c.after, hook.DisabledByHand
		w.set(t, after)
		a.EndpointChanged(t.Context(), before, after)
		if diff := cmp.Diff(c.want, w.told(), cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := w.ForgetAlert(t.Context(), e.ID, hook.AlertEndpointDisabled); err != nil {
			t.Fatal(err)
		}
	}
}

// An alert about operational webhooks as one of them would have no end.
func TestEndpointsOfOperationalWebhooksAreNotToldOfByThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.alerts()
	e := w.endpoint(w.opApp, hook.Endpoint{URL: "https://ops.example/hook"})
	a.EndpointCreated(t.Context(), e)
	w.disable(e)
	a.EndpointDisabled(e, "it answered 410 Gone", time.Time{})
	a.Attempt(&e, nil, failure(e, 3, hook.Pending))
	a.Drain(t.Context())
	w.expect("webhooks")
	if mails := w.mails.take(); len(mails) != 3 || mails[1].Kind != hook.AlertEndpointDisabled || mails[1].Severity != hook.Critical || mails[1].Name != "https://ops.example/hook of operational webhooks" {
		t.Errorf("mails %+v", mails)
	}
	if found := w.log.take(`level=ERROR msg="endpoint disabled" about=ep_`); len(found) != 1 {
		t.Errorf("logged %q", found)
	}
}

func TestAnOrganizationWithoutOperationalWebhooksGetsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, err := w.OrganizationByExternal(t.Context(), "org_other")
	if err != nil {
		t.Fatal(err)
	}
	app, err := w.CreateApplication(t.Context(), hook.Application{Org: other.ID, Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	w.alerts().EndpointCreated(t.Context(), w.endpoint(app, hook.Endpoint{}))
	w.expect("webhooks of another organization")
	if apps, err := w.Applications(t.Context(), other.ID, hook.Page{Limit: 1}, hook.AppFilter{Kind: hook.AppOperational}); err != nil || len(apps) != 0 {
		t.Errorf("an operational application was made: %v, %v", apps, err)
	}
}

func TestADisabledEndpointIsToldOfOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.alerts()
	e := w.endpoint(w.app, hook.Endpoint{UID: "orders"})
	since := time.Date(2026, 11, 18, 6, 0, 0, 0, time.UTC)
	w.disable(e)
	for range 3 { // several attempts get a 410 at once
		a.EndpointDisabled(e, "it answered 410 Gone", since)
	}
	a.Drain(t.Context())
	sent := w.hooks.take()
	want := []webhook{{"endpoint.disabled", map[string]any{
		"appId": w.IDs().Public(hook.KindApplication, w.app.ID), "appUid": "acme", "endpointId": w.IDs().Public(hook.KindEndpoint, e.ID), "endpointUid": "orders",
		"failSince": "2026-11-18T06:00:00Z", "trigger": "automatic", "reason": "it answered 410 Gone",
	}}}
	if d := cmp.Diff(want, sent); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	mails := w.mails.take()
	if len(mails) != 1 || mails[0].Title != "Endpoint https://acme.example/hook?… of application acme was disabled" || !strings.HasPrefix(mails[0].Look, "sigpost endpoint list --app app_") {
		t.Errorf("mails %+v", mails)
	}
	if found := w.log.take("endpoint disabled"); len(found) != 1 || strings.Contains(found[0], "hidden") {
		t.Errorf("logged %q", found)
	}
	a.EndpointEnabled(e)
	a.EndpointDisabled(e, "it answered 410 Gone", since)
	a.Drain(t.Context())
	w.expect("disabled after it was enabled", "endpoint.enabled", "endpoint.disabled")
	w.set(t, e) // which is enabled
	a.EndpointEnabled(e)
	a.EndpointDisabled(e, "it answered 410 Gone", since)
	a.Drain(t.Context())
	w.expect("what came too late", "endpoint.enabled")
}

func TestAWarningIsToldOncePerPercentage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.alerts()
	e := w.endpoint(w.app, hook.Endpoint{})
	since := time.Now().Add(-60 * time.Hour)
	warn := func(what string, percent int, since time.Time, want ...string) {
		t.Helper()
		a.EndpointWarned(e, percent, since, since.Add(120*time.Hour))
		a.Drain(t.Context())
		w.expect(what, want...)
	}
	warn("at 50 %", 50, since, "endpoint.warned")
	warn("at 50 % again", 50, since)
	warn("at 75 %", 75, since, "endpoint.warned")
	warn("late, at 50 %", 50, since)
	warn("at 90 %", 90, since, "endpoint.warned")
	if mails := w.mails.take(); len(mails) != 3 || mails[0].Title != "Endpoint https://acme.example/hook?… of application acme has been failing for 2 days 12 hours" ||
		!strings.HasPrefix(mails[0].Next, "It is disabled at ") || !strings.HasSuffix(mails[0].Next, "; 50 % of the time have passed.") || !mails[0].Since.Equal(since) {
		t.Errorf("mails %+v", mails)
	}
	warn("when it fails anew", 50, since.Add(time.Hour), "endpoint.warned")
	own := w.endpoint(w.sourceApp(), hook.Endpoint{})
	w.disable(own)
	a.EndpointWarned(own, 50, since, time.Time{})
	a.EndpointDisabled(own, hook.DisabledByHand, time.Time{})
	a.Drain(t.Context())
	sent := w.hooks.take()
	if len(sent) != 2 || sent[0].Type != "ingest.endpoint.warned" || sent[0].Data["sourceUid"] != "vp" || sent[0].Data["disableAt"] != nil || sent[1].Type != "ingest.endpoint.disabled" || sent[1].Data["trigger"] != "manual" {
		t.Errorf("of a source's endpoint: %v", sent)
	}
}

func TestWhatWasNotToldIsSwept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.alerts()
	e, born := w.endpoint(w.app, hook.Endpoint{}), w.endpoint(w.app, hook.Endpoint{State: hook.Disabled, Reason: hook.DisabledByHand})
	a.EndpointCreated(t.Context(), born)
	w.expect("born disabled", "endpoint.created")
	if err := w.DisableEndpoint(t.Context(), e.ID, "it answered 410 Gone"); err != nil {
		t.Fatal(err)
	}
	for range queueLimit { // the queue is full of what matters less
		a.Attempt(&e, nil, failure(e, 3, hook.Pending))
	}
	a.EndpointDisabled(e, "it answered 410 Gone", time.Time{})
	a.Attempt(&e, nil, failure(e, 3, hook.Pending))
	a.queue = make(chan func(context.Context), queueLimit)
	a.Drain(t.Context())
	if found := w.log.take("alerts dropped: "); len(found) != 1 || !strings.Contains(found[0], "count=2") {
		t.Errorf("logged %q", found)
	}
	w.expect("when the queue was full")
	sweep := func(what string, want ...string) {
		t.Helper()
		if err := a.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		w.expect(what, want...)
	}
	w.hooks.fail(errors.New("the disk is full"))
	sweep("while the store has trouble")
	if found := w.log.take("the disk is full"); len(found) != 2 { // the webhook, and that it is told another time
		t.Errorf("logged %q", found)
	}
	w.hooks.fail(nil)
	sweep("while it may still be told")
	if _, err := w.ForgetAlerts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.ForgetAlert(t.Context(), e.ID, hook.AlertEndpointDisabled); err != nil { // as a minute does
		t.Fatal(err)
	}
	sweep("later", "endpoint.disabled")
	sweep("again")
}
