package control

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
	"github.com/sigpost/sigpost/signature"
)

var ctx = context.Background()

// world is an API on a real store with two sources.
type world struct {
	t       *testing.T
	store   *store.Store
	handler http.Handler
	due     []hook.Key
	sources []hook.Source
	ends    []hook.Endpoint
}

func (w *world) Due(e hook.Key, _ time.Time) { w.due = append(w.due, e) }

func (w *world) Explain(*hook.Rejected) (signature.Explanation, error) {
	return signature.Explanation{Findings: []signature.Finding{{Code: "x", Message: "because", Fix: "mend it"}}}, nil
}

func (w *world) Readmit(context.Context, *hook.Rejected) (hook.Receipt, error) {
	return hook.Receipt{}, hook.Errorf(hook.CodeInvalid, "it still does not verify")
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := store.Open(ctx, store.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{t: t, store: s}
	file := []store.FileSource{{Name: "a", Provider: "veriff", Token: "a", Endpoints: []hook.Endpoint{{Name: "one", URL: "http://x/1"}, {Name: "two", URL: "http://x/2"}}},
		{Name: "b", Provider: "veriff", Token: "b", Endpoints: []hook.Endpoint{{Name: "one", URL: "http://y/1"}}}}
	if err := s.ApplyFile(ctx, file, false); err != nil {
		t.Fatal(err)
	}
	if w.sources, err = s.Sources(ctx); err != nil {
		t.Fatal(err)
	}
	if w.ends, err = s.Endpoints(ctx); err != nil {
		t.Fatal(err)
	}
	w.handler = New(Options{Store: s, Intake: w, Dispatch: w, Log: slog.New(slog.DiscardHandler), URL: func(s hook.Source) string { return "https://h/in/" + s.Token.Reveal() },
		Secrets: func(_ context.Context, e hook.Endpoint) ([]hook.Secret, error) {
			return []hook.Secret{hook.Secret("secret of " + e.URL)}, nil
		}})
	return w
}

// keep keeps a message of the first source with a failed delivery to its first endpoint.
func (w *world) keep(body string) *hook.Append {
	w.t.Helper()
	now := time.Now()
	a := &hook.Append{Message: hook.Message{Org: 1, App: w.sources[0].App, Event: hook.Event{Type: "t.x"}, ReceivedAt: now, Body: []byte(body)},
		Deliveries: []hook.Delivery{{Org: 1, Endpoint: w.ends[0].ID, State: hook.Pending, NextAt: now, Since: now, Holder: w.store.Incarnation()}}}
	rand.Read(a.Hash[:])
	if err := w.store.Append(ctx, a); err != nil {
		w.t.Fatal(err)
	}
	r := &hook.Record{Delivery: a.Deliveries[0], State: hook.Failed, Attempt: &hook.Attempt{Number: 1, At: now, Outcome: hook.OutcomeStatus, Status: 500, Reason: "answered 500", Response: []byte("no\xff")}}
	if err := w.store.Record(ctx, []*hook.Record{r}); err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) id(a *hook.Append) string {
	return w.store.IDs().Public(hook.KindMessage, a.Message.ID)
}

// call makes a request and decodes its answer.
func (w *world) call(method, path string, into any) int {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
	if err := json.Unmarshal(rec.Body.Bytes(), into); err != nil {
		w.t.Fatalf("%s %s: %v in %s", method, path, err, rec.Body)
	}
	return rec.Code
}

func TestFaultsAreJSONAndSayTheWayOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for path, c := range map[string]struct {
		status int
		detail string
	}{
		"/nowhere":                       {404, "nothing at GET /nowhere"},
		"/messages/msg_x":                {404, "not an id of the form msg_"},
		"/messages?limit=0":              {422, `limit: "0" is not a number from 1 to 250`},
		"/messages?limit=x":              {422, "limit"},
		"/messages?before=ep_1":          {404, "not an id"},
		"/messages?source=c":             {404, `no source "c"`},
		"/rejected?source=c":             {404, `no source "c"`},
		"/rejected/rej_1":                {404, "not an id"},
		"/endpoints/secret?endpoint=x":   {404, `no endpoint "x"`},
		"/endpoints/secret?endpoint=one": {409, "say which with --source"},
		"/messages/" + w.store.IDs().Public(hook.KindMessage, 5): {404, "there is no message"},
	} {
		var f Fault
		if status := w.call(http.MethodGet, path, &f); status != c.status || !strings.Contains(f.Detail, c.detail) || f.Code == "" {
			t.Errorf("%s: %d %+v; %d with %q is right", path, status, f, c.status, c.detail)
		}
	}
}

func TestMessageShowsWhereItIsAndWhatHappensNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.keep("{\"a\":1}\n")
	var m Message
	if status := w.call(http.MethodGet, "/messages/"+w.id(a), &m); status != 200 {
		t.Fatalf("%d", status)
	}
	d := m.Deliveries[0]
	if m.Body != "{\"a\":1}\n" || m.Source != "a" || m.State != "failed" || d.Endpoint != "one" || !strings.Contains(d.Next, "resend") || d.Log[0].Status != 500 || d.Log[0].Response != "no\uFFFD" {
		t.Errorf("%+v", m)
	}
	binary := w.keep("\xff\x00")
	if w.call(http.MethodGet, "/messages/"+w.id(binary), &m); string(m.BodyBase64) != "\xff\x00" {
		t.Errorf("a body that is not text: %+v", m)
	}
}

func TestListPagesByCursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.keep("{}")
	}
	var first, rest, none List[Message]
	w.call(http.MethodGet, "/messages?limit=2&source=a&type=t.*", &first)
	w.call(http.MethodGet, "/messages?limit=2&before="+first.Next, &rest)
	w.call(http.MethodGet, "/messages?source=b", &none)
	if len(first.Data) != 2 || len(rest.Data) != 1 || rest.Next != "" || len(none.Data) != 0 || none.Data == nil {
		t.Errorf("%+v, then %+v; of another source %+v", first, rest, none)
	}
}

func TestResendMakesDeliveriesDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.keep("{}")
	var m Message
	if status := w.call(http.MethodPost, "/messages/"+w.id(a)+"/resend", &m); status != 200 || m.State != "pending" || len(w.due) != 1 || w.due[0] != w.ends[0].ID {
		t.Errorf("%d %+v, due %v", status, m, w.due)
	}
	if status := w.call(http.MethodPost, "/messages/"+w.id(a)+"/resend?endpoint=two", &m); status != 200 || len(m.Deliveries) != 2 || w.due[1] != w.ends[1].ID {
		t.Errorf("to one that never had it: %d %+v, due %v", status, m, w.due)
	}
	var f Fault
	if status := w.call(http.MethodPost, "/messages/"+w.id(a)+"/resend?endpoint=http://y/1", &f); status != 404 {
		t.Errorf("to another source's endpoint: %d %+v", status, f)
	}
}

func TestRejectedIsShownWithItsExplanation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := &hook.Rejected{Org: 1, Source: w.sources[0].ID, Reason: "mismatch", ReceivedAt: time.Now(), Remote: "192.0.2.1", Method: "POST", URL: "/in/a", Headers: []hook.Header{{Name: "X-A", Value: "b"}}, Body: []byte("{}"), Size: 2}
	if err := w.store.Reject(ctx, r); err != nil {
		t.Fatal(err)
	}
	id := w.store.IDs().Public(hook.KindRejected, r.ID)
	var v Rejected
	if w.call(http.MethodGet, "/rejected/"+id, &v); v.Source != "a" || v.Body != "{}" || v.Explanation[0].Fix != "mend it" || v.ValidNow {
		t.Errorf("%+v", v)
	}
	var list List[Rejected]
	if w.call(http.MethodGet, "/rejected?source=a", &list); len(list.Data) != 1 || list.Data[0].ID != id {
		t.Errorf("%+v", list)
	}
	var f Fault
	if status := w.call(http.MethodPost, "/rejected/"+id+"/accept", &f); status != 422 || !strings.Contains(f.Detail, "still") {
		t.Errorf("%d %+v", status, f)
	}
}

func TestSourcesAndEndpointsAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var sources List[Source]
	if w.call(http.MethodGet, "/sources", &sources); len(sources.Data) != 2 || sources.Data[0].URL != "https://h/in/a" || len(sources.Data[0].Endpoints) != 2 {
		t.Errorf("%+v", sources)
	}
	var s Secrets
	if w.call(http.MethodGet, "/endpoints/secret?endpoint=one&source=b", &s); len(s.Secrets) != 1 || s.Secrets[0] != "secret of http://y/1" {
		t.Errorf("%+v", s)
	}
}
