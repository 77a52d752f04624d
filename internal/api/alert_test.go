package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
)

// operationalEvent is an operational webhook.
type operationalEvent struct {
	Type string
	Data any
}

// documented are the examples of operational webhooks in docs/api.md, by type.
func documented(t *testing.T) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	for line := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(line, `{"type": "`) {
			continue
		}
		var e operationalEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if all[e.Type] != nil {
			t.Errorf("%s has two examples", e.Type)
		}
		all[e.Type] = e.Data
	}
	return all
}

// shape are the fields of a value with the JSON types of what they hold.
func shape(at string, v any, into map[string]string) map[string]string {
	into[at] = fmt.Sprintf("%T", v)
	if m, ok := v.(map[string]any); ok {
		for k, x := range m {
			shape(at+"."+k, x, into)
		}
	}
	return into
}

// Every kind of alert arrives, signed, at a receiver that asked for it, and has the
// form of its example in the documentation: no field more, and none less.
func TestEveryOperationalWebhookArrivesAsDocumented(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rec := h.receiver(http.StatusOK)
	listener := h.id(operational, map[string]any{"url": rec.URL})
	key := h.must(http.StatusOK, "GET", operational+"/"+listener+"/secret", nil)["key"].(string)
	verifier, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	want := h.raiseAll(rec)
	got := map[string]map[string]string{}
	for n := 0; n < want; n++ {
		w := rec.next(t)
		if err := verifier.Verify([]byte(w.body), w.header); err != nil {
			t.Errorf("%v: %s", err, w.body)
		}
		var e operationalEvent
		if err := json.Unmarshal([]byte(w.body), &e); err != nil {
			t.Fatal(err)
		}
		if got[e.Type] == nil {
			got[e.Type] = map[string]string{}
		}
		shape("", e.Data, got[e.Type])
	}
	docs := documented(t)
	for _, k := range append(hook.AlertKinds(), hook.AlertTest) {
		example, sent := shape("", docs[string(k)], map[string]string{}), got[string(k)]
		if !maps.Equal(example, sent) {
			t.Errorf("%s: the documentation has %v, sent was %v", k, example, sent)
		}
		delete(got, string(k))
		delete(docs, string(k))
	}
	if len(got)+len(docs) > 0 {
		t.Errorf("no kinds: sent %v, documented %v", got, slices.Collect(maps.Keys(docs)))
	}
}

// raiseAll has everything happen that is told of, and says how many webhooks that makes.
func (h *harness) raiseAll(rec *receiver) int {
	h.t.Helper()
	alerts, ctx := h.server.Alerts(), h.t.Context()
	h.must(http.StatusCreated, "POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
	const one = "/api/v1/app/acme/endpoint/eu"
	h.must(http.StatusCreated, "PUT", one, `{"url":"https://example.com/"}`)                                 // created
	h.must(http.StatusOK, "PATCH", one, `{"disabled":true}`)                                                 // updated, disabled
	h.must(http.StatusOK, "PATCH", one, `{"disabled":false}`)                                                // updated, enabled
	h.must(http.StatusAccepted, "POST", one+"/recover", map[string]any{"since": time.Now().Add(-time.Hour)}) // task finished
	x := h.must(http.StatusCreated, "POST", sources, `{"name":"Veriff","uid":"veriff","type":"veriff","config":{"secret":"0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1"}}`)
	own := sources + "/veriff/endpoint/kyc"
	h.id(sources+"/veriff/endpoint", `{"url":"https://example.com/","uid":"kyc"}`)      // created
	h.must(http.StatusOK, "PUT", own, `{"url":"https://example.com/","disabled":true}`) // updated, ingest disabled
	told := 9

	since := time.Now().Add(-90 * time.Hour)
	org, source := h.org("org_tests"), h.key(hook.KindSource, x["id"].(string))
	customer := hook.Endpoint{ID: h.key(hook.KindEndpoint, h.must(http.StatusOK, "GET", one, nil)["id"].(string)), Org: org, App: h.key(hook.KindApplication, h.must(http.StatusOK, "GET", "/api/v1/app/acme", nil)["id"].(string)), UID: "eu", URL: "https://example.com/"}
	ingest := hook.Endpoint{ID: h.key(hook.KindEndpoint, h.must(http.StatusOK, "GET", own, nil)["id"].(string)), Org: org, App: h.key(hook.KindApplication, x["appId"].(string)), UID: "kyc", URL: "https://example.com/", OfSource: true}
	failed, err := h.server.API().Store.Endpoint(ctx, customer.App, customer.ID) // as it is now
	if err != nil {
		h.t.Fatal(err)
	}
	failed.State, failed.Reason = hook.Disabled, "it failed for five days"
	if _, err := h.server.API().Store.UpdateEndpoint(ctx, failed, hook.SecretChange{}); err != nil {
		h.t.Fatal(err)
	}
	alerts.EndpointDisabled(customer, failed.Reason, since)
	alerts.EndpointWarned(customer, 75, since, since.Add(120*time.Hour))
	alerts.EndpointWarned(ingest, 50, since, time.Time{})
	for _, e := range []hook.Endpoint{customer, ingest} {
		for outcome, state := range map[hook.Outcome]hook.DeliveryState{hook.OutcomeStatus: hook.Pending, hook.OutcomeTimeout: hook.Failed, hook.OutcomeDelivered: hook.Delivered} {
			r := &hook.Record{Delivery: hook.Delivery{Failures: 3}, State: state, Attempt: &hook.Attempt{Outcome: outcome, At: time.Now()}}
			if state == hook.Delivered {
				r.Delivery.Failures = 4
			}
			alerts.Attempt(&e, &hook.Message{Event: hook.Event{ID: "evt"}}, r)
			told++
		}
	}
	told += 3
	alerts.SourceSilent(ctx, &hook.Source{ID: source, Org: org, UID: "veriff", Name: "Veriff"}, hook.KeyAt(since), time.Hour, time.Now())
	h.badSignatures(x["ingestUrl"].(string), 12)
	alerts.WatchRates(ctx)
	tried := h.must(http.StatusOK, "POST", "/api/v1/alert/test", nil)
	if data := fmt.Sprint(tried["data"]); len(tried["data"].([]any)) != 2 || !strings.Contains(data, "way:log") || !strings.Contains(data, "to:"+rec.URL) || strings.Contains(data, "error") {
		h.t.Errorf("the test says %s", data)
	}
	h.must(http.StatusConflict, "POST", "/api/v1/alert/test", nil) // people get them
	told += 3
	h.must(http.StatusNoContent, "DELETE", one, nil) // deleted
	return told + 1
}

// Several attempts may be under way when an endpoint says that it is gone.
func TestAnEndpointThatIsGoneIsToldOfOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rec, gone, app := h.receiver(http.StatusOK), h.receiver(http.StatusGone), h.app("a")
	h.id("/api/v1/app/"+app+"/endpoint", map[string]any{"url": gone.URL, "uid": "gone"})
	h.id(operational, map[string]any{"url": rec.URL, "eventTypes": []string{"endpoint.disabled", "endpoint.enabled"}})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"a.b","payload":{}}`)
		})
	}
	all.Wait()
	if got := rec.next(t).body; !strings.Contains(got, `"type":"endpoint.disabled"`) || !strings.Contains(got, `"trigger":"automatic"`) || !strings.Contains(got, "410 Gone") {
		t.Errorf("told %s", got)
	}
	eventually(t, "nothing is routed there any more", func() bool {
		return h.must(http.StatusOK, "POST", "/api/v1/app/"+app+"/msg/precheck/active", `{"eventType":"a.b"}`)["active"] == false
	})
	h.must(http.StatusOK, "PATCH", "/api/v1/app/"+app+"/endpoint/gone", `{"disabled":false}`)
	h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"a.b","payload":{}}`)
	both := rec.next(t).body + rec.next(t).body // in any order
	if !strings.Contains(both, `"type":"endpoint.enabled"`) || !strings.Contains(both, `"type":"endpoint.disabled"`) {
		t.Errorf("told %s", both)
	}
	if len(rec.got) > 0 {
		t.Errorf("told also %s", (<-rec.got).body)
	}
}

// The process may end between the change and what is told of it.
func TestWhatWasNotToldIsToldAfterTheNextStart(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rec, app := h.receiver(http.StatusOK), h.app("a")
	e := h.id("/api/v1/app/"+app+"/endpoint", `{"url":"https://example.com/"}`)
	h.id(operational, map[string]any{"url": rec.URL, "eventTypes": []string{"endpoint.disabled"}})
	h.stop()
	h.change(app, e, func(e *hook.Endpoint) { e.State, e.Reason = hook.Disabled, "it answered 410 Gone" })
	h.start()
	if got := rec.next(t).body; !strings.Contains(got, `"endpointId":"`+e+`"`) || !strings.Contains(got, `"reason":"it answered 410 Gone"`) {
		t.Errorf("told %s", got)
	}
	h.stop()
	h.start()
	h.stop() // another start tells nothing more
	if len(rec.got) > 0 {
		t.Errorf("told again: %s", (<-rec.got).body)
	}
}

// change changes an endpoint in the store of a stopped server, and tells nobody.
func (h *harness) change(app, endpoint string, f func(*hook.Endpoint)) {
	h.t.Helper()
	ring, err := seal.FromFile(h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	s, err := store.Open(h.t.Context(), store.Options{Dir: h.dir, Seal: ring, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	e, err := s.Endpoint(h.t.Context(), h.key(hook.KindApplication, app), h.key(hook.KindEndpoint, endpoint))
	if err == nil {
		f(&e)
		_, err = s.UpdateEndpoint(h.t.Context(), e, hook.SecretChange{})
	}
	if err := errors.Join(err, s.Close()); err != nil {
		h.t.Fatal(err)
	}
}

// badSignatures posts requests that do not verify to a source, and waits until one
// is kept.
func (h *harness) badSignatures(url string, n int) {
	h.t.Helper()
	for range n {
		res, err := http.Post(url, "application/json", strings.NewReader(`{}`))
		if err != nil {
			h.t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			h.t.Fatalf("answered %d", res.StatusCode)
		}
	}
	eventually(h.t, "a rejected request is kept", func() bool {
		return len(h.must(http.StatusOK, "GET", "/api/v1/rejected", nil)["data"].([]any)) > 0
	})
}
