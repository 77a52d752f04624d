package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/store/storetest/pgtest"
)

const (
	masterKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	// takeover is how long the work of a node that died may wait.
	takeover = 30 * time.Second
)

// cluster is several nodes on one database.
type cluster struct {
	t        *testing.T
	database string
	configs  []string
	nodes    []*process
}

// newCluster starts n nodes, all at once, on an empty database.
func newCluster(t *testing.T, n int, endpoints string) *cluster {
	t.Helper()
	return startCluster(t, n, shared.Empty(t), endpoints)
}

func startCluster(t *testing.T, n int, database, endpoints string) *cluster {
	t.Helper()
	c := &cluster{t: t, database: database, nodes: make([]*process, n)}
	for range n {
		c.configs = append(c.configs, writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, endpoints))
	}
	var starting sync.WaitGroup
	for i := range n {
		starting.Go(func() { c.start(i) })
	}
	starting.Wait()
	return c
}

func (c *cluster) start(i int) {
	c.nodes[i] = serve(c.t, c.configs[i], "SIGPOST_DATABASE_URL="+c.database, "SIGPOST_MASTER_KEY="+masterKey)
}

// token is the administrator's, which the first node of all wrote down.
func (c *cluster) token() string {
	c.t.Helper()
	for _, config := range c.configs {
		if raw, err := os.ReadFile(filepath.Join(filepath.Dir(config), "data", "admin.key")); err == nil {
			return strings.TrimSpace(string(raw))
		}
	}
	c.t.Fatal("no node wrote the administrator's key")
	return ""
}

// ask makes a request of the API on one node.
func (c *cluster) ask(node int, method, path, body string, header ...string) (int, map[string]any) {
	c.t.Helper()
	status, raw, err := call(http.DefaultClient, c.nodes[node].url, c.token(), method, path, body, header...)
	if err != nil {
		c.t.Fatal(err)
	}
	answer := map[string]any{}
	json.Unmarshal(raw, &answer)
	return status, answer
}

// load posts to the nodes in turn until stop is closed, and notes what was
// acknowledged. Nodes that are dead are passed over.
func (c *cluster) load(l *ledger, stop chan struct{}) *sync.WaitGroup {
	var workers sync.WaitGroup
	urls := make([]string, len(c.nodes))
	for i, p := range c.nodes {
		urls[i] = p.url
	}
	for worker := range 6 {
		workers.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				body := fmt.Sprintf(`{"id":"%d-%d","feature":"selfid","code":7001,"action":"started"}`, worker, n)
				status, id, err := post(client, urls[(worker+n)%len(urls)], []byte(body), sign([]byte(body)))
				switch {
				case err != nil: // its answer is not known, so nothing is promised
				case status == http.StatusOK:
					l.promise(id, body)
				case status < 500:
					c.t.Errorf("answered %d", status)
					return
				}
			}
		})
	}
	return &workers
}

// arrived waits until everything that was promised has arrived.
func (c *cluster) arrived(l *ledger, within time.Duration) {
	c.t.Helper()
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for l.missing() > 0 {
		select {
		case <-l.changed:
		case <-timeout.C:
			for i, p := range c.nodes {
				c.t.Logf("node %d:\n%s", i, tail(p.log.String()))
			}
			c.t.Fatalf("%d acknowledged events are missing after %v", l.missing(), within)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, body := range l.promised {
		if l.arrived[id] != body {
			c.t.Errorf("%s arrived as %q, %q was sent", id, l.arrived[id], body)
		}
	}
	c.t.Logf("%d acknowledged, all arrived", len(l.promised))
}

// Three nodes share the work; two of them are killed in the middle of it, and
// what they had is delivered by the third.
func TestNodesTakeOverTheWorkOfTheDead(t *testing.T) {
	t.Parallel()
	l := newLedger()
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	c := newCluster(t, 3, endpointsYAML(receiver.URL))
	stop := make(chan struct{})
	workers := c.load(l, stop)
	for i, after := range []time.Duration{400 * time.Millisecond, 300 * time.Millisecond} {
		<-time.After(after)
		c.nodes[i].kill()
	}
	<-time.After(300 * time.Millisecond)
	close(stop)
	workers.Wait()
	c.arrived(l, takeover+patience/3)
}

// A node that loses its connections answers 503 or waits, and goes on by itself.
func TestNodesRecoverFromLostConnections(t *testing.T) {
	t.Parallel()
	l := newLedger()
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	c := newCluster(t, 2, endpointsYAML(receiver.URL))
	stop := make(chan struct{})
	workers := c.load(l, stop)
	for range 3 {
		<-time.After(300 * time.Millisecond)
		c.cut()
	}
	<-time.After(300 * time.Millisecond)
	close(stop)
	workers.Wait()
	c.arrived(l, takeover+patience/3)
	for i, p := range c.nodes {
		body := fmt.Sprintf(`{"id":"after-%d","feature":"selfid","code":7001,"action":"started"}`, i)
		if status, _, err := post(http.DefaultClient, p.url, []byte(body), sign([]byte(body))); err != nil || status != http.StatusOK {
			t.Errorf("node %d afterwards: %d, %v", i, status, err)
		}
	}
}

// PostgreSQL itself is killed in the middle of it, twice, and comes back: what was
// acknowledged was on its disk.
func TestNodesOutliveTheDatabase(t *testing.T) {
	t.Parallel()
	var database pgtest.Server
	database.Durable = true
	t.Cleanup(func() {
		if err := database.Close(); err != nil {
			t.Error(err)
		}
	})
	url := database.Empty(t)
	l := newLedger()
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	c := startCluster(t, 2, url, endpointsYAML(receiver.URL))
	stop := make(chan struct{})
	workers := c.load(l, stop)
	for range 2 {
		<-time.After(600 * time.Millisecond)
		if err := database.Crash(); err != nil {
			t.Error(err)
		}
		c.healthy()
	}
	close(stop)
	workers.Wait()
	c.arrived(l, takeover+patience/3)
}

// healthy waits until all nodes reach the database again.
func (c *cluster) healthy() {
	c.t.Helper()
	end := time.Now().Add(patience)
	for _, p := range c.nodes {
		for {
			res, err := http.Get(p.url + "/health")
			if err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					break
				}
			}
			if time.Now().After(end) {
				c.t.Fatalf("a node does not come back\n%s", tail(p.log.String()))
			}
			<-time.After(50 * time.Millisecond)
		}
	}
}

// cut ends all connections to the database.
func (c *cluster) cut() {
	c.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.database)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(ctx)
	const q = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
	if _, err := conn.Exec(ctx, q); err != nil {
		c.t.Fatal(err)
	}
}

// What one node is told, the others know within a second; what they were not told
// of yet, they look up.
func TestNodesFollowEachOther(t *testing.T) {
	t.Parallel()
	l := newLedger()
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	c := newCluster(t, 2, "")
	if status, got := c.ask(0, "POST", "/api/v1/app", `{"name":"a","uid":"a"}`); status != http.StatusCreated {
		t.Fatalf("%d %v", status, got)
	}
	if status, got := c.ask(1, "POST", "/api/v1/app/a/endpoint", `{"url":"`+receiver.URL+`"}`); status != http.StatusCreated {
		t.Fatalf("%d %v", status, got)
	}
	begun := time.Now()
	for {
		_, got := c.ask(0, "POST", "/api/v1/app/a/msg/precheck/active", `{"eventType":"x"}`)
		if got["active"] == true {
			break
		}
		if time.Since(begun) > time.Second {
			t.Fatal("after a second the other node knows of no endpoint")
		}
	}
	var ids []any
	for node := range 2 {
		status, got := c.ask(node, "POST", "/api/v1/app/a/msg", `{"eventType":"x","payload":{"n":1}}`, "Idempotency-Key", "one")
		if status != http.StatusAccepted {
			t.Fatalf("%d %v", status, got)
		}
		ids = append(ids, got["id"])
	}
	if ids[0] != ids[1] {
		t.Errorf("the same request on two nodes made %v", ids)
	}
	l.promise(ids[0].(string), `{"n":1}`)
	c.arrived(l, patience)
	status, source := c.ask(0, "POST", "/ingest/api/v1/source", `{"name":"in","type":"generic-webhook"}`)
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, source)
	}
	path := strings.TrimPrefix(source["ingestUrl"].(string), c.nodes[0].url)
	res, err := http.Post(c.nodes[1].url+path, "application/json", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("a source of a moment ago on the other node: %d", res.StatusCode)
	}
}

// runToEnd runs a command that should end by itself.
func runToEnd(t *testing.T, env []string, args ...string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), env...)
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestANodeWithAnotherMasterKeyIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "")
	config := writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, "")
	for name, env := range map[string][]string{
		"another key": {"SIGPOST_MASTER_KEY=YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY="}, "no key": nil,
	} {
		code, log := runToEnd(t, append(env, "SIGPOST_DATABASE_URL="+c.database), "serve", "--config", config)
		if code == 0 || !strings.Contains(log, "master") {
			t.Errorf("%s: exit %d, %s", name, code, log)
		}
	}
}
