package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Three nodes, of which one has a clock that is a minute ahead and one a minute behind:
// the most that we say harms nothing.
const (
	rightClock, aheadClock, behindClock = 0, 1, 2

	skew = time.Minute
	// span is how far the clocks of two of them differ at the most.
	span = 2 * skew
	// patient is the wait before a second attempt that must not come during the test.
	patient = span + skew
)

// skewedReceiver sees when requests come, and what time their senders say it is.
type skewedReceiver struct {
	*holdup
	t       *testing.T
	mu      sync.Mutex
	times   map[string][]time.Time // path and id → of each request
	offsets map[time.Duration]int  // of webhook-timestamp, to the minute
}

func (s *skewedReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at, err := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64)
	off := time.Until(time.Unix(at, 0)) + time.Second/2
	if err != nil || off.Abs() > skew+5*time.Second {
		s.t.Errorf("webhook-timestamp is %v off, %v", off, err)
	}
	key := r.URL.Path + " " + r.Header.Get("webhook-id")
	s.mu.Lock()
	s.times[key] = append(s.times[key], time.Now())
	first := len(s.times[key]) == 1
	s.offsets[off.Round(skew)]++
	s.mu.Unlock()
	switch {
	case r.URL.Path == "/patient", r.URL.Path == "/flaky" && first:
		w.WriteHeader(http.StatusConflict) // which speaks of the message, so no breaker holds the others back
	case r.URL.Path == "/flaky":
	default:
		s.holdup.ServeHTTP(w, r)
	}
}

func newSkewedCluster(t *testing.T, receiver string) *cluster {
	t.Helper()
	endpoints := endpointsYAML(receiver+"/all") +
		fmt.Sprintf("      - url: %s/flaky\n        event_types: [veriff.event.submitted]\n        retries: [5s]\n", receiver) +
		fmt.Sprintf("      - url: %s/patient\n        event_types: [veriff.event.submitted]\n        retries: [%v]\n", receiver, patient)
	c := prepareCluster(t, 3, shared.Empty(t), endpoints)
	for i, off := range []time.Duration{rightClock: 0, aheadClock: skew, behindClock: -skew} {
		c.nodes[i].binary = skewed.binary(t)
		c.nodes[i].env = []string{fmt.Sprintf("TEST_CLOCK_SKEW=%d", int(off.Seconds()))}
	}
	c.startAll()
	for i, want := range []time.Duration{rightClock: 0, aheadClock: skew, behindClock: -skew} {
		res, err := http.Get(c.nodes[i].url + "/health")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		at, err := http.ParseTime(res.Header.Get("Date"))
		if off := time.Until(at); err != nil || (off-want).Abs() > 5*time.Second {
			t.Fatalf("the clock of node %d is off by %v, and should be by %v (%v)", i, off, want, err)
		}
	}
	return c
}

// clocksAreOff: three nodes whose clocks are a minute off do all that they do otherwise.
func clocksAreOff(t *testing.T) {
	s := &skewedReceiver{holdup: newHoldup(nil), t: t, times: map[string][]time.Time{}, offsets: map[time.Duration]int{}}
	url := receive(t, s)
	c := newSkewedCluster(t, url)
	streams := []*streamed{c.stream(rightClock), c.stream(behindClock)}
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { c.page(s.ledger, rightClock, stop) })
	reading.Go(func() { c.page(s.ledger, behindClock, stop) })

	c.postTwice(s.ledger, "started", 90)
	flaky := c.postTwice(s.ledger, "submitted", 30)
	c.askTwice()
	c.arrived(s.ledger, patience)
	s.retried(flaky)

	// What the node that is ahead has in memory is due a minute from now by the clock of
	// another, and is taken over in time all the same.
	s.hold(func(body string) bool { return via(aheadClock, body) })
	for n := range 2 * 32 {
		c.post(s.ledger, aheadClock, fmt.Sprint("of-the-dead-", n))
	}
	s.holding(t, 8) // with fewer an endpoint does not begin
	c.nodes[aheadClock].kill()
	killed := time.Now()
	s.hold(nil)
	c.postOnce(s.ledger, 30, rightClock, behindClock)
	c.arrived(s.ledger, takeover-time.Since(killed))
	t.Logf("taken over after %v", time.Since(killed))
	close(stop)
	reading.Wait()
	for _, x := range streams {
		x.saw(s.ledger)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, times := range s.times {
		if strings.HasPrefix(key, "/patient") && len(times) > 1 && times[1].Sub(times[0]) < patient-span {
			t.Errorf("%s was tried again after %v, which is %v too early by any clock", key, times[1].Sub(times[0]), patient-span)
		}
	}
	if s.offsets[0] == 0 || s.offsets[skew] == 0 || s.offsets[-skew] == 0 {
		t.Errorf("not all clocks are in use, so nothing is shown: %v", s.offsets) // the test has to be mended
	}
}

// postTwice posts events of a kind, each to two nodes: they are one message.
func (c *cluster) postTwice(l *ledger, kind string, n int) (ids []string) {
	c.t.Helper()
	for i := range n {
		body := fmt.Sprintf(`{"id":"%s-%d","feature":"selfid","code":7001,"action":"%s"}`, kind, i, kind)
		var twice []string
		for _, node := range []int{i % 3, (i + 1) % 3} {
			status, id, err := post(poster, c.nodes[node].url, []byte(body), sign([]byte(body)))
			if err != nil || status != http.StatusOK {
				c.t.Fatalf("node %d: %d, %v", node, status, err)
			}
			twice = append(twice, id)
		}
		if twice[0] != twice[1] {
			c.t.Errorf("the same event on two nodes is %s and %s", twice[0], twice[1])
		}
		if slices.Contains(ids, twice[0]) {
			c.t.Errorf("%s is the id of two events", twice[0])
		}
		l.promise(twice[0], body)
		ids = append(ids, twice[0])
	}
	return ids
}

func (c *cluster) postOnce(l *ledger, n int, nodes ...int) {
	c.t.Helper()
	for i := range n {
		c.post(l, nodes[i%len(nodes)], fmt.Sprint("once-", i))
	}
}

// askTwice makes requests with the same idempotency key on two nodes.
func (c *cluster) askTwice() {
	c.t.Helper()
	if status, got := c.ask(behindClock, "POST", "/api/v1/app", `{"name":"a","uid":"a"}`); status != http.StatusCreated {
		c.t.Fatalf("%d %v", status, got)
	}
	for i := range 12 {
		var ids []any
		for _, node := range []int{i % 3, (i + 1) % 3} {
			status, got := c.ask(node, "POST", "/api/v1/app/a/msg", fmt.Sprintf(`{"eventType":"x","payload":{"n":%d}}`, i), "Idempotency-Key", fmt.Sprint("key-", i))
			if status != http.StatusAccepted {
				c.t.Fatalf("node %d: %d %v", node, status, got)
			}
			ids = append(ids, got["id"])
		}
		if ids[0] != ids[1] {
			c.t.Errorf("the same request on two nodes made %v", ids)
		}
	}
}

// retried checks when the second attempts of messages came: not before they were due by
// the clock that is farthest ahead of the one that said when, and, while that node
// lives, soon after they were.
func (s *skewedReceiver) retried(ids []string) {
	s.t.Helper()
	const looked, slow = 5 * time.Second, 10 * time.Second
	end := time.Now().Add(patience)
	for _, id := range ids {
		var times []time.Time
		for len(times) < 2 {
			s.mu.Lock()
			times = slices.Clone(s.times["/flaky "+id])
			s.mu.Unlock()
			if time.Now().After(end) {
				s.t.Fatalf("%s was not tried again", id)
			}
			<-time.After(time.Millisecond)
		}
		if gap := times[1].Sub(times[0]); gap > 5500*time.Millisecond+looked+slow {
			s.t.Errorf("%s was tried again after %v", id, gap)
		}
	}
}

// page reads the list of all messages from its beginning to its end, again and again until
// stop is closed: each time everything that was there before is in it, once.
func (c *cluster) page(l *ledger, node int, stop chan struct{}) {
	for walks, last := 0, false; !last; walks++ {
		select {
		case <-stop:
			last = true
		default:
		}
		l.mu.Lock()
		before := make([]string, 0, len(l.promised))
		for id := range l.promised {
			before = append(before, id)
		}
		l.mu.Unlock()
		seen := map[string]int{}
		for path, more := "/api/v1/msg?limit=25", true; more; {
			status, got, err := c.try(node, "GET", path, "")
			if err != nil || status != http.StatusOK {
				c.t.Errorf("list on node %d: %d, %v %v", node, status, got, err)
				return
			}
			for _, m := range got["data"].([]any) {
				seen[m.(map[string]any)["id"].(string)]++
			}
			iterator, _ := got["iterator"].(string)
			path, more = "/api/v1/msg?limit=25&iterator="+iterator, got["done"] == false
		}
		for id, n := range seen {
			if n != 1 {
				c.t.Errorf("a list on node %d has %s %d times", node, id, n)
			}
		}
		for _, id := range before {
			if seen[id] == 0 {
				c.t.Errorf("a list on node %d does not have %s, which was there before it began", node, id)
			}
		}
		if last {
			c.t.Logf("node %d was read %d times, the last time with %d messages", node, walks+1, len(seen))
		}
	}
}

// streamed is what a live stream has shown.
type streamed struct {
	t    *testing.T
	mu   sync.Mutex
	seen map[string]int
}

// stream follows the live stream of a node to the end of the test.
func (c *cluster) stream(node int) *streamed {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.nodes[node].url+"/api/v1/stream?kinds=message", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token())
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		c.t.Fatalf("stream: %v", err)
	}
	x := &streamed{t: c.t, seen: map[string]int{}}
	lines := bufio.NewReader(res.Body)
	next := func() (string, error) {
		line, err := lines.ReadString('\n')
		return strings.TrimSuffix(line, "\n"), err
	}
	for line := ""; !strings.HasPrefix(line, "id: "); { // it says where it begins
		if line, err = next(); err != nil {
			c.t.Fatalf("stream: %v", err)
		}
	}
	go func() {
		defer res.Body.Close()
		for {
			line, err := next()
			if err != nil {
				return // the test has ended
			}
			text, ok := strings.CutPrefix(line, "data: ")
			if !ok {
				continue
			}
			var m struct{ ID string }
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				c.t.Errorf("stream: %v", err)
			}
			x.mu.Lock()
			x.seen[m.ID]++
			x.mu.Unlock()
		}
	}()
	return x
}

// saw waits until everything that was promised was shown, and checks that it was once.
func (x *streamed) saw(l *ledger) {
	x.t.Helper()
	end := time.Now().Add(patience)
	for {
		missing := 0
		l.mu.Lock()
		x.mu.Lock()
		for id := range l.promised {
			switch n := x.seen[id]; {
			case n == 0:
				missing++
			case n > 1:
				x.t.Errorf("the stream showed %s %d times", id, n)
			}
		}
		x.mu.Unlock()
		l.mu.Unlock()
		if missing == 0 {
			return
		}
		if time.Now().After(end) {
			x.t.Errorf("the stream does not show %d messages", missing)
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}
