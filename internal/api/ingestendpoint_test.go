package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// source makes a source that takes anything and returns it.
func (h *harness) source(name string) map[string]any {
	h.t.Helper()
	return h.must(http.StatusCreated, "POST", sources, `{"name":"`+name+`","type":"generic-webhook"}`)
}

func TestEndpointsOfSourcesLiveTheirLife(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.source("nn")
	all := sources + "/" + x["id"].(string) + "/endpoint"
	made := h.must(http.StatusCreated, "POST", all, `{"url":"https://example.com/a","uid":"one","description":"d","rateLimit":5,"metadata":{"k":"v"},"headers":{"X-A":"b","X-Token":"t"}}`)
	for field, want := range map[string]any{
		"url": "https://example.com/a", "uid": "one", "description": "d", "throttleRate": 5.0, "rateLimit": 5.0, "disabled": false, "paused": false, "state": "enabled", "managedBy": "api",
	} {
		if made[field] != want {
			t.Errorf("made with %s %v, %v is right", field, made[field], want)
		}
	}
	one := all + "/" + made["id"].(string)
	for _, path := range []string{one, all + "/one", "/api/v1/app/" + x["appId"].(string) + "/endpoint/one"} {
		if got := h.must(http.StatusOK, "GET", path, nil); got["id"] != made["id"] {
			t.Errorf("%s gives %v", path, got)
		}
	}
	if got := h.must(http.StatusOK, "GET", one+"/headers", nil); fmt.Sprint(got) != "map[headers:map[X-A:b] sensitive:[X-Token]]" {
		t.Errorf("headers %v", got)
	}
	h.must(http.StatusNoContent, "PUT", one+"/headers", `{"headers":{"X-C":"d"}}`)
	if got := h.must(http.StatusOK, "GET", one+"/headers", nil); fmt.Sprint(got) != "map[headers:map[X-C:d] sensitive:[]]" {
		t.Errorf("headers that were set: %v", got)
	}
	before := h.must(http.StatusOK, "GET", one+"/secret", nil)["key"].(string)
	h.must(http.StatusNoContent, "POST", one+"/secret/rotate", `{}`)
	if after := h.must(http.StatusOK, "GET", one+"/secret", nil)["key"].(string); after == before || !strings.HasPrefix(after, "whsec_") {
		t.Error("the secret is not another one after it was rotated")
	}
	if got := h.must(http.StatusOK, "PUT", one, `{"url":"https://example.com/b","disabled":true}`); got["url"] != "https://example.com/b" || got["disabled"] != true || got["uid"] != nil {
		t.Errorf("PUT gives %v", got)
	}
	h.must(http.StatusNoContent, "DELETE", one, nil)
	h.must(http.StatusNotFound, "GET", one, nil)
}

func TestEndpointsOfSourcesGetItsWebhooks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x, rec := h.source("nn"), h.receiver(http.StatusOK)
	h.id(sources+"/"+x["id"].(string)+"/endpoint", map[string]any{"url": rec.URL, "eventTypePatterns": []string{"b.*"}})
	for _, kind := range []string{"a.one", "b.two"} {
		if status := h.post(x["ingestUrl"].(string), `{"type":"`+kind+`"}`, ""); status != http.StatusOK {
			t.Fatalf("%s is answered with %d", kind, status)
		}
	}
	if got := rec.next(t); got.body != `{"type":"b.two"}` || got.header.Get("sigpost-source") != "nn" {
		t.Errorf("it got %s from %s", got.body, got.header.Get("sigpost-source"))
	}
}

func TestPutOfSourceEndpointLeavesExtensions(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	all := sources + "/" + h.source("nn")["id"].(string) + "/endpoint"
	for _, types := range []string{`["a.*"]`, `["a.b"]`} {
		made := h.must(http.StatusCreated, "POST", all, `{"url":"https://example.com/","eventTypePatterns":`+types+`,"paused":true,"policy":"veriff","signature":{"scheme":"github","secret":"12345678"},
			"retries":[60,3600],"retriesFor":[{"eventTypes":["a.*"],"retries":[5]}]}`)
		one := all + "/" + made["id"].(string)
		got := h.must(http.StatusOK, "PUT", one, `{"url":"https://example.com/new"}`)
		for _, field := range []string{"eventTypePatterns", "paused", "policy", "signature", "state", "retries", "retriesFor"} {
			if fmt.Sprint(got[field]) != fmt.Sprint(made[field]) || got[field] == nil {
				t.Errorf("%s was %v, and is %v", field, made[field], got[field])
			}
		}
		if key := h.must(http.StatusOK, "GET", one+"/secret", nil)["key"]; key != "12345678" {
			t.Error("the secret is another one")
		}
		if got := h.must(http.StatusOK, "PUT", one, `{"url":"https://example.com/new","eventTypePatterns":[],"paused":false,"retries":[],"retriesFor":[]}`); got["eventTypePatterns"] != nil || got["paused"] != false || got["retries"] != nil || got["retriesFor"] != nil {
			t.Errorf("a PUT that takes them back gives %v", got)
		}
	}
}

func TestEndpointsOfSourcesArePaged(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	all := sources + "/" + h.source("nn")["id"].(string) + "/endpoint"
	var uids []string
	for i := range 5 {
		uids = append(uids, fmt.Sprint("e", i))
		h.id(all, `{"url":"https://example.com/","uid":"`+uids[i]+`"}`)
	}
	h.paged(all, "uid", uids)
}

func TestBadEndpointsOfSourcesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	all := sources + "/" + h.source("nn")["id"].(string) + "/endpoint"
	one := all + "/" + h.id(all, `{"url":"https://example.com/","uid":"taken"}`)
	other := h.app("other")
	with := func(field string) string { return `{"url":"https://example.com/",` + field + `}` }
	h.refused(map[string]refusal{
		"no URL":                      {"POST", all, `{}`, 422, "body url"},
		"a private address":           {"POST", all, `{"url":"http://10.0.0.1/"}`, 422, "body url"},
		"a description too long":      {"POST", all, with(`"description":"` + strings.Repeat("x", 4097) + `"`), 422, "body description"},
		"throttle zero":               {"POST", all, with(`"throttleRate":0`), 422, "body throttleRate"},
		"throttle too high":           {"POST", all, with(`"rateLimit":65536`), 422, "body rateLimit"},
		"uid with a space":            {"POST", all, with(`"uid":"a b"`), 422, "body uid"},
		"uid like an id":              {"POST", all, with(`"uid":"ep_x"`), 422, "body uid"},
		"a uid that is taken":         {"POST", all, with(`"uid":"taken"`), 409, ""},
		"disabled by a word":          {"POST", all, with(`"disabled":"yes"`), 422, "body disabled"},
		"metadata of numbers":         {"POST", all, with(`"metadata":{"a":1}`), 422, "body metadata"},
		"a weak secret":               {"POST", all, with(`"secret":"whsec_YWJj"`), 422, "body secret"},
		"a header of ours":            {"POST", all, with(`"headers":{"webhook-id":"x"}`), 422, "body headers"},
		"a pattern with a space":      {"POST", all, with(`"eventTypePatterns":["a b"]`), 422, "body eventTypePatterns"},
		"an unknown policy":           {"PUT", one, with(`"policy":"nobody"`), 422, "body policy"},
		"a secret to rotate to":       {"POST", one + "/secret/rotate", `{"key":"short"}`, 422, "body key"},
		"a grace of more than a week": {"POST", one + "/secret/rotate", `{"gracePeriodSeconds":604801}`, 422, "body gracePeriodSeconds"},
		"headers to set":              {"PUT", one + "/headers", `{"headers":{"host":"x"}}`, 422, "body headers"},
		"no headers to set":           {"PUT", one + "/headers", `{}`, 422, "body headers"},
		"PUT of what is not there":    {"PUT", all + "/nothing", with(`"uid":"nothing"`), 404, ""},
		"of an application":           {"GET", all + "/" + h.id("/api/v1/app/"+other+"/endpoint", `{"url":"https://example.com/"}`), ``, 404, ""},
		"of no source":                {"GET", sources + "/nobody/endpoint", ``, 404, ""},
	})
}
