package api_test

import (
	"net/http"
	"testing"
)

func TestOrganizationChoosesItsSignatureHeaders(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const path = "/api/v1/organization"
	got := h.must(http.StatusOK, "GET", path, nil)
	if got["id"] == nil || got["name"] != "org_tests" {
		t.Errorf("at first %v", got)
	}
	if v, there := got["signatureHeaders"]; v != nil || !there {
		t.Errorf("signatureHeaders is %v", v)
	}
	rec, app := h.receiver(http.StatusOK), h.app("a")
	h.id("/api/v1/app/"+app+"/endpoint", map[string]any{"url": rec.URL})
	for _, c := range []struct {
		body, shown   string
		webhook, svix bool
	}{
		{`{"signatureHeaders":"svix"}`, "svix", false, true},
		{`{}`, "svix", false, true},
		{`{"signatureHeaders":"both"}`, "both", true, true},
		{`{"signatureHeaders":null}`, "", true, false},
		{`{"signatureHeaders":"webhook"}`, "webhook", true, false},
	} {
		for _, got := range []map[string]any{h.must(http.StatusOK, "PATCH", path, c.body), h.must(http.StatusOK, "GET", path, nil)} {
			if shown, _ := got["signatureHeaders"].(string); shown != c.shown {
				t.Errorf("%s: %v", c.body, got)
			}
		}
		h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"a","payload":{}}`)
		sent := rec.next(t).header
		if (sent.Get("webhook-signature") != "") != c.webhook || (sent.Get("svix-signature") != "") != c.svix {
			t.Errorf("%s: sent with %v", c.body, sent)
		}
	}
	h.refused(map[string]refusal{
		"unknown names":   {"PATCH", path, `{"signatureHeaders":"none"}`, 422, "body signatureHeaders"},
		"names by number": {"PATCH", path, `{"signatureHeaders":1}`, 422, "body signatureHeaders"},
		"no body":         {"PATCH", path, ``, 400, ""},
	})
}

func TestAgesOfAnOrganizationCanBeSet(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const path = "/api/v1/organization"
	got := h.must(http.StatusOK, "GET", path, nil)
	if r := got["retention"].(map[string]any); r["payloads"] != nil || r["messages"] != nil {
		t.Errorf("at first: %v", got)
	}
	got = h.must(http.StatusOK, "PATCH", path, `{"retention":{"payloads":7,"messages":-1},"sourceRetention":{"attempts":14}}`)
	r, x := got["retention"].(map[string]any), got["sourceRetention"].(map[string]any)
	if r["payloads"] != 7.0 || r["messages"] != -1.0 || r["attempts"] != nil || x["attempts"] != 14.0 {
		t.Errorf("set: %v", got)
	}
	for _, bad := range []string{`{"retention":{"payloads":0}}`, `{"retention":{"payloads":-2}}`, `{"retention":{"messages":36501}}`} {
		if status, answer := h.do("PATCH", path, bad); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %v", bad, status, answer)
		}
	}
	got = h.must(http.StatusOK, "PATCH", path, `{"retention":{"payloads":null}}`)
	if r := got["retention"].(map[string]any); r["payloads"] != nil || r["messages"] != -1.0 {
		t.Errorf("taken back: %v", got)
	}
}
