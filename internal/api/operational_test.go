package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const operational = "/api/v1/operational-webhook/endpoint"

func TestOperationalEndpointsLiveTheirLife(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	if got := h.must(http.StatusOK, "GET", operational, nil); len(got["data"].([]any)) != 0 || got["done"] != true {
		t.Errorf("before there is one: %v", got)
	}
	h.must(http.StatusNotFound, "GET", operational+"/one", nil)
	made := h.must(http.StatusCreated, "POST", operational, `{"url":"https://example.com/a","uid":"one","description":"d","throttleRate":5,"filterTypes":["endpoint.created"],"metadata":{"k":"v"},"headers":{"X-A":"b"}}`)
	for field, want := range map[string]any{
		"url": "https://example.com/a", "uid": "one", "description": "d", "throttleRate": 5.0, "rateLimit": 5.0, "disabled": false,
		"eventTypes": "[endpoint.created]", "filterTypes": "[endpoint.created]", "metadata": "map[k:v]",
	} {
		if fmt.Sprint(made[field]) != fmt.Sprint(want) {
			t.Errorf("made with %s %v, %v is right", field, made[field], want)
		}
	}
	one := operational + "/" + made["id"].(string)
	if got := h.must(http.StatusOK, "GET", operational+"/one/", nil); got["id"] != made["id"] {
		t.Errorf("by its uid: %v", got)
	}
	if got := h.must(http.StatusOK, "GET", one+"/headers", nil); fmt.Sprint(got) != "map[headers:map[X-A:b] sensitive:[]]" {
		t.Errorf("headers %v", got)
	}
	h.must(http.StatusNoContent, "PUT", one+"/headers", `{"headers":{"Authorization":"x"}}`)
	if got := h.must(http.StatusOK, "GET", one+"/headers", nil); fmt.Sprint(got) != "map[headers:map[] sensitive:[Authorization]]" {
		t.Errorf("headers that were set: %v", got)
	}
	before := h.must(http.StatusOK, "GET", one+"/secret", nil)["key"]
	h.must(http.StatusNoContent, "POST", one+"/secret/rotate", `{"gracePeriodSeconds":0}`)
	if after := h.must(http.StatusOK, "GET", one+"/secret", nil)["key"]; after == before {
		t.Error("the secret is the same after it was rotated")
	}
	got := h.must(http.StatusOK, "PUT", one, `{"url":"https://example.com/b","disabled":true}`)
	if got["url"] != "https://example.com/b" || got["disabled"] != true || got["eventTypes"] != nil {
		t.Errorf("PUT gives %v", got)
	}
	if apps := h.must(http.StatusOK, "GET", "/api/v1/app", nil); len(apps["data"].([]any)) != 0 {
		t.Errorf("their application is listed: %v", apps)
	}
	h.must(http.StatusNoContent, "DELETE", one, nil)
	h.must(http.StatusNotFound, "GET", one, nil)
}

func TestOperationalEndpointsArePaged(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var uids []string
	for i := range 5 {
		uids = append(uids, fmt.Sprint("e", i))
		h.id(operational, `{"url":"https://example.com/","uid":"`+uids[i]+`"}`)
	}
	h.paged(operational, "uid", uids)
}

func TestBadOperationalEndpointsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	one := operational + "/" + h.id(operational, `{"url":"https://example.com/","uid":"taken"}`)
	with := func(field string) string { return `{"url":"https://example.com/",` + field + `}` }
	h.refused(map[string]refusal{
		"no URL":                    {"POST", operational, `{}`, 422, "body url"},
		"a private address":         {"POST", operational, `{"url":"http://192.168.0.1/"}`, 422, "body url"},
		"an event of applications":  {"POST", operational, with(`"eventTypes":["user.signup"]`), 422, "body eventTypes"},
		"a pattern":                 {"POST", operational, with(`"eventTypes":["endpoint.*"]`), 422, "body eventTypes"},
		"an event twice":            {"POST", operational, with(`"eventTypes":["endpoint.created","endpoint.created"]`), 422, "body eventTypes"},
		"events of objects":         {"POST", operational, with(`"eventTypes":[{}]`), 422, "body eventTypes"},
		"by the earlier name":       {"PUT", one, with(`"filterTypes":["user.signup"]`), 422, "body filterTypes"},
		"throttle zero":             {"POST", operational, with(`"throttleRate":0`), 422, "body throttleRate"},
		"uid like an id":            {"POST", operational, with(`"uid":"ep_x"`), 422, "body uid"},
		"a uid that is taken":       {"POST", operational, with(`"uid":"taken"`), 409, ""},
		"metadata of numbers":       {"PUT", one, with(`"metadata":{"a":1}`), 422, "body metadata"},
		"a weak secret":             {"POST", operational, with(`"secret":"whsec_YWJj"`), 422, "body secret"},
		"a header split":            {"PUT", one + "/headers", `{"headers":{"X-A":"a\r\nb"}}`, 422, "body headers"},
		"a negative grace":          {"POST", one + "/secret/rotate", `{"gracePeriodSeconds":-1}`, 422, "body gracePeriodSeconds"},
		"PUT of what is not there":  {"PUT", operational + "/nothing", with(`"uid":"x"`), 404, ""},
		"an endpoint of a customer": {"GET", operational + "/" + h.id("/api/v1/app/"+h.app("a")+"/endpoint", `{"url":"https://example.com/"}`), ``, 404, ""},
	})
	if _, got := h.do("POST", operational, with(`"eventTypes":["user.signup"]`)); !strings.Contains(fmt.Sprint(got), "message.attempt.recovered") {
		t.Errorf("the events are not listed: %v", got)
	}
}

func TestTheOrganizationIsToldOfItsEndpoints(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rec := h.receiver(http.StatusOK)
	h.id(operational, map[string]any{"url": rec.URL, "eventTypes": []string{"endpoint.deleted"}})
	h.id(operational, map[string]any{"url": rec.URL + "/unread", "eventTypes": []string{"message.attempt.exhausted"}})
	x := h.source("nn")
	e := h.id(sources+"/"+x["id"].(string)+"/endpoint", `{"url":"https://example.com/","uid":"mine"}`)
	h.must(http.StatusNoContent, "DELETE", sources+"/"+x["id"].(string)+"/endpoint/mine", nil)
	got := rec.next(t)
	var told struct {
		Type string
		Data map[string]string
	}
	if err := json.Unmarshal([]byte(got.body), &told); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"appId": x["appId"].(string), "endpointId": e, "endpointUid": "mine"}
	if told.Type != "endpoint.deleted" || fmt.Sprint(told.Data) != fmt.Sprint(want) || got.header.Get("webhook-signature") == "" {
		t.Errorf("told %s", got.body)
	}
	// It is a message as others are, and says that it is none of a customer.
	for _, query := range []string{"", "?text=mine"} {
		if got := fieldOf(h.must(http.StatusOK, "GET", orgMessages+query, nil), "operational"); len(got) != 1 || got[0] != "true" {
			t.Errorf("%q: operational %v", query, got)
		}
	}
	// Of an endpoint of operational webhooks itself nobody is told: what comes next is the next one.
	second := h.id(operational, map[string]any{"url": rec.URL + "/second"})
	h.must(http.StatusNoContent, "DELETE", operational+"/"+second, nil)
	h.id(sources+"/"+x["id"].(string)+"/endpoint", `{"url":"https://example.com/","uid":"next"}`)
	h.must(http.StatusNoContent, "DELETE", sources+"/"+x["id"].(string)+"/endpoint/next", nil)
	if got := rec.next(t); !strings.Contains(got.body, `"endpointUid":"next"`) {
		t.Errorf("told %s", got.body)
	}
}

func TestEveryChangeOfAnEndpointIsTold(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rec, app := h.receiver(http.StatusOK), h.app("a")
	h.id(operational, map[string]any{"url": rec.URL})
	one := "/api/v1/app/" + app + "/endpoint/one"
	for _, c := range []struct {
		method, path, body string
		status             int
		told               []string
	}{
		{"PUT", one, `{"url":"https://example.com/"}`, 201, []string{"endpoint.created"}},
		{"PATCH", one, `{"description":"d"}`, 200, []string{"endpoint.updated"}},
		{"PATCH", one, `{"disabled":true}`, 200, []string{"endpoint.disabled", "endpoint.updated"}},
		{"PATCH", one, `{"disabled":false}`, 200, []string{"endpoint.enabled", "endpoint.updated"}},
		{"DELETE", one, ``, 204, []string{"endpoint.deleted"}},
	} {
		h.must(c.status, c.method, c.path, c.body)
		var told []string
		for range c.told {
			var event struct {
				Type string
				Data map[string]string
			}
			got := rec.next(t)
			if err := json.Unmarshal([]byte(got.body), &event); err != nil || event.Data["appId"] != app || event.Data["endpointUid"] != "one" {
				t.Errorf("%s %s: told %s", c.method, c.body, got.body)
			}
			told = append(told, event.Type)
		}
		slices.Sort(told) // two may come in any order
		if !slices.Equal(told, c.told) {
			t.Errorf("%s %s: told %v, %v is right", c.method, c.body, told, c.told)
		}
	}
}
