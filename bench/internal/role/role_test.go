package role

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sigpost/sigpost/bench/internal/event"
)

// memory is a file whose Sync waits until the test lets it go on.
type memory struct {
	release chan error

	mu      sync.Mutex
	written []byte
	batches []int
}

func (m *memory) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written = append(m.written, p...)
	m.batches = append(m.batches, len(p))
	return len(p), nil
}

func (m *memory) Sync() error { return <-m.release }

func TestJournalAnswersOnlyAfterTheSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := &memory{release: make(chan error)}
		j := openJournal(file)
		var answered []string
		appendOne := func(text string) {
			if err := j.Append([]byte(text)); err != nil {
				t.Error(err)
			}
			answered = append(answered, text)
		}
		go appendOne("a")
		synctest.Wait()
		if len(file.written) == 0 || len(answered) != 0 {
			t.Fatalf("before the sync: %d bytes written, answered %q", len(file.written), answered)
		}
		file.release <- nil
		synctest.Wait()
		if !slices.Equal(answered, []string{"a"}) {
			t.Errorf("after the sync: answered %q", answered)
		}
		j.Close()
	})
}

func TestJournalTakesWhatQueuedDuringTheLastSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := &memory{release: make(chan error)}
		j := openJournal(file)
		var wg sync.WaitGroup
		add := func() { wg.Go(func() { j.Append([]byte("record")) }) }
		add()
		synctest.Wait()
		for range 10 {
			add()
		}
		synctest.Wait()
		file.release <- nil
		file.release <- nil
		wg.Wait()
		j.Close()
		if want := []int{10, 100}; !slices.Equal(file.batches, want) {
			t.Errorf("batches of %v bytes, want %v", file.batches, want)
		}
	})
}

func TestJournalPassesAFailedSyncOn(t *testing.T) {
	t.Parallel()
	file := &memory{release: make(chan error, 1)}
	full := errors.New("disk full")
	file.release <- full
	j := openJournal(file)
	if err := j.Append([]byte("a")); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	j.Close()
	if err := j.Append([]byte("b")); !errors.Is(err, errClosed) {
		t.Errorf("after Close: error %v", err)
	}
}

// request is event n as the generator sends it.
func request(secret string, n uint64) *http.Request {
	body, sig := make([]byte, event.Size), make([]byte, event.SignatureLen)
	event.NewBook(secret, int(n)+1).Write(body, sig, n)
	r := httptest.NewRequest("POST", "/in/bench", bytes.NewReader(body))
	r.Header.Set("X-HMAC-SIGNATURE", string(sig))
	return r
}

func TestIntakeKeepsOnlyWhatIsSigned(t *testing.T) {
	t.Parallel()
	kept := 0
	in := newIntake("secret", func([]byte) error { kept++; return nil })
	broken := func(change func(r *http.Request)) *http.Request {
		r := request("secret", 1)
		change(r)
		return r
	}
	for _, c := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"signed", request("secret", 1), 200},
		{"another secret", request("other", 1), 401},
		{"no header", broken(func(r *http.Request) { r.Header = http.Header{} }), 401},
		{"not hex", broken(func(r *http.Request) { r.Header.Set("X-HMAC-SIGNATURE", strings.Repeat("x", 64)) }), 401},
		{"changed body", broken(func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{}")) }), 401},
	} {
		w := httptest.NewRecorder()
		in.ServeHTTP(w, c.r)
		if w.Code != c.status {
			t.Errorf("%s: %d, want %d", c.name, w.Code, c.status)
		}
	}
	if kept != 1 {
		t.Errorf("kept %d bodies", kept)
	}
}

func TestIntakeSaysWhenItCouldNotKeep(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	newIntake("secret", func([]byte) error { return errClosed }).ServeHTTP(w, request("secret", 1))
	if w.Code != 503 {
		t.Errorf("status %d", w.Code)
	}
}

const signingSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func TestPostIsSignedAsStandardWebhooks(t *testing.T) {
	t.Parallel()
	verifier, err := standardwebhooks.NewWebhook(signingSecret)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := verifier.Verify(body, r.Header); err != nil || string(body) != "{}" {
			t.Errorf("body %q: %v", body, err)
		}
	}))
	defer srv.Close()
	p, err := newPoster(srv.URL, signingSecret)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := p.post(t.Context(), []byte("{}")); err != nil {
			t.Error(err)
		}
	}
}

func TestRelayWaitsWhileItsQueueIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := startRelay(func(context.Context, []byte) error { <-release; return nil })
		accepted := 0
		go func() {
			defer r.drain()
			for range queueLength + senders + 10 {
				r.enqueue([]byte("body"))
				accepted++
			}
		}()
		synctest.Wait()
		if accepted != queueLength+senders {
			t.Errorf("accepted %d before anything was sent, want %d", accepted, queueLength+senders)
		}
		close(release)
	})
}

func TestRelayCountsWhatItLost(t *testing.T) {
	t.Parallel()
	r := startRelay(func(context.Context, []byte) error { return errors.New("refused") })
	r.enqueue([]byte("body"))
	if err := r.drain(); err == nil || !strings.Contains(err.Error(), "1 events were lost") {
		t.Errorf("error %v", err)
	}
}

func TestBurstNumbersItsEvents(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	b := burst{func(_ context.Context, body []byte) error {
		mu.Lock()
		defer mu.Unlock()
		seen[string(body)] = true
		return nil
	}}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequest("POST", "/run?seconds=60&limit=300", nil))
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"events":300}` || len(seen) != 300 {
		t.Errorf("status %d, %s, %d different events", w.Code, w.Body, len(seen))
	}
}

func TestRunRefusesAnUnknownRole(t *testing.T) {
	t.Parallel()
	if err := Run(t.Context(), []string{"bear"}); err == nil || !strings.Contains(err.Error(), `"bear" is unknown`) {
		t.Errorf("error %v", err)
	}
}
