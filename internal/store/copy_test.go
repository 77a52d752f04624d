package store_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// house is a data directory with every kind of row.
type house struct {
	dir      string
	seal     store.Sealer
	app      hook.Application
	endpoint hook.Endpoint
	answer   hook.Hash
	message  hook.Message
	public   string
	pending  hook.Key
	seen     hook.Hash
	token    [32]byte
	source   hook.Source // its token is an old one, still valid
	ordered  hook.Endpoint
	lane     []hook.Key // messages in one lane of it
}

func (h *house) open(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Dir: h.dir, Log: slog.New(slog.DiscardHandler), Seal: h.seal})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// node opens a node of a database with the same key.
func (h *house) node(t testing.TB, url string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{URL: url, Log: slog.New(slog.DiscardHandler), Seal: h.seal})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rowsOfHouse is how many messages without deliveries a house has: more than a batch.
const rowsOfHouse = 1100

func newHouse(t *testing.T) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{dir: filepath.Join(t.TempDir(), "data"), seal: fakeSealer{0x55}}
	s := h.open(t)
	h.endpoint, h.answer = keepConfidential(t, s)
	h.rows(t, s)
	h.events(t, s)
	h.inLane(t, s)
	var wg sync.WaitGroup
	for i := range rowsOfHouse {
		wg.Go(func() {
			a := &hook.Append{Message: hook.Message{Org: store.DefaultOrg, App: h.endpoint.App, ReceivedAt: time.Now(), Event: hook.Event{Type: fmt.Sprint("many.", i%7)}}}
			if err := s.Append(ctx, a); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := s.Index(ctx); err != nil { // of some; the rest is behind
		t.Fatal(err)
	}
	h.public = s.IDs().Public(hook.KindMessage, h.message.ID)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	h.oldRows(t)
	return h
}

// rows makes what is small and rarely written.
func (h *house) rows(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	org, err := s.CreateOrganization(ctx, "another")
	must(err)
	h.app, err = s.CreateApplication(ctx, hook.Application{Org: org.ID, Name: "deleted"})
	must(err)
	must(s.DeleteApplication(ctx, org.ID, h.app.ID, time.Now()))
	h.token = [32]byte{7}
	_, err = s.CreateToken(ctx, hook.Token{Org: org.ID, Scope: hook.ScopeAdmin, Name: "n", Hash: h.token})
	must(err)
	u, err := s.CreateUser(ctx, hook.User{Org: org.ID, Name: "Ána", Role: hook.ScopeAdmin, Password: "hash"}, hook.Link{Hash: [32]byte{8}, ExpiresAt: time.Now().Add(time.Hour)})
	must(err)
	_, err = s.CreateSession(ctx, hook.Session{Org: org.ID, User: u.ID, Hash: [32]byte{9}, CreatedAt: time.Now()}, "hash")
	must(err)
	must(s.AddAudit(ctx, hook.Audit{Org: org.ID, Action: "user.create", Changes: []hook.Change{{Field: "role", To: "admin"}}}))
	_, err = s.CreateEventType(ctx, hook.EventType{Org: org.ID, Name: "order.paid", Description: "ü"})
	must(err)
	_, err = s.CreateTask(ctx, hook.Task{Org: org.ID, Kind: hook.TaskRecover, Status: hook.TaskRunning, Input: json.RawMessage(`{"a":1}`)})
	must(err)
	h.source, err = s.CreateSource(ctx, hook.Source{Org: org.ID, Name: "rotated", Provider: "p"}, nil)
	must(err)
	_, err = s.RotateSourceToken(ctx, org.ID, h.source.ID, time.Now())
	must(err)
	must(s.Reject(ctx, &hook.Rejected{Org: org.ID, Source: h.source.ID, Reason: "mismatch", ReceivedAt: time.Now(), Method: "POST", Body: []byte("x\x00\xff"), Quarantined: true}))
	if first, err := s.Once(ctx, "first key"); err != nil || !first {
		t.Fatal(first, err)
	}
	c := hook.AlertClaim{About: h.source.ID, Org: org.ID, Kind: hook.AlertSourceSilent, Mark: 7}
	if claimed, err := s.ClaimAlert(ctx, c, time.Now()); err != nil || !claimed {
		t.Fatal(claimed, err)
	}
}

// events makes a message with a delivery in each state, attempts, a duplicate, a body
// that is not text, and one that is empty.
func (h *house) events(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := context.Background()
	now := time.Now().Add(-time.Minute)
	rand.Read(h.seen[:])
	fresh := func() *hook.Append {
		a := &hook.Append{Hash: h.seen, Message: hook.Message{
			Org: store.DefaultOrg, App: h.endpoint.App, ReceivedAt: now, Body: []byte("a\x00\xff"), Channels: []string{"c", "c"}, Tags: []string{"g"},
			Event: hook.Event{Type: "order.paid", ID: "evt", Subjects: []hook.Subject{{Kind: "user", ID: "1"}}},
		}}
		for _, state := range []hook.DeliveryState{hook.Pending, hook.Pending, hook.Pending, hook.Held} {
			a.Deliveries = append(a.Deliveries, hook.Delivery{Org: store.DefaultOrg, Endpoint: h.endpoint.ID, State: state, NextAt: now, Since: now, Holder: s.Incarnation()})
		}
		return a
	}
	a := fresh()
	again := fresh()
	for _, x := range []*hook.Append{a, again} {
		if err := s.Append(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	h.message, h.pending = a.Message, a.Deliveries[2].ID // which this process holds when it ends
	for i, state := range []hook.DeliveryState{hook.Delivered, hook.Failed} {
		r := &hook.Record{Delivery: a.Deliveries[i], State: state, Attempt: &hook.Attempt{Number: 1, At: now, Duration: time.Second, Outcome: hook.OutcomeStatus, Status: 200 + 300*i, Response: []byte("no\xff")}}
		if err := s.Record(ctx, []*hook.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
}

// inLane makes a lane with two states that are not over.
func (h *house) inLane(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := context.Background()
	var err error
	order := hook.Order{By: "subject", LatestOnly: true}
	if h.ordered, err = s.CreateEndpoint(ctx, hook.Endpoint{Org: store.DefaultOrg, App: h.endpoint.App, URL: "https://x.example/", Order: order}, ""); err != nil {
		t.Fatal(err)
	}
	for _, family := range []string{"f", "g"} {
		now := time.Now()
		event := hook.Event{Type: "state", Family: family, Final: true, Subjects: []hook.Subject{{Kind: "session", ID: "s"}}}
		a := &hook.Append{Message: hook.Message{Org: store.DefaultOrg, App: h.endpoint.App, ReceivedAt: now, Body: []byte("s"), Event: event}}
		a.Deliveries = []hook.Delivery{{Org: store.DefaultOrg, Endpoint: h.ordered.ID, State: hook.Waiting, NextAt: now, Since: now, Lane: order.Lane(event.Subjects)}}
		if err := s.Append(ctx, a); err != nil {
			t.Fatal(err)
		}
		h.lane = append(h.lane, a.Message.ID)
	}
}

// oldRows writes what an older version and an older day have left: text that
// PostgreSQL does not take, and keys that are out of every window.
func (h *house) oldRows(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "sigpost.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	k := h.message.ID - hook.KeyAt(hook.Epoch.Add(40*24*time.Hour))
	for _, q := range []string{
		`INSERT INTO messages (id, org_id, app_id, event_type, rank, received_at, headers, size, fanout) VALUES (?1, 1, 5, CAST(x'61ff0062' AS TEXT), 0, 1, '[]', 0, 1)`,
		`INSERT INTO bodies (message_id, org_id, body) VALUES (?1, 1, x'')`,
		`INSERT INTO dedupe (message_id, org_id, hash) SELECT ?1, 1, hash FROM dedupe LIMIT 1`,
		`INSERT INTO idempotency (id, org_id, hash, request, message_id, status) SELECT ?1, 1, hash, request, 0, 200 FROM idempotency LIMIT 1`,
		`INSERT INTO deliveries (id, org_id, message_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, "trigger", late) VALUES (?1 + 1, 1, ?1, 6, 2, 1, 1, 1, 1, 0, ?1 + 2, 0, 0)`,
		`INSERT INTO attempts (id, org_id, delivery_id, previous, number, "trigger", at, duration, outcome, status) VALUES (?1 + 2, 1, ?1 + 1, 0, 1, 0, 1, 1, 'timeout', 0)`,
	} {
		res, err := db.Exec(q, k)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := res.RowsAffected(); n != 1 {
			t.Fatalf("%d rows by %s", n, q)
		}
	}
}

func (h *house) copy(ctx context.Context, url string, verify bool, progress func(string, int64)) ([]store.TableCheck, error) {
	return store.CopyToPostgres(ctx, store.CopyOptions{Dir: h.dir, URL: url, Log: slog.New(slog.DiscardHandler), Seal: h.seal, VerifyOnly: verify, Progress: progress})
}

// expectSame checks that each table is there, has rows, and is the same.
func expectSame(t *testing.T, checks []store.TableCheck) {
	t.Helper()
	rows := map[string]int64{}
	for _, c := range checks {
		if !c.Same() || c.Source.Rows == 0 {
			t.Errorf("%+v", c)
		}
		rows[c.Table] = c.Source.Rows
	}
	want := map[string]int64{"messages": rowsOfHouse + 4, "bodies": rowsOfHouse + 4, "dedupe": 1, "idempotency": 1, "deliveries": 7, "attempts": 3, "duplicates": 1, "rejected": 1,
		"lanes": 1, "turns": 1, "latest": 2}
	for name, n := range want {
		if rows[name] != n {
			t.Errorf("%s has %d rows, %d are right", name, rows[name], n)
		}
	}
	if len(rows) != 28 {
		t.Errorf("%d tables, 28 are right: %v", len(rows), rows)
	}
}

func TestCopyThatIsCutAfterEachBatchGoesOnAndIsWhole(t *testing.T) {
	t.Parallel()
	h, url := newHouse(t), store.DatabaseForTest(t)
	var checks []store.TableCheck
	cuts := 0
	for err := error(context.Canceled); err != nil; cuts++ {
		if cuts > 60 {
			t.Fatalf("it does not come to its end: %v", err)
		}
		ctx, cut := context.WithCancel(context.Background())
		was := ""
		checks, err = h.copy(ctx, url, false, func(table string, _ int64) {
			if was != "" { // the second batch of this run
				cut()
			}
			was = table
		})
		cut()
		if err != nil && was == "" {
			t.Fatalf("a run made no progress: %v", err)
		}
	}
	if cuts < 10 {
		t.Errorf("it was cut %d times only", cuts)
	}
	expectSame(t, checks)
	for _, verify := range []bool{true, false} { // both only compare
		checks, err := h.copy(context.Background(), url, verify, func(table string, _ int64) { t.Errorf("%s was copied again", table) })
		if err != nil {
			t.Fatal(err)
		}
		expectSame(t, checks)
	}
	h.livesAt(t, url)
}

// livesAt checks that a node on the database goes on where the house was left.
func (h *house) livesAt(t *testing.T, url string) {
	t.Helper()
	ctx := context.Background()
	s := h.node(t, url)
	defer s.Close()
	if k, err := s.IDs().Key(hook.KindMessage, h.public); err != nil || k != h.message.ID {
		t.Errorf("the public id %s is now of %d, %v", h.public, k, err)
	}
	m, err := s.Message(ctx, h.message.ID)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Body) != "a\x00\xff" || m.Duplicates != 1 || m.Type != "order.paid" {
		t.Errorf("the message is now %+v", m)
	}
	claimed, _, err := s.Claim(ctx, h.endpoint.ID, time.Now(), 10)
	if err != nil || len(claimed) != 1 || claimed[0].ID != h.pending || claimed[0].Holder != s.Incarnation() {
		t.Errorf("claimed %+v, %v", claimed, err)
	}
	list, err := s.Deliveries(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	var states []hook.DeliveryState
	for _, d := range list {
		states = append(states, d.State)
	}
	if d := cmp.Diff([]hook.DeliveryState{hook.Delivered, hook.Failed, hook.Pending, hook.Held}, states); d != "" {
		t.Errorf("states of deliveries (-want +got):\n%s", d)
	}
	h.found(t, s)
	h.goesOn(t, s)
}

// goesOn checks that the lane is sent in its order.
func (h *house) goesOn(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := context.Background()
	claimed, _, err := s.Claim(ctx, h.ordered.ID, time.Now(), 10)
	if err != nil || len(claimed) != 1 || claimed[0].Message != h.lane[0] {
		t.Fatalf("the head of the lane: %+v, %v", claimed, err)
	}
	r := &hook.Record{Delivery: claimed[0], State: hook.Delivered}
	if err := s.Record(ctx, []*hook.Record{r}); err != nil || r.Next == nil || r.Next.Message != h.lane[1] {
		t.Errorf("after it: %+v, %v", r, err)
	}
}

// found checks what is looked up by other things than keys.
func (h *house) found(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := context.Background()
	bySubject, _, err := s.ListBySubject(ctx, store.DefaultOrg, "user", "1", hook.Page{Limit: 10})
	if err != nil || len(bySubject) != 1 || bySubject[0].ID != h.message.ID {
		t.Errorf("by subject: %+v, %v", bySubject, err)
	}
	if n, err := s.CountMessages(ctx, h.endpoint.App, hook.Range{}); err != nil || n != rowsOfHouse+3 {
		t.Errorf("%d messages, %v", n, err)
	}
	again := &hook.Append{Hash: h.seen, Message: hook.Message{Org: store.DefaultOrg, App: h.endpoint.App, ReceivedAt: time.Now()}}
	if err := s.Append(ctx, again); err != nil || !again.Duplicate || again.Message.ID != h.message.ID {
		t.Errorf("a known event is new: %+v, %v", again, err)
	}
	readable(t, s, h.endpoint, h.answer)
	if x, err := s.TokenByHash(ctx, h.token); err != nil || x.Name != "n" {
		t.Errorf("token: %+v, %v", x, err)
	}
	if x, err := s.SourceByToken(ctx, h.source.Token.Reveal(), time.Now()); err != nil || x.ID != h.source.ID {
		t.Errorf("source by its old token: %+v, %v", x, err)
	}
	if first, err := s.Once(ctx, "first key"); err != nil || first {
		t.Errorf("what was done once is done again: %v, %v", first, err)
	}
	if gone, err := s.DeletedApplications(ctx); err != nil || len(gone) != 1 || gone[0] != h.app.ID {
		t.Errorf("applications to be purged: %v, %v", gone, err)
	}
	if tasks, err := s.RunningTasks(ctx); err != nil || len(tasks) != 1 {
		t.Errorf("tasks: %+v, %v", tasks, err)
	}
}

func execURL(t *testing.T, url, text string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tag, err := conn.Exec(ctx, text)
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("%s: %d rows, %v", text, tag.RowsAffected(), err)
	}
}

func TestRowsOfOldDaysAreCopiedIntoPartitionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	h, url := newHouse(t), store.DatabaseForTest(t)
	if _, err := h.copy(context.Background(), url, false, nil); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for table, n := range map[string]int{"messages": rowsOfHouse + 4, "bodies": rowsOfHouse + 4, "deliveries": 7, "attempts": 3} {
		var rows, left, parts int
		q := fmt.Sprintf("SELECT (SELECT count(*) FROM %[1]s), (SELECT count(*) FROM %[1]s_default), (SELECT count(DISTINCT tableoid) FROM %[1]s)", table)
		if err := conn.QueryRow(context.Background(), q).Scan(&rows, &left, &parts); err != nil {
			t.Fatal(err)
		}
		if rows != n || left != 0 || parts < 2 {
			t.Errorf("%s: %d rows, %d of them without a day, in %d partitions", table, rows, left, parts)
		}
	}
}

func TestComparisonFindsEachDifference(t *testing.T) {
	t.Parallel()
	h, url := newHouse(t), store.DatabaseForTest(t)
	if _, err := h.copy(context.Background(), url, false, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ table, change, back string }{
		{"secrets", "UPDATE secrets SET value = value || '\\x00' WHERE id = (SELECT min(id) FROM secrets)", "UPDATE secrets SET value = substr(value, 1, length(value) - 1) WHERE id = (SELECT min(id) FROM secrets)"},
		{"deliveries", "UPDATE deliveries SET holder = 1 WHERE state = 5", "UPDATE deliveries SET holder = 0 WHERE state = 5"},
		{"postings", "INSERT INTO postings VALUES (1, 2, 3)", "DELETE FROM postings WHERE owner_id = 1 AND term = 2 AND id = 3"},
		{"meta", "INSERT INTO meta VALUES ('once upon', '1')", "DELETE FROM meta WHERE name = 'once upon'"},
	} {
		execURL(t, url, c.change)
		checks, err := h.copy(context.Background(), url, true, nil)
		if hook.CodeOf(err) != hook.CodeConflict || !strings.Contains(fmt.Sprint(err), "tables that differ: 1") {
			t.Errorf("%s: %v", c.table, err)
		}
		for _, x := range checks {
			if x.Same() == (x.Table == c.table) {
				t.Errorf("after a change in %s: %+v", c.table, x)
			}
		}
		execURL(t, url, c.back)
	}
	checks, err := h.copy(context.Background(), url, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	expectSame(t, checks)
}

func TestCopyRefusesWhatWouldLoseOrMix(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h, other := newHouse(t), newHouse(t)
	url := store.DatabaseForTest(t)
	refused := func(what, says string, h *house, url string, verify bool) {
		t.Helper()
		_, err := h.copy(ctx, url, verify, nil)
		if hook.CodeOf(err) != hook.CodeConflict && hook.CodeOf(err) != hook.CodeInvalid || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("no directory", "no data in", &house{dir: t.TempDir()}, url, false)
	refused("nothing to compare", "nothing was copied", h, url, true)

	node := h.node(t, url)
	refused("a node lives", "a node uses the database", h, url, false)
	if _, err := node.CreateApplication(ctx, hook.Application{Org: store.DefaultOrg, Name: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	refused("the database has rows", "table applications has rows", h, url, false)

	url = store.DatabaseForTest(t)
	cut, cancel := context.WithCancel(ctx)
	if _, err := h.copy(cut, url, false, func(string, int64) { cancel() }); err == nil {
		t.Fatal("it was not cut")
	}
	refused("another store's copy", "copy of another store", other, url, false)
	s := h.open(t)
	refused("the server runs", "in use by another", h, url, false)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	refused("the server ran meanwhile", "since the copy began", h, url, false)
}
