package store

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
)

// Tables of any size, and the names that queries give them. Lists may search in
// them by key or index; c is what the inner query of a list gave, row by row.
var wholeTable = regexp.MustCompile(`^SCAN (messages|bodies|deliveries|attempts|postings|duplicates|turns|lanes|[abdmu]|p\d*)\b|TEMP B-TREE|AUTOMATIC`)

// queriesOfLists are the queries of lists, as the lists make them.
func queriesOfLists() map[string][]query {
	all := map[string][]query{}
	some := span{5, 500}
	legs := func(name string, list ...leg) {
		for _, l := range list {
			for _, ascending := range []bool{false, true} {
				all[name] = append(all[name], l.found(ascending, 50), l.end(ascending))
			}
		}
	}
	yes := true
	for name, f := range map[string]messageFilter{
		"any":  newMessageFilter(nil, "", ""),
		"type": newMessageFilter([]string{"a"}, "", ""),
		"two":  newMessageFilter([]string{"a", "b"}, "", ""),
		"all":  newMessageFilter([]string{"a", "b"}, "c", "g"),
		"odd":  newMessageFilter(nil, `"`, "ü"),
	} {
		legs("messages "+name, indexedMessagesOf(1, &f, some), newMessagesOf(1, &f, some))
		for _, states := range [][]hook.DeliveryState{nil, {hook.Pending}, {hook.Pending, hook.Waiting}, {hook.Failed}, {hook.Failed, hook.Canceled, hook.Held}} {
			legs("deliveries "+name, deliveryLegs(&hook.DeliveryQuery{Endpoint: 1, States: states}, &f, false, some, some)...)
		}
		for _, class := range []int{-1, 0, 200, 500} {
			legs("attempts "+name, attemptLegs(&hook.AttemptQuery{Endpoint: 1, Class: class}, &f, some, some)...)
			legs("attempts "+name, attemptLegs(&hook.AttemptQuery{Endpoint: 1, Class: class, Delivered: &yes}, &f, some, some)...)
		}
	}
	legs("subject", subjectLegs(1, hook.Subject{Kind: "k", ID: "i"}, some, some)...)
	for _, text := range []string{
		sqlMessages + "m.id IN (?, ?)", sqlMessagesWithBodies + "m.id IN (?, ?)", sqlSearchBody, sqlNewEvent, sqlIndexedEvent, sqlNewestOf, sqlStatesOf + "id IN (?, ?)", sqlUnindexedStatesOf,
		sqlDeliveries + "id IN (?, ?)", sqlDeliveries + "id = ?", sqlCountSomePending, sqlCountSomeWaiting, sqlAttempts + "a.id IN (?, ?)", sqlChains,
		sqlOldestMessage, sqlOldestDelivery, sqlOldestAttempt,
		sqlMessagesAfter, sqlDeliveriesAfter, sqlAttemptsAfter, sqlMessagesWaiting, sqlDeliveriesWaiting, sqlAttemptsWaiting,
		sqlCountPostings, sqlCountNewMessages, sqlCountNewDeliveries, sqlNextPosting, sqlLastPosting, sqlSomePostings, sqlCountDue,
	} {
		all["one"] = append(all["one"], query{text: text})
	}
	for _, text := range stateCounts() {
		all["one"] = append(all["one"], query{text: text})
	}
	return all
}

func TestListsSearchAndNeverScan(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, list := range queriesOfLists() {
		for _, q := range list {
			for _, step := range explain(t, s.read, q) {
				if wholeTable.MatchString(step) {
					t.Errorf("%s: %s\n%s", name, step, q.text)
				}
			}
		}
	}
}

// Few pending deliveries are the only rows that a list sorts.
func TestAListOfPendingDeliveriesReadsTheirIndexOnly(t *testing.T) {
	t.Parallel()
	s := open(t)
	f := newMessageFilter([]string{"a"}, "", "")
	q := &hook.DeliveryQuery{Endpoint: 1, States: []hook.DeliveryState{hook.Pending, hook.Waiting, hook.Failed}}
	legs := deliveryLegs(q, &f, true, span{5, 500}, span{5, 500})
	if len(legs) != 1 {
		t.Fatalf("%d legs", len(legs))
	}
	for _, step := range explain(t, s.read, legs[0].found(false, 50)) {
		if wholeTable.MatchString(step) && step != "USE TEMP B-TREE FOR ORDER BY" {
			t.Error(step)
		}
	}
}

// stepOfATask changes some deliveries, which are in states that have indexes.
func stepOfATask() *hook.TaskStep {
	return &hook.TaskStep{
		Again: []hook.Redelivery{{Delivery: 5}, {Delivery: 7}}, Cancel: []hook.Key{5, 7}, Make: []hook.Delivery{{Message: 1}, {Message: 2}},
		If: hook.StepCondition{States: []hook.DeliveryState{hook.Pending}},
	}
}

func TestStepsOfTasksLookTheirDeliveriesUp(t *testing.T) {
	t.Parallel()
	s, step := open(t), stepOfATask()
	for name, q := range map[string]query{"again": s.again(step), "cancel": s.cancel(step), "late": late(step.Make, 9)} {
		found := false
		for _, line := range explain(t, s.read, q) {
			found = found || strings.HasPrefix(line, "SEARCH ")
			if wholeTable.MatchString(line) || strings.Contains(line, "deliveries_pending") || strings.Contains(line, "deliveries_held") {
				t.Errorf("%s: %s", name, line)
			}
		}
		if !found {
			t.Errorf("%s looks nothing up", name)
		}
	}
}

func TestTheCheckOfPlansKnowsAScan(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, text := range []string{
		"SELECT id FROM messages WHERE app_id = 1",
		"SELECT m.id FROM messages m WHERE m.app_id = 1",
		"SELECT id FROM postings WHERE term = 1",
		"SELECT id FROM messages WHERE id > 1 ORDER BY event_type",
	} {
		found := false
		for _, step := range explain(t, s.read, query{text: text}) {
			found = found || wholeTable.MatchString(step)
		}
		if !found {
			t.Errorf("passed: %s", text)
		}
	}
}

func explain(t *testing.T, db *sql.DB, q query) (steps []string) {
	t.Helper()
	args := q.args
	if args == nil { // the plan does not depend on them
		args = make([]any, 0, 8)
		for range regexp.MustCompile(`\?(\d*)`).FindAllString(q.text, -1) {
			args = append(args, int64(1))
		}
	}
	rows, err := db.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+q.text, args...)
	if err != nil {
		t.Fatalf("%v: %s", err, q.text)
	}
	defer rows.Close()
	for rows.Next() {
		var step string
		if err := rows.Scan(new(int), new(int), new(int), &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
