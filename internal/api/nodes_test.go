package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store/storetest/pgtest"
)

// postgres is the database server of the tests with several nodes.
var postgres pgtest.Server

func TestMain(m *testing.M) {
	code := m.Run()
	if err := postgres.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		code = 1
	}
	os.Exit(code)
}

// twoNodes are two servers on one database.
func twoNodes(t *testing.T) [2]*harness {
	t.Helper()
	url := postgres.Empty(t)
	var nodes [2]*harness
	for i := range nodes {
		h := &harness{t: t, dir: t.TempDir(), token: jwtOf(t, "org_tests", ""), database: url}
		h.start()
		t.Cleanup(func() { h.stop() })
		nodes[i] = h
	}
	return nodes
}

// atOnce does something 64 times at once, on the nodes in turn.
func atOnce(nodes [2]*harness, do func(i int, h *harness)) {
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() { do(i, nodes[i%2]) })
	}
	all.Wait()
}

func TestEqualRequestsAtOnceOnTwoNodesAreDoneOnce(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	nodes[0].must(http.StatusCreated, "POST", "/api/v1/app", map[string]any{"name": "a", "uid": "a"})
	for key, c := range map[string]struct{ path, body, list string }{
		"application": {"/api/v1/app", `{"name":"of them all"}`, "/api/v1/app"},
		"endpoint":    {"/api/v1/app/a/endpoint", `{"url":"https://example.com/hook"}`, "/api/v1/app/a/endpoint"},
		"token":       {"/api/v1/auth/app-portal-access/a", `{}`, ""},
	} {
		answers := make([]string, 64)
		atOnce(nodes, func(i int, h *harness) {
			w := h.send("POST", c.path, c.body, "Idempotency-Key", key)
			answers[i] = fmt.Sprintln(w.Code, w.Body)
		})
		for _, x := range answers {
			if x != answers[0] {
				t.Errorf("%s: answers differ:\n%s%s", key, x, answers[0])
			}
		}
		if c.list == "" {
			continue
		}
		list := nodes[1].must(http.StatusOK, "GET", c.list, nil)["data"].([]any)
		if want := map[string]int{"application": 2, "endpoint": 1}[key]; len(list) != want {
			t.Errorf("%s: %d are there, %d are right", key, len(list), want)
		}
	}
}

// A request that fails leaves its key to the next one, on whichever node.
func TestAKeyOfARequestThatFailedIsFreeOnTheOtherNode(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	body := map[string]any{"name": "b", "uid": "b"}
	try := func(h *harness, status int) {
		t.Helper()
		h.must(status, "POST", "/api/v1/app", body, "Idempotency-Key", "k")
	}
	there := nodes[0].must(http.StatusCreated, "POST", "/api/v1/app", body)["id"].(string)
	try(nodes[0], http.StatusConflict)
	try(nodes[1], http.StatusConflict)
	nodes[1].must(http.StatusNoContent, "DELETE", "/api/v1/app/"+there, nil)
	try(nodes[1], http.StatusCreated)
	try(nodes[0], http.StatusCreated)
}

// What one node changes another does not take back, whatever it is.
func TestChangesAtOnceOnTwoNodesAreAllKept(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	h := nodes[0]
	app := h.app("a")
	id, _ := h.subscribe(app, map[string]any{"url": "https://example.com/"})
	at := "/api/v1/app/" + app + "/endpoint/" + id
	h.must(http.StatusCreated, "POST", "/api/v1/event-type", `{"name":"t","description":"d"}`)
	source := "/ingest/api/v1/source/" + h.must(http.StatusCreated, "POST", "/ingest/api/v1/source", `{"name":"source","type":"generic-webhook"}`)["id"].(string)
	for n := range 10 {
		text := fmt.Sprint(n)
		var all sync.WaitGroup
		for i, c := range []struct {
			status             int
			method, path, body string
		}{
			{200, "PATCH", at, `{"description":"` + text + `"}`},
			{200, "PATCH", at, `{"metadata":{"n":"` + text + `"}}`},
			{200, "PATCH", at, `{"channels":["` + text + `"]}`},
			{204, "PATCH", at + "/headers", `{"headers":{"X-A":"` + text + `"}}`},
			{204, "PATCH", at + "/headers", `{"headers":{"X-B":"` + text + `"}}`},
			{200, "PATCH", "/api/v1/app/" + app, `{"name":"` + text + `"}`},
			{200, "PATCH", "/api/v1/app/" + app, `{"metadata":{"n":"` + text + `"}}`},
			{200, "PATCH", "/api/v1/event-type/t", `{"description":"` + text + `"}`},
			{200, "PATCH", "/api/v1/event-type/t", `{"groupName":"` + text + `"}`},
			{200, "PUT", source, `{"name":"source","maxBody":` + fmt.Sprint(1000+n) + `}`},
			{200, "PUT", source, `{"name":"source","forwardHeaders":["X-` + text + `"]}`},
		} {
			all.Go(func() { nodes[i%2].must(c.status, c.method, c.path, c.body) })
		}
		all.Wait()
		e, headers := h.must(200, "GET", at, nil), h.must(200, "GET", at+"/headers", nil)["headers"]
		a, kind, x := h.must(200, "GET", "/api/v1/app/"+app, nil), h.must(200, "GET", "/api/v1/event-type/t", nil), h.must(200, "GET", source, nil)
		got := fmt.Sprintln(e["description"], e["metadata"], e["channels"], headers, a["name"], a["metadata"], kind["description"], kind["groupName"], x["maxBody"], x["forwardHeaders"])
		want := fmt.Sprintf("%s map[n:%s] [%s] map[X-A:%s X-B:%s] %s map[n:%s] %s %s %d [X-%s]\n", text, text, text, text, text, text, text, text, text, 1000+n, text)
		if got != want {
			t.Fatalf("round %s: %sis not %s", text, got, want)
		}
	}
}

// Rotations on two nodes all count, and end in what the endpoint signs with.
func TestRotationsAtOnceOnTwoNodesAreAllKept(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	rec := nodes[0].receiver(http.StatusOK)
	app := nodes[0].app("a")
	id, _ := nodes[0].subscribe(app, map[string]any{"url": rec.URL})
	at := "/api/v1/app/" + app + "/endpoint/" + id
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() { nodes[i%2].must(http.StatusNoContent, "POST", at+"/secret/rotate", `{}`) })
		all.Go(func() { nodes[i%2].must(http.StatusOK, "PATCH", at, `{"description":"d"}`) })
	}
	all.Wait()
	signatures := func() int {
		nodes[1].must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"t","payload":{}}`)
		return len(strings.Fields(rec.next(t).header.Get("Webhook-Signature")))
	}
	eventually(t, "a message is signed with all nine secrets", func() bool { return signatures() == 9 })
	nodes[1].must(http.StatusNoContent, "POST", at+"/secret/rotate", `{}`)
	if status, answer := nodes[0].do("POST", at+"/secret/rotate", `{}`); status != http.StatusUnprocessableEntity {
		t.Errorf("an eleventh secret: %d %v", status, answer)
	}
}

// A node that joins another uses half of an endpoint's bound from its start on.
func TestNodesShareTheBoundOfAnEndpoint(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	var now, most, all atomic.Int64
	open := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		<-open
		now.Add(-1)
		all.Add(1)
	}))
	defer s.Close()
	app := nodes[1].app("a")
	nodes[1].subscribe(app, map[string]any{"url": s.URL})
	const half = hook.DefaultConcurrency / 2
	for range 2 * half {
		nodes[1].must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"t","payload":{}}`)
	}
	eventually(t, "the node uses its half", func() bool { return now.Load() >= half })
	close(open)
	eventually(t, "all are delivered", func() bool { return all.Load() == 2*half })
	if most.Load() != half {
		t.Errorf("%d attempts at once from one of two nodes, %d are right", most.Load(), half)
	}
}
