package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestWhatIsCheckedInABodyIsWhatIsDone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(http.StatusCreated, "POST", "/api/v1/app", map[string]any{"name": "Acme", "uid": "acme"})
	const portal = "/api/v1/auth/app-portal-access/acme"
	for _, c := range []struct{ method, path, body string }{
		{"POST", people, `{"name":"ana","role":"viewer","Role":"root"}`},
		{"POST", people, `{"name":"ana","ROLE":"viewer","Role":"admin"}`},
		{"POST", people, `{"name":"ana","role":"viewer","role":"admin"}`},
		{"POST", portal, `{"expiry":3600,"Expiry":99999999}`},
		{"POST", portal, `{"capabilities":["ViewBase"],"Capabilities":["Root"]}`},
		{"POST", portal, `{"application":{"name":"A","Name":""}}`},
		{"PATCH", "/api/v1/organization", `{"portal":{"readOnlyDefault":true},"portal":{}}`},
		{"POST", "/api/v1/app", `{"name":"B","\u017Fource":1,"uid":"b","uİd":"c","Uid":"a b"}`},
	} {
		w := h.send(c.method, c.path, c.body)
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "is there twice") {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
	if got := h.must(http.StatusOK, "GET", people, nil)["data"].([]any); len(got) != 0 {
		t.Errorf("people were made: %v", got)
	}
}

func TestPayloadsMayHoldAMemberTwice(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(http.StatusCreated, "POST", "/api/v1/app", `{"name":"Acme","uid":"acme","metadata":{"a":"1","A":"2"}}`)
	got := h.must(http.StatusAccepted, "POST", "/api/v1/app/acme/msg", `{"eventType":"a.b","payload":{"eventType":1,"EventType":2}}`)
	if text, _ := json.Marshal(got["payload"]); string(text) != `{"EventType":2,"eventType":1}` {
		t.Errorf("the payload is %s", text)
	}
	h.must(http.StatusCreated, "POST", "/api/v1/app", `{"Name":"In another case"}`) // as encoding/json has it
}

func TestWrongBodiesDoNotGrowInTheAnswer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(http.StatusCreated, "POST", "/api/v1/app", map[string]any{"name": "Acme", "uid": "acme"})
	body := func(items int) string {
		return `{"url":"https://example.com","channels":[1` + strings.Repeat(",1", items-1) + `]}`
	}
	w := h.send("POST", "/api/v1/app/acme/endpoint", body(1000))
	if n := strings.Count(w.Body.String(), `"loc"`); w.Code != http.StatusUnprocessableEntity || n != 100 {
		t.Errorf("%d with %d faults, 100 are right", w.Code, n)
	}
	if w := h.send("POST", "/api/v1/app/acme/endpoint", body(200_000)); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body of a portal's operation: %d %.200s", w.Code, w.Body)
	}
}
