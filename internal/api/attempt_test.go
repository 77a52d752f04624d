package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// fates is an application with one message on its way to endpoints that answer
// differently: ok delivers, bad is tried again later, gone has given up, held is
// paused, and dropped was canceled after it failed.
type fates struct {
	*harness
	app, msg  string
	endpoints map[string]string // name to id
}

// path is a path below the application.
func (f *fates) path(format string, args ...any) string {
	return "/api/v1/app/" + f.app + fmt.Sprintf(format, args...)
}

func newFates(t *testing.T) *fates {
	t.Helper()
	f := &fates{harness: newHarness(t), endpoints: map[string]string{}}
	f.app = f.harness.app("fates")
	answers := map[string]int{"ok": 200, "bad": 500, "gone": 410, "held": 200, "dropped": 503}
	for name, status := range answers {
		f.endpoints[name], _ = f.subscribe(f.app, map[string]any{"url": f.receiver(status).URL, "uid": name, "paused": name == "held"})
	}
	body := `{"eventType":"user.signup","eventId":"e-1","channels":["red"],"tags":["t1"],"payload":{"a":1}}`
	f.msg = f.must(http.StatusAccepted, "POST", f.path("/msg"), body)["id"].(string)
	eventually(t, "all attempts are recorded", func() bool {
		return len(f.rows(f.path("/attempt/msg/%s", f.msg))) == len(answers)-1
	})
	f.must(http.StatusNoContent, "POST", f.path("/msg/%s/delivery/%s/cancel", f.msg, f.delivery("dropped")["id"]), nil)
	return f
}

// rows are those of a list.
func (h *harness) rows(path string) []map[string]any {
	h.t.Helper()
	var rows []map[string]any
	for _, x := range h.must(http.StatusOK, "GET", path, nil)["data"].([]any) {
		rows = append(rows, x.(map[string]any))
	}
	return rows
}

// delivery is that of the message to a named endpoint.
func (f *fates) delivery(name string) map[string]any {
	f.t.Helper()
	for _, d := range f.rows(f.path("/msg/%s/delivery", f.msg)) {
		if d["endpointId"] == f.endpoints[name] {
			return d
		}
	}
	f.t.Fatalf("there is no delivery to %s", name)
	return nil
}

// of names the endpoints of rows, each with its status, in alphabetical order.
func (f *fates) of(rows []map[string]any, field string) string {
	var names []string
	for _, r := range rows {
		for name, id := range f.endpoints {
			if r[field] == id {
				names = append(names, fmt.Sprintf("%s=%v/%v", name, r["status"], r["statusText"]))
			}
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestAttemptsOfAMessageAreChosenByEveryFilter(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	const all = "bad=2/fail dropped=2/fail gone=2/fail ok=0/success"
	future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for query, want := range map[string]string{
		"":                                   all,
		"status=0":                           "ok=0/success",
		"status=1":                           "",
		"status=2":                           "bad=2/fail dropped=2/fail gone=2/fail",
		"status=3":                           "",
		"status=4":                           "dropped=0/success",
		"status=4&expanded_statuses=true":    "dropped=4/canceled",
		"status_code_class=0":                "",
		"status_code_class=200":              "ok=0/success",
		"status_code_class=400":              "gone=2/fail",
		"status_code_class=500":              "bad=2/fail dropped=2/fail",
		"status=2&status_code_class=500":     "bad=2/fail dropped=2/fail",
		"event_types=user.signup,other":      all,
		"event_types=other":                  "",
		"channel=red":                        all,
		"channel=blue":                       "",
		"tag=t1":                             all,
		"tag=t2":                             "",
		"endpoint_id=bad":                    "bad=2/fail",
		"endpoint_id=" + f.endpoints["gone"]: "gone=2/fail",
		"after=" + future:                    "",
		"before=" + future:                   all,
	} {
		for _, ref := range []string{f.msg, "e-1"} {
			if got := f.of(f.rows(f.path("/attempt/msg/%s?%s", ref, query)), "endpointId"); got != want {
				t.Errorf("%s?%s: %q, %q is right", ref, query, got, want)
			}
		}
	}
}

func TestAnAttemptSaysWhatWasAnswered(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	list := f.rows(f.path("/attempt/endpoint/bad?with_msg=true"))
	if len(list) != 1 {
		t.Fatalf("%d attempts, 1 is right", len(list))
	}
	got := list[0]
	for field, want := range map[string]any{
		"msgId": f.msg, "endpointId": f.endpoints["bad"], "response": "answered", "responseStatusCode": 500.0, "status": 2.0, "statusText": "fail",
		"triggerType": 0.0, "outcome": "status",
	} {
		if got[field] != want {
			t.Errorf("%s is %v, %v is right", field, got[field], want)
		}
	}
	if reason, _ := got["reason"].(string); reason == "" {
		t.Error("no reason is given")
	}
	if m, _ := got["msg"].(map[string]any); m == nil || m["id"] != f.msg || len(m["payload"].(map[string]any)) > 0 {
		t.Errorf("msg is %v", got["msg"])
	}
	if bare := f.rows(f.path("/attempt/endpoint/bad?with_content=false"))[0]; bare["response"] != "" || bare["msg"] != nil {
		t.Errorf("without content: %v", bare)
	}
	one := f.must(http.StatusOK, "GET", f.path("/msg/e-1/attempt/%s", got["id"]), nil)
	if one["id"] != got["id"] || one["response"] != "answered" {
		t.Errorf("read alone: %v", one)
	}
	f.must(http.StatusNoContent, "DELETE", f.path("/endpoint/bad"), nil)
	if one := f.must(http.StatusOK, "GET", f.path("/msg/e-1/attempt/%s", got["id"]), nil); one["url"] != "https://deleted.invalid/" {
		t.Errorf("url of a deleted endpoint: %v", one["url"])
	}
	if got := f.of(f.rows(f.path("/attempt/msg/%s?endpoint_id=%s", f.msg, f.endpoints["bad"])), "endpointId"); got != "bad=2/fail" {
		t.Errorf("attempts to a deleted endpoint: %q", got)
	}
}

func TestMessagesOfAnEndpointAreChosenByEveryFilter(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	for _, c := range []struct{ endpoint, query, want string }{
		{"ok", "", "0 success"}, {"ok", "status=0", "0 success"}, {"ok", "status=1", ""}, {"ok", "status=2", ""}, {"ok", "status=3", ""}, {"ok", "status=4", ""},
		{"bad", "", "1 pending"}, {"bad", "status=1", "1 pending"}, {"bad", "status=1&expanded_statuses=true", "1 pending"}, {"bad", "status=3", ""},
		{"gone", "", "2 fail"}, {"gone", "status=2", "2 fail"}, {"gone", "status=0", ""},
		{"held", "", "1 pending"}, {"held", "status=1", "1 pending"}, {"held", "status=1&expanded_statuses=true", "1 pending"},
		{"dropped", "", "0 success"}, {"dropped", "expanded_statuses=true", "4 canceled"}, {"dropped", "status=4", "0 success"},
		{"dropped", "status=4&expanded_statuses=true", "4 canceled"}, {"dropped", "status=0", ""},
		{"ok", "channel=red", "0 success"}, {"ok", "channel=blue", ""}, {"ok", "tag=t1", "0 success"}, {"ok", "tag=t2", ""},
		{"ok", "event_types=user.signup", "0 success"}, {"ok", "event_types=other", ""},
		{"ok", "before=2001-01-01T00:00:00Z", ""}, {"ok", "after=2001-01-01T00:00:00Z", "0 success"},
	} {
		got := ""
		for _, m := range f.rows(f.path("/endpoint/%s/msg?%s", c.endpoint, c.query)) {
			got += fmt.Sprintf("%v %v", m["status"], m["statusText"])
			if m["id"] != f.msg || m["payload"].(map[string]any)["a"] != 1.0 || m["eventId"] != "e-1" {
				t.Errorf("%s?%s gives %v", c.endpoint, c.query, m)
			}
			if (m["nextAttempt"] != nil) != (c.endpoint == "bad") {
				t.Errorf("%s?%s: next attempt %v", c.endpoint, c.query, m["nextAttempt"])
			}
		}
		if got != c.want {
			t.Errorf("%s?%s: %q, %q is right", c.endpoint, c.query, got, c.want)
		}
	}
	if m := f.rows(f.path("/endpoint/ok/msg?with_content=false"))[0]; len(m["payload"].(map[string]any)) > 0 {
		t.Errorf("without content: %v", m)
	}
}

func TestMessagesOfAnEndpointArePaged(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	for i := range 4 {
		f.must(http.StatusAccepted, "POST", f.path("/msg"), fmt.Sprintf(`{"eventType":"more","eventId":"m-%d","payload":{}}`, i))
	}
	for _, query := range []string{"", "&status=1", "&status=1&expanded_statuses=true"} { // the third one gathers
		var got []string
		iterator := ""
		for range 10 {
			page := f.must(http.StatusOK, "GET", f.path("/endpoint/held/msg?limit=2&iterator=%s%s", iterator, query), nil)
			for _, x := range page["data"].([]any) {
				got = append(got, x.(map[string]any)["eventId"].(string))
			}
			iterator, _ = page["iterator"].(string)
			if page["done"] == true {
				break
			}
		}
		if want := "m-3 m-2 m-1 m-0 e-1"; strings.Join(got, " ") != want {
			t.Errorf("%q gives %v, %s is right", query, got, want)
		}
	}
}

func TestDestinationsOfAMessageHaveTheirStatus(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	f.must(http.StatusNoContent, "DELETE", f.path("/endpoint/ok"), nil)
	for query, want := range map[string]string{
		"":                       "bad=1/pending dropped=0/success gone=2/fail held=1/pending ok=0/success",
		"expanded_statuses=true": "bad=1/pending dropped=4/canceled gone=2/fail held=1/pending ok=0/success",
	} {
		rows := f.rows(f.path("/msg/e-1/endpoint?%s", query))
		if got := f.of(rows, "id"); got != want {
			t.Errorf("?%s: %q, %q is right", query, got, want)
		}
		for _, r := range rows {
			if deleted := r["id"] == f.endpoints["ok"]; deleted != (r["url"] == "https://deleted.invalid/") || r["createdAt"] == nil {
				t.Errorf("a destination is %v", r)
			}
		}
	}
	var got []string
	iterator := ""
	for range 10 {
		page := f.must(http.StatusOK, "GET", f.path("/msg/e-1/endpoint?limit=2&iterator=%s", iterator), nil)
		for _, x := range page["data"].([]any) {
			got = append(got, x.(map[string]any)["id"].(string))
		}
		iterator, _ = page["iterator"].(string)
		if page["done"] == true {
			break
		}
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(got))); len(got) != 5 || len(unique) != 5 {
		t.Errorf("pages give %v, five different ones are right", got)
	}
}

func TestResendSendsAgain(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	late := f.receiver(200)
	f.endpoints["late"], _ = f.subscribe(f.app, map[string]any{"url": late.URL, "uid": "late"})
	for name, attempts := range map[string]int{"ok": 2, "dropped": 2, "late": 1} {
		if got := f.must(http.StatusAccepted, "POST", f.path("/msg/e-1/endpoint/%s/resend", name), nil); len(got) > 0 {
			t.Errorf("%s: %v, {} is right", name, got)
		}
		eventually(t, name+" is attempted by hand", func() bool {
			list := f.rows(f.path("/attempt/msg/e-1?endpoint_id=%s", name))
			return len(list) == attempts && list[0]["triggerType"] == 1.0
		})
	}
	if got := late.next(t); got.header.Get("webhook-id") != f.msg {
		t.Errorf("sent %v", got.header)
	}
}

func TestResendIsRefusedWhileAnAttemptIsUnderWay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("busy")
	url, came, leave := h.slowReceiver()
	ep, _ := h.subscribe(app, map[string]any{"url": url})
	msg := h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"x","payload":{}}`)["id"].(string)
	<-came
	at := "/api/v1/app/" + app
	h.must(http.StatusConflict, "POST", at+"/msg/"+msg+"/endpoint/"+ep+"/resend", nil)
	d := h.rows(at + "/msg/" + msg + "/delivery")[0]
	if d["next"] != "attempt 1 is under way, or waits for its turn" || d["state"] != "pending" {
		t.Errorf("while it is attempted: %v", d)
	}
	h.must(http.StatusConflict, "POST", at+"/msg/"+msg+"/delivery/"+d["id"].(string)+"/cancel", nil)
	for query, want := range map[string]string{
		"": "pending", "expanded_statuses=true": "sending", "status=3": "pending", "status=3&expanded_statuses=true": "sending", "status=1": "pending", "status=1&expanded_statuses=true": "",
	} {
		got := ""
		for _, m := range h.rows(at + "/endpoint/" + ep + "/msg?" + query) {
			got += m["statusText"].(string)
		}
		if got != want {
			t.Errorf("?%s: %q, %q is right", query, got, want)
		}
	}
	leave()
	eventually(t, "it is delivered", func() bool {
		return h.rows(at + "/msg/" + msg + "/delivery")[0]["state"] == "delivered"
	})
	h.must(http.StatusAccepted, "POST", at+"/msg/"+msg+"/endpoint/"+ep+"/resend", nil)
}

func TestWhatHasNoPayloadIsNotResent(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	store := f.server.API().Store.(interface {
		ExpungeBody(ctx context.Context, app, message hook.Key) error
	})
	if err := store.ExpungeBody(t.Context(), f.key(hook.KindApplication, f.app), f.key(hook.KindMessage, f.msg)); err != nil {
		t.Fatal(err)
	}
	if got := f.must(http.StatusConflict, "POST", f.path("/msg/e-1/endpoint/ok/resend"), nil); !strings.Contains(got["detail"].(string), "payload was deleted") {
		t.Errorf("refused with %v", got)
	}
}

func TestAttemptsAreRefusedToOthers(t *testing.T) {
	t.Parallel()
	f := newFates(t)
	attempt := f.rows(f.path("/attempt/endpoint/ok"))[0]["id"].(string)
	other := f.harness.app("other")
	sent := f.must(http.StatusAccepted, "POST", f.path("/msg"), `{"eventType":"second","payload":{}}`)["id"].(string)
	dlv := f.delivery("held")["id"].(string)
	foreign, portal := f.as(jwtOf(t, "org_others", "")), f.as(jwtOf(t, "org_tests", other))
	for _, c := range []struct{ method, path string }{
		{"GET", f.path("/attempt/endpoint/ok")}, {"GET", f.path("/attempt/msg/%s", f.msg)}, {"GET", f.path("/endpoint/ok/msg")}, {"GET", f.path("/msg/%s/endpoint", f.msg)},
		{"GET", f.path("/msg/%s/attempt/%s", f.msg, attempt)}, {"POST", f.path("/msg/%s/endpoint/ok/resend", f.msg)},
		{"GET", f.path("/msg/%s/delivery", f.msg)}, {"POST", f.path("/msg/%s/delivery/%s/cancel", f.msg, dlv)},
	} {
		foreign.must(http.StatusNotFound, c.method, c.path, nil)
		portal.must(http.StatusNotFound, c.method, c.path, nil)
	}
	for _, c := range []struct {
		method, path string
		status       int
		field        string // of a 422
	}{
		{"GET", f.path("/msg/%s/attempt/%s", sent, attempt), 404, ""}, // of another message
		{"GET", f.path("/msg/%s/attempt/atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2", f.msg), 404, ""},
		{"GET", f.path("/attempt/msg/nothing"), 404, ""},
		{"GET", f.path("/attempt/endpoint/nothing"), 404, ""},
		{"GET", f.path("/attempt/msg/e-1?endpoint_id=nothing"), 404, ""},
		{"POST", f.path("/msg/nothing/endpoint/ok/resend"), 404, ""},
		{"POST", f.path("/msg/e-1/endpoint/nothing/resend"), 404, ""},
		{"POST", f.path("/msg/%s/delivery/%s/cancel", sent, dlv), 404, ""},
		{"GET", f.path("/attempt/msg/e-1?status=5"), 422, "status"},
		{"GET", f.path("/attempt/msg/e-1?status=x"), 422, "status"},
		{"GET", f.path("/attempt/msg/e-1?status_code_class=404"), 422, "status_code_class"},
		{"GET", f.path("/attempt/msg/e-1?channel=a%%20b"), 422, "channel"},
		{"GET", f.path("/attempt/msg/e-1?tag=a%%20b"), 422, "tag"},
		{"GET", f.path("/attempt/msg/e-1?event_types=a%%20b"), 422, "event_types"},
		{"GET", f.path("/attempt/msg/e-1?before=yesterday"), 422, "before"},
		{"GET", f.path("/attempt/msg/e-1?limit=251"), 422, "limit"},
		{"GET", f.path("/attempt/msg/e-1?iterator=%s", f.msg), 422, "iterator"},
		{"GET", f.path("/endpoint/ok/msg?status=-1"), 422, "status"},
		{"GET", f.path("/endpoint/ok/msg?iterator=%s", attempt), 422, "iterator"},
		{"GET", f.path("/msg/e-1/endpoint?iterator=x"), 422, "iterator"},
	} {
		got := f.must(c.status, c.method, c.path, nil)
		if c.field != "" && !strings.Contains(fmt.Sprint(got["detail"]), "loc:[query "+c.field) {
			t.Errorf("%s: %v does not name %s", c.path, got, c.field)
		}
	}
}
