package test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// ledger is what was promised and what arrived.
type ledger struct {
	mu       sync.Mutex
	promised map[string]string // message id → body, of every 200
	arrived  map[string]string // message id → body
	times    map[string]int
	first    time.Time // arrival of the first after the last start
	changed  chan struct{}
}

func newLedger() *ledger {
	return &ledger{promised: map[string]string{}, arrived: map[string]string{}, times: map[string]int{}, changed: make(chan struct{}, 1)}
}

func (l *ledger) promise(id, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promised[id] = body
}

// receive serves a handler to the end of the test, and after that of what is started later.
func receive(t *testing.T, h http.Handler) (url string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	l.mu.Lock()
	id := r.Header.Get("webhook-id")
	l.arrived[id] = string(body)
	l.times[id]++
	if l.first.IsZero() {
		l.first = time.Now()
	}
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// missing is how many promised messages have not arrived.
func (l *ledger) missing() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.promised {
		if _, ok := l.arrived[id]; !ok {
			n++
		}
	}
	return n
}

// Acknowledged means kept: the process is killed in the middle of a burst,
// again and again, and every event that was answered with 200 arrives, byte
// for byte, the first within two seconds of the start.
func TestCrashLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	rounds := 20
	if text := os.Getenv("CRASH_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("CRASH_ROUNDS: %v", err)
		}
		rounds = n
	}
	l := newLedger()
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	config := writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, endpointsYAML(receiver.URL))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range rounds {
		p := serve(t, config)
		burst(t, l, p, round, time.Duration(random.IntN(300)+30)*time.Millisecond)
		left := l.missing()
		l.mu.Lock()
		l.first = time.Time{}
		l.mu.Unlock()
		begun := time.Now()
		p = serve(t, config)
		await(t, l, p)
		if left > 0 && l.first.Sub(begun) > 2*time.Second {
			t.Errorf("round %d: the first of %d came %v after the start", round, left, l.first.Sub(begun))
		}
		p.stop()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.promised) < rounds {
		t.Errorf("only %d events were acknowledged in %d rounds", len(l.promised), rounds)
	}
	again := 0
	for id, body := range l.promised {
		if l.arrived[id] != body {
			t.Errorf("%s arrived as %q, %q was sent", id, l.arrived[id], body)
		}
		again += l.times[id] - 1
	}
	t.Logf("%d acknowledged in %d rounds, all arrived, %d of them more than once", len(l.promised), rounds, again)
}

// burst posts from several connections and kills the process after a while.
func burst(t *testing.T, l *ledger, p *process, round int, after time.Duration) {
	t.Helper()
	killed := make(chan struct{})
	timer := time.AfterFunc(after, func() { p.kill(); close(killed) })
	defer timer.Stop()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				body := fmt.Sprintf(`{"id":"%d-%d-%d","feature":"selfid","code":7001,"action":"started"}`, round, worker, n)
				status, id, err := post(client, p.url, []byte(body), sign([]byte(body)))
				if err != nil {
					return // it is dead
				}
				if status != http.StatusOK {
					t.Errorf("answered %d", status)
					return
				}
				l.promise(id, body)
			}
		})
	}
	wg.Wait()
	<-killed
}

// await waits until everything promised has arrived.
func await(t *testing.T, l *ledger, p *process) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for l.missing() > 0 {
		select {
		case <-l.changed:
		case <-timeout.C:
			t.Fatalf("%d acknowledged events are missing\n%s", l.missing(), tail(p.log.String()))
		}
	}
}

func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}
