package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
)

const (
	listApp      hook.Key = 77
	listEndpoint hook.Key = 99
)

// keepMessages adds n messages of one type and tag, 16,000 at a time, and gives the
// key of the first; as many as are added at once follow it.
func keepMessages(t *testing.T, s *Store, n int, kind, tag string) (first hook.Key) {
	t.Helper()
	const most = 16_000
	if n > most {
		first = keepMessages(t, s, most, kind, tag)
		keepMessages(t, s, n-most, kind, tag)
		return first
	}
	inWriter(t, s, func(ctx context.Context, tx *sql.Conn) error {
		first = s.writer.key(time.Now(), n)
		_, err := tx.ExecContext(ctx, `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
			INSERT INTO messages (id, org_id, app_id, event_type, rank, received_at, headers, size, fanout, tags)
			SELECT ? + i, ?, ?, ?, 0, 0, '[]', 0, 0, json_array(?) FROM n`, n, first, DefaultOrg, listApp, kind, tag)
		return err
	})
	return first
}

func openIn(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func inWriter(t *testing.T, s *Store, f func(ctx context.Context, tx *sql.Conn) error) {
	t.Helper()
	if err := s.writer.exec(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

func indexAll(t *testing.T, s *Store) {
	t.Helper()
	for {
		n, err := s.Index(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func indexedTo(t *testing.T, s *Store, name string) (k hook.Key) {
	t.Helper()
	err := s.view(context.Background(), func(tx *sql.Tx) (err error) {
		k, err = indexed(context.Background(), tx, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func listKeys(t *testing.T, s *Store, q hook.MessageQuery) (keys []hook.Key, next hook.Key) {
	t.Helper()
	q.App = listApp
	list, next, err := s.ListMessagesOf(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		keys = append(keys, m.ID)
	}
	return keys, next
}

// delivered appends a message with one delivery that was delivered.
func delivered(t *testing.T, s *Store) (hook.Message, *hook.Record) {
	t.Helper()
	now := time.Now().Truncate(time.Millisecond).UTC()
	a := &hook.Append{
		Message:    hook.Message{Org: DefaultOrg, App: listApp, Event: hook.Event{Type: "a", ID: "e"}, ReceivedAt: now, Body: []byte("x")},
		Deliveries: []hook.Delivery{{Org: DefaultOrg, Endpoint: listEndpoint, State: hook.Pending, NextAt: now, Since: now}},
	}
	a.Hash[0] = byte(now.Nanosecond())
	if err := s.Append(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	r := &hook.Record{Delivery: a.Deliveries[0], State: hook.Delivered, Attempt: &hook.Attempt{Number: 1, At: now, Outcome: hook.OutcomeDelivered, Status: 200}}
	if err := s.Record(context.Background(), []*hook.Record{r}); err != nil || r.Refused {
		t.Fatal(err, r.Refused)
	}
	return a.Message, r
}

func TestListsLookAgainAtWhatTheIndexSays(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := open(t)
	m, r := delivered(t, s)
	indexAll(t, s)
	const other hook.Key = 1234
	class := attemptTerm(false, 500)
	inWriter(t, s, func(ctx context.Context, tx *sql.Conn) error { // as if these had the same hashes as the true ones
		return insertPostings(ctx, tx, []posting{
			{listApp, term(termType + "b"), m.ID}, {listApp, term(termChannel + "b"), m.ID}, {listApp, term(termTag + "b"), m.ID}, {listApp, term(termEvent + "b"), m.ID},
			{other, term(termAll), m.ID}, {DefaultOrg, subjectTerm("k", "b"), m.ID},
			{other, term(termDelivery), r.Delivery.ID}, {other, attemptTerm(true, 200), r.Attempt.ID}, {listEndpoint, class, r.Attempt.ID},
		})
	})
	page := hook.Page{Limit: 10}
	for name, q := range map[string]hook.MessageQuery{"type": {Types: []string{"b"}}, "channel": {Channel: "b"}, "tag": {Tag: "b"}, "application": {App: other}} {
		if q.App == 0 {
			q.App = listApp
		}
		q.Page = page
		if list, _, err := s.ListMessagesOf(ctx, q); err != nil || len(list) > 0 {
			t.Errorf("by %s: %+v, %v", name, list, err)
		}
	}
	if keys, _ := listKeys(t, s, hook.MessageQuery{Types: []string{"a", "b"}, Page: page}); len(keys) != 1 {
		t.Errorf("found under two terms, the message is listed as %v", keys)
	}
	if list, _, err := s.ListBySubject(ctx, DefaultOrg, "k", "b", page); err != nil || len(list) > 0 {
		t.Errorf("by subject: %+v, %v", list, err)
	}
	if k, err := s.MessageByEventID(ctx, listApp, "b"); hook.CodeOf(err) != hook.CodeNotFound {
		t.Errorf("by event id: %d, %v", k, err)
	}
	if list, _, err := s.ListDeliveries(ctx, hook.DeliveryQuery{Endpoint: other, Page: page}); err != nil || len(list) > 0 {
		t.Errorf("deliveries: %+v, %v", list, err)
	}
	for _, q := range []hook.AttemptQuery{{Endpoint: other, Class: -1, Page: page}, {Endpoint: listEndpoint, Class: 500, Page: page}} {
		if list, _, err := s.ListAttempts(ctx, q); err != nil || len(list) > 0 {
			t.Errorf("attempts: %+v, %v", list, err)
		}
	}
}

func TestListsPassOverWhatIsGone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := open(t)
	first := keepMessages(t, s, 300, "a", "g")
	m, _ := delivered(t, s)
	indexAll(t, s)
	inWriter(t, s, func(ctx context.Context, tx *sql.Conn) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM bodies WHERE message_id = ?", m.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM messages WHERE id < ? OR id > ? AND id < ?", first+100, first+110, first+200)
		return err
	})
	q := hook.MessageQuery{App: listApp, Page: hook.Page{Limit: 20, Ascending: true}, Bodies: true}
	n := 0
	for calls := 1; ; calls++ {
		list, next, err := s.ListMessagesOf(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		n += len(list)
		if calls == 1 && (len(list) == 0 || list[0].ID != first+100) {
			t.Errorf("the first page begins with %+v; deleted ones at the beginning are to be left out at once", list)
		}
		if next == 0 {
			if last := list[len(list)-1]; last.ID != m.ID || last.Body != nil {
				t.Errorf("a message whose body is gone: %+v", last)
			}
			break
		}
		q.Page.After = next
	}
	if n != 11+100+1 {
		t.Errorf("%d listed, %d are there", n, 11+100+1)
	}
}

func TestACallOfAListLooksAtABoundedNumberOfRows(t *testing.T) {
	t.Parallel()
	for _, isIndexed := range []bool{false, true} {
		t.Run(fmt.Sprintf("indexed=%v", isIndexed), func(t *testing.T) {
			t.Parallel()
			s := open(t)
			bound := tailRows
			first := keepMessages(t, s, 100, "rare", "g")
			for range 2 {
				keepMessages(t, s, 12_000, "often", "g")
			}
			if isIndexed {
				indexAll(t, s)
				bound = postingsLooked
			}
			q := hook.MessageQuery{Tag: "g", Types: []string{"rare"}, Page: hook.Page{Limit: 10}}
			keys, next := listKeys(t, s, q)
			var looked int
			if err := s.read.QueryRow("SELECT count(*) FROM messages WHERE id >= ?", next).Scan(&looked); err != nil {
				t.Fatal(err)
			}
			if len(keys) != 0 || looked != bound {
				t.Fatalf("the first call found %v and looked at %d rows, %d is the bound", keys, looked, bound)
			}
			var found []hook.Key
			calls := 1
			for ; next != 0; calls++ {
				q.Page.After = next
				keys, next = listKeys(t, s, q)
				found = append(found, keys...)
			}
			want := make([]hook.Key, 100)
			for i := range want {
				want[i] = first + 99 - hook.Key(i)
			}
			if d := cmp.Diff(want, found); d != "" {
				t.Errorf("after %d calls (-want +got):\n%s", calls, d)
			}
		})
	}
}

func TestAStepOfTheIndexThatWasCutShortIsDoneAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := keepMessages(t, s, indexStep+10, "a", "g")
	inWriter(t, s, func(ctx context.Context, tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`CREATE TRIGGER full BEFORE INSERT ON postings WHEN new.id = %d
			AND (SELECT count(*) FROM postings) > 2000 BEGIN SELECT RAISE(ABORT, 'no room'); END`, first+4000))
		return err
	})
	all := func() (all []hook.Key) {
		q := hook.MessageQuery{Page: hook.Page{Limit: 2 * indexStep, Ascending: true}}
		for {
			keys, next := listKeys(t, s, q)
			all = append(all, keys...)
			if q.Page.After = next; next == 0 {
				return all
			}
		}
	}
	before := all()
	if len(before) != indexStep+10 {
		t.Fatalf("%d messages before the index, %d are there", len(before), indexStep+10)
	}
	var written int
	_, failed := s.Index(context.Background())
	if err := s.read.QueryRow("SELECT count(*) FROM postings").Scan(&written); err != nil {
		t.Fatal(err)
	}
	if at := indexedTo(t, s, indexedMessages); failed == nil || written == 0 || at != 0 {
		t.Errorf("a step that failed (%v) wrote %d postings and moved the mark to %d", failed, written, at)
	}
	if d := cmp.Diff(before, all()); d != "" {
		t.Errorf("after a part of a step (-before +after):\n%s", d)
	}
	inWriter(t, s, func(ctx context.Context, tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, "DROP TRIGGER full")
		return err
	})
	for _, want := range []int{indexStep, 10, 0} {
		n, err := s.Index(context.Background())
		if err != nil || n != want {
			t.Errorf("a step did %d rows, %v; %d are right", n, err, want)
		}
		if d := cmp.Diff(before, all()); d != "" {
			t.Errorf("after a step (-before +after):\n%s", d)
		}
	}
	if m := indexedTo(t, s, indexedMessages); m != before[len(before)-1] {
		t.Errorf("indexed up to %d, the last message is %d", m, before[len(before)-1])
	}
}

func TestTheIndexerYieldsToLoadUntilItIsTooFarBehind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		messages int
		at, late bool // whether they are indexed at once, and after two seconds
	}{
		{"nothing else to do", 10, true, true},
		{"load", indexBusy + 1, false, true},
		{"load, too far behind", indexLag + indexStep, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				s := openIn(t, dir)
				defer s.Close()
				time.Sleep(time.Hour) // of the bubble's clock: away from the beginning of keys
				keepMessages(t, s, c.messages, "a", "g")
				ctx, stop := context.WithCancel(context.Background())
				ended := make(chan error)
				go func() { ended <- s.RunIndexer(ctx) }()
				time.Sleep(200 * time.Millisecond)
				synctest.Wait()
				if got := indexedTo(t, s, indexedMessages) > 0; got != c.at {
					t.Errorf("indexed at once: %v", got)
				}
				time.Sleep(4 * time.Second)
				synctest.Wait()
				if got := indexedTo(t, s, indexedMessages) > 0; got != c.late {
					t.Errorf("indexed in the end: %v", got)
				}
				if n, err := s.Index(context.Background()); n != 0 || err != nil {
					t.Errorf("%d rows were left, %v", n, err)
				}
				stop()
				if err := <-ended; err != nil {
					t.Errorf("the indexer ended with %v", err)
				}
			})
		})
	}
}

func TestTheIndexerYieldsToAQueueUntilItIsTooFarBehind(t *testing.T) {
	t.Parallel()
	for _, behind := range []bool{false, true} {
		s := open(t)
		if behind {
			keepMessages(t, s, indexLag+1, "a", "g")
		}
		hold, busy := make(chan struct{}), make(chan struct{})
		blocked := &write{done: make(chan struct{}), other: func(context.Context, *sql.Conn) error { close(busy); <-hold; return nil }}
		s.writer.queue <- blocked
		<-busy
		waiting := &write{done: make(chan struct{}), other: func(context.Context, *sql.Conn) error { return nil }}
		s.writer.queue <- waiting
		may, err := s.mayIndex(context.Background())
		if err != nil || may != behind {
			t.Errorf("behind: %v, with a queue a step may be done: %v, %v", behind, may, err)
		}
		close(hold)
		<-waiting.done
	}
}

// A look counts only what came since the one before, and begins anew when the index has moved.
func TestWhatWaitsForTheIndexIsCountedOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	look := func(want int) {
		t.Helper()
		if _, err := s.mayIndex(context.Background()); err != nil || s.unindexed[0].n != want {
			t.Errorf("%d wait, %v; %d are right", s.unindexed[0].n, err, want)
		}
	}
	look(0)
	keepMessages(t, s, 300, "a", "g")
	look(300)
	keepMessages(t, s, 20, "a", "g")
	look(320)
	look(320)
	if n, err := s.Index(context.Background()); err != nil || n != 320 {
		t.Fatalf("%d were indexed, %v", n, err)
	}
	look(0)
	keepMessages(t, s, indexLag+5, "a", "g")
	look(indexLag + 1)
	look(indexLag + 1)
}

func TestASearchForTextReadsABoundedNumberOfBytes(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := keepMessages(t, s, 5, "a", "g")
	inWriter(t, s, func(ctx context.Context, tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, "UPDATE messages SET size = ?", bytesSearched/2)
		return err
	})
	page := hook.Page{Limit: 10}
	for _, want := range []hook.Key{first + 3, first + 1, 0} {
		_, next := listKeys(t, s, hook.MessageQuery{Text: "x", Page: page})
		if next != want {
			t.Errorf("a call after %d went on after %d, %d is right", page.After, next, want)
		}
		page.After = next
	}
}

func TestPendingDeliveriesAreFoundWhetherTheyAreFewOrMany(t *testing.T) {
	t.Parallel()
	for _, n := range []int{20, pendingSorted + 20} {
		s := open(t)
		m, _ := delivered(t, s)
		var first hook.Key
		inWriter(t, s, func(ctx context.Context, tx *sql.Conn) error {
			first = s.writer.key(time.Now(), n)
			_, err := tx.ExecContext(ctx, `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
				INSERT INTO deliveries (id, org_id, message_id, endpoint_id, state, attempts, failures, next_at, since, holder, last_attempt, trigger, late)
				SELECT ? + i, ?, ?, ?, 1, 0, 0, 1000000 - i, 0, 0, 0, 0, 1 FROM n`, n, first, DefaultOrg, m.ID, listEndpoint)
			return err
		})
		q := hook.DeliveryQuery{Endpoint: listEndpoint, States: []hook.DeliveryState{hook.Pending}, Page: hook.Page{Limit: n / 3, Ascending: true}}
		at := first
		for more := true; more; more = q.Page.After != 0 {
			list, next, err := s.ListDeliveries(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				if d.ID != at {
					t.Fatalf("of %d: %d where %d was next", n, d.ID, at)
				}
				at++
			}
			q.Page.After = next
		}
		if at != first+hook.Key(n) {
			t.Errorf("%d of %d pending deliveries were listed", at-first, n)
		}
	}
}
