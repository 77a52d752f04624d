package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/store/storetest/pgtest"
)

// cutOff: the network between a node and the database fails for longer than it takes to be
// taken for dead, while the node has attempts under way and more in memory. The other one
// delivers everything; what the first has to say of it afterwards does not count; and it
// goes on by itself when the network works again.
func cutOff(t *testing.T, mode pgtest.Mode) {
	h := newHoldup(nil)
	url := receive(t, h)
	c := prepareCluster(t, 2, shared.Empty(t), endpointsYAML(url)+"        timeout: 60s\n        concurrency: 8\n")
	proxies := make([]*pgtest.Proxy, len(c.nodes))
	for i, n := range c.nodes {
		proxies[i], n.database = pgtest.NewProxy(t, c.database)
	}
	c.startAll()
	load, other := c.trickle(h.ledger, 0, 30*time.Millisecond), c.trickle(h.ledger, 1, 30*time.Millisecond)
	c.arrivedSome(h.ledger, 20)
	h.hold(func(body string) bool { return via(0, body) })
	h.holding(t, 4)     // the node's part of the endpoint's eight
	for n := range 30 { // wait behind them in memory
		c.post(h.ledger, 0, fmt.Sprint("behind-", n))
	}
	cut := time.Now()
	proxies[0].Set(mode)
	h.hold(nil)
	late := h.pending()
	c.refuses(0)
	h.await(c, late, takeover-time.Since(cut))
	t.Logf("taken over after %v", time.Since(cut))
	close(h.letGo) // the attempts that were under way when it was cut succeed
	proxies[0].Set(pgtest.Pass)
	c.nodes[0].await(http.StatusOK, patience)
	t.Logf("back after %v", time.Since(cut))
	c.nodes[0].says(" refused=true", len(h.held))
	if !c.post(h.ledger, 0, "after") {
		t.Error("it does not take events again")
	}
	load()
	other()
	c.arrived(h.ledger, takeover)
	c.settled()
	for id := range h.held {
		const q = "SELECT count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE d.message_id = $1 AND a.at < $2"
		if query[int](c, q, c.key(id), cut.UnixMilli()) != 0 {
			t.Errorf("%s was delivered by the attempt of the node that was cut off", id)
		}
	}
}

// arrivedSome waits until so many events have arrived.
func (c *cluster) arrivedSome(l *ledger, n int) {
	c.t.Helper()
	late := time.After(patience)
	for {
		l.mu.Lock()
		have := len(l.arrived)
		l.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-l.changed:
		case <-late:
			c.logs()
			c.t.Fatalf("%d events have arrived, %d are waited for", have, n)
		}
	}
}

// pending are the messages that were promised and have not arrived.
func (l *ledger) pending() (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.promised {
		if _, ok := l.arrived[id]; !ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// await waits until some messages have arrived.
func (l *ledger) await(c *cluster, ids []string, within time.Duration) {
	c.t.Helper()
	if len(ids) == 0 {
		c.t.Fatal("nothing waits, so nothing is shown") // the test has to be mended
	}
	late := time.After(within)
	for {
		missing := 0
		l.mu.Lock()
		for _, id := range ids {
			if _, ok := l.arrived[id]; !ok {
				missing++
			}
		}
		l.mu.Unlock()
		if missing == 0 {
			return
		}
		select {
		case <-l.changed:
		case <-late:
			c.logs()
			c.t.Fatalf("%d of %d events are missing", missing, len(ids))
		}
	}
}

// refuses asks a node that does not reach the database to keep something: it answers 503,
// or nothing for as long as a provider waits, and says that it is not healthy.
func (c *cluster) refuses(node int) {
	c.t.Helper()
	body := []byte(`{"id":"meanwhile","feature":"selfid","code":7001,"action":"started"}`)
	client := &http.Client{Timeout: takeover}
	defer client.CloseIdleConnections()
	status, _, err := post(client, c.nodes[node].url, body, sign(body))
	if status != http.StatusServiceUnavailable {
		c.t.Errorf("while it was cut off: %d, %v", status, err)
	}
	c.nodes[node].await(http.StatusServiceUnavailable, takeover)
}

// says waits until a process has said something so often.
func (p *process) says(what string, times int) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		n := strings.Count(p.log.String(), what)
		if n >= times {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%q was said %d times, %d are waited for\n%s", what, n, times, tail(p.log.String()))
		}
	}
}
