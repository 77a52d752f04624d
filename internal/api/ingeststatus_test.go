package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// secretsOf are secrets that built-in providers would take.
var secretsOf = map[string]string{
	"veriff": veriffSecret, "metamap": "AbcdefghIjklmn0p", "github": "a secret of this test", "stripe": "whsec_0123456789abcdef0123", "meeva": "whsec_0123456789abcdef0123",
	"meetbot": "whsec_0123456789abcdef0123", "standard-webhooks": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "generic": "",
}

func TestTestEventsOfEveryProviderGoTheWholeWay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, name := range fieldOf(h.must(http.StatusOK, "GET", "/api/v1/provider", nil), "name") {
		secret, known := secretsOf[name]
		if !known {
			t.Errorf("no secret of %s is known; add one", name)
			continue
		}
		in := map[string]any{"name": "test " + name, "provider": name}
		if secret != "" {
			in["secrets"] = []string{secret}
		}
		x := sources + "/" + h.must(http.StatusCreated, "POST", sources, in)["id"].(string)
		r := h.receiver(200)
		h.must(http.StatusCreated, "POST", x+"/endpoint", map[string]any{"url": r.URL})
		samples := h.must(http.StatusOK, "GET", "/api/v1/provider/"+name, nil)["sampleNames"].([]any)
		if len(samples) == 0 {
			continue
		}
		got := h.must(http.StatusOK, "POST", x+"/test-event", map[string]any{"sample": samples[len(samples)-1]})
		if got["accepted"] != true || got["duplicate"] != false || got["deliveries"] != 1.0 || got["sample"] != samples[len(samples)-1] {
			t.Errorf("%s: %v", name, got)
			continue
		}
		if came := r.next(t); came.header.Get("Sigpost-Test") != "true" || came.header.Get("Webhook-Id") != got["msgId"] {
			t.Errorf("%s: it arrived with %v", name, came.header)
		}
		status := h.must(http.StatusOK, "GET", x+"/status", nil)
		if last, _ := status["lastMessage"].(map[string]any); last["id"] != got["msgId"] || status["lastRequestAt"] != last["at"] {
			t.Errorf("%s: the status is %v", name, status)
		}
	}
}

// Whoever lists messages sees which are no events of the provider, however often that is written into one.
func TestTestEventsAreMarkedInLists(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	made := h.must(http.StatusCreated, "POST", sources, map[string]any{"name": "generic", "provider": "generic"})
	url := made["ingestUrl"].(string)
	eventually(t, "the server listens", func() bool { return h.server.Addr() != "" })
	r := newRequest(t, "POST", "http://"+h.server.Addr()+url[strings.Index(url, "/in/"):], `{"type":"order.paid"}`)
	r.RequestURI = "" // of requests that are received
	r.Header.Set("Sigpost-Test", "true")
	posted, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	posted.Body.Close()
	if posted.StatusCode != http.StatusOK {
		t.Fatalf("a request to the source: %d", posted.StatusCode)
	}
	test := h.must(http.StatusOK, "POST", sources+"/"+made["id"].(string)+"/test-event", `{}`)["msgId"]
	for _, path := range []string{"/api/v1/msg", "/api/v1/msg?state=unmatched", "/api/v1/app/" + made["appId"].(string) + "/msg"} {
		rows := h.rows(path)
		if len(rows) != 2 || rows[0]["id"] != test || rows[0]["test"] != true || rows[1]["test"] != nil {
			t.Errorf("%s: %v", path, rows)
		}
	}
	if one := h.must(http.StatusOK, "GET", "/api/v1/msg/"+test.(string), nil); one["test"] != true {
		t.Errorf("by itself: %v", one)
	}
}

func TestTestEventsSayWhyTheyWereRejected(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := sources + "/" + h.must(http.StatusCreated, "POST", sources, map[string]any{"name": "flow", "provider": "metamap", "secrets": []string{secretsOf["metamap"]}, "flowId": "another", "allowIps": []string{"192.0.2.7/32"}})["id"].(string)
	got := h.must(http.StatusOK, "POST", x+"/test-event", `{}`)
	if got["accepted"] != false || got["reason"] != "flow_id" || got["msgId"] != nil {
		t.Errorf("an event of another flow: %v", got)
	}
	eventually(t, "the status shows it", func() bool {
		last, _ := h.must(http.StatusOK, "GET", x+"/status", nil)["lastRejected"].(map[string]any)
		return last["reason"] == "flow_id"
	})
	h.refused(map[string]refusal{"a sample that there is not": {"POST", x + "/test-event", `{"sample":"nothing"}`, 422, "body sample"}})
	viewer, _ := h.scoped("viewer")
	h.as(viewer).must(http.StatusForbidden, "POST", x+"/test-event", `{}`)
	// A test twice is two events.
	y := sources + "/" + h.must(http.StatusCreated, "POST", sources, map[string]any{"name": "twice", "provider": "veriff", "secrets": []string{veriffSecret}})["id"].(string)
	one, two := h.must(http.StatusOK, "POST", y+"/test-event", `{}`), h.must(http.StatusOK, "POST", y+"/test-event", `{}`)
	if two["duplicate"] != false || one["msgId"] == two["msgId"] {
		t.Errorf("the second test is %v, the first was %v", two, one)
	}
}

func TestSecretsOfASourceAreAddedAndEnd(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	made := h.must(http.StatusCreated, "POST", sources, map[string]any{"name": "in", "provider": "veriff", "secrets": []string{veriffSecret}, "allowIps": []string{"127.0.0.0/8"}})
	x, url := sources+"/"+made["id"].(string), made["ingestUrl"].(string)
	list := func() []any { return h.must(http.StatusOK, "GET", x+"/status", nil)["secrets"].([]any) }
	if got := h.must(http.StatusOK, "GET", x+"/status", nil); got["lastRequestAt"] != nil || fmt.Sprint(got["allowIps"]) != "[127.0.0.0/8]" {
		t.Errorf("the status is %v", got)
	}
	first := list()[0].(map[string]any)
	if first["masked"] != "…"+veriffSecret[len(veriffSecret)-4:] || first["expiresAt"] != nil || first["createdAt"] == nil {
		t.Errorf("the first secret is %v", first)
	}
	const fresh = "fedcba98-abcd-abcd-abcd-abcdef012345"
	id := h.must(http.StatusCreated, "POST", x+"/secret", map[string]any{"secret": fresh})["id"]
	if got := list(); len(got) != 2 || got[0].(map[string]any)["id"] != id || got[1].(map[string]any)["expiresAt"] != nil {
		t.Errorf("after one was added there are %v", got)
	}
	for i, secret := range []string{veriffSecret, fresh} {
		if status := h.post(url, fmt.Sprintf(`{"n":%d}`, i), secret); status != http.StatusOK {
			t.Errorf("secret %d: %d", i, status)
		}
	}
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	h.must(http.StatusNoContent, "POST", fmt.Sprint(x, "/secret/", first["id"], "/expire"), map[string]any{"at": end})
	if got := list()[1].(map[string]any); got["expiresAt"] != end.Format(time.RFC3339) {
		t.Errorf("it ends %v", got)
	}
	h.must(http.StatusNoContent, "POST", fmt.Sprint(x, "/secret/", first["id"], "/expire"), `{}`)
	if status := h.post(url, `{"n":3}`, veriffSecret); status != http.StatusUnauthorized {
		t.Errorf("a secret that ended: %d", status)
	}
	h.refused(map[string]refusal{
		"the last one":             {"POST", fmt.Sprint(x, "/secret/", id, "/expire"), `{}`, 409, ""},
		"one that ended":           {"POST", fmt.Sprint(x, "/secret/", first["id"], "/expire"), `{}`, 404, ""},
		"one that is issued":       {"POST", x + "/secret", `{}`, 422, "body secret"},
		"one that is too short":    {"POST", x + "/secret", `{"secret":"short"}`, 422, "body secret"},
		"an id of something else":  {"POST", x + "/secret/src_x/expire", `{}`, 404, ""},
		"a grace that is too long": {"POST", x + "/secret", `{"secret":"` + fresh + `","gracePeriodSeconds":700000}`, 422, "body gracePeriodSeconds"},
	})
	metamap := sources + "/" + h.must(http.StatusCreated, "POST", sources, map[string]any{"name": "mm", "provider": "metamap", "secrets": []string{secretsOf["metamap"]}})["id"].(string)
	chosen := h.must(http.StatusCreated, "POST", metamap+"/secret", `{"gracePeriodSeconds":60}`)
	if text, _ := chosen["secret"].(string); len(text) < 16 || !strings.HasPrefix(chosen["id"].(string), "sec_") {
		t.Errorf("one was made: %v", chosen)
	}
	if got := h.must(http.StatusOK, "GET", metamap+"/status", nil)["secrets"].([]any); got[1].(map[string]any)["expiresAt"] == nil {
		t.Errorf("with a grace: %v", got)
	}
	viewer, _ := h.scoped("viewer")
	if got := fmt.Sprint(h.as(viewer).must(http.StatusOK, "GET", x+"/status", nil)); strings.Contains(got, "masked") {
		t.Errorf("a viewer sees %s", got)
	}
	h.as(viewer).must(http.StatusForbidden, "POST", x+"/secret", `{}`)
	for _, line := range h.entries("") {
		if strings.Contains(line, fresh) {
			t.Errorf("the audit log holds a secret: %s", line)
		}
	}
}
