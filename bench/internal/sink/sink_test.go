package sink

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigpost/sigpost/bench/internal/event"
)

func body(n uint64) *bytes.Reader {
	b := make([]byte, event.Size)
	event.NewTemplate().Fill(b, n)
	return bytes.NewReader(b)
}

func open(t *testing.T) *Sink {
	t.Helper()
	s, err := Listen(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSinkNotesEachEventOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, n := range []uint64{3, 0, 3} {
		resp, err := http.Post(s.URL(), "application/json", body(n))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.ContentLength != 0 {
			t.Errorf("status %d, length %d", resp.StatusCode, resp.ContentLength)
		}
	}
	if unique, repeated, foreign := s.Counts(); unique != 2 || repeated != 1 || foreign != 0 {
		t.Errorf("unique %d, repeated %d, foreign %d", unique, repeated, foreign)
	}
	first, _ := s.Arrival(3)
	last, err := s.Await(t.Context(), []uint64{0, 3}, time.Second)
	if zero, _ := s.Arrival(0); err != nil || last != zero || last <= first {
		t.Errorf("last arrival %v, %v", last, err)
	}
}

func TestSinkOnSeveralPortsIsOne(t *testing.T) {
	t.Parallel()
	s, err := ListenOn(time.Now(), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	urls := map[string]bool{}
	for n, url := range s.URLs() {
		urls[url] = true
		resp, err := http.Post(url, "application/json", body(uint64(n)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if unique, _, _ := s.Counts(); unique != 3 || len(urls) != 3 || !urls[s.URL()] {
		t.Errorf("%d events on %d ports", unique, len(urls))
	}
}

func TestFirstIsTheFirstAfterMark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Sink{}
		s.note(1, time.Second, true)
		s.Mark()
		if _, err := s.First(t.Context(), time.Minute); err == nil {
			t.Error("what came before the mark counts")
		}
		s.note(1, 3*time.Second, true) // again
		s.note(2, 4*time.Second, true)
		if at, err := s.First(t.Context(), time.Minute); at != 3*time.Second || err != nil || s.Total() != 3 {
			t.Errorf("the first of %d came at %v, %v", s.Total(), at, err)
		}
	})
}

func TestQuietWaitsWhileEventsKeepComing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Sink{}
		go func() {
			for n := range uint64(3) {
				time.Sleep(20 * time.Millisecond)
				s.note(n, time.Second, true)
			}
		}()
		if err := s.Quiet(t.Context(), 50*time.Millisecond); err != nil || s.Total() != 3 {
			t.Errorf("%d events, %v", s.Total(), err)
		}
	})
}

func TestFaultAlwaysFails(t *testing.T) {
	t.Parallel()
	f, err := OpenFault()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	resp, err := http.Post(f.URL(), "application/json", body(1))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 500 || f.Asked() != 1 {
		t.Errorf("status %d, asked %d", resp.StatusCode, f.Asked())
	}
}

func TestSinkRefusesWhatIsNotAnEvent(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, text := range []string{"", "{}", strings.Repeat("x", 4000)} {
		resp, err := http.Post(s.URL(), "application/json", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("%d bytes: status %d", len(text), resp.StatusCode)
		}
	}
	if _, _, foreign := s.Counts(); foreign != 3 {
		t.Errorf("foreign %d", foreign)
	}
}

func TestAwaitSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Sink{}
		s.note(1, time.Second, true)
		s.note(7, time.Second, true)
		_, err := s.Await(t.Context(), []uint64{1, 2, 3}, 30*time.Second)
		if err == nil || !strings.Contains(err.Error(), "2 of 3 accepted events never arrived") {
			t.Errorf("error %v", err)
		}
	})
}

func TestAwaitWaitsWhileEventsKeepComing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Sink{}
		go func() {
			for n := range uint64(5) {
				time.Sleep(20 * time.Second)
				s.note(n, time.Duration(n+1)*time.Second, true)
			}
		}()
		last, err := s.Await(t.Context(), []uint64{0, 1, 2, 3, 4}, 30*time.Second)
		if err != nil || last != 5*time.Second {
			t.Errorf("%v, %v", last, err)
		}
	})
}

func TestAwaitEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&Sink{}).Await(ctx, []uint64{1}, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestHoleReadsAndNeverAnswers(t *testing.T) {
	t.Parallel()
	h, err := OpenHole()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(h.URL(), "http://"), "/hook"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	var timeout net.Error
	if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read gave %v, want a timeout", err)
	}
	<-h.First()
	if h.Accepted() != 1 {
		t.Errorf("accepted %d", h.Accepted())
	}
	h.Close()
	conn.SetReadDeadline(time.Time{})
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived the hole")
	}
}
