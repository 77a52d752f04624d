package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// built is the schema of the program as it is: the number of its newest migration.
func built() (schema int, dir string, err error) {
	dir, err = filepath.Abs("../internal/store/migrations_postgres")
	if err != nil {
		return 0, "", err
	}
	files, err := os.ReadDir(dir)
	for _, f := range files {
		n, wrong := strconv.Atoi(f.Name()[:4])
		schema, err = max(schema, n), errors.Join(err, wrong)
	}
	return schema, dir, err
}

// later are versions to come: the first expands the schema such that today's program
// works with it, the second takes that away again, and with it what the first works with.
func later(versions int) func() (map[string]string, error) {
	return func() (map[string]string, error) {
		now, dir, err := built()
		if err != nil {
			return nil, err
		}
		texts := []string{`-- sigpost: works with %d
-- +goose Up
ALTER TABLE messages ADD COLUMN shade TEXT;
ALTER TABLE deliveries ADD COLUMN shade INTEGER NOT NULL DEFAULT 7;
CREATE INDEX endpoints_url ON endpoints (url);
`, `-- sigpost: works with %d
-- +goose Up
DROP INDEX endpoints_url;
ALTER TABLE messages DROP COLUMN shade;
ALTER TABLE deliveries DROP COLUMN shade;
`}
		files := map[string]string{}
		for i, text := range texts[:versions] {
			files[filepath.Join(dir, fmt.Sprintf("%04d_later.sql", now+1+i))] = fmt.Sprintf(text, now+i)
		}
		return files, nil
	}
}

var (
	nextVersion = variant{name: "next", files: later(1)}
	overNext    = variant{name: "over-next", files: later(2)}
)

const (
	sqlSchema = "SELECT max(version_id) FROM schema_versions"
	// sqlOld is the number of a node that lives and was built for a schema.
	sqlOld = "SELECT coalesce(max(id), -1) FROM nodes WHERE incarnation <> 0 AND seen_at > now() - interval '20 seconds' AND schema = $1"
)

// replace stops a node and starts another binary in its place.
func (c *cluster) replace(i int, binary string) {
	c.t.Helper()
	c.nodes[i].stop()
	c.nodes[i].binary = binary
	c.start(i)
}

// upgradedOneByOne: under load nodes are replaced by those of the next version, one after
// another; one of the old ones starts again on the new schema. A version that would take
// away what an old node needs does not start while it lives, and does when it is gone.
func upgradedOneByOne(t *testing.T) {
	now, _, err := built()
	if err != nil {
		t.Fatal(err)
	}
	next, over := nextVersion.binary(t), overNext.binary(t)
	l := newLedger()
	url := receive(t, l)
	c := newCluster(t, 3, endpointsYAML(url))
	var loads []func()
	for i := range c.nodes {
		loads = append(loads, c.trickle(l, i, 10*time.Millisecond))
	}
	schema := func(want int) {
		t.Helper()
		if have := query[int](c, sqlSchema); have != want {
			t.Errorf("the schema is %d, %d is right", have, want)
		}
	}
	c.arrivedSome(l, 50)
	schema(now)
	c.replace(0, next)
	schema(now + 1)
	c.replace(1, binary) // an old one, on the new schema
	c.healthy()
	for i := range c.nodes {
		c.replace(i, next)
		c.healthy()
	}
	c.replace(2, binary) // and back
	c.healthy()

	old := query[int](c, sqlOld, now)
	env := []string{"SIGPOST_DATABASE_URL=" + c.database, "SIGPOST_MASTER_KEY=" + masterKey}
	config := writeConfig(t, t.TempDir(), freeAddress(t), veriffSecret, "")
	code, says := runToEnd(t, over, env, "serve", "--config", config)
	if code == 0 || old < 0 || !strings.Contains(says, fmt.Sprintf("older nodes run on this database: %d;", old)) {
		t.Errorf("contracting under node %d, which is old: exit %d, %s", old, code, says)
	}
	schema(now + 1)
	c.healthy()
	c.replace(2, over) // it is gone, and those of the version between live on
	schema(now + 2)
	c.healthy()
	if code, says := runToEnd(t, binary, env, "serve", "--config", config); code == 0 || !strings.Contains(says, "newer sigpost") {
		t.Errorf("an old node on what it cannot work with: exit %d, %s", code, says)
	}
	for i := range c.nodes {
		c.replace(i, over)
	}
	c.healthy()
	for _, stop := range loads {
		stop()
	}
	c.arrived(l, takeover)
	c.settled()
}

// Ten nodes start at once. One of them makes or migrates the schema, and all come up.
func TestTenNodesStartAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ migrated bool }{"on an empty database": {}, "on one that has to be migrated": {true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger()
			url := receive(t, l)
			nodes := prepareCluster(t, 10, shared.Empty(t), endpointsYAML(url))
			if c.migrated {
				nodes.start(0)
				nodes.nodes[0].stop()
				for _, n := range nodes.nodes {
					n.binary = nextVersion.binary(t)
				}
			}
			nodes.startAll()
			migrated := 0
			for i, n := range nodes.nodes {
				migrated += strings.Count(n.log.String(), `msg="schema migrated"`)
				nodes.post(l, i, fmt.Sprint("to-", i))
			}
			if migrated != 1 {
				t.Errorf("the schema was migrated %d times", migrated)
			}
			if n := query[int](nodes, "SELECT count(*) FROM nodes WHERE incarnation <> 0"); n != len(nodes.nodes) {
				t.Errorf("%d nodes have numbers", n)
			}
			nodes.arrived(l, patience)
			if len(l.promised) != len(nodes.nodes) {
				t.Errorf("%d of %d nodes took an event", len(l.promised), len(nodes.nodes))
			}
		})
	}
}
