package test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What is said of one key: an event that its provider sends again, an idempotency key, an id of an event that
// its owner gives, and looking that up.
type said struct {
	kind, key string
	variant   int // another layout of the same event, or another request
}

// heard is what was answered; the status 0 is that nothing was, or own trouble: it may have been done.
type heard struct {
	status int
	id     string
}

// known is the model of a key: whether it made a message, which, and of which request. An id
// that nobody was told of yet is "?".
type known struct {
	made    bool
	id      string
	variant int
}

// step says whether a key in this state may answer so, and what it is then.
func (k known) step(in said, out heard) (bool, known) {
	made := known{true, out.id, in.variant}
	same := k.id == out.id || k.id == "?"
	told := known{true, out.id, k.variant}
	switch {
	case out.status == 0 && k.made:
		return true, k
	case out.status == 0:
		return true, known{true, "?", in.variant}
	case in.kind == "read" && out.status == http.StatusNotFound:
		return !k.made, k
	case in.kind == "read":
		return k.made && same, told
	case in.kind == "eventId" && out.status == http.StatusConflict: // it names the message that is there
		return k.made && same, told
	case in.kind == "eventId":
		return !k.made, made
	case in.kind == "key" && out.status == http.StatusConflict:
		return k.made && k.variant != in.variant, k
	case !k.made:
		return true, made
	}
	return same && (in.kind == "event" || k.variant == in.variant), told
}

func modelOfKeys() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return known{} },
		Step: func(state, in, out any) (bool, any) { return state.(known).step(in.(said), out.(heard)) },
		Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
			byKey := map[string][]porcupine.Operation{}
			for _, o := range history {
				key := o.Input.(said).key
				byKey[key] = append(byKey[key], o)
			}
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v → %+v", in, out) },
	}
}

// watched is a way to a server that notes whether a request had a connection: without one, none of it was sent.
type watched struct {
	http.Transport
	connected atomic.Bool
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { w.connected.Store(true) }}
	return w.Transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}

// crowd is many clients that say the same things at once, to one server or to several nodes.
type crowd struct {
	t     *testing.T
	begun time.Time
	token string
	urls  []string
	l     *ledger

	mu      sync.Mutex
	history []porcupine.Operation
}

// run has them speak until stop is closed. Their keys are those of this round and the one before, so that a
// key lives through a crash.
func (c *crowd) run(round int, stop chan struct{}) *sync.WaitGroup {
	var speaking sync.WaitGroup
	for client := range 8 {
		speaking.Go(func() {
			way := &watched{}
			transport := &http.Client{Transport: way, Timeout: patience}
			defer way.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				kind := []string{"event", "key", "eventId", "read"}[rand.IntN(4)]
				in := said{kind: kind, key: fmt.Sprintf("%s-%d-%d", strings.Replace(kind, "read", "eventId", 1), round-rand.IntN(2), rand.IntN(10)), variant: rand.IntN(2)}
				way.connected.Store(false)
				call := time.Since(c.begun)
				out := c.say(transport, c.urls[rand.IntN(len(c.urls))], in)
				back := int64(time.Since(c.begun))
				if out.status == 0 {
					back = math.MaxInt64 // it may still happen
					<-time.After(5 * time.Millisecond)
				}
				if out.status == 0 && (kind == "read" || !way.connected.Load()) {
					continue // nothing can have come of it, and the more that may happen at any time, the longer the check
				}
				c.mu.Lock()
				c.history = append(c.history, porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: back})
				c.mu.Unlock()
			}
		})
	}
	return &speaking
}

// say does one of the things, and notes what was promised.
func (c *crowd) say(client *http.Client, url string, in said) (out heard) {
	body := fmt.Sprintf(`{"key":%q,"a":[1,2]}`, in.key)
	if in.variant == 1 && in.kind == "event" {
		body = fmt.Sprintf(`{"a":[1, 2], "key":%q}`, in.key)
	}
	var raw []byte
	var err error
	switch in.kind {
	case "event":
		out.status, out.id, err = post(client, url, []byte(body), sign([]byte(body)))
	case "key":
		out.status, raw, err = call(client, url, c.token, "POST", "/api/v1/app/a/msg", fmt.Sprintf(`{"eventType":"v%d","payload":%s}`, in.variant, body), "Idempotency-Key", in.key)
	case "eventId":
		out.status, raw, err = call(client, url, c.token, "POST", "/api/v1/app/a/msg", fmt.Sprintf(`{"eventType":"x","eventId":%q,"payload":%s}`, in.key, body))
	case "read":
		out.status, raw, err = call(client, url, c.token, "GET", "/api/v1/app/a/msg/"+in.key, "")
	}
	if err != nil || out.status >= 500 {
		return heard{}
	}
	var m struct{ ID, Detail string }
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &m); err != nil {
			c.t.Errorf("%+v is answered %q", in, raw)
		}
		out.id = m.ID
	}
	switch {
	case out.status == http.StatusConflict && in.kind == "eventId":
		out.id = m.Detail[strings.LastIndex(m.Detail, " ")+1:]
	case out.status == http.StatusConflict && in.kind == "key", out.status == http.StatusNotFound && in.kind == "read":
	case out.status/100 != 2 || !strings.HasPrefix(out.id, "msg_"):
		c.t.Errorf("%+v is answered %d %s", in, out.status, raw)
	}
	if out.id != "" {
		c.l.promise(out.id, in.key)
	}
	return out
}

// check fails the test unless what everybody heard can have happened in one order, and each key has arrived
// under one id.
func (c *crowd) check() {
	c.t.Helper()
	result, info := porcupine.CheckOperationsVerbose(modelOfKeys(), c.history, time.Minute)
	answered := 0
	for _, o := range c.history {
		if o.Output.(heard).status != 0 {
			answered++
		}
	}
	c.t.Logf("%d operations, %d of them without an answer", len(c.history), len(c.history)-answered)
	if result == porcupine.Ok && answered > 0 {
		return
	}
	path := filepath.Join(c.t.ArtifactDir(), "history.html")
	err := porcupine.VisualizePath(modelOfKeys(), info, path)
	c.t.Errorf("the history is not linearizable: %v, %d answered; see %s, %v", result, answered, path, err)
}

// keyed is a ledger of keys instead of bodies: two messages of one key are told there.
func keyed(l *ledger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ Key string }
		if json.NewDecoder(r.Body).Decode(&m) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		l.mu.Lock()
		l.arrive(r.Header.Get("webhook-id"), m.Key)
		l.mu.Unlock()
		select {
		case l.changed <- struct{}{}:
		default:
		}
	})
}

// Equal events and requests with equal keys, from many clients at once and through kills: their answers are
// those of a server that does one thing at a time and is never killed. One key is one message.
func TestKeysAreLinearizableThroughCrashes(t *testing.T) {
	t.Parallel()
	l := newLedger()
	receiver := httptest.NewServer(keyed(l))
	defer receiver.Close()
	dir := t.TempDir()
	h := newHarm(t, dir, filepath.Join(dir, "data"))
	h.begin(receiver.URL)
	c := &crowd{t: t, begun: time.Now(), token: h.token, l: l}
	for round := 0; round < max(3, crashRounds(t)/4) && timeLeft(t) && !t.Failed(); round++ {
		stop := make(chan struct{})
		h.start()
		c.urls = []string{h.p.url}
		speaking := c.run(round, stop)
		<-time.After(200*time.Millisecond + rand.N(200*time.Millisecond))
		h.p.kill()
		h.start() // they go on meanwhile
		<-time.After(100 * time.Millisecond)
		close(stop)
		speaking.Wait()
		h.p.kill()
	}
	h.start()
	await(t, l, h.p)
	h.p.stop()
	l.check(t, math.MaxInt)
	c.check()
}

// The same with two nodes on one database, of which one at a time is killed.
func TestKeysAreLinearizableOnTwoNodes(t *testing.T) {
	t.Parallel()
	l := newLedger()
	receiver := httptest.NewServer(keyed(l))
	defer receiver.Close()
	nodes := newCluster(t, 2, endpointsYAML(receiver.URL))
	if status, got := nodes.ask(0, "POST", "/api/v1/app", `{"name":"a","uid":"a"}`); status != http.StatusCreated {
		t.Fatalf("%d %v", status, got)
	}
	if status, got := nodes.ask(0, "POST", "/api/v1/app/a/endpoint", `{"url":"`+receiver.URL+`"}`); status != http.StatusCreated {
		t.Fatalf("%d %v", status, got)
	}
	nodes.route("/api/v1/app/a/msg")
	c := &crowd{t: t, begun: time.Now(), token: nodes.token(), l: l}
	for _, p := range nodes.nodes {
		c.urls = append(c.urls, p.url)
	}
	for round := 0; round < max(2, crashRounds(t)/10) && timeLeft(t) && !t.Failed(); round++ {
		stop := make(chan struct{})
		speaking := c.run(round, stop)
		<-time.After(200*time.Millisecond + rand.N(200*time.Millisecond))
		nodes.nodes[round%2].kill()
		nodes.start(round % 2)
		<-time.After(100 * time.Millisecond)
		close(stop)
		speaking.Wait()
	}
	nodes.arrived(l, takeover+patience/3)
	l.check(t, math.MaxInt)
	c.check()
}
