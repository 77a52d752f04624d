package api_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// sse is an open stream, read event by event.
type sse struct {
	t     *testing.T
	body  io.ReadCloser
	lines *bufio.Reader
	last  string // the last id, as a client keeps it
}

type event struct{ id, kind, data string }

// streams serves the stream of a harness to a caller.
func (h *harness) streams(c *api.Caller) (url string) {
	h.t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.server.API().Stream(w, r, c) }))
	h.t.Cleanup(s.Close)
	return s.URL + "/api/v1/stream"
}

func (h *harness) admin() *api.Caller {
	return &api.Caller{Org: h.org("org_tests"), Scope: hook.ScopeAdmin}
}

// openStream opens a stream behind an event and waits until it follows.
func openStream(t *testing.T, url, last string) *sse {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Last-Event-ID", last)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("answered %d %v", answer.StatusCode, answer.Header)
	}
	return &sse{t, answer.Body, bufio.NewReader(answer.Body), last}
}

// block is the next block of lines, which may be no event; false at the end.
func (s *sse) block() (e event, ok bool) {
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return e, false
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			e.id, s.last = value, value
		case "event":
			e.kind = value
		case "data":
			e.data = value
		case "": // a blank line, or a comment with its text in value
			if value == "" {
				return e, true
			}
		}
	}
}

// next is the next event, within ten seconds.
func (s *sse) next() event {
	s.t.Helper()
	late := time.AfterFunc(10*time.Second, func() { s.body.Close() })
	defer late.Stop()
	for {
		e, ok := s.block()
		if !ok {
			s.t.Fatal("the stream ended, or nothing came")
		}
		if e.kind != "" {
			return e
		}
	}
}

// ready waits until the stream has told its place.
func (s *sse) ready() *sse {
	s.t.Helper()
	for s.last == "" {
		if _, ok := s.block(); !ok {
			s.t.Fatal("the stream ended")
		}
	}
	return s
}

// told takes an event in and publishes it, as the server does.
func (h *harness) told(app, eventType string, n int) string {
	h.t.Helper()
	id := h.accept(app, hook.Event{ID: fmt.Sprint(eventType, n), Type: eventType})
	h.server.API().Hub.Publish(api.Event{Key: h.key(hook.KindMessage, id), Org: h.org("org_tests"), App: h.key(hook.KindApplication, app), Kind: api.EventMessage, Type: eventType})
	return id
}

func TestAStreamFollowsWhatItAskedFor(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, other := h.app("a"), h.app("b")
	h.told(app, "before", 0)
	r := h.receiver(200)
	ep, _ := h.subscribe(app, map[string]any{"url": r.URL, "eventTypes": []string{"sent"}})
	url := h.streams(h.admin())
	all, one := openStream(t, url, "").ready(), openStream(t, url+"?kinds=message&event_types=x,y&app_id="+app, "").ready()
	for i, c := range []struct{ app, eventType string }{{app, "z"}, {other, "x"}, {app, "x"}} {
		id := h.told(c.app, c.eventType, i)
		if e := all.next(); e.id != id || e.kind != "message" || !strings.Contains(e.data, c.app) || !strings.Contains(e.data, `"eventType":"`+c.eventType+`"`) {
			t.Errorf("%v gives %v", c, e)
		}
		if c.app == app && c.eventType == "x" {
			if e := one.next(); e.id != id {
				t.Errorf("the one that chooses gets %v, %s is right", e, id)
			}
		}
	}
	sent := h.told(app, "sent", 0)
	if e := all.next(); e.id != sent {
		t.Errorf("got %v, %s is right", e, sent)
	}
	r.next(t)
	eventually(t, "the attempt is recorded", func() bool { return len(h.rows("/api/v1/app/"+app+"/attempt/msg/"+sent)) == 1 })
	h.told(app, "y", 0)
	if e := all.next(); e.kind != "attempt" || !strings.Contains(e.data, ep) || !strings.Contains(e.data, `"outcome":"delivered"`) || !strings.Contains(e.data, `"eventType":"sent"`) {
		t.Errorf("the attempt is %v", e)
	}
}

func TestAStreamResumesWithoutGapOrRepeat(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	url := h.streams(h.admin())
	last := openStream(t, url, "").ready().last
	const writers, each = 4, 60
	var want sync.Map
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				want.Store(h.told(app, fmt.Sprint("w", w), i), true)
			}
		})
	}
	got := map[string]bool{}
	previous := ""
	for len(got) < writers*each {
		s := openStream(t, url, last)
		for n := 0; n < 17 && len(got) < writers*each; n++ { // leave and come back, again and again
			e := s.next()
			if got[e.id] || e.id <= previous {
				t.Fatalf("%s came again, or out of order after %s", e.id, previous)
			}
			got[e.id], previous, last = true, e.id, e.id
		}
		s.body.Close()
	}
	writing.Wait()
	for id := range got {
		if _, ok := want.Load(id); !ok {
			t.Errorf("%s came and was never made", id)
		}
	}
}

func TestAStreamResumesOverManyPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app := h.app("a")
	url := h.streams(h.admin())
	last := openStream(t, url, "").ready().last
	const messages = 1200 // more than one look at the store reads
	var want []string
	for i := range messages {
		want = append(want, h.accept(app, hook.Event{ID: fmt.Sprint(i), Type: "x"}))
	}
	s := openStream(t, url+"?last_event_id="+last, "")
	for i, id := range want {
		if e := s.next(); e.id != id {
			t.Fatalf("event %d is %s, %s is right", i, e.id, id)
		}
	}
}

func TestStreamsAreBoundedAndEndWithTheServer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	url := h.streams(h.admin())
	var open []*sse
	for range 100 {
		open = append(open, openStream(t, url, "").ready())
	}
	if status := statusOf(t, url); status != http.StatusTooManyRequests {
		t.Errorf("one more is answered with %d, 429 is right", status)
	}
	if status := statusOf(t, h.streams(&api.Caller{Org: h.org("org_others"), Scope: hook.ScopeSend})); status != http.StatusForbidden {
		t.Errorf("who may only send is answered with %d, 403 is right", status)
	}
	open[0].body.Close()
	eventually(t, "there is room again", func() bool { return statusOf(t, url) == http.StatusOK })
	h.server.API().Hub.Close()
	late := time.AfterFunc(10*time.Second, func() {
		t.Error("streams go on after the server stopped")
		for _, s := range open {
			s.body.Close()
		}
	})
	for _, s := range open[1:] {
		for ok := true; ok; {
			_, ok = s.block()
		}
	}
	late.Stop()
	if status := statusOf(t, url); status != http.StatusServiceUnavailable {
		t.Errorf("afterwards it is %d, 503 is right", status)
	}
}

// statusOf opens a stream and leaves at once.
func statusOf(t *testing.T, url string) int {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func TestStreamsAreRefusedToOthers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	app, other := h.app("a"), h.app("b")
	admin := h.streams(h.admin())
	portal := h.streams(&api.Caller{Org: h.org("org_tests"), App: h.key(hook.KindApplication, app), Scope: hook.ScopeApp})
	foreign := h.streams(&api.Caller{Org: h.org("org_others"), Scope: hook.ScopeAdmin})
	for _, c := range []struct {
		url    string
		status int
	}{
		{foreign + "?app_id=" + app, 404}, {portal + "?app_id=" + other, 404}, {admin + "?app_id=unknown", 404},
		{admin + "?kinds=message,else", 422}, {admin + "?last_event_id=msg_1srOrx2ZWZBpBUvZwXKQmoEYga2", 422}, {admin + "?last_event_id=x", 422},
		{admin + "?event_types=" + strings.Repeat("x,", 101), 422},
	} {
		if got := statusOf(t, c.url); got != c.status {
			t.Errorf("%s: %d, %d is right", c.url, got, c.status)
		}
	}
	strangers, own := openStream(t, foreign, "").ready(), openStream(t, portal, "").ready()
	h.told(other, "x", 1)
	id := h.told(app, "x", 2)
	if e := own.next(); e.id != id {
		t.Errorf("the portal of one application gets %v, %s is right", e, id)
	}
	mine := h.as(jwtOf(t, "org_others", ""))
	made := mine.must(http.StatusAccepted, "POST", "/api/v1/app/"+mine.app("c")+"/msg", `{"eventType":"own","payload":{}}`)["id"].(string)
	h.server.API().Hub.Publish(api.Event{Key: h.key(hook.KindMessage, made), Org: h.org("org_others"), Kind: api.EventMessage, Type: "own"})
	if e := strangers.next(); e.id != made {
		t.Errorf("another organization gets %v, %s is right", e, made)
	}
}

// written keeps what a stream writes.
type written struct {
	*httptest.ResponseRecorder
	mu sync.Mutex
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ResponseRecorder.Write(b)
}

func (w *written) count(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.Body.String(), text)
}

func TestAStreamFindsAtItsHeartbeatWhatNobodyToldOf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(t.Context(), store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		a := api.New(api.Options{Store: st, IDs: st.IDs(), Log: slog.New(slog.DiscardHandler), Hub: api.NewHub()})
		ctx, cancel := context.WithCancel(t.Context())
		w, ended := &written{ResponseRecorder: httptest.NewRecorder()}, make(chan struct{})
		go func() {
			defer close(ended)
			a.Stream(w, httptest.NewRequest("GET", "/api/v1/stream", nil).WithContext(ctx), &api.Caller{Org: store.DefaultOrg, Scope: hook.ScopeAdmin, Operator: true})
		}()
		synctest.Wait()
		unit := &hook.Append{Message: hook.Message{Org: store.DefaultOrg, App: 1, Event: hook.Event{Type: "x"}, ReceivedAt: time.Now(), Body: []byte("{}")}}
		if err := st.Append(t.Context(), unit); err != nil {
			t.Fatal(err)
		}
		time.Sleep(14 * time.Second)
		if n := w.count("event: message"); n != 0 {
			t.Errorf("%d events came before anyone told", n)
		}
		time.Sleep(2 * time.Second)
		if n := w.count("event: message"); n != 1 || w.count(": still here") != 1 {
			t.Errorf("%d events and %d heartbeats after 16 s; one of each is right", n, w.count(": still here"))
		}
		cancel()
		<-ended
	})
}

// A stream that a person has open ends with his session, and does not keep it alive.
func TestAStreamEndsWithItsSession(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(t *testing.T, st *store.Store, x hook.Session)
		ends time.Duration
	}{
		"signed out": {func(t *testing.T, st *store.Store, x hook.Session) {
			if err := st.EndSession(t.Context(), x.Org, x.ID); err != nil {
				t.Error(err)
			}
		}, 16 * time.Second},
		"not used": {func(*testing.T, *store.Store, hook.Session) {}, hook.SessionIdle + 16*time.Second},
	} {
		dir := t.TempDir()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, err := store.Open(t.Context(), store.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				defer st.Close()
				a := api.New(api.Options{Store: st, IDs: st.IDs(), Log: slog.New(slog.DiscardHandler), Hub: api.NewHub(), PublicURL: func() string { return "http://sigpost.example" }})
				hash := sha256.Sum256([]byte("token"))
				u, err := st.CreateUser(t.Context(), hook.User{Org: store.DefaultOrg, Name: "ana", Role: hook.ScopeViewer}, hook.Link{Hash: [32]byte{1}, ExpiresAt: time.Now().Add(time.Minute)})
				if err != nil {
					t.Fatal(err)
				}
				x, err := st.CreateSession(t.Context(), hook.Session{Org: u.Org, User: u.ID, Hash: hash, CreatedAt: time.Now()}, "")
				if err != nil {
					t.Fatal(err)
				}
				w, ended := &written{ResponseRecorder: httptest.NewRecorder()}, make(chan struct{})
				r := httptest.NewRequest("GET", "/api/v1/stream", nil)
				r.Header.Set("Cookie", "sigpost_session=token")
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				began := time.Now()
				go func() {
					defer close(ended)
					a.ServeHTTP(w, r)
				}()
				time.Sleep(14 * time.Second)
				if w.Code != http.StatusOK || w.count(": the token is not valid") != 0 {
					t.Errorf("opened with %d", w.Code)
				}
				c.end(t, st, x)
				<-ended
				if took := time.Since(began); took > c.ends || w.count(": the token is not valid any more") != 1 {
					t.Errorf("it ended after %v: %s", took, w.Body)
				}
			})
		})
	}
}
