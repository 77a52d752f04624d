package api_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// subscribe makes an endpoint of an application and returns its id and secret.
func (h *harness) subscribe(app string, fields map[string]any) (id, secret string) {
	h.t.Helper()
	id = h.must(http.StatusCreated, "POST", "/api/v1/app/"+app+"/endpoint", fields)["id"].(string)
	secret = h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/endpoint/"+id+"/secret", nil)["key"].(string)
	return id, secret
}

func verify(t *testing.T, secret string, got taken) {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := wh.Verify([]byte(got.body), got.header); err != nil {
		t.Errorf("the signature does not verify: %v (%v)", err, got.header)
	}
}

func TestAMessageGoesOutSignedAsItWasWritten(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, r := h.app("a"), h.receiver(200)
	_, secret := h.subscribe(app, map[string]any{"url": r.URL, "eventTypes": []string{"user.signup"}, "headers": map[string]string{"X-Own": "1"}})
	const payload = `{ "b": 1.00,  "a": "ü\u00fc" , "big": 12345678901234567890}`
	made := h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"user.signup","eventId":"e-1","payload":`+payload+`}`)
	got := r.next(t)
	if got.body != payload {
		t.Errorf("sent %q, %q is right", got.body, payload)
	}
	verify(t, secret, got)
	if got.header.Get("webhook-id") != made["id"] || got.header.Get("X-Own") != "1" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", got.header)
	}
	for _, ref := range []string{made["id"].(string), "e-1"} {
		if m := h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/msg/"+ref, nil); m["eventType"] != "user.signup" || m["payload"].(map[string]any)["a"] != "üü" {
			t.Errorf("%s gives %v", ref, m)
		}
	}
	if status, got := h.do("POST", "/api/v1/app/"+app+"/msg", `{"eventType":"user.signup","eventId":"e-1","payload":{}}`); status != http.StatusConflict {
		t.Errorf("the same eventId again: %d %v", status, got)
	}
	h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"user.other","payload":{}}`)
	if page := h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/msg?event_types=user.other,user.none", nil); len(page["data"].([]any)) != 1 || page["done"] != true {
		t.Errorf("the list of one type: %v", page)
	}
	for path, want := range map[string]bool{"user.signup": true, "user.other": false} {
		if got := h.must(http.StatusOK, "POST", "/api/v1/app/"+app+"/msg/precheck/active", map[string]any{"eventType": path}); got["active"] != want {
			t.Errorf("precheck of %s: %v", path, got)
		}
	}
	if len(r.got) != 0 {
		t.Error("a message of another type was sent")
	}
}

// A portal asks for the states of a page with the page, and learns of no other application's.
func TestAListOfMessagesSaysWhatBecameOfThem(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, other := h.app("a"), h.app("b")
	urls := map[string]string{"good": h.receiver(200).URL, "bad": h.receiver(500).URL, "gone": h.answering(500, "Webhook-Delivery", "abort-message")}
	for kind, url := range urls {
		h.subscribe(app, map[string]any{"url": url, "eventTypes": []string{kind, "all"}})
	}
	h.subscribe(other, map[string]any{"url": h.receiver(200).URL})
	want := map[string]any{"good": "delivered", "bad": "pending", "gone": "failed", "all": "failed", "none": "unmatched"}
	for _, kind := range []string{"good", "bad", "gone", "none", "all"} {
		h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", map[string]any{"eventType": kind, "eventId": kind, "payload": map[string]any{}})
		h.must(http.StatusAccepted, "POST", "/api/v1/app/"+other+"/msg", map[string]any{"eventType": kind, "eventId": kind, "payload": map[string]any{}})
	}
	portal := h.as(h.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/"+app, `{"readOnly":true}`)["token"].(string))
	path := "/api/v1/app/" + app + "/msg?with_content=false"
	states := func(rows []map[string]any) map[string]any {
		got := map[string]any{}
		for _, m := range rows {
			got[m["eventType"].(string)] = m["state"]
		}
		return got
	}
	var got map[string]any
	eventually(t, "all is as it is to be", func() bool {
		got = states(portal.rows(path + "&with_state=true"))
		return maps.Equal(got, want)
	})
	if got := states(portal.rows(path + "&with_state=true&limit=1")); !maps.Equal(got, map[string]any{"all": "failed"}) {
		t.Errorf("a page of one: %v", got)
	}
	if got := states(portal.rows(path + "&with_state=true&search=gone")); got["gone"] != "failed" {
		t.Errorf("found by its id: %v", got)
	}
	if got := states(portal.rows(path)); got["gone"] != nil || len(got) != len(want) {
		t.Errorf("when it is not asked for: %v", got)
	}
	if status, answer := portal.do("GET", "/api/v1/app/"+other+"/msg?with_state=true", nil); status != http.StatusNotFound {
		t.Errorf("of another application: %d %v", status, answer)
	}
	if status, answer := portal.do("GET", "/api/v1/msg", nil); status != http.StatusForbidden {
		t.Errorf("of the organization: %d %v", status, answer)
	}
}

func TestAnyBytesCanBeSent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, r := h.app("a"), h.receiver(200)
	_, secret := h.subscribe(app, map[string]any{"url": r.URL})
	raw := "a,b\n\x00\xff"
	made := h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", map[string]any{
		"eventType": "file", "payload": map[string]any{}, "rawPayload": base64.StdEncoding.EncodeToString([]byte(raw)), "contentType": "text/csv",
		"subjects": []any{map[string]any{"kind": "user", "id": "u 1"}},
	})
	got := r.next(t)
	if got.body != raw || got.header.Get("Content-Type") != "text/csv" || got.header.Get("Sigpost-Subject") != `user="u 1"` {
		t.Errorf("%q %v", got.body, got.header)
	}
	verify(t, secret, got)
	if m := h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/msg/"+made["id"].(string), nil); m["rawPayload"] == nil || m["contentType"] != "text/csv" || len(m["payload"].(map[string]any)) != 0 {
		t.Errorf("it is shown as %v", m)
	}
}

func TestAnApplicationIsMadeWithItsFirstMessage(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const body = `{"eventType":"a","payload":{},"application":{"name":"Inline","uid":"inline"}}`
	for range 2 {
		h.must(http.StatusAccepted, "POST", "/api/v1/app/inline/msg", body)
	}
	if got := h.must(http.StatusOK, "GET", "/api/v1/app/inline", nil); got["name"] != "Inline" {
		t.Errorf("%v", got)
	}
	if status, _ := h.do("POST", "/api/v1/app/nobody/msg", `{"eventType":"a","payload":{}}`); status != http.StatusNotFound {
		t.Errorf("without one: %d", status)
	}
}

func TestEqualRequestsAtOnceMakeOneMessage(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	const body = `{"eventType":"a","payload":{"n":1}}`
	post := func() (int, any) {
		status, got := h.do("POST", "/api/v1/app/"+app+"/msg", body, "Idempotency-Key", "k-1")
		return status, got["id"]
	}
	var mu sync.Mutex
	ids := map[any]bool{}
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			status, id := post()
			mu.Lock()
			defer mu.Unlock()
			ids[id] = true
			if status != http.StatusAccepted {
				t.Errorf("status %d", status)
			}
		})
	}
	all.Wait()
	h.stop()
	h.start()
	if status, id := post(); status != http.StatusAccepted || !ids[id] {
		t.Errorf("after a restart: %d %v", status, id)
	}
	if page := h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/msg", nil); len(ids) != 1 || len(page["data"].([]any)) != 1 {
		t.Errorf("%d ids, %d messages", len(ids), len(page["data"].([]any)))
	}
	if status, _ := h.do("POST", "/api/v1/app/"+app+"/msg", `{"eventType":"a","payload":{"n":2}}`, "Idempotency-Key", "k-1"); status != http.StatusConflict {
		t.Errorf("another request under the key: %d", status)
	}
	first := h.must(http.StatusCreated, "POST", "/api/v1/app", `{"name":"x"}`, "Idempotency-Key", "k-2")
	h.stop()
	h.start()
	if again := h.must(http.StatusCreated, "POST", "/api/v1/app", `{"name":"x"}`, "Idempotency-Key", "k-2"); again["id"] != first["id"] {
		t.Errorf("%v, then %v", first, again)
	}
	if status, _ := h.do("POST", "/api/v1/app", `{"name":"y"}`, "Idempotency-Key", "k-2"); status != http.StatusConflict {
		t.Errorf("another request under the key: %d", status)
	}
}

func TestSecretsRotateWithAGrace(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, r := h.app("a"), h.receiver(200)
	id, old := h.subscribe(app, map[string]any{"url": r.URL})
	at := "/api/v1/app/" + app + "/endpoint/" + id + "/secret"
	send := func() taken {
		h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"a","payload":{}}`)
		return r.next(t)
	}
	h.must(http.StatusNoContent, "POST", at+"/rotate", `{}`)
	fresh := h.must(http.StatusOK, "GET", at, nil)["key"].(string)
	got := send()
	if fresh == old || len(strings.Fields(got.header.Get("webhook-signature"))) != 2 {
		t.Errorf("%v", got.header)
	}
	verify(t, old, got)
	verify(t, fresh, got)
	const given = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	h.must(http.StatusNoContent, "POST", at+"/rotate", map[string]any{"key": given, "gracePeriodSeconds": 0})
	got = send()
	if len(strings.Fields(got.header.Get("webhook-signature"))) != 1 {
		t.Errorf("without a grace %v", got.header)
	}
	verify(t, given, got)
}

func TestAsymmetricKeysArePublished(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, r := h.app("a"), h.receiver(200)
	_, shown := h.subscribe(app, map[string]any{"url": r.URL, "secret": "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="})
	h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"a","payload":{}}`)
	if got := r.next(t); !strings.HasPrefix(got.header.Get("webhook-signature"), "v1a,") {
		t.Errorf("%v", got.header)
	}
	if !strings.HasPrefix(shown, "whpk_") {
		t.Errorf("the secret is shown as %q", shown)
	}
}

func TestAPUTThatKnowsNothingOfExtensionsLeavesThem(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	id, _ := h.subscribe(app, map[string]any{
		"url": "https://example.com/a", "eventTypePatterns": []string{"user.*"}, "policy": "veriff", "paused": true,
		"signature": map[string]any{"scheme": "stripe", "secret": "whsec_of_a_receiver_0123456789"},
	})
	at := "/api/v1/app/" + app + "/endpoint/" + id
	check := func(when string, got map[string]any, want string) {
		t.Helper()
		scheme := ""
		if s, ok := got["signature"].(map[string]any); ok {
			scheme = s["scheme"].(string)
		}
		patterns, _ := got["eventTypePatterns"].([]any)
		policy, _ := got["policy"].(string)
		if text := strings.Join([]string{scheme, policy, map[bool]string{true: "paused"}[got["paused"] == true], map[bool]string{true: "patterns"}[len(patterns) == 1]}, " "); text != want {
			t.Errorf("%s: %q, %q is right (%v)", when, text, want, got)
		}
	}
	check("made", h.must(http.StatusOK, "GET", at, nil), "stripe veriff paused patterns")
	check("after PUT", h.must(http.StatusOK, "PUT", at, `{"url":"https://example.com/b","description":"d","disabled":false}`), "stripe veriff paused patterns")
	check("after PATCH", h.must(http.StatusOK, "PATCH", at, `{"description":"e"}`), "stripe veriff paused patterns")
	check("after null", h.must(http.StatusOK, "PATCH", at, `{"signature":null,"policy":null,"paused":null,"eventTypePatterns":null}`), "   ")
}
