package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
)

// stopped is the data directory of a server that does not run, with sources a
// (endpoints one and two) and b (endpoint one).
type stopped struct {
	t       *testing.T
	dir     string
	sources []hook.Source
	ends    []hook.Endpoint
}

func newStopped(t *testing.T) *stopped {
	t.Helper()
	d := &stopped{t: t, dir: t.TempDir()}
	d.open(func(s *store.Store) {
		file := []store.FileSource{
			{Name: "a", Provider: "veriff", Token: "a", Endpoints: []hook.Endpoint{{Name: "one", URL: "http://x/1"}, {Name: "two", URL: "http://x/2"}}},
			{Name: "b", Provider: "veriff", Token: "b", Endpoints: []hook.Endpoint{{Name: "one", URL: "http://y/1"}}},
		}
		err := s.ApplyFile(t.Context(), file, false)
		if err == nil {
			d.sources, err = s.Sources(t.Context())
		}
		if err == nil {
			d.ends, err = s.Endpoints(t.Context())
		}
		for _, e := range d.ends {
			if err == nil {
				_, err = s.OwnSecret(t.Context(), e.Org, e.ID, func() (string, error) { return "secret of " + e.URL, nil })
			}
		}
		if err == nil {
			_, err = s.OrganizationByExternal(t.Context(), "org_other") // which has nothing
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	return d
}

// open lets f work on the store.
func (d *stopped) open(f func(*store.Store)) {
	d.t.Helper()
	ring, err := seal.FromFile(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	s, err := store.Open(d.t.Context(), store.Options{Dir: d.dir, Seal: ring, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		d.t.Fatal(err)
	}
	f(s)
	if err := s.Close(); err != nil {
		d.t.Fatal(err)
	}
}

// keep keeps a message of source a, with a failed delivery to endpoint one
// unless it is unmatched, and returns its id.
func (d *stopped) keep(body string, unmatched bool) (id string) {
	d.t.Helper()
	now := time.Now()
	d.open(func(s *store.Store) {
		a := &hook.Append{Message: hook.Message{Org: 1, App: d.sources[0].App, Event: hook.Event{Type: "t.x"}, ReceivedAt: now, Body: []byte(body)}}
		rand.Read(a.Hash[:])
		if !unmatched {
			a.Deliveries = []hook.Delivery{{Org: 1, Endpoint: d.ends[0].ID, State: hook.Pending, NextAt: now, Since: now, Holder: s.Incarnation()}}
		}
		if err := s.Append(d.t.Context(), a); err != nil {
			d.t.Fatal(err)
		}
		id = s.IDs().Public(hook.KindMessage, a.Message.ID)
		if unmatched {
			return
		}
		r := &hook.Record{Delivery: a.Deliveries[0], State: hook.Failed, Attempt: &hook.Attempt{Number: 1, At: now, Duration: 1500 * time.Microsecond, Outcome: hook.OutcomeStatus, Status: 500, Reason: "answered 500", Response: []byte("no\xff")}}
		if err := s.Record(d.t.Context(), []*hook.Record{r}); err != nil {
			d.t.Fatal(err)
		}
	})
	return id
}

// run runs a command line on the directory.
func (d *stopped) run(args ...string) ran {
	d.t.Helper()
	return sigpost(d.t, append(args, "--data", d.dir)...)
}

// deliveries are the states of a message's deliveries by their endpoints.
func (d *stopped) deliveries(id string) string {
	d.t.Helper()
	var m api.OrgMessageDetailOut
	if err := json.Unmarshal([]byte(d.run("message", "show", id, "--json").out), &m); err != nil {
		d.t.Fatal(err)
	}
	var list []string
	for _, x := range m.Deliveries {
		list = append(list, x.Endpoint+" "+x.State)
	}
	return strings.Join(list, ", ")
}

func TestMessageShowsWhereItIsAndWhatHappensNext(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	id := d.keep("{\"a\":1} \n", false)
	d.run("message", "show", id).expect(t, ExitOK, "source      a\n", "t.x  failed", "failed → one", "1 attempt; nothing: given up", "1.5 ms  answered 500", "it answered: no\uFFFD", "{\"a\":1} \n")
	if r := d.run("message", "show", id, "--body"); r.out != "{\"a\":1} \n" {
		t.Errorf("the body is %q", r.out)
	}
	if r := d.run("message", "show", d.keep("\xff\x00", false), "--body"); r.out != "\xff\x00" {
		t.Errorf("a body that is not text is %q", r.out)
	}
	d.run("message", "show", d.keep("{}", true)).expect(t, ExitOK, "unmatched   nothing: no endpoint asked for its event type", "sigpost endpoint replay-missing")
}

func TestMessagesAreListedPageByPage(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	ids := []string{d.keep("{}", false), d.keep("{}", false), d.keep("{}", true)}
	first := d.run("message", "list", "--limit", "2", "--source", "a", "--type", "t.*")
	first.expect(t, ExitOK, ids[2], "unmatched", ids[1], "failed", "older ones: --before "+ids[1])
	first.never(t, ids[0])
	rest := d.run("message", "list", "--limit", "2", "--before", ids[1], "--type", "t.x,u.x")
	rest.expect(t, ExitOK, ids[0])
	rest.never(t, ids[1], "older ones")
	for _, nothing := range [][]string{{"--source", "b"}, {"--type", "t"}, {"--type", "u.*"}, {"--org", "org_other"}} {
		r := d.run(append([]string{"message", "list"}, nothing...)...)
		r.expect(t, ExitOK, "no messages")
	}
	d.run("message", "list", "--source", "c").expect(t, ExitInvalid, `no source with the id, uid or name "c"`)
	d.run("message", "list", "--limit", "0").expect(t, ExitInvalid, "limit: ")
	d.run("message", "list", "--before", "ep_1").expect(t, ExitInvalid, "iterator")
	d.run("message", "list", "--org", "org_typo").expect(t, ExitInvalid, "no organization org_typo")
	d.run("message", "list", "--org", "other").expect(t, ExitInvalid, "begins with org_")
}

func TestResendMakesDeliveriesDue(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	id := d.keep("{}", false)
	d.run("message", "resend", id).expect(t, ExitOK, "pending → one")
	d.run("message", "resend", id, "--endpoint", "http://x/2").expect(t, ExitOK, "pending → two")
	if got := d.deliveries(id); got != "one pending, two pending" {
		t.Errorf("after both: %s", got)
	}
	d.run("message", "resend", id, "--endpoint", "http://y/1").expect(t, ExitInvalid, `a has no endpoint "http://y/1"`)
	d.run("message", "resend", d.keep("{}", true)).expect(t, ExitInvalid, "went to no endpoint; name one with --endpoint")
	d.open(func(s *store.Store) { // endpoint one leaves the file for good
		file := []store.FileSource{{Name: "a", Provider: "veriff", Token: "a", Endpoints: []hook.Endpoint{{Name: "two", URL: "http://x/2"}}}}
		if err := s.ApplyFile(t.Context(), file, true); err != nil {
			t.Fatal(err)
		}
	})
	gone := d.keep("{}", false)
	d.run("message", "resend", gone).expect(t, ExitInvalid, "was deleted; name another one")
	if got := d.deliveries(gone); got != "(deleted) failed" {
		t.Errorf("of the one that was deleted: %s", got)
	}
}

func TestRejectedIsShownWithItsExplanation(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	var id string
	d.open(func(s *store.Store) {
		r := &hook.Rejected{Org: 1, Source: d.sources[0].ID, Reason: "mismatch", ReceivedAt: time.Now(), Remote: "192.0.2.1", Method: "POST", URL: "/in/a", Headers: []hook.Header{{Name: "X-A", Value: "b"}}, Body: []byte("{}"), Size: 5}
		if err := s.Reject(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		id = s.IDs().Public(hook.KindRejected, r.ID)
	})
	d.run("rejected", "list", "--source", "a").expect(t, ExitOK, id, "192.0.2.1", "mismatch")
	d.run("rejected", "list", "--source", "b").expect(t, ExitOK, "no rejected requests")
	d.run("rejected", "list", "--org", "org_other").expect(t, ExitOK, "no rejected requests")
	d.run("rejected", "show", id).expect(t, ExitOK, "source    a\n", "with --config", "X-A: b", "(the first 2 of 5 bytes)")
	if r := d.run("rejected", "show", id, "--body"); r.out != "{}" {
		t.Errorf("the body is %q", r.out)
	}
	d.run("rejected", "accept", id).expect(t, ExitInvalid, id+": the source of this request is not in the configuration")
	d.run("rejected", "accept", id, "--org", "org_other").expect(t, ExitInvalid, "there is no rejected request")
}

func TestSourcesAndEndpointsAreListed(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	d.run("source", "list").expect(t, ExitOK, "/in/a", "one, two", "/in/b")
	d.run("endpoint", "list").expect(t, ExitOK, "http://x/1", "two", "http://y/1", "enabled")
	d.run("endpoint", "list", "--app", "nobody").expect(t, ExitInvalid, "nobody")
	at := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	d.open(func(s *store.Store) {
		if err := s.SaveHealth(t.Context(), []hook.HealthChange{{Endpoint: d.ends[0].ID, Org: 1, Failures: 5, FirstFailed: at, LastFailed: at}}); err != nil {
			t.Fatal(err)
		}
	})
	if r := d.run("endpoint", "list"); strings.Count(r.out, "enabled, failing since 2026-11-20T08:00:00Z\n") != 1 || strings.Count(r.out, "failing") != 1 {
		t.Errorf("one of them fails:\n%s", r.out)
	}
	d.run("endpoint", "secret", "one").expect(t, ExitInvalid, "2 endpoints are called \"one\"; say which with --source")
	d.run("endpoint", "secret", "three").expect(t, ExitInvalid, `no endpoint "three"`)
	for _, args := range [][]string{{"one", "--source", "b"}, {"http://y/1"}} {
		if r := d.run(append([]string{"endpoint", "secret"}, args...)...); r.code != ExitOK || r.out != "secret of http://y/1\n" {
			t.Errorf("%v: %d %q", args, r.code, r.out)
		}
	}
	if r := d.run("endpoint", "list", "--org", "org_other"); strings.Count(r.out, "\n") != 1 {
		t.Errorf("to another organization it lists\n%s", r.out)
	}
}

func TestSecretOfTheFileIsShownWithTheFile(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
	const source = "  - name: %s\n    provider: veriff\n    secrets: [abcdef12-abcd-abcd-abcd-abcdef012345]\n    endpoints: [{url: 'https://%s.example/hook'%s}]\n"
	d := newStopped(t)
	config := file(t, "sigpost.yaml", "sources:\n"+fmt.Sprintf(source, "c", "given", ", secret: "+secret)+fmt.Sprintf(source, "d", "made", ""))
	if r := d.run("endpoint", "secret", "https://given.example/hook", "--config", config); r.code != ExitOK || r.out != secret+"\n" {
		t.Errorf("%d %q %s", r.code, r.out, r.err)
	}
	made := d.run("endpoint", "secret", "https://made.example/hook", "--config", config)
	made.expect(t, ExitOK, "whsec_")
	made.never(t, secret)
	d.run("endpoint", "secret", "https://given.example/hook").expect(t, ExitInvalid, "stands in the configuration file; give it with --config")
	if r := d.run("endpoint", "secret", "https://made.example/hook"); r.out != made.out {
		t.Errorf("without the file it is %q, with it %q", r.out, made.out)
	}
}

func TestAnEmptyIDIsNotTheListOfAll(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	for _, command := range []string{"message show", "message resend", "rejected show", "rejected accept"} {
		d.run(append(strings.Fields(command), "")...).expect(t, ExitUsage, "the id is empty")
	}
}

func TestAListIsReadPastShortPages(t *testing.T) {
	t.Parallel()
	var asked []string
	pages := map[string]string{
		"":   `{"data":[1],"iterator":"i1","done":false}`,
		"i1": `{"data":[],"iterator":"i2","done":false}`,
		"i2": `{"data":[2,3],"iterator":"i3","done":false}`,
		"i3": `{"data":[4],"iterator":"i4","done":true}`,
	}
	c := &client{http: &http.Client{Transport: inProcess{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked = append(asked, q.Get("iterator")+":"+q.Get("limit"))
		fmt.Fprint(w, pages[q.Get("iterator")])
	})}}}
	for limit, want := range map[int]struct {
		data, asked string
		done        bool
	}{
		3:   {"[1 2 3]", "[:3 i1:2 i2:2]", false},
		600: {"[1 2 3 4]", "[:250 i1:250 i2:250 i3:250]", true},
	} {
		asked = nil
		got, err := readList[int](context.Background(), c, "/api/v1/x", nil, limit)
		if err != nil || fmt.Sprint(got.Data) != want.data || fmt.Sprint(asked) != want.asked || got.Done != want.done {
			t.Errorf("%d: %v by %v, done %v, %v; %v is right", limit, got.Data, asked, got.Done, err, want)
		}
	}
}
