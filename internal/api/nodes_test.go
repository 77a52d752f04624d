package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
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
func twoNodes(t *testing.T) [2]*harness { return serveTwo(t, postgres.Empty(t), false) }

func serveTwo(t *testing.T, url string, polls bool) (nodes [2]*harness) {
	t.Helper()
	for i := range nodes {
		h := &harness{t: t, dir: t.TempDir(), token: jwtOf(t, "org_tests", ""), database: url, polls: polls}
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
	var warm atomic.Bool
	open := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(open) })
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if !warm.Load() {
			all.Add(1)
			return
		}
		n := now.Add(1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		<-open
		now.Add(-1)
		all.Add(1)
	}))
	defer s.Close()
	defer letGo()
	app := nodes[1].app("a")
	nodes[1].subscribe(app, map[string]any{"url": s.URL})
	const half = hook.DefaultConcurrency / 2
	send := func() {
		for range 2 * half {
			nodes[1].must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"t","payload":{}}`)
		}
	}
	send() // an endpoint begins with less than its bound, and gets more with each success
	eventually(t, "all are delivered", func() bool { return all.Load() == 2*half })
	warm.Store(true)
	send()
	eventually(t, "the node uses its half", func() bool { return now.Load() >= half })
	letGo()
	eventually(t, "all are delivered", func() bool { return all.Load() == 4*half })
	if most.Load() != half {
		t.Errorf("%d attempts at once from one of two nodes, %d are right", most.Load(), half)
	}
}

// What one node is told the other knows within a second, also where nodes do not listen.
func TestNodesThatDoNotListenFollowEachOther(t *testing.T) {
	t.Parallel()
	url := postgres.Empty(t)
	nodes := serveTwo(t, url, true)
	here, there := nodes[0], nodes[1]
	rec := here.receiver(http.StatusOK)
	app := here.app("a")
	active := func() bool {
		return there.must(http.StatusOK, "POST", "/api/v1/app/"+app+"/msg/precheck/active", `{"eventType":"t"}`)["active"] == true
	}
	within := func(what string, f func() bool) {
		t.Helper()
		began := time.Now()
		eventually(t, what, f)
		if took := time.Since(began); took > 2*time.Second { // one is for a machine that is busy
			t.Errorf("%s: after %v", what, took)
		}
	}
	id, _ := here.subscribe(app, map[string]any{"url": rec.URL})
	at := "/api/v1/app/" + app + "/endpoint/" + id
	within("the other node knows the endpoint", active)
	here.must(http.StatusOK, "PATCH", at, `{"paused":true}`)
	within("the other node knows that it is paused", func() bool { return !active() })
	there.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"t","payload":{"n":1}}`)
	here.must(http.StatusOK, "PATCH", at, `{"paused":false}`)
	if got := rec.next(t); got.body != `{"n":1}` {
		t.Errorf("what was held came as %s", got.body)
	}
	token := here.must(http.StatusOK, "POST", "/api/v1/auth/app-portal-access/"+app, `{}`)["token"].(string)
	may := func() bool { return there.as(token).send("GET", at, nil).Code == http.StatusOK }
	if !may() {
		t.Fatal("a token of one node is not known to the other")
	}
	here.must(http.StatusNoContent, "POST", "/api/v1/auth/app/"+app+"/expire-all", `{}`)
	within("the token has ended on the other node", func() bool { return !may() })
}

// What nobody holds is delivered as soon as a node is told: no sweep is
// waited for.
func TestNodesThatDoNotListenAreWoken(t *testing.T) {
	t.Parallel()
	url := postgres.Empty(t)
	h := serveTwo(t, url, true)[0]
	rec := h.receiver(http.StatusOK)
	app := h.app("a")
	id, _ := h.subscribe(app, map[string]any{"url": rec.URL})
	message := h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"t","payload":{}}`)["id"].(string)
	rec.next(t)
	ring, err := seal.NewRing(masterKey)
	if err != nil {
		t.Fatal(err)
	}
	third, err := store.Open(t.Context(), store.Options{URL: url, Poll: true, Seal: ring, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	endpoint, now := h.key(hook.KindEndpoint, id), time.Now()
	org, err := third.OrganizationByExternal(t.Context(), "org_tests")
	if err != nil {
		t.Fatal(err)
	}
	d := hook.Delivery{Org: org.ID, Message: h.key(hook.KindMessage, message), Endpoint: endpoint, State: hook.Pending, NextAt: now, Since: now}
	if _, err := third.Deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := third.Notify(t.Context(), store.NotifyDue, endpoint); err != nil {
		t.Fatal(err)
	}
	rec.next(t)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("delivered %v after the node was told", took)
	}
}

// A store that does not answer is no reason to hold what an endpoint is to get.
func TestAnEndpointGoesOnWhileItsSecretsCannotBeRead(t *testing.T) {
	t.Parallel()
	h := twoNodes(t)[0]
	rec := h.receiver(http.StatusOK)
	app := h.app("a")
	id, _ := h.subscribe(app, map[string]any{"url": rec.URL})
	at := "/api/v1/app/" + app + "/endpoint/" + id
	conn, err := pgx.Connect(t.Context(), h.database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "ALTER TABLE secrets RENAME TO hidden"); err != nil {
		t.Fatal(err)
	}
	h.must(http.StatusOK, "PATCH", at, `{"description":"new"}`)
	h.must(http.StatusAccepted, "POST", "/api/v1/app/"+app+"/msg", `{"eventType":"t","payload":{}}`)
	rec.next(t)
	if _, err := conn.Exec(t.Context(), "ALTER TABLE hidden RENAME TO secrets"); err != nil {
		t.Fatal(err)
	}
}

func TestASessionIsOneOnAllNodes(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	here := nodes[0].signedIn("ana", "admin")
	there := &browser{nodes[1].as(""), here.cookie}
	there.may(http.StatusCreated, "POST", "/api/v1/app", `{"name":"a"}`)
	here.may(http.StatusNoContent, "DELETE", session, nil)
	eventually(t, "she is signed out on the other node", func() bool {
		return there.ask("GET", session, nil).Code == http.StatusUnauthorized
	})
	// One link, used on both nodes at once, signs in once.
	_, token := nodes[0].person("ben", "viewer")
	var in atomic.Int32
	atOnce(nodes, func(_ int, h *harness) {
		if h.browser().ask("POST", session+"/link", map[string]any{"token": token}).Code == http.StatusOK {
			in.Add(1)
		}
	})
	if n := in.Load(); n != 1 {
		t.Errorf("one link signed in %d times", n)
	}
}

func TestOverviewCountsWhatAllNodesDid(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	nodes[0].must(http.StatusCreated, "POST", "/api/v1/app", `{"name":"a","uid":"a"}`)
	r := nodes[0].receiver(200)
	nodes[0].subscribe("a", map[string]any{"url": r.URL})
	sent, arrived := 64.0, 64.0
	eventually(t, "the other node knows the endpoint", func() bool {
		id := nodes[1].must(http.StatusAccepted, "POST", "/api/v1/app/a/msg", `{"eventType":"warm.up","payload":{}}`)["id"].(string)
		sent++
		if len(nodes[1].must(http.StatusOK, "GET", "/api/v1/app/a/msg/"+id+"/delivery", nil)["data"].([]any)) == 0 {
			return false // it was kept for nobody
		}
		arrived++
		return true
	})
	atOnce(nodes, func(_ int, h *harness) {
		h.must(http.StatusAccepted, "POST", "/api/v1/app/a/msg", `{"eventType":"a.b","payload":{}}`)
	})
	for _, h := range nodes {
		eventually(t, "each node shows all of it", func() bool {
			totals := h.must(http.StatusOK, "GET", "/api/v1/overview", nil)["totals"].(map[string]any)
			return totals["received"] == sent && totals["delivered"] == arrived
		})
	}
}
