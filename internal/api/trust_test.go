package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A portal's endpoint is never on a private network, whatever name it goes by and
// whatever the operator allows for his own.
func TestWhatAPortalMakesNeverReachesAPrivateNetwork(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, r := h.app("a"), h.receiver(200)
	portal := h.as(jwtOf(t, "org_tests", app))
	made := portal.must(http.StatusCreated, "POST", "/api/v1/app/"+app+"/endpoint", `{"url":"https://example.com/"}`)["id"].(string)
	named := strings.Replace(r.URL, "127.0.0.1", "a.localtest.invalid", 1)
	h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/endpoint/"+made, nil)
	for _, url := range []string{r.URL, strings.Replace(r.URL, "127.0.0.1", "localhost", 1)} {
		if status, _ := portal.do("PATCH", "/api/v1/app/"+app+"/endpoint/"+made, map[string]any{"url": url}); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", url, status)
		}
	}
	portal.must(http.StatusOK, "PATCH", "/api/v1/app/"+app+"/endpoint/"+made, map[string]any{"url": named})
	h.stop()
	h.start() // what was said of it must be kept
	portal = h.as(portal.token)
	if e := h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/endpoint/"+made, nil); e["url"] != named {
		t.Errorf("%v", e)
	}
	if status, _ := portal.do("PATCH", "/api/v1/app/"+app+"/endpoint/"+made, map[string]any{"url": r.URL}); status != http.StatusUnprocessableEntity {
		t.Errorf("after a restart: %d", status)
	}
	h.must(http.StatusOK, "PATCH", "/api/v1/app/"+app+"/endpoint/"+made, map[string]any{"url": r.URL}) // the operator may
	h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"a","payload":{}}`)
	r.next(t)
}

func TestAnAnswerIsReplayedToNoOtherToken(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const body = `{"name":"ci","scope":"admin"}`
	h.must(http.StatusCreated, "POST", "/api/v1/auth/token", body, "Idempotency-Key", "make")
	for _, scope := range []string{"viewer", "send", "developer"} {
		token := h.must(http.StatusCreated, "POST", "/api/v1/auth/token", map[string]any{"name": scope, "scope": scope})["token"].(string)
		if status, got := h.as(token).do("POST", "/api/v1/auth/token", body, "Idempotency-Key", "make"); status != http.StatusForbidden {
			t.Errorf("%s got %d %v", scope, status, got)
		}
	}
}

// Changes of one endpoint at once, of different things, are all kept.
func TestChangesAtOnceAreAllKept(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	id, _ := h.subscribe(app, map[string]any{"url": "https://example.com/"})
	at := "/api/v1/app/" + app + "/endpoint/" + id
	for n := range 20 {
		text := fmt.Sprint(n)
		var all sync.WaitGroup
		all.Go(func() { h.must(http.StatusOK, "PATCH", at, `{"description":"`+text+`"}`) })
		all.Go(func() { h.must(http.StatusOK, "PATCH", at, `{"metadata":{"n":"`+text+`"}}`) })
		all.Go(func() { h.must(http.StatusNoContent, "PATCH", at+"/headers", `{"headers":{"X-A":"`+text+`"}}`) })
		all.Go(func() { h.must(http.StatusNoContent, "PATCH", at+"/headers", `{"headers":{"X-B":"`+text+`"}}`) })
		all.Wait()
		e, headers := h.must(http.StatusOK, "GET", at, nil), h.must(http.StatusOK, "GET", at+"/headers", nil)["headers"].(map[string]any)
		if e["description"] != text || e["metadata"].(map[string]any)["n"] != text || headers["X-A"] != text || headers["X-B"] != text {
			t.Fatalf("round %s: %v %v", text, e, headers)
		}
	}
}

// A name that was mistyped makes no organization when somebody only reads.
func TestReadingMakesNoOrganization(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ask := func(method, path, body, org string) int {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Sigpost-Organization", org)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.server.Control().ServeHTTP(w, r)
		return w.Code
	}
	if status := ask("GET", "/api/v1/app", "", "org_typo"); status != http.StatusNotFound {
		t.Errorf("reading: %d", status)
	}
	if status := ask("POST", "/api/v1/app", `{"name":"a"}`, "org_new"); status != http.StatusCreated {
		t.Errorf("making: %d", status)
	}
	if status := ask("GET", "/api/v1/app", "", "org_new"); status != http.StatusOK {
		t.Errorf("reading what was made: %d", status)
	}
}

func TestCredentialsDoNotMoveToAHostThatAPortalNames(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	id, _ := h.subscribe(app, map[string]any{"url": "https://one.example.com/", "headers": map[string]string{"Authorization": "Bearer x", "X-Plain": "1"}})
	at := "/api/v1/app/" + app + "/endpoint/" + id
	portal := h.as(jwtOf(t, "org_tests", app))
	portal.must(http.StatusOK, "PATCH", at, `{"url":"https://one.example.com/other"}`)
	if got := h.must(http.StatusOK, "GET", at+"/headers", nil); len(got["sensitive"].([]any)) != 1 {
		t.Errorf("on the same host: %v", got)
	}
	portal.must(http.StatusOK, "PATCH", at, `{"url":"https://two.example.com/"}`)
	if got := h.must(http.StatusOK, "GET", at+"/headers", nil); len(got["sensitive"].([]any)) != 0 || len(got["headers"].(map[string]any)) != 1 {
		t.Errorf("on another host: %v", got)
	}
}

// A caller who leaves after the change was kept does not keep it from being followed.
func TestADeletionIsFollowedAlthoughItsCallerLeft(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, r := h.app("a"), h.receiver(200)
	id, _ := h.subscribe(app, map[string]any{"url": r.URL})
	ctx, leave := context.WithCancel(context.Background())
	req := httptest.NewRequest("DELETE", "/api/v1/app/"+app+"/endpoint/"+id, nil).WithContext(ctx)
	req.Header.Set("Authorization", "Bearer "+h.token)
	leave()
	h.server.API().ServeHTTP(httptest.NewRecorder(), req)
	status, _ := h.do("GET", "/api/v1/app/"+app+"/endpoint/"+id, nil)
	made := h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"a","payload":{}}`)["id"].(string)
	deliveries := h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/msg/"+made+"/delivery", nil)["data"].([]any)
	if gone := status == http.StatusNotFound; gone != (len(deliveries) == 0) {
		t.Errorf("it is gone: %v, and has %d deliveries", gone, len(deliveries))
	}
}

func TestImportsAreBoundedWithAllThatTheyReferTo(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	long := strings.Repeat("x", 1<<20)
	refs := strings.Repeat(`{"$ref":"#/components/schemas/A"},`, 400)
	for name, body := range map[string]any{
		"references": `{"spec":{"components":{"schemas":{"A":{"description":"` + long + `"}}},"webhooks":{"a":{"post":{"requestBody":{"content":{"application/json":{"schema":{"allOf":[` + strings.TrimSuffix(refs, ",") + `]}}}}}}}}}`,
		"aliases":    map[string]any{"specRaw": "x: &a \"" + long + "\"\ny: [" + strings.TrimSuffix(strings.Repeat("*a,", 300), ",") + "]\nwebhooks: {}\n"},
	} {
		if status, got := h.do("POST", "/api/v1/event-type/import/openapi", body); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
}
