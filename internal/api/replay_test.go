package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339) }

func TestMissingMessagesAreReplayed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	h.message(app, `{"eventType":"invoice.paid","payload":{"n":1}}`)
	h.message(app, `{"eventType":"user.signup","payload":{"n":2}}`)
	rec := h.receiver(http.StatusOK)
	e := h.endpoint(app, rec.URL, "invoice.paid")
	one := "/api/v1/app/" + app + "/endpoint/" + e
	begun := h.must(http.StatusAccepted, "POST", one+"/replay-missing", `{"since":"`+ago(time.Hour)+`","until":null}`)
	if begun["task"] != "endpoint.replay" || begun["status"] != "running" || begun["updatedAt"] == nil || !strings.HasPrefix(begun["id"].(string), "qtask_") {
		t.Errorf("begun %v", begun)
	}
	want := map[string]any{"messagesSent": 1.0, "progress": map[string]any{"looked": 2.0, "sent": 1.0, "total": 2.0}, "appId": app, "endpointId": e}
	if diff := cmp.Diff(want, h.result(begun)); diff != "" {
		t.Error(diff)
	}
	if got := rec.next(t).body; got != `{"n":1}` {
		t.Errorf("what came is %s", got)
	}
	h.stats(app, e, counts(1, 0, 0, 0))
}

func TestMessagesAreReplayedInBulk(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	rec := h.receiver(http.StatusOK)
	e := h.endpoint(app, rec.URL)
	for _, body := range []string{`{"eventType":"a","payload":{"n":1},"tags":["x"],"channels":["c"]}`, `{"eventType":"b","payload":{"n":2}}`} {
		h.message(app, body)
		rec.next(t)
	}
	h.stats(app, e, counts(2, 0, 0, 0))
	one := "/api/v1/app/" + app + "/endpoint/" + e + "/bulk-replay"
	since := `{"since":"` + ago(time.Hour) + `"`
	for filter, want := range map[string]float64{
		`}`: 2, `,"eventTypes":["a"],"channel":"c","tag":"x","status":0,"statusCodeClass":200}`: 1,
		`,"status":2}`: 0, `,"statusCodeClass":500}`: 0, `,"tag":"y"}`: 0, `,"status":null,"statusCodeClass":null,"eventTypes":null,"tag":null,"channel":null}`: 2,
	} {
		begun := h.must(http.StatusAccepted, "POST", one, since+filter)
		if got := h.result(begun)["messagesSent"]; got != want || begun["task"] != "endpoint.bulk-replay" {
			t.Errorf("%s: %v were sent, %v is right", filter, got, want)
		}
		for range int(want) {
			rec.next(t)
		}
		h.stats(app, e, counts(2, 0, 0, 0))
	}
}

func TestFailedMessagesAreRecovered(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	rec := h.receiver(http.StatusGone)
	e := h.endpoint(app, rec.URL)
	h.message(app, `{"eventType":"a","payload":{"n":1}}`)
	rec.next(t)
	h.stats(app, e, counts(0, 0, 1, 0))
	one := "/api/v1/app/" + app + "/endpoint/" + e
	back := h.receiver(http.StatusOK)
	h.must(http.StatusOK, "PATCH", one, map[string]any{"url": back.URL, "disabled": false})
	begun := h.must(http.StatusAccepted, "POST", one+"/recover", `{"since":"`+ago(14*24*time.Hour)+`"}`)
	if got := h.result(begun)["messagesSent"]; got != 1.0 || begun["task"] != "endpoint.recover" {
		t.Errorf("%v: %v were sent", begun, got)
	}
	if got := back.next(t).body; got != `{"n":1}` {
		t.Errorf("what came is %s", got)
	}
	h.stats(app, e, counts(1, 0, 0, 0))
}

func TestReplayRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	one := "/api/v1/app/" + app + "/endpoint/" + h.endpoint(app, "https://example.com/")
	h.must(http.StatusCreated, "POST", "/api/v1/event-type", `{"name":"a","description":""}`)
	cases := map[string]fault{
		"recover too early":        {"POST", one + "/recover", `{"since":"` + ago(15*24*time.Hour) + `"}`, 422, "body since"},
		"a tag with a space":       {"POST", one + "/bulk-replay", `{"since":"` + ago(time.Hour) + `","tag":"a b"}`, 422, "body tag"},
		"a channel with a space":   {"POST", one + "/bulk-replay", `{"since":"` + ago(time.Hour) + `","channel":"a b"}`, 422, "body channel"},
		"a status":                 {"POST", one + "/bulk-replay", `{"since":"` + ago(time.Hour) + `","status":5}`, 422, "body status"},
		"a class":                  {"POST", one + "/bulk-replay", `{"since":"` + ago(time.Hour) + `","statusCodeClass":600}`, 422, "body statusCodeClass"},
		"types":                    {"POST", one + "/bulk-replay", `{"since":"` + ago(time.Hour) + `","eventTypes":["a b"]}`, 422, "body eventTypes"},
		"types twice":              {"POST", one + "/bulk-replay", `{"since":"` + ago(time.Hour) + `","eventTypes":["a","a"]}`, 422, "body eventTypes"},
		"types of another type":    {"POST", one + "/bulk-replay", `{"since":"` + ago(time.Hour) + `","eventTypes":[{},{}]}`, 422, "body eventTypes"},
		"no since and no messages": {"POST", one + "/bulk-replay", `{"tag":"a"}`, 422, "body since"},
		"messages twice":           {"POST", one + "/bulk-replay", `{"messageIds":["a","a"]}`, 422, "body messageIds"},
		"unknown messages":         {"POST", one + "/bulk-replay", `{"messageIds":["nothing"]}`, 404, ""},
		"a subject without id":     {"POST", one + "/cancel-pending", `{"subject":{"kind":"user"}}`, 422, "body subject id"},
		"cancel until the past":    {"POST", one + "/cancel-pending", `{"since":"` + ago(time.Hour) + `","until":"` + ago(2*time.Hour) + `"}`, 422, "body until"},
		"cancel with a class":      {"POST", one + "/cancel-pending", `{"statusCodeClass":1}`, 422, "body statusCodeClass"},
		"cancel of nobody":         {"POST", "/api/v1/app/" + app + "/endpoint/nobody/cancel-pending", `{}`, 404, ""},
		"example of nothing":       {"POST", one + "/send-example", `{}`, 422, "body eventType"},
		"a negative index":         {"POST", one + "/send-example", `{"eventType":"a","exampleIndex":-1}`, 422, "body exampleIndex"},
		"an unknown type":          {"POST", one + "/send-example", `{"eventType":"nothing"}`, 404, ""},
	}
	for _, op := range []string{"recover", "replay-missing", "bulk-replay"} {
		path := one + "/" + op
		cases[op+" without since"] = fault{"POST", path, `{}`, 422, "body since"}
		cases[op+" since no time"] = fault{"POST", path, `{"since":"x"}`, 422, "body since"}
		cases[op+" until before since"] = fault{"POST", path, `{"since":"` + ago(time.Hour) + `","until":"` + ago(2*time.Hour) + `"}`, 422, "body until"}
		cases[op+" in the future"] = fault{"POST", path, `{"since":"` + ago(-time.Hour) + `"}`, 422, "body since"}
		cases[op+" at no pace"] = fault{"POST", path, `{"since":"` + ago(time.Hour) + `","pace":0}`, 422, "body pace"}
		cases[op+" too fast"] = fault{"POST", path, `{"since":"` + ago(time.Hour) + `","pace":1001}`, 422, "body pace"}
		cases[op+" of nobody"] = fault{"POST", "/api/v1/app/" + app + "/endpoint/nobody/" + op, `{"since":"` + ago(time.Hour) + `"}`, 404, ""}
	}
	checkFaults(t, h, cases)
	if got := h.must(http.StatusOK, "GET", "/api/v1/background-task", nil); len(got["data"].([]any)) != 0 {
		t.Errorf("what was refused made %v", got)
	}
	other := h.as(jwtOf(t, "org_others", ""))
	viewer := h.as(h.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/"+app, `{"readOnly":true}`)["token"].(string))
	for op, body := range map[string]string{
		"recover": `{"since":"` + ago(time.Hour) + `"}`, "replay-missing": `{"since":"` + ago(time.Hour) + `"}`, "bulk-replay": `{"since":"` + ago(time.Hour) + `"}`, "send-example": `{"eventType":"a"}`, "cancel-pending": `{}`,
	} {
		other.must(http.StatusNotFound, "POST", one+"/"+op, body)
		viewer.must(http.StatusForbidden, "POST", one+"/"+op, body)
	}
}
