package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	const dear = "SET enable_sort = off; SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan; "
	return explained(t, conn, dear, translate(text))
}

// explained is the plan of a query under settings. Its last arguments may be given, for
// instance to have partitions of which nothing is known; the others are NULL.
func explained(t *testing.T, conn *sql.Conn, settings, text string, last ...string) planNode {
	t.Helper()
	ctx := context.Background()
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
		args := append(slices.Repeat([]string{"NULL"}, n-len(last)), last...)
		explain += "(" + strings.Join(args, ", ") + ")"
	}
	var raw []byte
	err := conn.Raw(func(dc any) error {
		c := dc.(*pgConn).Conn.Conn()
		if _, err := c.PgConn().Exec(ctx, "DEALLOCATE ALL; "+settings+"PREPARE q AS "+text).ReadAll(); err != nil {
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

// Batches are planned once for all, so their plans must be right whatever the tables
// hold: those of an empty database must be those of a full one whose statistics are known,
// find deliveries by the keys in the list, and compare nothing each with each.
func TestBatchesHaveOnePlanOnPostgreSQL(t *testing.T) {
	t.Parallel()
	s := openNode(t, server.Database(t))
	empty := batchPlans(t, s)
	first := s.writer.key(time.Now(), 10_000)
	const fill = `INSERT INTO deliveries SELECT CAST(? AS BIGINT) + n, 1, 1, 1, n % 2, 0, 0, 0, 0, 0, 0, 0, 0 FROM generate_series(0, 9999) AS n`
	if _, err := s.write.Exec(fill, first); err != nil {
		t.Fatal(err)
	}
	full := batchPlans(t, s)
	if _, err := s.write.Exec("ANALYZE"); err != nil {
		t.Fatal(err)
	}
	known := batchPlans(t, s)
	for i, name := range []string{"append", "settle"} {
		if diff := cmp.Diff(empty[i], full[i]) + cmp.Diff(empty[i], known[i]); diff != "" {
			t.Errorf("%s is planned differently when there are rows: %s", name, diff)
		}
		if loop := known[i].under("Nested Loop"); loop != nil {
			t.Errorf("%s has a nested loop: %+v", name, loop)
		}
	}
	conds := known[1].conds("deliveries")
	if len(conds) == 0 {
		t.Error("the plan of settle has no deliveries")
	}
	for _, c := range conds {
		if !strings.Contains(c, "id = ANY ($1)") || !strings.Contains(c, "id <= $22") {
			t.Errorf("deliveries are found by %q", c)
		}
	}
}

// batchPlans are the plans that a new connection for batches makes of its statements.
func batchPlans(t *testing.T, s *Store) []planNode {
	t.Helper()
	config := s.pg.config.Copy()
	maps.Copy(config.RuntimeParams, batchSettings())
	db := openPool(config, &translations{}, statementTime, 1)
	defer db.Close()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return []planNode{explained(t, conn, "", sqlAppend), explained(t, conn, "", sqlSettle, "0", strconv.Itoa(math.MaxInt), "NULL", "0", "0")}
}

func TestUnitsWithStatementsOfTheirOwnArePlannedEachOnPostgreSQL(t *testing.T) {
	t.Parallel()
	s := openNode(t, server.Database(t))
	ctx := context.Background()
	const q = "SELECT current_setting('plan_cache_mode') || ' ' || current_setting('enable_nestloop')"
	for range 2 {
		var batch, unit string
		if err := s.writer.exec(ctx, func(ctx context.Context, tx *sql.Conn) error {
			return tx.QueryRowContext(ctx, q).Scan(&unit)
		}); err != nil {
			t.Fatal(err)
		}
		if err := s.writer.pg.conn.QueryRowContext(ctx, q).Scan(&batch); err != nil { // the writer is idle
			t.Fatal(err)
		}
		if unit != "force_custom_plan on" || batch != "force_generic_plan off" {
			t.Errorf("a unit runs under %q, batches under %q", unit, batch)
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
