package api_test

import (
	"encoding/json"
	"net/http"
	"sort"
	"strings"
	"testing"
	"time"
)

// estate is everything of one organization that the API names.
type estate struct{ ids map[string]string }

// settle makes one of everything in an organization.
func (h *harness) settle(r *receiver) estate {
	h.t.Helper()
	app := h.must(http.StatusCreated, "POST", "/api/v1/app", `{"name":"a","uid":"customer"}`)["id"].(string)
	at := "/api/v1/app/" + app
	endpoint, _ := h.subscribe(app, map[string]any{"url": r.URL})
	h.must(http.StatusCreated, "POST", "/api/v1/event-type", `{"name":"user.signup","description":"d"}`)
	msg := h.must(http.StatusAccepted, "POST", at+"/msg", map[string]any{
		"eventType": "user.signup", "payload": map[string]any{}, "eventId": "event", "subjects": []any{map[string]any{"kind": "user", "id": "u"}},
	})["id"].(string)
	r.next(h.t)
	var attempt string
	eventually(h.t, "an attempt is listed", func() bool {
		data := h.must(http.StatusOK, "GET", at+"/attempt/msg/"+msg, nil)["data"].([]any)
		if len(data) > 0 {
			attempt = data[0].(map[string]any)["id"].(string)
		}
		return len(data) > 0
	})
	delivery := h.must(http.StatusOK, "GET", at+"/msg/"+msg+"/delivery", nil)["data"].([]any)[0].(map[string]any)["id"].(string)
	task := h.must(http.StatusAccepted, "POST", at+"/msg/expunge-all-contents", nil)["id"].(string)
	eventually(h.t, "the task is finished", func() bool {
		return h.must(http.StatusOK, "GET", "/api/v1/background-task/"+task, nil)["status"] == "finished"
	})
	source := h.must(http.StatusCreated, "POST", "/ingest/api/v1/source", `{"name":"in","type":"generic-webhook"}`)["id"].(string)
	inbound := h.must(http.StatusCreated, "POST", "/ingest/api/v1/source/"+source+"/endpoint", map[string]any{"url": r.URL})["id"].(string)
	operational := h.must(http.StatusCreated, "POST", "/api/v1/operational-webhook/endpoint", map[string]any{"url": r.URL})["id"].(string)
	token := h.must(http.StatusCreated, "POST", "/api/v1/auth/token", `{"name":"k","scope":"viewer"}`)["id"].(string)
	user := h.must(http.StatusCreated, "POST", "/api/v1/user", `{"name":"isolated","role":"viewer"}`)["id"].(string)
	return estate{map[string]string{
		"user_id": user, "name": "veriff", "secret_id": "sec_000000000000000000000000000",
		"app_id": app, "endpoint_id": endpoint, "msg_id": msg, "attempt_id": attempt, "delivery_id": delivery, "task_id": task, "source_id": source,
		"inbound": inbound, "operational": operational, "token_id": token, "event_type_name": "user.signup", "kind": "user", "id": "u", "rejected_id": "rej_000000000000000000000000000",
	}}
}

// path fills a path of the document with the ids of an estate.
func (e estate) path(t *testing.T, path string) string {
	t.Helper()
	parts := strings.Split(path, "/")
	for i, p := range parts {
		name, isParam := strings.CutPrefix(p, "{")
		if !isParam {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		switch {
		case name == "endpoint_id" && strings.HasPrefix(path, "/ingest/"):
			name = "inbound"
		case name == "endpoint_id" && strings.Contains(path, "operational"):
			name = "operational"
		}
		if e.ids[name] == "" {
			t.Fatalf("%s: nothing is known for {%s}; add it to the estate", path, name)
		}
		parts[i] = e.ids[name]
	}
	return strings.Join(parts, "/")
}

// seen is what an organization sees of itself.
func (h *harness) seen(e estate) string {
	h.t.Helper()
	var out strings.Builder
	for _, path := range []string{
		"/api/v1/app", "/api/v1/app/{app_id}", "/api/v1/app/{app_id}/endpoint", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/headers",
		"/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret", "/api/v1/app/{app_id}/msg", "/api/v1/app/{app_id}/attempt/msg/{msg_id}", "/api/v1/app/{app_id}/msg/{msg_id}/delivery",
		"/api/v1/event-type", "/api/v1/operational-webhook/endpoint", "/ingest/api/v1/source", "/ingest/api/v1/source/{source_id}/endpoint", "/api/v1/auth/token", "/api/v1/user",
		"/api/v1/organization",
	} {
		w := h.send("GET", e.path(h.t, path), nil)
		if w.Code != http.StatusOK {
			h.t.Errorf("%s: %d", path, w.Code)
		}
		out.WriteString(path + " " + w.Body.String() + "\n")
	}
	return out.String()
}

// bodyFor is a body that an operation would accept.
func bodyFor(path string) string {
	switch {
	case strings.HasSuffix(path, "/secret/rotate"):
		return `{"gracePeriodSeconds":0}`
	case strings.HasSuffix(path, "/headers"):
		return `{"headers":{"X-Stolen":"1"}}`
	case strings.Contains(path, "/source/") && !strings.Contains(path, "/endpoint"):
		return `{"name":"stolen","type":"generic-webhook"}`
	}
	return `{"name":"stolen","url":"https://example.com/stolen","eventType":"user.signup","payload":{},"description":"stolen","since":"` +
		time.Now().Add(-time.Hour).Format(time.RFC3339) + `","ids":["event"]}`
}

// No token of one organization reads or changes anything of another, whichever
// operation it tries with the other's ids.
func TestNoOperationCrossesOrganizations(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.receiver(200)
	mine := h.settle(r)
	thief := h.as(jwtOf(t, "org_thieves", ""))
	before := h.seen(mine)
	raw, err := h.server.API().DocumentJSON()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	// These are answered although they name something, because the name is the caller's own.
	own := map[string]bool{
		"v1.application.upsert": false, "v1.event-type.get": true, "v1.event-type.upsert": true, "v1.event-type.patch": true, "v1.event-type.delete": true, "v1.subject.get": true,
		"v1.subject.list": true, "v1.provider.get": true,
	}
	var paths []string
	for path := range document.Paths {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	tried := 0
	for _, path := range paths {
		for method, op := range document.Paths[path] {
			if !strings.Contains(path, "{") {
				continue
			}
			method, body := strings.ToUpper(method), ""
			if method != "GET" && method != "DELETE" {
				body = bodyFor(path)
			}
			at := mine.path(t, path)
			w := thief.send(method, at, body)
			tried++
			if w.Code != http.StatusNotFound && !own[op.OperationID] {
				t.Errorf("%s %s (%s) of another organization: %d %s", method, path, op.OperationID, w.Code, w.Body)
			}
			for name, id := range mine.ids {
				if len(id) > 20 && name != "rejected_id" && name != "secret_id" && strings.Contains(w.Body.String(), id) && !strings.Contains(at, id) {
					t.Errorf("%s %s tells the %s of another organization", method, path, name)
				}
			}
		}
	}
	if tried < 65 {
		t.Errorf("only %d operations were tried", tried)
	}
	if after := h.seen(mine); after != before {
		t.Errorf("another organization changed something:\n%s\nwas\n%s", after, before)
	}
}
