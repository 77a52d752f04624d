package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
)

// planNode is a node of a plan as EXPLAIN (FORMAT JSON) gives it.
type planNode struct {
	Type     string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Cond     string     `json:"Index Cond"`
	Recheck  string     `json:"Recheck Cond"` // of a bitmap: as its index was asked
	Plans    []planNode `json:"Plans"`
}

var hotTable = regexp.MustCompile(`^(messages|bodies|deliveries|attempts|postings|duplicates|lanes|turns|latest)(_|$)`)

// faults are the steps of a plan that read a table of any size from end to end, or
// put in order what may be any number of rows.
func (n *planNode) faults() (list []string) {
	scan := strings.HasSuffix(n.Type, "Scan")
	switch {
	case scan && hotTable.MatchString(n.Relation) && n.Cond+n.Recheck == "":
		list = append(list, n.Type+" on "+n.Relation+" without a condition")
	case n.Type == "Sort" || n.Type == "Incremental Sort" || n.Type == "Hash Join" || n.Type == "Merge Join":
		list = append(list, n.Type)
	}
	for _, p := range n.Plans {
		list = append(list, p.faults()...)
	}
	return list
}

// plan is how PostgreSQL does a query, whatever its arguments are. Sorting and
// bitmaps are made dear, so that they are taken only where there is no other way: on
// small tables they would be.
func plan(t *testing.T, conn *sql.Conn, text string) planNode {
	t.Helper()
	ctx := context.Background()
	text = translate(text)
	n := 0
	for _, m := range regexp.MustCompile(`\$\d+`).FindAllString(text, -1) {
		n = max(n, len(m)-1)
		var i int
		if _, err := fmt.Sscanf(m, "$%d", &i); err == nil {
			n = max(n, i)
		}
	}
	explain := "EXPLAIN (FORMAT JSON) EXECUTE q"
	if n > 0 {
		explain += "(" + strings.Repeat("NULL,", n-1) + "NULL)"
	}
	var raw []byte
	err := conn.Raw(func(dc any) error {
		c := dc.(*pgConn).Conn.Conn()
		if _, err := c.PgConn().Exec(ctx, "DEALLOCATE ALL; SET enable_sort = off; SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan; PREPARE q AS "+text).ReadAll(); err != nil {
			return err
		}
		results, err := c.PgConn().Exec(ctx, explain).ReadAll()
		if err == nil {
			raw = results[0].Rows[0][0]
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal(raw, &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan
}

func planConn(t *testing.T, pool func(s *Store) *sql.DB) *sql.Conn {
	t.Helper()
	conn, err := pool(openNode(t, server.Database(t))).Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestListsSearchAndNeverScanOnPostgreSQL(t *testing.T) {
	t.Parallel()
	conn := planConn(t, reading)
	for name, list := range queriesOfLists() {
		for _, q := range list {
			p := plan(t, conn, q.text)
			if faults := p.faults(); len(faults) > 0 {
				slices.Sort(faults)
				t.Errorf("%s: %v\n%s", name, slices.Compact(faults), q.text)
			}
		}
	}
}

func TestTheCheckOfPlansKnowsAScanOnPostgreSQL(t *testing.T) {
	t.Parallel()
	conn := planConn(t, reading)
	for _, text := range []string{
		"SELECT id FROM messages WHERE app_id = 1",
		"SELECT id FROM postings ORDER BY id",
		"SELECT id FROM messages WHERE id > 1 ORDER BY event_type",
	} {
		p := plan(t, conn, text)
		if len(p.faults()) == 0 {
			t.Errorf("passed: %s", text)
		}
	}
}

func reading(s *Store) *sql.DB { return s.read }
func writing(s *Store) *sql.DB { return s.write }

// under gives the first node of a kind.
func (n *planNode) under(kind string) *planNode {
	if n.Type == kind {
		return n
	}
	for i := range n.Plans {
		if found := n.Plans[i].under(kind); found != nil {
			return found
		}
	}
	return nil
}

// What is written is looked up by key, and what is claimed is the beginning of a
// range of its index, however many are pending.
func TestClaimsAndAppendsLookRowsUpOnPostgreSQL(t *testing.T) {
	t.Parallel()
	conn := planConn(t, writing)
	p := &postgres{age: aliveFor}
	for name, text := range map[string]string{"claim": p.sqlClaim(), "next": p.sqlNext(), "append": sqlAppend} {
		plan := plan(t, conn, text)
		for _, fault := range plan.faults() {
			if strings.Contains(fault, "without a condition") {
				t.Errorf("%s: %s", name, fault)
			}
		}
		if name != "claim" {
			continue
		}
		rows := plan.under("LockRows")
		if rows == nil || len(rows.faults()) > 0 {
			t.Errorf("what a claim locks: %+v", rows)
		}
	}
}

// Of a table without statistics, as a new partition is, records read the rows of
// their deliveries only, also when these lie far apart.
func TestRecordsLookTheirDeliveriesUpOnPostgreSQL(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := openNode(t, server.Database(t))
	first := s.writer.key(time.Now(), 10_000)
	const fill = `INSERT INTO deliveries SELECT CAST(? AS BIGINT) + n, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM generate_series(0, 9999) AS n`
	if _, err := s.write.Exec(fill, first); err != nil {
		t.Fatal(err)
	}
	b := &settledBatch{records: map[int64]*hook.Record{}}
	for i := range 60 {
		b.add(s.writer, &hook.Record{Delivery: hook.Delivery{ID: first + hook.Key(i*150)}}, time.Now())
	}
	var pipe pgx.Batch
	b.queue(&pipe)
	conn, err := s.write.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var plans []struct{ Plan planNode }
	err = conn.Raw(func(dc any) error {
		q := pipe.QueuedQueries[0]
		return dc.(*pgConn).Conn.Conn().QueryRow(ctx, "EXPLAIN (FORMAT JSON) "+q.SQL, q.Arguments...).Scan(&plans)
	})
	if err != nil {
		t.Fatal(err)
	}
	conds := plans[0].Plan.conds("deliveries")
	if len(conds) == 0 {
		t.Error("the plan has no deliveries")
	}
	for _, c := range conds {
		if !strings.Contains(c, "id = ") {
			t.Errorf("deliveries are found by %q", c)
		}
	}
}

func TestStepsOfTasksLookTheirDeliveriesUpOnPostgreSQL(t *testing.T) {
	t.Parallel()
	s, step := openNode(t, server.Database(t)), stepOfATask()
	conn, err := s.write.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for name, c := range map[string]struct {
		q  query
		by string
	}{"again": {s.again(step), "id = "}, "cancel": {s.cancel(step), "id = "}, "late": {late(step.Make, 9), "message_id = "}} {
		var plans []struct{ Plan planNode }
		err := conn.Raw(func(dc any) error {
			return dc.(*pgConn).Conn.Conn().QueryRow(context.Background(), "EXPLAIN (FORMAT JSON) "+translate(c.q.text), c.q.args...).Scan(&plans)
		})
		if err != nil {
			t.Fatal(err)
		}
		conds := plans[0].Plan.conds("deliveries")
		if len(conds) == 0 {
			t.Errorf("%s: the plan has no deliveries", name)
		}
		for _, by := range conds {
			if !strings.Contains(by, c.by) {
				t.Errorf("%s: deliveries are found by %q", name, by)
			}
		}
	}
}

// conds are the conditions by which rows of a table are found.
func (n *planNode) conds(table string) (list []string) {
	if strings.HasSuffix(n.Type, "Scan") && strings.HasPrefix(n.Relation, table) {
		list = append(list, n.Cond+n.Recheck)
	}
	for _, p := range n.Plans {
		list = append(list, p.conds(table)...)
	}
	return list
}
