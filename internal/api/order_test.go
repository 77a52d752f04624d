package api_test

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// expect compares some fields of an answer; nil is a field that must not be there.
func expect(t *testing.T, what string, got, want map[string]any) {
	t.Helper()
	for field, v := range want {
		if fmt.Sprint(got[field]) != fmt.Sprint(v) {
			t.Errorf("%s: %s is %v, %v is right", what, field, got[field], v)
		}
	}
}

func TestAnEndpointSaysHowItIsOrdered(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	path := "/api/v1/app/" + h.app("a") + "/endpoint"
	plain := map[string]any{"order": "none", "orderBy": nil, "orderWindowSeconds": nil, "latestOnly": nil, "onPoison": nil, "poisonAfter": nil}
	expect(t, "without order", h.must(http.StatusCreated, "POST", path, `{"url":"https://example.com/","order":"none"}`), plain)
	made := h.must(http.StatusCreated, "POST", path, `{"url":"https://example.com/","uid":"e","order":"subject:customer"}`)
	expect(t, "with defaults", made, map[string]any{"order": "subject:customer", "orderBy": "acceptance", "orderWindowSeconds": nil, "latestOnly": false, "onPoison": "block", "poisonAfter": nil})
	one := path + "/e"
	for _, c := range []struct {
		body string
		want map[string]any
	}{
		{`{"orderBy":"occurrence","latestOnly":true,"onPoison":"park"}`, map[string]any{"orderBy": "occurrence", "orderWindowSeconds": 5, "latestOnly": true, "onPoison": "park", "poisonAfter": 5}},
		{`{"orderWindowSeconds":60,"poisonAfter":2}`, map[string]any{"orderWindowSeconds": 60, "poisonAfter": 2}},
		{`{"orderWindowSeconds":null,"poisonAfter":null}`, map[string]any{"orderWindowSeconds": 5, "poisonAfter": 5}},
		{`{"orderWindowSeconds":60}`, map[string]any{"orderWindowSeconds": 60}},
		{`{"orderBy":"acceptance","onPoison":null,"latestOnly":null}`, map[string]any{"orderBy": "acceptance", "orderWindowSeconds": nil, "latestOnly": false, "onPoison": "block", "poisonAfter": nil}},
		{`{"order":"subject","onPoison":"skip"}`, map[string]any{"order": "subject", "onPoison": "skip"}},
	} {
		h.must(http.StatusOK, "PATCH", one, c.body)
		expect(t, c.body, h.must(http.StatusOK, "GET", one, nil), c.want)
	}
	kept := h.must(http.StatusOK, "PUT", one, `{"url":"https://example.com/2"}`)
	expect(t, "after a PUT that does not say", kept, map[string]any{"order": "subject", "onPoison": "skip", "url": "https://example.com/2"})
	expect(t, "after a PUT", h.must(http.StatusOK, "PUT", one, `{"url":"https://example.com/","order":"none"}`), plain)
	h.refused(map[string]refusal{
		"kind":         {"POST", path, `{"url":"https://example.com/","order":"subject:End User"}`, 422, "body order"},
		"word":         {"PATCH", one, `{"order":"session"}`, 422, "body order"},
		"no order":     {"PATCH", one, `{"latestOnly":true}`, 422, "body latestOnly"},
		"none and by":  {"PATCH", one, `{"order":"none","orderBy":"occurrence"}`, 422, "body orderBy"},
		"window":       {"PATCH", one, `{"order":"subject","orderWindowSeconds":5}`, 422, "body orderWindowSeconds"},
		"long window":  {"PATCH", one, `{"order":"subject","orderBy":"occurrence","orderWindowSeconds":3601}`, 422, "body orderWindowSeconds"},
		"poison":       {"PATCH", one, `{"order":"subject","onPoison":"drop"}`, 422, "body onPoison"},
		"poison after": {"PATCH", one, `{"order":"subject","poisonAfter":3}`, 422, "body poisonAfter"},
	})
}

// At a source only subjects that its provider's events name make lanes.
func TestASourcesEndpointIsOrderedByItsProvidersSubjects(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	meeva := h.must(http.StatusCreated, "POST", "/ingest/api/v1/source", `{"name":"vv","type":"generic-webhook","provider":"meeva","secrets":["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}`)
	generic := h.must(http.StatusCreated, "POST", "/ingest/api/v1/source", `{"name":"gg","type":"generic-webhook"}`)
	at := func(x map[string]any) string { return fmt.Sprintf("/ingest/api/v1/source/%s/endpoint", x["id"]) }
	made := h.must(http.StatusCreated, "POST", at(meeva), `{"url":"https://example.com/","order":"subject:booking"}`)
	expect(t, "of a source", made, map[string]any{"order": "subject:booking", "orderBy": "acceptance"})
	h.refused(map[string]refusal{
		"another's kind": {"POST", at(meeva), `{"url":"https://example.com/","order":"subject:session"}`, 422, "body order"},
		"no subjects":    {"POST", at(generic), `{"url":"https://example.com/","order":"subject"}`, 422, "body order"},
	})
}

// lane is an application with an ordered endpoint, whose messages are about one customer.
type lane struct {
	*harness
	app, endpoint string
}

func newLane(t *testing.T, status int, fields map[string]any) *lane {
	t.Helper()
	l := &lane{harness: newHarness(t)}
	l.app = l.harness.app("lanes")
	all := map[string]any{"url": l.receiver(status).URL, "order": "subject:customer"}
	for k, v := range fields {
		all[k] = v
	}
	l.endpoint, _ = l.subscribe(l.app, all)
	return l
}

func (l *lane) keep(id string) string {
	l.t.Helper()
	return l.message(l.app, fmt.Sprintf(`{"eventType":"order.paid","eventId":%q,"payload":{},"subjects":[{"kind":"customer","id":"c-1"}]}`, id))
}

func (l *lane) delivery(msg string) map[string]any {
	l.t.Helper()
	return l.rows("/api/v1/app/" + l.app + "/msg/" + msg + "/delivery")[0]
}

// becomes waits until a message's delivery has a state.
func (l *lane) becomes(msg, state string) map[string]any {
	l.t.Helper()
	eventually(l.t, "the delivery is "+state, func() bool { return l.delivery(msg)["state"] == state })
	return l.delivery(msg)
}

func says(t *testing.T, d map[string]any, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(d["next"].(string)) {
		t.Errorf("next is %q, %s is right", d["next"], pattern)
	}
}

func TestWhatWaitsSaysForWhat(t *testing.T) {
	t.Parallel()
	l := newLane(t, 500, nil)
	first := l.keep("1")
	eventually(t, "the first has failed", func() bool { return l.delivery(first)["attempts"] == 1.0 })
	second := l.keep("2")
	head, waits := l.delivery(first), l.delivery(second)
	expect(t, "what waits", waits, map[string]any{"state": "pending", "attempts": 0, "waitsFor": head["id"], "nextAttempt": nil, "until": nil})
	says(t, waits, `^waits for its turn: blocked by dlv_\w{27} \(`+first+`\) of customer c-1, which failed once: attempt 2 at 20`)
	says(t, head, `^attempt 2 at 20`)
	l.stats(l.app, l.endpoint, map[string]any{"pending": 2.0, "success": 0.0, "sending": 0.0, "fail": 0.0, "canceled": 0.0})
	if rows := l.rows("/api/v1/app/" + l.app + "/endpoint/" + l.endpoint + "/msg?status=1"); len(rows) != 2 {
		t.Errorf("%d pending messages, 2 are right", len(rows))
	}
	again := "/api/v1/app/" + l.app + "/msg/" + second + "/endpoint/" + l.endpoint + "/resend"
	l.must(http.StatusConflict, "POST", again, nil)
	l.must(http.StatusNoContent, "POST", fmt.Sprintf("/api/v1/app/%s/msg/%s/delivery/%s/cancel", l.app, first, head["id"]), nil)
	eventually(t, "the second is sent", func() bool { return l.delivery(second)["attempts"] == 1.0 })

	third := l.keep("3")
	l.must(http.StatusOK, "PATCH", "/api/v1/app/"+l.app+"/endpoint/"+l.endpoint, `{"paused":true}`)
	l.becomes(second, "held")
	says(t, l.delivery(third), `^waits for its turn: behind dlv_\w{27} \(`+second+`\) of customer c-1: held: the endpoint is paused by hand$`)
}

func TestWhatWaitsForWhatHappenedBeforeSaysSo(t *testing.T) {
	t.Parallel()
	l := newLane(t, 200, map[string]any{"orderBy": "occurrence", "orderWindowSeconds": 3600})
	first := l.keep("1")
	says(t, l.delivery(first), `^attempt 1 at 20\d\d-\S+Z, for what happened before it may still come$`)
	says(t, l.delivery(l.keep("2")), `^waits for its turn: behind dlv_\w{27} \(`+first+`\) of customer c-1: attempt 1 at 20\d\d-\S+Z, for what happened before it may still come$`)
}

func TestWhatIsSkippedOrParkedSaysSo(t *testing.T) {
	t.Parallel()
	l := newLane(t, 500, map[string]any{"onPoison": "skip", "poisonAfter": 1})
	first := l.keep("1")
	d := l.becomes(first, "failed")
	expect(t, "skipped", d, map[string]any{"poison": "skipped", "attempts": 1})
	says(t, d, `^nothing: skipped after 1 attempt, so that those behind it go out; resend to try again$`)
	if reason := d["lastAttempt"].(map[string]any)["reason"]; reason != "answered 500 Internal Server Error; skipped after 1 failure: its lane goes on" {
		t.Errorf("the reason is %q", reason)
	}
	l.must(http.StatusOK, "PATCH", "/api/v1/app/"+l.app+"/endpoint/"+l.endpoint, `{"onPoison":"park","poisonAfter":1}`)
	second := l.keep("2")
	eventually(t, "it is parked", func() bool { return l.delivery(second)["poison"] == "parked" })
	says(t, l.delivery(second), `^parked after 1 attempt, so that those behind it go out: attempt 2 at 20`)
}

func TestWhatWasSupersededSaysByWhat(t *testing.T) {
	t.Parallel()
	l := newLane(t, 500, map[string]any{"latestOnly": true})
	state := func(id string, at int) string {
		return l.accept(l.app, hook.Event{Type: "s", ID: id, Family: "f", Subjects: subjects("customer", "c-1"), OccurredAt: time.Unix(1_700_000_000+int64(at), 0)})
	}
	old := state("1", 10)
	eventually(t, "the first has failed", func() bool { return l.delivery(old)["attempts"] == 1.0 })
	fresh, late := state("2", 20), state("3", 15)
	for _, msg := range []string{old, late} {
		d := l.becomes(msg, "canceled")
		expect(t, "superseded", d, map[string]any{"supersededBy": fresh})
		says(t, d, `^nothing: canceled: superseded by `+fresh+`; resend to send it all the same$`)
	}
	l.must(http.StatusAccepted, "POST", "/api/v1/app/"+l.app+"/msg/"+old+"/endpoint/"+l.endpoint+"/resend", nil)
	expect(t, "sent again", l.delivery(old), map[string]any{"supersededBy": nil, "state": "pending"})
}

// A message that goes out after a newer state of it was accepted says so.
func TestWhatIsSentAfterANewerStateSaysThatItIsStale(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, rec := h.app("stale"), h.receiver(http.StatusOK)
	endpoint, _ := h.subscribe(app, map[string]any{"url": rec.URL})
	state := func(id string, at int) string {
		return h.accept(app, hook.Event{Type: "s", ID: id, Family: "f", Subjects: subjects("customer", "c-1"), OccurredAt: time.Unix(1_700_000_000+int64(at), 0)})
	}
	header := func() string { return rec.next(t).header.Get("Sigpost-Stale") }
	first := state("1", 10)
	if got := header(); got != "" {
		t.Errorf("the first says %q", got)
	}
	state("2", 20)
	if got := header(); got != "" {
		t.Errorf("the newest says %q", got)
	}
	h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg/"+first+"/endpoint/"+endpoint+"/resend", nil)
	if got := header(); got != "true" {
		t.Errorf("the first, sent again, says %q", got)
	}
	state("3", 15)
	if got := header(); got != "true" {
		t.Errorf("one that comes late says %q", got)
	}
}
