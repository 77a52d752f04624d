package load

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigpost/sigpost/bench/internal/event"
)

// target serves handler and gives the options to load it.
func target(t *testing.T, events int, handler http.HandlerFunc) Options {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return Options{
		Addrs: []string{strings.TrimPrefix(srv.URL, "http://")}, Path: "/in/bench",
		Book: event.NewBook("secret", events), Connections: 4, Zero: time.Now(),
	}
}

func TestClosedSendsEachEventOnceAndSignsIt(t *testing.T) {
	t.Parallel()
	const events = 200
	var seen [events]atomic.Int32
	tmpl, book := event.NewTemplate(), event.NewBook("secret", events)
	opt := target(t, events, func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		n, err := tmpl.Number(got)
		if err != nil {
			t.Error(err)
			return
		}
		seen[n].Add(1)
		body, sig := make([]byte, event.Size), make([]byte, event.SignatureLen)
		book.Write(body, sig, n)
		if r.Header.Get("X-HMAC-SIGNATURE") != string(sig) || r.URL.Path != "/in/bench" || string(got) != string(body) {
			t.Errorf("event %d came as %s %v", n, r.URL, r.Header)
		}
	})
	got, err := Closed(t.Context(), opt, time.Minute) // ends when the book does
	if err != nil || len(got.Accepted) != events || got.Refused != 0 {
		t.Fatalf("%d accepted, %d refused, %v", len(got.Accepted), got.Refused, err)
	}
	for n := range seen {
		if seen[n].Load() != 1 {
			t.Errorf("event %d was sent %d times", n, seen[n].Load())
		}
	}
	for _, a := range got.Accepted {
		if a.Due > a.Sent || a.Sent > a.Answered || a.Answered > got.Ended || a.Due < got.Began {
			t.Errorf("times out of order: %+v", a)
		}
	}
}

func TestClosedReadsEveryFormOfAnswer(t *testing.T) {
	t.Parallel()
	opt := target(t, 100, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		switch r.Body.Close(); time.Now().UnixNano() % 4 {
		case 0:
			io.WriteString(w, `{"id":"msg_1"}`)
		case 1:
			io.WriteString(w, "chunk one")
			w.(http.Flusher).Flush()
			io.WriteString(w, "chunk two")
		case 2:
			w.Header().Set("Connection", "close")
		}
	})
	got, err := Closed(t.Context(), opt, time.Minute)
	if err != nil || len(got.Accepted) != 100 {
		t.Errorf("%d accepted, %v", len(got.Accepted), err)
	}
}

func TestRefusedEventsAreNotAccepted(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	opt := target(t, 20, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%4 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	got, err := Closed(t.Context(), opt, time.Minute)
	if err != nil || len(got.Accepted) != 15 || got.Refused != 5 {
		t.Errorf("%d accepted, %d refused, %v", len(got.Accepted), got.Refused, err)
	}
}

func TestAnUnexpectedStatusEndsTheRun(t *testing.T) {
	t.Parallel()
	opt := target(t, 1000, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	_, err := Closed(t.Context(), opt, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "was answered 401, want 200") {
		t.Errorf("error %v", err)
	}
}

func TestTheRunEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	opt := target(t, 1000, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then does the server notice a closed connection
		cancel()
		<-r.Context().Done()
	})
	for name, send := range map[string]func() (Result, error){
		"closed": func() (Result, error) { return Closed(ctx, opt, time.Minute) },
		"open":   func() (Result, error) { return Open(ctx, opt, 1000, time.Second) },
	} {
		if _, err := send(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestOpenCountsFromWhenAnEventWasDue(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var n atomic.Int32
	opt := target(t, 1000, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 1 {
			<-release
		}
	})
	opt.Connections = 1
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	got, err := Open(t.Context(), opt, 1000, 20*time.Millisecond)
	if err != nil || len(got.Accepted) != 20 {
		t.Fatalf("%d accepted, %v", len(got.Accepted), err)
	}
	for i, a := range got.Accepted {
		if want := got.Began + time.Duration(i)*time.Millisecond; a.Due != want {
			t.Errorf("event %d due %v, want %v", i, a.Due, want)
		}
		if a.Answered-a.Due < 20*time.Millisecond { // all of them waited for the first
			t.Errorf("event %d: latency %v hides its wait", i, a.Answered-a.Due)
		}
	}
}

func TestConnectionsAreDividedAndNumbersGoOn(t *testing.T) {
	t.Parallel()
	const first, events = 1000, 80
	var seen [2]atomic.Int32
	tmpl := event.NewTemplate()
	count := func(i int) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if n, err := tmpl.Number(body); err != nil || n < first || n >= first+events {
				t.Errorf("event %d, %v", n, err)
			}
			seen[i].Add(1)
		}
	}
	opt := target(t, 0, count(0))
	opt.Addrs = append(opt.Addrs, target(t, 0, count(1)).Addrs...)
	opt.Book = event.NewBookFrom("secret", first, events)
	got, err := Open(t.Context(), opt, 1000, events*time.Millisecond)
	if err != nil || len(got.Accepted) != events || seen[0].Load() == 0 || seen[1].Load() == 0 {
		t.Errorf("%d accepted, %d and %d seen, %v", len(got.Accepted), seen[0].Load(), seen[1].Load(), err)
	}
	got, err = Closed(t.Context(), opt, time.Minute)
	if err != nil || len(got.Accepted) != events {
		t.Errorf("%d accepted, %v", len(got.Accepted), err)
	}
	for _, a := range got.Accepted {
		if a.Number < first || a.Number >= first+events {
			t.Errorf("number %d", a.Number)
		}
	}
}

func TestEventsGoToThePathsInTurn(t *testing.T) {
	t.Parallel()
	const events = 30
	tmpl := event.NewTemplate()
	opt := target(t, events, func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		n, err := tmpl.Number(got)
		if want := []string{"/a", "/b", "/c"}[n%3]; err != nil || r.URL.Path != want {
			t.Errorf("event %d came to %s, want %s; %v", n, r.URL.Path, want, err)
		}
	})
	opt.Paths = []string{"/a", "/b", "/c"}
	if got, err := Closed(t.Context(), opt, time.Minute); err != nil || len(got.Accepted) != events {
		t.Errorf("%d accepted, %v", len(got.Accepted), err)
	}
}
