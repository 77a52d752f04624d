package api_test

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"

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
