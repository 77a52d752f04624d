package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const tasks = "/api/v1/background-task"

// replay is an application with messages that an endpoint has got already.
type replay struct {
	*harness
	app, endpoint string
	one           string // the endpoint's path
	rec           *receiver
	msgs          []string
}

func newReplay(t *testing.T, n int) *replay {
	t.Helper()
	h := newHarness(t)
	r := &replay{harness: h, app: h.app("a"), rec: h.receiver(http.StatusOK)}
	r.endpoint = h.endpoint(r.app, r.rec.URL)
	r.one = "/api/v1/app/" + r.app + "/endpoint/" + r.endpoint
	for i := range n {
		body := fmt.Sprintf(`{"eventType":"t.%d","eventId":"e%d","payload":{"n":%d},"subjects":[{"kind":"user","id":"u%d"}]}`, i%2, i, i, i)
		r.msgs = append(r.msgs, h.message(r.app, body))
		r.rec.next(t)
	}
	h.stats(r.app, r.endpoint, counts(float64(n), 0, 0, 0))
	return r
}

func (r *replay) begin(op, body string) map[string]any {
	r.t.Helper()
	return r.must(http.StatusAccepted, "POST", r.one+"/"+op, body)
}

func since(fields string) string {
	return `{"since":"` + ago(time.Hour) + `"` + fields + `}`
}

// waiting makes a task that sends one message a second, and waits until it has sent one.
func (r *replay) waiting() (id string) {
	r.t.Helper()
	id = r.begin("bulk-replay", since(`,"pace":1`))["id"].(string)
	r.rec.next(r.t)
	return id
}

func (h *harness) task(id string) map[string]any {
	h.t.Helper()
	return h.must(http.StatusOK, "GET", tasks+"/"+id, nil)
}

func (h *harness) move(id, to string, want int) map[string]any {
	h.t.Helper()
	return h.must(want, "POST", tasks+"/"+id+"/"+to, nil)
}

func TestReplayIsCountedBeforeItIsMade(t *testing.T) {
	t.Parallel()
	r := newReplay(t, 7)
	for filter, want := range map[string]map[string]any{
		``:                                     {"wouldSend": 7.0, "progress": map[string]any{"looked": 7.0, "sent": 0.0, "total": 7.0}, "examples": []any{r.msgs[0], r.msgs[1], r.msgs[2], r.msgs[3], r.msgs[4]}},
		`,"eventTypes":["t.1"]`:                {"wouldSend": 3.0, "progress": map[string]any{"looked": 3.0, "sent": 0.0}, "examples": []any{r.msgs[1], r.msgs[3], r.msgs[5]}},
		`,"status":2`:                          {"wouldSend": 0.0, "progress": map[string]any{"looked": 0.0, "sent": 0.0, "total": 0.0}},
		`,"subject":{"kind":"user","id":"u3"}`: {"wouldSend": 1.0, "progress": map[string]any{"looked": 1.0, "sent": 0.0}, "examples": []any{r.msgs[3]}},
		`,"messageIds":["e2","` + r.msgs[4] + `"]`: {"wouldSend": 2.0, "progress": map[string]any{"looked": 2.0, "sent": 0.0, "total": 2.0}, "examples": []any{r.msgs[2], r.msgs[4]}},
	} {
		want["messagesSent"], want["dryRun"], want["appId"], want["endpointId"] = 0.0, true, r.app, r.endpoint
		if diff := cmp.Diff(want, r.result(r.begin("bulk-replay", since(`,"dryRun":true`+filter)))); diff != "" {
			t.Errorf("%s: %s", filter, diff)
		}
	}
	late := r.endpoint2()
	got := r.result(r.must(http.StatusAccepted, "POST", late+"/replay-missing", since(`,"dryRun":true`)))
	if got["wouldSend"] != 7.0 {
		t.Errorf("missing: %v", got)
	}
	if n := len(r.rec.got); n != 0 {
		t.Errorf("%d were sent", n)
	}
	r.stats(r.app, r.endpoint, counts(7, 0, 0, 0))
}

// endpoint2 is the path of an endpoint that had nothing yet.
func (r *replay) endpoint2() string {
	r.t.Helper()
	return "/api/v1/app/" + r.app + "/endpoint/" + r.harness.endpoint(r.app, r.rec.URL)
}

func TestMessagesAreChosenByIDWithoutARange(t *testing.T) {
	t.Parallel()
	r := newReplay(t, 4)
	begun := r.begin("bulk-replay", `{"messageIds":["`+r.msgs[0]+`","e2"]}`)
	if got := r.result(begun)["messagesSent"]; got != 2.0 {
		t.Errorf("%v were sent", got)
	}
	got := map[string]bool{r.rec.next(t).body: true, r.rec.next(t).body: true}
	if !got[`{"n":0}`] || !got[`{"n":2}`] {
		t.Errorf("sent were %v", got)
	}
}

func TestTasksArePausedResumedAndCanceled(t *testing.T) {
	t.Parallel()
	r := newReplay(t, 15)
	id := r.waiting()
	for _, to := range []string{"paused", "paused again"} {
		got := r.move(id, "pause", http.StatusOK)
		if data := got["data"].(map[string]any); got["status"] != "running" || data["state"] != "paused" || data["kind"] != "endpoint.bulk-replay" {
			t.Errorf("%s: %v", to, got)
		}
	}
	paused := r.task(id)
	for query, want := range map[string]int{
		"?state=paused": 1, "?status=running": 1, "?state=running": 0, "?status=running&state=paused": 1, "?status=finished&state=paused": 0, "?task=endpoint.bulk-replay&state=paused": 1,
	} {
		if got := r.must(http.StatusOK, "GET", tasks+query, nil)["data"].([]any); len(got) != want {
			t.Errorf("%s: %v", query, got)
		}
	}
	r.stop() // it stays so over a restart
	r.start()
	if diff := cmp.Diff(paused, r.task(id)); diff != "" {
		t.Error(diff)
	}
	if got := r.move(id, "resume", http.StatusOK); got["data"].(map[string]any)["state"] != "running" {
		t.Errorf("resumed %v", got)
	}
	r.rec.next(t) // it goes on
	r.move(id, "resume", http.StatusOK)
	for range 2 {
		got := r.move(id, "cancel", http.StatusOK)
		if got["status"] != "finished" || got["data"].(map[string]any)["state"] != "canceled" {
			t.Errorf("canceled %v", got)
		}
	}
	for _, to := range []string{"pause", "resume"} {
		if got := r.move(id, to, http.StatusConflict); !strings.Contains(got["detail"].(string), id+" is canceled already") {
			t.Errorf("%s of a canceled task: %v", to, got)
		}
	}
	if got := r.must(http.StatusOK, "GET", tasks+"?status=finished", nil)["data"].([]any); len(got) != 1 {
		t.Errorf("finished are %v", got)
	}
	if sent := r.task(id)["data"].(map[string]any)["messagesSent"].(float64); sent < 2 || sent > 14 {
		t.Errorf("%v were sent of 15", sent)
	}
}

func TestTheSameTaskIsNotBegunTwice(t *testing.T) {
	t.Parallel()
	r := newReplay(t, 10)
	id := r.waiting()
	r.move(id, "pause", http.StatusOK)
	again := r.must(http.StatusConflict, "POST", r.one+"/bulk-replay", since(`,"until":"`+ago(-time.Hour)+`","pace":5`))
	if detail := again["detail"].(string); !strings.Contains(detail, id) || !strings.Contains(detail, "is paused") {
		t.Errorf("the same: %v", again)
	}
	for _, c := range [][2]string{{"bulk-replay", since(`,"eventTypes":["t.1"]`)}, {"bulk-replay", since(`,"dryRun":true`)}, {"bulk-replay", since(`,"dryRun":true`)}, {"recover", since(``)}, {"cancel-pending", `{}`}} {
		r.result(r.begin(c[0], c[1]))
	}
	r.result(r.must(http.StatusAccepted, "POST", r.endpoint2()+"/bulk-replay", since(``)))
	r.move(id, "cancel", http.StatusOK)
	// Of many who ask at once one begins.
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := map[int]int{}
	for range 12 {
		wg.Go(func() {
			status, _ := r.do("POST", r.one+"/bulk-replay", since(`,"pace":1`))
			mu.Lock()
			answers[status]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if answers[http.StatusAccepted] != 1 || answers[http.StatusConflict] != 11 {
		t.Errorf("the answers are %v", answers)
	}
}

func TestTooManyTasksAreRefused(t *testing.T) {
	t.Parallel()
	r := newReplay(t, 10)
	var last string
	for i := range 20 { // each takes seconds
		last = r.begin("bulk-replay", since(fmt.Sprintf(`,"pace":1,"eventTypes":["t.0","t.1","x.%d"]`, i)))["id"].(string)
		r.move(last, "pause", http.StatusOK)
	}
	if got := r.must(http.StatusConflict, "POST", r.one+"/bulk-replay", since(`,"tag":"more"`)); !strings.Contains(got["detail"].(string), "20 tasks are under way") {
		t.Errorf("one more: %v", got)
	}
	r.move(last, "cancel", http.StatusOK)
	r.begin("bulk-replay", since(`,"tag":"more"`))
}

func TestWhatIsPendingIsCanceled(t *testing.T) {
	t.Parallel()
	r := newReplay(t, 1)
	r.must(http.StatusOK, "PATCH", r.one, `{"paused":true}`)
	for i := range 4 {
		r.message(r.app, fmt.Sprintf(`{"eventType":"t.%d","payload":{"n":%d}}`, i%2, i))
	}
	r.stats(r.app, r.endpoint, counts(1, 4, 0, 0))
	count := r.result(r.begin("cancel-pending", `{"dryRun":true}`))
	if count["wouldCancel"] != 4.0 || count["wouldSend"] != nil {
		t.Errorf("a dry run: %v", count)
	}
	begun := r.begin("cancel-pending", `{"eventTypes":["t.1"]}`)
	if begun["task"] != "endpoint.bulk-replay" || begun["data"].(map[string]any)["kind"] != "endpoint.cancel-pending" {
		t.Errorf("begun %v", begun)
	}
	if got := r.result(begun); got["messagesCanceled"] != 2.0 || got["messagesSent"] != 0.0 {
		t.Errorf("canceled %v", got)
	}
	r.stats(r.app, r.endpoint, counts(1, 2, 0, 2))
	for query, want := range map[string]int{"?task=endpoint.cancel-pending": 2, "?task=endpoint.bulk-replay": 0} {
		if got := r.must(http.StatusOK, "GET", tasks+query, nil)["data"].([]any); len(got) != want {
			t.Errorf("%s: %v", query, got)
		}
	}
	r.must(http.StatusOK, "PATCH", r.one, `{"paused":false}`)
	for range 2 {
		if got := r.rec.next(t).body; got != `{"n":0}` && got != `{"n":2}` {
			t.Errorf("what was canceled came: %s", got)
		}
	}
	r.stats(r.app, r.endpoint, counts(3, 0, 0, 2))
}

func TestEndpointsOfSourcesAreRecovered(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x, rec := h.source("nn"), h.receiver(http.StatusOK)
	all := sources + "/" + x["id"].(string) + "/endpoint"
	one := all + "/" + h.id(all, map[string]any{"url": rec.URL})
	if status := h.post(x["ingestUrl"].(string), `{"type":"a"}`, ""); status != http.StatusOK {
		t.Fatal(status)
	}
	rec.next(t)
	eventually(t, "the delivery is written down", func() bool { return h.rows("/api/v1/msg")[0]["state"] == "delivered" })
	late := all + "/" + h.id(all, map[string]any{"url": rec.URL})
	for path, want := range map[string]float64{one + "/bulk-replay": 1, late + "/replay-missing": 1, one + "/recover": 0, one + "/replay-missing": 0} {
		if got := h.result(h.must(http.StatusAccepted, "POST", path, since(``))); got["messagesSent"] != want {
			t.Errorf("%s: %v, %v is right", path, got, want)
		}
		if want > 0 {
			rec.next(t)
		}
	}
	if got := h.result(h.must(http.StatusAccepted, "POST", one+"/cancel-pending", `{}`)); got["messagesCanceled"] != nil {
		t.Errorf("canceled %v", got)
	}
	viewer := h.as(h.must(http.StatusCreated, "POST", "/api/v1/auth/token", `{"name":"v","scope":"viewer"}`)["token"].(string))
	for _, op := range []string{"recover", "replay-missing", "bulk-replay", "cancel-pending"} {
		viewer.must(http.StatusForbidden, "POST", one+"/"+op, since(``))
	}
}

func TestTasksAreMovedByThoseWhoMay(t *testing.T) {
	t.Parallel()
	r := newReplay(t, 2)
	id := r.waiting()
	portal := r.as(jwtOf(t, "org_tests", r.app))
	viewer := r.as(r.must(http.StatusCreated, "POST", "/api/v1/auth/token", `{"name":"v","scope":"viewer"}`)["token"].(string))
	other := r.as(jwtOf(t, "org_others", ""))
	for _, to := range []string{"pause", "resume", "cancel"} {
		viewer.move(id, to, http.StatusForbidden)
		other.move(id, to, http.StatusNotFound)
		r.move("qtask_nothing", to, http.StatusNotFound)
	}
	if got := r.task(id)["data"].(map[string]any)["state"]; got != "running" && got != "finished" {
		t.Errorf("it is %v", got)
	}
	if status, got := portal.do("POST", r.one+"/cancel-pending", `{}`); status != http.StatusAccepted {
		t.Errorf("the owner of the application: %d %v", status, got)
	}
}

func TestAttemptsSayWhyTheyWereMade(t *testing.T) {
	t.Parallel()
	r := newReplay(t, 1)
	one := "/api/v1/app/" + r.app + "/msg/" + r.msgs[0]
	r.must(http.StatusAccepted, "POST", one+"/endpoint/"+r.endpoint+"/resend", nil)
	r.rec.next(t)
	r.stats(r.app, r.endpoint, counts(1, 0, 0, 0))
	r.result(r.begin("bulk-replay", since(``)))
	r.rec.next(t)
	want := []string{"1 replay", "1 manual", "0 scheduled"}
	eventually(t, "three attempts are listed", func() bool {
		var got []string
		for _, x := range r.must(http.StatusOK, "GET", "/api/v1/app/"+r.app+"/attempt/msg/"+r.msgs[0], nil)["data"].([]any) {
			a := x.(map[string]any)
			got = append(got, fmt.Sprint(a["triggerType"], " ", a["trigger"]))
		}
		if len(got) == 3 && !cmp.Equal(want, got) {
			t.Errorf("the attempts are %v, %v is right", got, want)
		}
		return len(got) == 3
	})
}
