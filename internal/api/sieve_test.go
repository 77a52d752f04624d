package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestMessagesAreSiftedByWhatNoIndexKnows(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ok, gone := h.receiver(200), h.receiver(400)
	shop, books := h.app("shop"), h.app("books")
	good, _ := h.subscribe(shop, map[string]any{"url": ok.URL, "eventTypes": []string{"a.one", "a.two"}})
	bad, _ := h.subscribe(shop, map[string]any{"url": gone.URL, "eventTypes": []string{"a.two"}})
	send := func(app, kind, payload, subject string) string {
		return h.message(app, fmt.Sprintf(`{"eventType":%q,"eventId":%q,"payload":%s,"subjects":[{"kind":"user","id":%q}]}`, kind, kind+"-of-"+app, payload, subject))
	}
	one := send(shop, "a.one", `{"needle":"Grün 1"}`, "u:1")
	two := send(shop, "a.two", `{"x":"needle"}`, "u:1")
	three := send(books, "a.one", `{"x":"NEEDLE"}`, "u2")
	eventually(t, "the first is delivered", func() bool {
		return h.must(http.StatusOK, "GET", orgMessages+"/"+one, nil)["state"] == "delivered"
	})
	list := func(query string) []string {
		t.Helper()
		return fieldOf(h.must(http.StatusOK, "GET", orgMessages+"?"+query, nil), "id")
	}
	for query, want := range map[string][]string{
		"endpoint=" + good: {two, one}, "endpoint=" + bad: {two}, "state=unmatched": {three}, "state=delivered": {one}, "state=held": {},
		"subject=user:u:1": {two, one}, "subject=user:u2": {three}, "subject=order:u2": {},
		"text=needle": {two, one}, "text=NEEDLE": {three}, "text=" + url.QueryEscape("Grün"): {one}, "text=nothing": {},
		"text=needle&app_id=" + books: {}, "text=needle&event_types=a.two": {two}, "text=needle&event_type_patterns=*.one": {one},
		"subject=user:u:1&event_types=a.two&endpoint=" + bad: {two}, "subject=user:u:1&state=delivered": {one},
		"subject=user:u:1&app_id=" + books: {}, "text=needle&before=2001-01-01T00:00:00Z": {}, "text=needle&after=2001-01-01T00:00:00Z": {two, one},
		"subject=user:u:1&before=2001-01-01T00:00:00Z": {},
		"text=" + one:                               {one},
		"text=" + one + "&app_id=" + books:          {},
		"text=" + one + "&state=unmatched":          {},
		"text=" + url.QueryEscape("a.two-of-"+shop): {two},
	} {
		if got := list(query); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %v, %v is right", query, got, want)
		}
	}
	h.refused(map[string]refusal{
		"a state that is none":        {"GET", orgMessages + "?state=lost", ``, 422, "query state"},
		"a subject without a kind":    {"GET", orgMessages + "?subject=u1", ``, 422, "query subject"},
		"an endpoint of nobody":       {"GET", orgMessages + "?endpoint=ep_x", ``, 404, ""},
		"an endpoint of another app":  {"GET", orgMessages + "?endpoint=" + good + "&app_id=" + books, ``, 404, ""},
		"a letter is too little text": {"GET", orgMessages + "?text=a", ``, 422, "query text"},
	})
	other := h.as(jwtOf(t, "org_others", ""))
	for _, query := range []string{"text=needle", "text=" + one, "subject=user:u:1", "state=delivered"} {
		if got := other.must(http.StatusOK, "GET", orgMessages+"?"+query, nil)["data"].([]any); len(got) != 0 {
			t.Errorf("%s shows another organization %v", query, got)
		}
	}
	other.refused(map[string]refusal{"an endpoint of another organization": {"GET", orgMessages + "?endpoint=" + good, ``, 404, ""}})
}

// A search that finds little says where it stopped, and goes on there.
func TestSiftingStopsAndGoesOn(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	want := []string{h.message(app, `{"eventType":"a.b","payload":{"x":"needle"}}`)}
	nodes := make(chan struct{}, 16)
	for range 1200 {
		nodes <- struct{}{}
		go func() {
			h.send("POST", "/api/v1/app/"+app+"/msg", `{"eventType":"a.b","payload":{}}`)
			<-nodes
		}()
	}
	for range cap(nodes) {
		nodes <- struct{}{}
	}
	want = append([]string{h.message(app, `{"eventType":"a.b","payload":{"x":"needle"}}`)}, want...)
	var got []string
	scanned, pages := 0.0, 0
	for iterator := ""; ; pages++ {
		page := h.must(http.StatusOK, "GET", orgMessages+"?text=needle&limit=1&iterator="+iterator, nil)
		got = append(got, fieldOf(page, "id")...)
		n := page["scanned"].(float64)
		if n > 1000 {
			t.Errorf("%v were looked at for one page", n)
		}
		scanned += n
		if page["done"] == true {
			break
		}
		iterator = page["iterator"].(string)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") || scanned != 1202 || pages < 2 {
		t.Errorf("found %v in %v messages on %d pages; %v is right", got, scanned, pages+1, want)
	}
}

func TestPayloadsAreFilesByteForByte(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	const body = "<script>\x00\xff\r\n alert(1)</script>"
	id := h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", map[string]any{"eventType": "a.b", "eventId": "e1", "payload": map[string]any{}, "rawPayload": []byte(body), "contentType": "text/html"})["id"].(string)
	for _, ref := range []string{id, "e1"} {
		w := h.send("GET", "/api/v1/app/"+app+"/msg/"+ref+"/raw", nil)
		hd := w.Header()
		if w.Code != http.StatusOK || w.Body.String() != body || hd.Get("Content-Type") != "application/octet-stream" || hd.Get("Content-Disposition") != `attachment; filename="`+id+`"` ||
			hd.Get("X-Content-Type-Options") != "nosniff" || hd.Get("Sigpost-Content-Type") != "text/html" || hd.Get("Content-Security-Policy") != "default-src 'none'; sandbox" {
			t.Errorf("%s: %d %q %v", ref, w.Code, w.Body, hd)
		}
	}
	other := h.app("other")
	portal := h.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/"+other, `{}`)["token"].(string)
	h.as(portal).must(http.StatusNotFound, "GET", "/api/v1/app/"+app+"/msg/"+id+"/raw", nil)
	h.must(http.StatusNoContent, "DELETE", "/api/v1/app/"+app+"/msg/"+id+"/content", nil)
	h.must(http.StatusNotFound, "GET", "/api/v1/app/"+app+"/msg/"+id+"/raw", nil)
}
