package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
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
	nodes    []*node
}

// node is one of a cluster, with what it is started with. It has a process when it was
// started.
type node struct {
	*process
	config   string
	binary   string
	database string // as this node reaches it
	env      []string
}

// newCluster starts n nodes, all at once, on an empty database.
func newCluster(t *testing.T, n int, endpoints string) *cluster {
	t.Helper()
	c := prepareCluster(t, n, shared.Empty(t), endpoints)
	c.startAll()
	return c
}

// prepareCluster is n nodes that are not started yet.
func prepareCluster(t *testing.T, n int, database, endpoints string) *cluster {
	t.Helper()
	c := &cluster{t: t, database: database}
	for range n {
		config := writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, endpoints)
		c.nodes = append(c.nodes, &node{config: config, binary: binary, database: database})
	}
	return c
}

// startAll starts all nodes at once.
func (c *cluster) startAll() {
	c.t.Helper()
	var starting sync.WaitGroup
	for i := range c.nodes {
		starting.Go(func() { c.start(i) })
	}
	starting.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

func (c *cluster) start(i int) {
	c.t.Helper()
	n := c.nodes[i]
	n.process = serveWith(c.t, n.binary, n.config, append([]string{"SIGPOST_DATABASE_URL=" + n.database, "SIGPOST_MASTER_KEY=" + masterKey}, n.env...)...)
}

// token is the administrator's, which the first node of all wrote down.
func (c *cluster) token() string {
	c.t.Helper()
	for _, n := range c.nodes {
		if raw, err := os.ReadFile(filepath.Join(filepath.Dir(n.config), "data", "admin.key")); err == nil {
			return strings.TrimSpace(string(raw))
		}
	}
	c.t.Fatal("no node wrote the administrator's key")
	return ""
}

// ask makes a request of the API on one node.
func (c *cluster) ask(node int, method, path, body string, header ...string) (int, map[string]any) {
	c.t.Helper()
	status, answer, err := c.try(node, method, path, body, header...)
	if err != nil {
		c.t.Fatal(err)
	}
	return status, answer
}

// try is ask for requests that may fail.
func (c *cluster) try(node int, method, path, body string, header ...string) (int, map[string]any, error) {
	status, raw, err := call(http.DefaultClient, c.nodes[node].url, c.token(), method, path, body, header...)
	if err != nil {
		return 0, nil, err
	}
	answer := map[string]any{}
	json.Unmarshal(raw, &answer)
	return status, answer, nil
}

// load posts to the nodes in turn until stop is closed, and notes what was
// acknowledged. Nodes that are dead are passed over.
func (c *cluster) load(l *ledger, stop chan struct{}) *sync.WaitGroup {
	var workers sync.WaitGroup
	for worker := range 6 {
		workers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if !c.post(l, (worker+n)%len(c.nodes), fmt.Sprintf("%d-%d", worker, n)) {
					return
				}
			}
		})
	}
	return &workers
}

// trickle posts an event to a node every now and then, until stop is called or the test
// ends.
func (c *cluster) trickle(l *ledger, node int, every time.Duration) (stop func()) {
	stopped := make(chan struct{})
	var worker sync.WaitGroup
	worker.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stopped:
				return
			case <-tick.C:
			}
			if !c.post(l, node, fmt.Sprintf("%d-trickle-%d", node, n)) {
				return
			}
		}
	})
	stop = sync.OnceFunc(func() {
		close(stopped)
		worker.Wait()
	})
	c.t.Cleanup(stop)
	return stop
}

// poster gives a request up when its node may be gone.
var poster = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 10 * time.Second}

// post posts an event of its own to a node and notes its promise. False: the answer is one
// that no node may give.
func (c *cluster) post(l *ledger, node int, name string) bool {
	body := fmt.Sprintf(`{"id":"%s","feature":"via-%d","code":7001,"action":"started"}`, name, node)
	status, id, err := post(poster, c.nodes[node].url, []byte(body), sign([]byte(body)))
	switch {
	case err != nil: // its answer is not known, so nothing is promised
	case status == http.StatusOK:
		l.promise(id, body)
	case status < 500:
		c.t.Errorf("node %d answered %d", node, status)
		return false
	}
	return true
}

// via says whether an event was posted to a node.
func via(node int, body string) bool { return strings.Contains(body, fmt.Sprintf(`"via-%d"`, node)) }

// route waits until every node makes deliveries of what is posted to a path: an endpoint that was
// made a moment ago may be known on one node only.
func (c *cluster) route(path string) {
	c.t.Helper()
	for i := range c.nodes {
		for end := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
			status, m := c.ask(i, "POST", path, fmt.Sprintf(`{"eventType":"warm","payload":{"key":"warm-%d-%d"}}`, i, time.Now().UnixNano()))
			if status != http.StatusAccepted {
				c.t.Fatalf("post to node %d: %d %v", i, status, m)
			}
			_, list := c.ask(i, "GET", fmt.Sprintf("%s/%s/delivery", path, m["id"]), "")
			if all, _ := list["data"].([]any); len(all) > 0 {
				break
			}
			if time.Now().After(end) {
				c.t.Fatalf("node %d knows no endpoint for %s", i, path)
			}
		}
	}
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
			c.logs()
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

func (c *cluster) logs() {
	c.t.Helper()
	for i, n := range c.nodes {
		if n.process != nil {
			c.t.Logf("node %d:\n%s", i, tail(n.log.String()))
		}
	}
}

// healthy waits until all nodes reach the database again.
func (c *cluster) healthy() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.await(http.StatusOK, patience)
	}
}

// await asks a node for its health until the answer has a status.
func (p *process) await(status int, within time.Duration) {
	p.t.Helper()
	for end := time.Now().Add(within); ; <-time.After(50 * time.Millisecond) {
		res, err := http.Get(p.url + "/health")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == status {
				return
			}
		}
		if time.Now().After(end) {
			p.t.Fatalf("a node does not answer %d\n%s", status, tail(p.log.String()))
		}
	}
}

// query asks the database itself for one value.
func query[T any](c *cluster, text string, args ...any) (v T) {
	c.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.database)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, text, args...).Scan(&v); err != nil {
		c.t.Fatalf("%s: %v", text, err)
	}
	return v
}

// cut ends all connections to the database.
func (c *cluster) cut() {
	c.t.Helper()
	query[int](c, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
}

// key is that of a message, for questions to the database.
func (c *cluster) key(id string) int64 {
	c.t.Helper()
	secret := query[[]byte](c, "SELECT value FROM meta WHERE name = 'id_secret'")
	k, err := hook.NewIDs([hook.IDSecretSize]byte(secret)).Key(hook.KindMessage, id)
	if err != nil {
		c.t.Fatal(err)
	}
	return int64(k)
}

// settled waits until no delivery is pending, and checks that each was delivered, once, with
// as many attempts as it says, of which the last one succeeded.
func (c *cluster) settled() {
	c.t.Helper()
	for end := time.Now().Add(patience); query[int](c, "SELECT count(*) FROM deliveries WHERE state = 1") > 0; {
		if time.Now().After(end) {
			c.logs()
			c.t.Fatal("deliveries are still pending")
		}
	}
	const q = `SELECT count(*) FROM deliveries d, LATERAL (SELECT count(*) AS n, count(CASE WHEN outcome = 'delivered' THEN 1 END) AS good, max(number) AS last FROM attempts WHERE delivery_id = d.id) AS a
		WHERE d.state <> 0 OR d.attempts <> a.n OR a.good <> 1 OR a.last <> a.n OR d.holder <> 0`
	if n := query[int](c, q); n != 0 {
		c.t.Errorf("%d deliveries did not end as delivered by the one attempt that counts", n)
	}
}
