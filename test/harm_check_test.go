package test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// readBack reads what was promised in this round through the API, byte for byte.
func (h *harm) readBack() {
	h.t.Helper()
	var first struct{ Data []struct{ AppID string } }
	h.read("/api/v1/msg?limit=1&source=veriff-prod", &first)
	if len(first.Data) == 0 {
		h.t.Fatal("the source has no message")
	}
	received, sent := map[string]string{}, map[string]string{}
	for id, body := range h.ok.promises() {
		if h.byAPI[id] {
			sent[id] = body
		} else {
			received[id] = body
		}
	}
	h.list(first.Data[0].AppID, received)
	h.list("a", sent)
}

// list looks for messages in the list of an application, the newest first.
func (h *harm) list(app string, want map[string]string) {
	h.t.Helper()
	for iterator := ""; len(want) > 0; {
		var page struct {
			Data []struct {
				ID      string
				Payload json.RawMessage
			}
			Iterator string
			Done     bool
		}
		h.read("/api/v1/app/"+app+"/msg?limit=250&with_content=true&iterator="+iterator, &page)
		for _, m := range page.Data {
			if body, ok := want[m.ID]; ok && body != string(m.Payload) {
				h.t.Errorf("%s is kept as %.100q, %.100q was sent", m.ID, m.Payload, body)
			}
			delete(want, m.ID)
		}
		if iterator = page.Iterator; page.Done || iterator == "" {
			break
		}
	}
	if len(want) > 0 {
		h.t.Errorf("%d of those that were promised are not in the list of application %s", len(want), app)
	}
}

func (h *harm) read(path string, into any) {
	h.t.Helper()
	status, raw, err := call(http.DefaultClient, h.p.url, h.token, "GET", path, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("answered %d %s", status, raw)
	}
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", path, err, tail(h.p.log.String()))
	}
}

// secretHolds fails the test unless the secret in force is the one whose rotation was acknowledged
// last, or one whose rotation got no answer.
func (h *harm) secretHolds() {
	h.t.Helper()
	var now struct{ Key string }
	h.read("/api/v1/app/a/endpoint/ok/secret", &now)
	if now.Key != h.secret.last && now.Key != h.secret.next {
		h.t.Errorf("the secret in force is neither the one that was put in force last nor the one that may have been")
	}
	h.secret.last = now.Key
}

// tasksEnd waits until every task that was accepted has ended well.
func (h *harm) tasksEnd() {
	h.t.Helper()
	for _, id := range h.tasks {
		var task struct{ Status string }
		waitFor(h.t, func() bool {
			h.read("/api/v1/background-task/"+id, &task)
			return task.Status != "running"
		})
		if task.Status != "finished" {
			h.t.Errorf("task %s is %s", id, task.Status)
		}
	}
	h.tasks = nil
}

// end looks at the whole of the store after the last life: what is old and what was deleted is
// gone, and everything else has ended in the state that the receivers gave it.
func (h *harm) end() {
	h.start()
	for _, uid := range h.doomed {
		if status, raw, err := call(http.DefaultClient, h.p.url, h.token, "GET", "/api/v1/app/"+uid, ""); err != nil || status != http.StatusNotFound {
			h.t.Errorf("a deleted application: %d %s %v", status, raw, err)
		}
	}
	db := h.open()
	defer db.Close()
	for _, q := range []string{
		"messages WHERE app_id NOT IN (SELECT id FROM applications)",
		fmt.Sprintf("messages WHERE id < %d", hook.KeyAt(hook.Epoch.AddDate(1, 0, 0))),
		"deliveries d JOIN endpoints e ON e.id = d.endpoint_id WHERE e.url NOT LIKE '%/failing' AND d.state <> 0",
		"deliveries d JOIN endpoints e ON e.id = d.endpoint_id WHERE e.url LIKE '%/failing' AND d.state NOT IN (1, 2)",
		"bodies WHERE message_id NOT IN (SELECT id FROM messages)",
		"deliveries WHERE message_id NOT IN (SELECT id FROM messages)",
		"attempts WHERE delivery_id NOT IN (SELECT id FROM deliveries)",
		"messages m WHERE (SELECT count(*) FROM deliveries WHERE message_id = m.id) <> (SELECT count(*) FROM endpoints WHERE app_id = m.app_id)",
	} {
		count := func() (n int) {
			if err := db.QueryRow("SELECT count(*) FROM " + q).Scan(&n); err != nil {
				h.t.Fatal(err)
			}
			return n
		}
		n := count()
		for end := time.Now().Add(patience); n > 0 && time.Now().Before(end); n = count() { // it works on it
			db.Close()
			<-time.After(200 * time.Millisecond)
			db = h.open()
		}
		if n > 0 {
			h.t.Errorf("%d %s", n, q)
		}
	}
	h.p.stop()
	h.settle()
	db.Close()
	db = h.open()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		h.t.Errorf("integrity: %s %v", verdict, err)
	}
}

func (h *harm) open() *sql.DB {
	h.t.Helper()
	db, err := sql.Open("sqlite", "file:"+h.look()+"?_pragma=busy_timeout(10000)")
	if err != nil {
		h.t.Fatal(err)
	}
	return db
}
