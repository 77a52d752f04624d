package test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"
)

// ledger is what was sent, what was promised and what arrived. It is a receiver, and holds each
// arrival against the rest at once: nothing arrives that was not sent, and the same body always
// under the same id.
type ledger struct {
	mu       sync.Mutex
	sent     map[string]bool   // bodies; nil: they are not watched
	promised map[string]string // message id → body, of every 2xx
	arrived  map[string]string // message id → body
	times    map[string]int
	ids      map[string]string // body → message id
	settled  map[string]bool   // messages that must not come again
	again    int               // arrivals since the last kill of what had arrived before
	wrong    []string
	first    time.Time // arrival of the first after the last start
	changed  chan struct{}
}

func newLedger() *ledger {
	return &ledger{promised: map[string]string{}, arrived: map[string]string{}, times: map[string]int{}, ids: map[string]string{}, settled: map[string]bool{}, changed: make(chan struct{}, 1)}
}

// watch makes the ledger know what is sent, from now on.
func (l *ledger) watch() { l.sent = map[string]bool{} }

// send notes a body before it is sent.
func (l *ledger) send(body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[body] = true
}

func (l *ledger) promise(id, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.know(id, body)
	l.promised[id] = body
}

// know notes the id of a body, which never changes.
func (l *ledger) know(id, body string) {
	if old, known := l.ids[body]; known && old != id {
		l.wrong = append(l.wrong, fmt.Sprintf("one event has two ids, %s and %s", old, id))
	}
	l.ids[body] = id
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	l.mu.Lock()
	l.arrive(r.Header.Get("webhook-id"), string(body))
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *ledger) arrive(id, body string) {
	switch {
	case l.settled[id]:
		l.wrong = append(l.wrong, fmt.Sprintf("%s arrived again, long after it was delivered", id))
	case l.sent != nil && !l.sent[body]:
		l.wrong = append(l.wrong, fmt.Sprintf("%s arrived, which nobody sent: %.100q", id, body))
	}
	l.know(id, body)
	if l.times[id] > 0 {
		l.again++
	}
	l.arrived[id] = body
	l.times[id]++
	if l.first.IsZero() {
		l.first = time.Now()
	}
}

// started begins a new life of the server.
func (l *ledger) started() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first, l.again = time.Time{}, 0
}

// settle says that what has arrived is on record: the server was stopped in order.
func (l *ledger) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.arrived {
		l.settled[id] = true
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

// check fails the test for everything that is wrong. most is how many may have come again
// since the last kill.
func (l *ledger) check(t *testing.T, most int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.wrong {
		if i == 5 {
			t.Errorf("and %d more", len(l.wrong)-i)
			break
		}
		t.Error(w)
	}
	l.wrong = nil
	for id, body := range l.promised {
		if l.arrived[id] != body {
			t.Errorf("%s arrived as %.100q, %.100q was sent", id, l.arrived[id], body)
		}
	}
	if l.again > most {
		t.Errorf("%d came again after one kill; %d could be in flight", l.again, most)
	}
}

// forget lets go of what was checked, but for the ids.
func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, body := range l.promised {
		delete(l.ids, body)
		delete(l.sent, body)
	}
	clear(l.promised)
	clear(l.arrived)
	clear(l.times)
}

// promises are the promised messages, id to body.
func (l *ledger) promises() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.promised)
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
