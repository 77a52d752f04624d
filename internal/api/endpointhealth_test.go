package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// An endpoint that takes nothing says so, and what waits for it says that it waits for
// the endpoint and loses nothing.
func TestAnOpenBreakerIsShownAndExplained(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	e, _ := h.subscribe(app, map[string]any{"url": h.receiver(500).URL})
	health := func() map[string]any {
		return h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/endpoint/"+e+"/health", nil)
	}
	if got := health(); got["failing"] != false || got["breaker"].(map[string]any)["state"] != "closed" || got["failingSince"] != nil {
		t.Errorf("of one that never failed: %v", got)
	}
	var last string
	for range 20 {
		last = h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"x","payload":{}}`)["id"].(string)
	}
	eventually(t, "the breaker opens", func() bool { return health()["breaker"].(map[string]any)["state"] == "open" })
	got := health()
	if got["failing"] != true || got["failures"].(float64) < 5 || got["failingSince"] == nil || got["disabledAt"] == nil || got["breaker"].(map[string]any)["until"] == nil {
		t.Errorf("health: %v", got)
	}
	d := h.rows("/api/v1/app/" + app + "/msg/" + last + "/delivery")[0]
	if next := d["next"].(string); d["state"] != "pending" || d["attempts"].(float64) != 0 || !strings.Contains(next, "its breaker is open until") {
		t.Errorf("the last delivery: %v", d)
	}
	// Enabling it anew begins afresh.
	path := "/api/v1/app/" + app + "/endpoint/" + e
	h.must(http.StatusOK, "PATCH", path, `{"disabled":true}`)
	h.must(http.StatusOK, "PATCH", path, `{"disabled":false,"url":"`+h.receiver(200).URL+`"}`)
	eventually(t, "it is healthy and all arrives", func() bool {
		stats := h.must(http.StatusOK, "GET", path+"/stats", nil)
		return health()["failing"] == false && stats["success"].(float64) == 20
	})
}

// Every list of endpoints says which fail and since when, and so does whoever reads one.
func TestListsSayWhichEndpointsFail(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, bad, good := h.app("a"), h.receiver(500).URL, h.receiver(200).URL
	portal := h.as(h.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/"+app, `{"readOnly":true}`)["token"].(string))
	source := h.must(http.StatusCreated, "POST", "/ingest/api/v1/source", map[string]any{"name": "source", "provider": "veriff", "secrets": []string{"0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1"}})["id"].(string)
	lists := map[string]*harness{"/api/v1/app/" + app + "/endpoint": portal, "/ingest/api/v1/source/" + source + "/endpoint": h, "/api/v1/operational-webhook/endpoint": h}
	for path := range lists {
		for _, e := range []string{`{"url":"` + bad + `","uid":"bad"}`, `{"url":"` + good + `","uid":"good"}`} {
			if made := h.must(http.StatusCreated, "POST", path, e); made["failingSince"] != nil {
				t.Errorf("a new one fails: %v", made)
			}
		}
	}
	h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"x","payload":{}}`)
	h.must(http.StatusOK, "POST", "/ingest/api/v1/source/"+source+"/test-event", `{}`)
	h.must(http.StatusOK, "POST", "/api/v1/alert/test", nil)
	for path, who := range lists {
		var since any
		eventually(t, path+" has one that fails", func() bool {
			for _, e := range who.rows(path) {
				if e["uid"] == "good" && e["failingSince"] != nil {
					t.Fatalf("one that works fails: %v", e)
				}
				if e["uid"] == "bad" {
					since = e["failingSince"]
				}
			}
			return since != nil
		})
		if one := who.must(http.StatusOK, "GET", path+"/bad", nil); one["failingSince"] != since || one["state"] != "enabled" {
			t.Errorf("%s: it fails since %v: %v", path, since, one)
		}
		if one := h.must(http.StatusOK, "PUT", path+"/bad", `{"url":"`+bad+`","description":"d"}`); one["failingSince"] != since {
			t.Errorf("%s: changed, it fails since %v: %v", path, since, one)
		}
	}
}

func TestWhatWaitsForARateSaysForWhich(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.must(http.StatusCreated, "POST", "/api/v1/app", `{"name":"slow","throttleRate":2}`)["id"].(string)
	e, _ := h.subscribe(app, map[string]any{"url": h.receiver(200).URL})
	waits := func(want string) {
		t.Helper()
		var last string
		for range 30 {
			last = h.message(app, `{"eventType":"x","payload":{}}`)
		}
		eventually(t, "it says: "+want, func() bool {
			d := h.rows("/api/v1/app/" + app + "/msg/" + last + "/delivery")[0]
			if d["state"] != "pending" {
				t.Fatalf("it did not say so while it waited, and is %v now", d)
			}
			return d["next"] == "attempt 1 waits for its turn: "+want
		})
	}
	waits("the endpoints of its application get at most 2 a second together")
	h.must(http.StatusOK, "PATCH", "/api/v1/app/"+app+"/endpoint/"+e, `{"throttleRate":1}`)
	waits("the endpoint gets at most 1 a second")
}

func TestTheWaitsOfAnEndpointCanBeSet(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	rec := h.receiver(500)
	e, _ := h.subscribe(app, map[string]any{"url": rec.URL, "retries": []int{3600}, "retriesFor": []map[string]any{{"eventTypes": []string{"order.*"}, "retries": []int{1, 7200}}}})
	path := "/api/v1/app/" + app + "/endpoint/" + e
	got := h.must(http.StatusOK, "GET", path, nil)
	if !slices.Equal(got["retries"].([]any), []any{3600.0}) || len(got["retriesFor"].([]any)) != 1 {
		t.Errorf("%v", got)
	}
	for _, c := range []struct {
		eventType string
		attempts  float64
	}{{"order.paid", 2}, {"user.signup", 1}} {
		m := h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", map[string]any{"eventType": c.eventType, "payload": map[string]any{}})["id"].(string)
		eventually(t, c.eventType+" is tried so often", func() bool {
			d := h.rows("/api/v1/app/" + app + "/msg/" + m + "/delivery")[0]
			return d["attempts"] == c.attempts && d["nextAttempt"] != nil
		})
	}
	for _, bad := range []string{`{"retries":[0]}`, `{"retries":[604801]}`, `{"retriesFor":[{"eventTypes":[],"retries":[1]}]}`} {
		if status, answer := h.do("PATCH", path, bad); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %v", bad, status, answer)
		}
	}
	h.must(http.StatusOK, "PATCH", path, `{"retries":[],"retriesFor":[]}`)
	if got := h.must(http.StatusOK, "GET", path, nil); got["retries"] != nil || got["retriesFor"] != nil {
		t.Errorf("taken away: %v", got)
	}
}

func TestAReceiverMayAbortAMessageOrItsEndpoint(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	for directive, want := range map[string]string{"abort-message": "enabled", "disable": "disabled"} {
		url := h.answering(500, "Webhook-Delivery", directive)
		e, _ := h.subscribe(app, map[string]any{"url": url, "eventTypes": []string{directive}})
		m := h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", map[string]any{"eventType": directive, "payload": map[string]any{}})["id"].(string)
		eventually(t, directive+" is obeyed", func() bool {
			d := h.rows("/api/v1/app/" + app + "/msg/" + m + "/delivery")[0]
			return d["state"] == "failed" && d["attempts"] == 1.0
		})
		last := h.rows("/api/v1/app/" + app + "/msg/" + m + "/delivery")[0]["lastAttempt"].(map[string]any)
		if want := "answered 500 Internal Server Error; it asked for no more: webhook-delivery: " + directive; last["reason"] != want {
			t.Errorf("the reason is %q, %q is right", last["reason"], want)
		}
		eventually(t, directive+" leaves the endpoint "+want, func() bool {
			return h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/endpoint/"+e, nil)["state"] == want
		})
	}
}
