package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

const overviewPath = "/api/v1/overview"

func TestOverviewAddsUpWhatHappened(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	empty := h.must(http.StatusOK, "GET", overviewPath, nil)
	if n := len(empty["buckets"].([]any)); n < 60 || n > 61 || empty["oldestPending"] != nil || fmt.Sprint(empty["endpointsInTrouble"], empty["rejectedBySource"], empty["pending"]) != "[] [] 0" {
		t.Errorf("with nothing there is %v", empty)
	}
	r, gone := h.receiver(200), h.receiver(410)
	app := h.app("a")
	h.subscribe(app, map[string]any{"url": r.URL})
	bad, _ := h.subscribe(app, map[string]any{"url": gone.URL})
	const messages = 7
	for i := range messages {
		h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", map[string]any{"eventType": "a.b", "payload": map[string]any{"n": i}})
	}
	source := h.must(http.StatusCreated, "POST", sources, `{"name":"in","type":"github","config":{"secret":"a secret of this test"}}`)
	for range 3 {
		if got := h.post(source["ingestUrl"].(string), `{}`, ""); got != http.StatusUnauthorized {
			t.Fatalf("a request without a signature is answered %d", got)
		}
	}
	var got map[string]any
	eventually(t, "all of it is counted", func() bool {
		got = h.must(http.StatusOK, "GET", overviewPath+"?points=5", nil)
		totals := got["totals"].(map[string]any)
		return totals["delivered"].(float64) >= messages && totals["rejected"].(float64) >= 3 && totals["failed"].(float64) >= 1 && len(got["endpointsInTrouble"].([]any)) > 0
	})
	totals := got["totals"].(map[string]any)
	// The alert about the endpoint that is gone is a message of ours, to nobody.
	if totals["delivered"] != float64(messages) || totals["rejected"] != 3.0 || totals["received"].(float64) < messages {
		t.Errorf("the totals are %v", totals)
	}
	if p50, p99 := totals["p50Ms"].(float64), totals["p99Ms"].(float64); p99 < p50 || p99 > 60_000 {
		t.Errorf("half took %v ms, 99 of 100 %v", p50, p99)
	}
	sums := map[string]float64{}
	buckets := got["buckets"].([]any)
	for _, b := range buckets {
		for _, name := range []string{"received", "rejected", "delivered", "failed"} {
			sums[name] += b.(map[string]any)[name].(float64)
		}
	}
	for name, sum := range sums {
		if sum != totals[name] {
			t.Errorf("%s: the buckets make %v, the totals say %v", name, sum, totals[name])
		}
	}
	if len(buckets) > 6 {
		t.Errorf("%d buckets, 5 were asked for", len(buckets))
	}
	if x := got["rejectedBySource"].([]any)[0].(map[string]any); x["sourceId"] != source["id"] || x["name"] != "in" || x["count"] != 3.0 {
		t.Errorf("rejected by source: %v", x)
	}
	if x := got["endpointsInTrouble"].([]any)[0].(map[string]any); x["endpointId"] != bad || x["appId"] != app || x["state"] != "disabled" || x["reason"] == "" || x["successRate"] != 0.0 {
		t.Errorf("in trouble: %v", x)
	}
	other := h.as(jwtOf(t, "org_thieves", "")).must(http.StatusOK, "GET", overviewPath, nil)
	if fmt.Sprint(other["totals"]) != "map[delivered:0 failed:0 p50Ms:0 p99Ms:0 received:0 rejected:0]" || fmt.Sprint(other["endpointsInTrouble"], other["rejectedBySource"], other["pending"]) != "[] [] 0" {
		t.Errorf("another organization sees %v", other)
	}
	h.refused(map[string]refusal{
		"an end before the beginning": {"GET", overviewPath + "?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", ``, 422, "query since"},
		"a time before there was any": {"GET", overviewPath + "?until=0000-01-01T00:00:00Z", ``, 422, "query since"},
		"more than there is":          {"GET", overviewPath + "?since=2020-01-02T00:00:00Z", ``, 422, "query since"},
		"no points":                   {"GET", overviewPath + "?points=0", ``, 422, "query points"},
	})
	send, _ := h.scoped("send")
	h.as(send).must(http.StatusForbidden, "GET", overviewPath, nil)
}

func TestOverviewShowsWhatWaits(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	held := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-held }))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(held) })
	app := h.app("a")
	ep, _ := h.subscribe(app, map[string]any{"url": slow.URL})
	msg := h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"a.b","payload":{}}`)["id"]
	eventually(t, "the delivery is seen to wait", func() bool {
		got := h.must(http.StatusOK, "GET", overviewPath, nil)
		old, _ := got["oldestPending"].(map[string]any)
		return got["pending"] == 1.0 && got["pendingMore"] == false && old["messageId"] == msg && old["endpointId"] == ep
	})
}

func TestOverviewHasBucketsOfWholeMinutesOrHours(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	now := time.Now().UTC()
	for what, c := range map[string]struct {
		since, until time.Duration // ago
		points       string
		step         float64
	}{
		"an hour":                {time.Hour, 0, "60", 60},
		"half an hour":           {30 * time.Minute, 0, "60", 60},
		"a day":                  {23 * time.Hour, 0, "60", 23*60 + 60},
		"a week":                 {7 * 24 * time.Hour, 0, "60", 3 * 3600},
		"a minute of last week":  {7 * 24 * time.Hour, 7*24*time.Hour - time.Minute, "60", 3600},
		"one point":              {24*time.Hour - time.Minute, 0, "1", 24 * 3600},
		"half a year, 10 points": {180 * 24 * time.Hour, 0, "10", 433 * 3600},
	} {
		q := url.Values{"since": {now.Add(-c.since).Format(time.RFC3339)}, "until": {now.Add(-c.until).Format(time.RFC3339)}, "points": {c.points}}
		got := h.must(http.StatusOK, "GET", overviewPath+"?"+q.Encode(), nil)
		var most int
		fmt.Sscan(c.points, &most)
		if step := got["stepSeconds"].(float64); step > c.step || step < c.step*0.4 || len(got["buckets"].([]any)) > most+1 {
			t.Errorf("%s: %d buckets of %v s, about %v is right", what, len(got["buckets"].([]any)), step, c.step)
		}
	}
}
