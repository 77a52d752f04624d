package test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// lanes is a receiver that holds what it gets to the order of acceptance. The rule, for
// each session: a message arrives only when the one before it was taken, and one that
// was taken arrives again only as long as the next was not.
type lanes struct {
	t *testing.T

	mu       sync.Mutex
	taken    map[string]int // the last of each session
	promised map[string]int
	stale    map[string]bool // whether the last attempt at it said so
	again    int
	failed   int
	changed  chan struct{}
}

func newLanes(t *testing.T) *lanes {
	return &lanes{t: t, taken: map[string]int{}, promised: map[string]int{}, stale: map[string]bool{}, changed: make(chan struct{}, 1)}
}

func (l *lanes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return // whoever sent it was killed
	}
	var x struct {
		ID         string
		VendorData int `json:"vendorData,string"`
	}
	if err := json.Unmarshal(raw, &x); err != nil {
		l.t.Errorf("%s: %v", raw, err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch last := l.taken[x.ID]; x.VendorData {
	case last:
		l.again++
	case last + 1:
		if rand.IntN(50) == 0 {
			l.failed++
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		l.taken[x.ID] = x.VendorData
	default:
		select {
		case <-r.Context().Done(): // its sender was killed before, and it was still on its way
			return
		case <-time.After(100 * time.Millisecond):
		}
		l.t.Errorf("session %s: message %d arrived when %d was the last that was taken", x.ID, x.VendorData, last)
	}
	l.stale[x.ID] = r.Header.Get("sigpost-stale") == "true"
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// missing is how many acknowledged messages were not taken yet.
func (l *lanes) missing() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for session, last := range l.promised {
		n += last - l.taken[session]
	}
	return n
}

const (
	orderedSessions = 200
	orderedEach     = 6
)

// post sends the messages of all sessions, each after the one before it of its session was
// acknowledged. What is not acknowledged is sent again: it is the same event.
func (l *lanes) post(urls func() []string) *sync.WaitGroup {
	var posting sync.WaitGroup
	const workers = 10
	for worker := range workers {
		posting.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
			defer client.CloseIdleConnections()
			for n := 1; n <= orderedEach; n++ {
				for session := worker; session < orderedSessions; session += workers {
					l.postOne(client, urls, fmt.Sprintf("s-%03d", session), n)
				}
			}
		})
	}
	return &posting
}

func (l *lanes) postOne(client *http.Client, urls func() []string, session string, n int) {
	body := fmt.Appendf(nil, `{"id":%q,"feature":"selfid","code":7001,"action":"started","vendorData":"%d"}`, session, n)
	for end := time.Now().Add(2 * patience); time.Now().Before(end); {
		all := urls()
		status, _, err := post(client, all[rand.IntN(len(all))], body, sign(body))
		if err == nil && status == http.StatusOK {
			l.mu.Lock()
			l.promised[session] = n
			l.mu.Unlock()
			return
		}
		<-time.After(20 * time.Millisecond) // it is being started again
	}
	l.t.Errorf("session %s: message %d was never acknowledged", session, n)
}

// arrive waits until everything was taken, and looks at what was said of it.
func (l *lanes) arrive(within time.Duration, logs func() string) {
	l.t.Helper()
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for l.missing() > 0 {
		select {
		case <-l.changed:
		case <-timeout.C:
			l.t.Fatalf("%d acknowledged messages are missing after %v\n%s", l.missing(), within, logs())
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for session, stale := range l.stale {
		if stale {
			l.t.Errorf("session %s: the newest message says that it is stale", session)
		}
	}
	l.t.Logf("%d lanes of %d messages in order; %d arrived again, %d were refused once", len(l.taken), orderedEach, l.again, l.failed)
}

func orderedYAML(url string) string {
	return fmt.Sprintf("    endpoints:\n      - url: %s\n        secret: %s\n        order: subject\n        retries: [1s]\n        concurrency: 64\n", url, webhookSecret)
}

// Three nodes accept and send 200 lanes in turns; two of them are killed and started
// again in the middle of it.
func TestNodesKeepTheOrderOfLanesThroughKills(t *testing.T) {
	t.Parallel()
	l := newLanes(t)
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	c := newCluster(t, 3, orderedYAML(receiver.URL))
	urls := make([]string, len(c.nodes))
	for i, p := range c.nodes {
		urls[i] = p.url
	}
	posting := l.post(func() []string { return urls })
	for i := range 4 {
		<-time.After(500 * time.Millisecond)
		node := 1 + i%2 // the first one lives, so there is always one
		c.nodes[node].kill()
		<-time.After(300 * time.Millisecond)
		c.start(node)
	}
	posting.Wait()
	l.arrive(2*takeover, func() (all string) {
		for _, p := range c.nodes {
			all += tail(p.log.String())
		}
		return all
	})
}

// The same with one process on a file of its own.
func TestAProcessKeepsTheOrderOfLanesThroughKills(t *testing.T) {
	t.Parallel()
	l := newLanes(t)
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	config := writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, orderedYAML(receiver.URL))
	p := serve(t, config)
	url := []string{p.url}
	posting := l.post(func() []string { return url })
	for range 6 {
		<-time.After(time.Duration(100+rand.IntN(400)) * time.Millisecond)
		p.kill()
		p = serve(t, config)
	}
	posting.Wait()
	l.arrive(patience, func() string { return tail(p.log.String()) })
}
