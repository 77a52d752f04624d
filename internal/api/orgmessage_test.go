package api_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

const orgMessages = "/api/v1/msg"

func TestMessagesOfAllApplicationsAreListedTheNewestFirst(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	shop, books := h.app("shop"), h.app("books")
	x := h.source("provider")
	hidden := x["appId"].(string)
	one := h.message(shop, `{"eventType":"order.paid","payload":{}}`)
	two := h.message(books, `{"eventType":"order.sent","payload":{}}`)
	three := h.accept(hidden, hook.Event{Type: "provider.order.paid", ID: "e", Family: "order", Subjects: subjects("user", "u")})
	h.as(jwtOf(t, "org_others", "")).app("theirs")

	for query, want := range map[string][]string{
		"":                                     {three, two, one},
		"limit=1":                              {three},
		"limit=1&iterator=" + three:            {two},
		"app_id=" + shop:                       {one},
		"source=provider":                      {three},
		"source=" + x["id"].(string):           {three},
		"event_types=order.paid,order.sent":    {two, one},
		"event_types=order":                    {},
		"event_type_patterns=order.*":          {two, one},
		"event_type_patterns=*.paid":           {three, one},
		"event_type_patterns=*.order.*,*.sent": {three, two},
		"event_types=order.paid&event_type_patterns=*.sent":      {two, one},
		"event_type_patterns=*.paid&app_id=" + shop:              {one},
		"event_types=order.sent&app_id=" + shop:                  {},
		"before=" + time.Now().Add(-time.Hour).Format(stamp):     {},
		"after=" + time.Now().Add(-time.Hour).Format(stamp):      {three, two, one},
		"source=provider&event_type_patterns=provider.order.pai": {},
	} {
		page := h.must(http.StatusOK, "GET", orgMessages+"?"+query, nil)
		if got := fieldOf(page, "id"); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %v, %v is right", query, got, want)
		}
	}
	all, _ := h.pages(orgMessages, "id", "")
	if strings.Join(all, " ") != strings.Join([]string{three, two, one}, " ") {
		t.Errorf("two at a time: %v", all)
	}
	rows := h.rows(orgMessages)
	if got := rows[0]; got["source"] != "provider" || got["sourceId"] != x["id"] || got["appId"] != hidden || got["family"] != "order" || got["state"] != "unmatched" || got["size"] != 2.0 {
		t.Errorf("a source's: %v", got)
	}
	if got := rows[2]; got["source"] != nil || got["appId"] != shop || fmt.Sprint(got["payload"]) != "map[]" {
		t.Errorf("an application's: %v", got)
	}
}

const stamp = "2006-01-02T15:04:05Z"

func TestMessagesOfOthersAreNeverListed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	msg := h.message(h.app("a"), `{"eventType":"order.paid","payload":{}}`)
	other := h.as(jwtOf(t, "org_others", ""))
	own := other.message(other.app("b"), `{"eventType":"order.paid","payload":{}}`)
	for _, query := range []string{"", "event_types=order.paid", "event_type_patterns=*", "limit=250", "iterator=" + msg} {
		for _, id := range fieldOf(other.must(http.StatusOK, "GET", orgMessages+"?"+query, nil), "id") {
			if id != own {
				t.Errorf("%s shows %s", query, id)
			}
		}
	}
	if status, got := other.do("GET", orgMessages+"/"+msg, nil); status != http.StatusNotFound {
		t.Errorf("the message of another: %d %v", status, got)
	}
}

func TestAMessageThatWentNowhereSaysWhy(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	h.subscribe(app, map[string]any{"url": h.receiver(200).URL, "channels": []string{"eu"}})
	got := h.must(http.StatusOK, "GET", orgMessages+"/"+h.message(app, `{"eventType":"order.paid","payload":{}}`), nil)
	if next, _ := got["next"].(string); got["state"] != "unmatched" || !strings.HasPrefix(next, "nothing: no endpoint asked for its event type and channels") {
		t.Errorf("unmatched: %v", got)
	}
	taken := h.must(http.StatusOK, "GET", orgMessages+"/"+h.message(app, `{"eventType":"order.paid","channels":["eu"],"payload":{}}`), nil)
	if taken["next"] != nil {
		t.Errorf("one with a delivery, which says it: %v", taken["next"])
	}
}

func TestAMessageIsShownWithEveryAttempt(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, bad, good := h.app("a"), h.receiver(500), h.receiver(200)
	first, second := h.endpoint(app, bad.URL), h.endpoint(app, good.URL)
	const payload = `{ "b": 1.00 }`
	msg := h.message(app, `{"eventType":"order.paid","payload":`+payload+`}`)
	one := orgMessages + "/" + msg
	eventually(t, "both were tried", func() bool { return h.must(http.StatusOK, "GET", one, nil)["attempts"] == 2.0 })
	got := h.must(http.StatusOK, "GET", one, nil)
	if got["id"] != msg || got["state"] != "pending" || got["appId"] != app || fmt.Sprint(got["payload"]) != "map[b:1]" || fmt.Sprint(got["headers"]) != "[map[name:Content-Type value:application/json]]" {
		t.Errorf("%v", got)
	}
	h.must(http.StatusOK, "PATCH", "/api/v1/app/"+app+"/endpoint/"+first, `{"description":"Ledger","uid":"ledger"}`)
	if got := fieldOf(map[string]any{"data": h.must(http.StatusOK, "GET", one, nil)["deliveries"]}, "endpoint"); !slices.Contains(got, "Ledger") {
		t.Errorf("the endpoints are called %v", got)
	}
	for _, x := range got["deliveries"].([]any) {
		d := x.(map[string]any)
		log := d["log"].([]any)
		if len(log) != 1 || log[0].(map[string]any)["number"] != 1.0 || log[0].(map[string]any)["response"] != "answered" {
			t.Errorf("the attempts of %v: %v", d["endpoint"], log)
			continue
		}
		status := log[0].(map[string]any)["responseStatusCode"]
		switch {
		case d["endpointId"] == first && d["state"] == "pending" && status == 500.0 && strings.HasPrefix(d["next"].(string), "attempt 2") && d["url"] == bad.URL:
		case d["endpointId"] == second && d["state"] == "delivered" && status == 200.0:
		default:
			t.Errorf("a delivery is %v", d)
		}
	}
	raw := h.must(http.StatusOK, "GET", one+"?raw=true", nil)
	if body, err := base64.StdEncoding.DecodeString(fmt.Sprint(raw["rawPayload"])); err != nil || string(body) != payload || raw["contentType"] != "application/json" {
		t.Errorf("raw it is %v, %v", raw, err)
	}
	h.must(http.StatusNoContent, "DELETE", "/api/v1/app/"+app+"/endpoint/"+first, nil)
	if d := h.must(http.StatusOK, "GET", one, nil)["deliveries"].([]any)[0].(map[string]any); d["deleted"] != true {
		t.Errorf("after its endpoint was deleted: %v", d)
	}
	h.must(http.StatusNoContent, "DELETE", "/api/v1/app/"+app+"/msg/"+msg+"/content", nil)
	for _, query := range []string{"", "?raw=true"} {
		if got := h.must(http.StatusOK, "GET", one+query, nil); fmt.Sprint(got["payload"]) != "map[expired:true]" || got["rawPayload"] != nil {
			t.Errorf("after its payload was deleted%s: %v", query, got)
		}
	}
}

func TestHeadersThatMayBeCredentialsAreNotShown(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.source("in")
	in := hook.Incoming{
		Org: h.org("org_tests"), App: h.key(hook.KindApplication, x["appId"].(string)), Event: hook.Event{Type: "a.b", DedupeKey: "1"}, ReceivedAt: time.Now(), Body: []byte("text"),
		Headers: []hook.Header{{Name: "Content-Type", Value: "text/plain"}, {Name: "X-Api-Key", Value: "hunter2"}},
	}
	receipt, err := h.server.API().Pipeline.Accept(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	w := h.send("GET", orgMessages+"/"+h.server.IDs().Public(hook.KindMessage, receipt.Message), nil)
	if body := w.Body.String(); strings.Contains(body, "hunter2") || !strings.Contains(body, `"value":"[redacted]"`) || !strings.Contains(body, `"rawPayload":"dGV4dA=="`) {
		t.Errorf("%d %s", w.Code, body)
	}
}

func TestMessagesOfADeletedApplicationAreGone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, kept := h.app("a"), h.app("b")
	gone, there := h.message(app, `{"eventType":"x.y","payload":{}}`), h.message(kept, `{"eventType":"x.y","payload":{}}`)
	h.must(http.StatusNoContent, "DELETE", "/api/v1/app/"+app, nil)
	if got := fieldOf(h.must(http.StatusOK, "GET", orgMessages, nil), "id"); len(got) != 1 || got[0] != there {
		t.Errorf("listed %v, [%s] is right", got, there)
	}
	if status, got := h.do("GET", orgMessages+"/"+gone, nil); status != http.StatusNotFound {
		t.Errorf("read: %d %v", status, got)
	}
}

func TestMessagesOfTheOrganizationRefuseWhatTheyCannotUse(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	h.refused(map[string]refusal{
		"no limit":           {"GET", orgMessages + "?limit=0", "", 422, "query limit"},
		"an iterator":        {"GET", orgMessages + "?iterator=x", "", 422, "query iterator"},
		"both":               {"GET", orgMessages + "?source=x&app_id=" + app, "", 422, "query app_id"},
		"a type":             {"GET", orgMessages + "?event_types=a*", "", 422, "query event_types"},
		"a pattern":          {"GET", orgMessages + "?event_type_patterns=" + url.QueryEscape("[a]"), "", 422, "query event_type_patterns"},
		"a time":             {"GET", orgMessages + "?before=yesterday", "", 422, "query before"},
		"no such source":     {"GET", orgMessages + "?source=x", "", 404, ""},
		"no such app":        {"GET", orgMessages + "?app_id=x", "", 404, ""},
		"no id":              {"GET", orgMessages + "/x", "", 404, ""},
		"another kind of id": {"GET", orgMessages + "/" + app, "", 404, ""},
		"a forged id":        {"GET", orgMessages + "/msg_" + strings.Repeat("A", 27), "", 404, ""},
	})
	one := orgMessages + "/" + h.message(app, `{"eventType":"x.y","payload":{}}`)
	for scope, want := range map[string]int{"viewer": 200, "developer": 200, "send": 403} {
		token, _ := h.scoped(scope)
		for _, path := range []string{orgMessages, one} {
			if status, got := h.as(token).do("GET", path, nil); status != want {
				t.Errorf("%s with %s: %d %v, %d is right", path, scope, status, got, want)
			}
		}
	}
	portal := h.as(jwtOf(t, "org_tests", app))
	for _, path := range []string{orgMessages, one} {
		if status, got := portal.do("GET", path, nil); status != http.StatusForbidden {
			t.Errorf("%s from a portal: %d %v", path, status, got)
		}
	}
}
