package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// fetch asks the running server over its listener, without a token.
func (h *harness) fetch(path string) (int, []byte) {
	h.t.Helper()
	eventually(h.t, "the server listens", func() bool { return h.server.Addr() != "" })
	res, err := http.Get("http://" + h.server.Addr() + path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, body
}

func TestPublicKeysAreForEveryone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	shared, _ := h.subscribe(app, map[string]any{"url": "https://example.com/"})
	own, _ := h.subscribe(app, map[string]any{"url": "https://example.com/", "secret": "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="})
	for id, want := range map[string]int{shared: 0, own: 1} {
		status, body := h.fetch("/.well-known/jwks/" + id)
		var set struct{ Keys []map[string]string }
		if err := json.Unmarshal(body, &set); err != nil || status != http.StatusOK || len(set.Keys) != want {
			t.Errorf("%s: %d %s, %d keys are right", id, status, body, want)
			continue
		}
		if want == 1 && (set.Keys[0]["kty"] != "OKP" || set.Keys[0]["x"] != "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg") {
			t.Errorf("the key is shown as %v", set.Keys[0])
		}
	}
	if status, _ := h.fetch("/.well-known/jwks/ep_000000000000000000000000000"); status != http.StatusNotFound {
		t.Errorf("of an endpoint that is not there: %d", status)
	}
	if status, body := h.fetch("/openapi.json"); status != http.StatusOK || !json.Valid(body) {
		t.Errorf("/openapi.json: %d", status)
	}
	if status, body := h.fetch("/api/v1/health"); status != http.StatusNoContent || len(body) != 0 {
		t.Errorf("health: %d %q", status, body)
	}
	if status, _ := h.fetch("/api/v1/app"); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", status)
	}
}

func TestAnOrganizationChoosesTheNamesOfItsHeaders(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, r := h.app("a"), h.receiver(200)
	_, secret := h.subscribe(app, map[string]any{"url": r.URL})
	for _, c := range []struct {
		names         string
		webhook, svix bool
	}{{`"svix"`, false, true}, {`"both"`, true, true}, {`"webhook"`, true, false}, {"null", true, false}} {
		h.must(http.StatusOK, "PATCH", "/api/v1/organization", `{"signatureHeaders":`+c.names+`}`)
		h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"a","payload":{}}`)
		got := r.next(t)
		for _, name := range []string{"id", "timestamp", "signature"} {
			if got.header.Get("webhook-"+name) != "" != c.webhook || got.header.Get("svix-"+name) != "" != c.svix {
				t.Errorf("%s: headers %v", c.names, got.header)
			}
		}
		if c.svix { // the library of the receiver knows the other names only
			for _, name := range []string{"id", "timestamp", "signature"} {
				got.header.Set("webhook-"+name, got.header.Get("svix-"+name))
			}
		}
		verify(t, secret, got)
	}
}

// Pages neither skip nor repeat what was there, however much arrives meanwhile.
func TestPagesHoldWhileMessagesArrive(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	post := func(n int) string {
		return h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", fmt.Sprintf(`{"eventType":"t%d","tags":["g"],"payload":{"n":%d}}`, n%3, n))["id"].(string)
	}
	want := map[string]int{}
	for n := range 150 {
		want[post(n)] = 0
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 150; ; n++ {
			select {
			case <-stop:
				return
			default:
				post(n)
			}
		}
	})
	for _, filter := range []string{"", "&tag=g", "&event_types=t0,t1,t2"} {
		seen := map[string]int{}
		for iterator, done := "", false; !done; {
			page := h.must(http.StatusOK, "GET", "/api/v1/app/"+app+"/msg?limit=7"+filter+"&iterator="+iterator, nil)
			for _, m := range page["data"].([]any) {
				seen[m.(map[string]any)["id"].(string)]++
			}
			iterator, _ = page["iterator"].(string)
			done = page["done"].(bool)
		}
		for id := range want {
			if seen[id] != 1 {
				t.Errorf("filter %q: %s was listed %d times", filter, id, seen[id])
			}
		}
	}
	close(stop)
	writer.Wait()
}

func TestHealthSaysThatTheStoreDoesNotAnswer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	eventually(t, "the server listens", func() bool { return h.server.Addr() != "" })
	control := h.server.Control()
	h.stop()
	w := httptest.NewRecorder()
	control.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/health", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the store does not answer") {
		t.Errorf("without a store: %d %s", w.Code, w.Body)
	}
}
