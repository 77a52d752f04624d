package alert

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

// failure is a failed attempt after so many others.
func failure(e hook.Endpoint, before int, state hook.DeliveryState) *hook.Record {
	at := time.Date(2026, 11, 23, 18, 57, 52, 123456789, time.UTC)
	return &hook.Record{
		Delivery: hook.Delivery{Org: e.Org, Endpoint: e.ID, Failures: before, Since: at.Add(-time.Hour)}, State: state, NextAt: at.Add(2 * time.Hour),
		Attempt: &hook.Attempt{ID: 7, Message: 5, Endpoint: e.ID, Number: before + 1, At: at, Outcome: hook.OutcomeStatus, Status: 503, Reason: "answered 503 Service Unavailable"},
	}
}

func TestAttemptsThatMatterAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.alerts()
	ends := map[string]hook.Endpoint{"message": w.endpoint(w.app, hook.Endpoint{}), "ingest.message": w.endpoint(w.sourceApp(), hook.Endpoint{})}
	for name, c := range map[string]struct {
		before    int
		state     hook.DeliveryState
		delivered bool
		refused   bool
		want      string
	}{
		"the first failure":                {before: 0, state: hook.Pending},
		"the third":                        {before: 2, state: hook.Pending},
		"the fourth":                       {before: 3, state: hook.Pending, want: ".attempt.failing"},
		"the fifth":                        {before: 4, state: hook.Pending},
		"the last":                         {before: 11, state: hook.Failed, want: ".attempt.exhausted"},
		"the last is the fourth":           {before: 3, state: hook.Failed, want: ".attempt.exhausted"},
		"delivered at once":                {before: 0, state: hook.Delivered, delivered: true},
		"delivered after three":            {before: 3, state: hook.Delivered, delivered: true},
		"delivered after four":             {before: 4, state: hook.Delivered, delivered: true, want: ".attempt.recovered"},
		"somebody else decides about it":   {before: 3, state: hook.Pending, refused: true},
		"canceled, for nobody has it more": {before: 3, state: hook.Canceled},
	} {
		for prefix, e := range ends {
			r := failure(e, c.before, c.state)
			r.Refused = c.refused
			if c.delivered {
				r.Attempt.Outcome, r.Attempt.Status, r.Attempt.Reason = hook.OutcomeDelivered, 204, ""
			}
			a.Attempt(&e, &hook.Message{Event: hook.Event{ID: "evt-1"}}, r)
			a.Drain(t.Context())
			if c.want == "" {
				w.expect(name)
				continue
			}
			w.expect(name, prefix+c.want)
		}
	}
	a.Attempt(&hook.Endpoint{}, nil, &hook.Record{State: hook.Held}) // no attempt was made
	a.Drain(t.Context())
	w.expect("without an attempt")
}

func TestAnAttemptIsToldWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.alerts()
	ids := w.IDs()
	attempt := map[string]any{
		"msgId": ids.Public(hook.KindMessage, 5), "msgEventId": "evt-1",
		"lastAttempt": map[string]any{"id": ids.Public(hook.KindAttempt, 7), "responseStatusCode": 503.0, "timestamp": "2026-11-23T18:57:52.123Z"},
	}
	with := func(more map[string]any) map[string]any {
		for k, v := range attempt {
			more[k] = v
		}
		return more
	}
	customer, own := w.endpoint(w.app, hook.Endpoint{UID: "orders"}), w.endpoint(w.sourceApp(), hook.Endpoint{})
	for _, e := range []*hook.Endpoint{&customer, &own} {
		a.Attempt(e, &hook.Message{Event: hook.Event{ID: "evt-1"}}, failure(*e, 3, hook.Pending))
	}
	a.Drain(t.Context())
	want := []webhook{
		{"message.attempt.failing", with(map[string]any{
			"appId": ids.Public(hook.KindApplication, w.app.ID), "appUid": "acme", "endpointId": ids.Public(hook.KindEndpoint, customer.ID), "endpointUid": "orders",
		})},
		{"ingest.message.attempt.failing", with(map[string]any{
			"sourceId": ids.Public(hook.KindSource, w.source.ID), "sourceUid": "vp", "endpointId": ids.Public(hook.KindEndpoint, own.ID),
		})},
	}
	if d := cmp.Diff(want, w.hooks.take()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	mails := w.mails.take()
	if len(mails) != 2 || mails[0].Severity != hook.Info || mails[1].Severity != hook.Warning {
		t.Fatalf("mails %+v", mails)
	}
	m := mails[1]
	message := ids.Public(hook.KindMessage, 5)
	if m.Title != "Message "+message+" has failed 4 times at endpoint https://acme.example/hook?… of source veriff-prod" || m.Why != "answered 503 Service Unavailable" ||
		m.Next != "It is tried again at 2026-11-23 20:57 UTC." || m.Look != "sigpost message show "+message || m.Since.IsZero() {
		t.Errorf("mail %+v", m)
	}
}

func TestTasksThatEndedAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.alerts()
	task := hook.Task{ID: 9, Org: w.app.Org, Kind: hook.TaskRecover, Status: hook.TaskFinished, Data: json.RawMessage(`{"messagesSent":3}`)}
	failed := task
	failed.Status, failed.Data = hook.TaskFailed, json.RawMessage(`{"error":"the endpoint is gone"}`)
	large := task
	large.Data = json.RawMessage(`{"appStats":"` + strings.Repeat("x", mostTaskData) + `"}`)
	for _, x := range []hook.Task{task, failed, large} {
		a.TaskEnded(x)
	}
	a.Drain(t.Context())
	id := w.IDs().Public(hook.KindTask, 9)
	want := []webhook{
		{"background_task.finished", map[string]any{"data": map[string]any{"messagesSent": 3.0}, "status": "finished", "task": "endpoint.recover", "taskId": id}},
		{"background_task.finished", map[string]any{"data": map[string]any{"error": "the endpoint is gone"}, "status": "failed", "task": "endpoint.recover", "taskId": id}},
		{"background_task.finished", map[string]any{"data": map[string]any{}, "status": "finished", "task": "endpoint.recover", "taskId": id}},
	}
	if d := cmp.Diff(want, w.hooks.take()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if mails := w.mails.take(); mails[0].Severity != hook.Info || mails[1].Severity != hook.Warning || mails[1].Why != "the endpoint is gone" {
		t.Errorf("mails %+v", mails)
	}
}

func TestOneAttemptIsOne(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{1: "Message m was given up for endpoint e after 1 attempt", 2: "Message m was given up for endpoint e after 2 attempts"} {
		if got, _ := attemptTitle(hook.AlertAttemptExhausted, "m", "e", failure(hook.Endpoint{}, n-1, hook.Failed)); got != want {
			t.Errorf("%q, %q is right", got, want)
		}
	}
}
