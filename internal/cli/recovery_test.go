package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/provider"
	"github.com/sigpost/sigpost/internal/server"
)

var taskID = regexp.MustCompile(`qtask_[0-9A-Za-z]{27}`)

func TestTasksAreBegunAndMovedWhileTheServerIsStopped(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	d.keep("{}", false)
	ids := map[string]string{}
	for command, kind := range map[string]string{
		"recover one --source a --since 2h": "endpoint.recover",
		"replay one --source a --since 2h --type t.x --status failed --class 500 --subject user=1 --pace 5": "endpoint.bulk-replay",
		"replay-missing http://x/2 --since 2026-01-31":                                                      "endpoint.replay",
		"cancel-pending two --source a --watch":                                                             "endpoint.cancel-pending",
		"replay http://y/1 --since 1d --until 2h --channel c --tag t --dry-run":                             "endpoint.bulk-replay",
	} {
		r := d.run(append([]string{"endpoint"}, strings.Fields(command)...)...)
		r.expect(t, ExitOK, kind+"  running", "progress  ", "ep_", "the server is stopped; the task begins when it starts", "sigpost task show qtask_")
		r.never(t, "goes on by itself")
		ids[command] = taskID.FindString(r.out)
	}
	d.run("endpoint", "recover", "one", "--source", "a", "--since", "3h").expect(t, ExitInvalid, "does the same for this endpoint and is running")
	id := ids["recover one --source a --since 2h"]
	d.run("task", "pause", id).expect(t, ExitOK, "endpoint.recover  paused")
	d.run("task", "list", "--state", "paused").expect(t, ExitOK, id, "paused", "sent 0, looked at 0")
	if r := d.run("task", "list", "--state", "running", "--kind", "endpoint.cancel-pending"); len(taskID.FindAllString(r.out, -1)) != 1 || strings.Contains(r.out, id) {
		t.Errorf("tasks of a kind: %s", r.out)
	}
	first := d.run("task", "list", "--limit", "2")
	first.expect(t, ExitOK, "older ones: --before qtask_")
	before := taskID.FindString(first.err)
	if rest := d.run("task", "list", "--before", before); len(taskID.FindAllString(rest.out, -1)) != 3 {
		t.Errorf("older ones: %s", rest.out)
	}
	d.run("task", "resume", id).expect(t, ExitOK, "running")
	d.run("task", "cancel", id).expect(t, ExitOK, "canceled")
	d.run("task", "resume", id).expect(t, ExitInvalid, id+" is canceled already")
	d.run("task", "show", id, "--watch").expect(t, ExitOK, "canceled")
	d.run("task", "show", id, "--org", "org_other").expect(t, ExitInvalid, "there is no task")
	var shown api.BackgroundTaskOut
	if r := d.run("task", "show", id, "--json"); json.Unmarshal([]byte(r.out), &shown) != nil || shown.Status != "finished" {
		t.Errorf("as JSON: %s", r.out)
	}
	d.run("task", "list", "--org", "org_other").expect(t, ExitOK, "no tasks")
}

func TestRecoveryRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	for command, says := range map[string]string{
		"endpoint replay one --source a --since yesterday":         `--since "yesterday" is neither a time ago`,
		"endpoint replay one --source a --since -2h":               `--since "-2h"`,
		"endpoint replay one --source a --since 2h --until soon":   `--until "soon"`,
		"endpoint replay one --source a --since 2h --subject user": `is not kind=id`,
		"endpoint replay one --source a --since 2h --status gone":  `--status has no "gone"; it has canceled, delivered, failed, pending`,
		"endpoint replay one --source a --since 2h --class 5":      `--class has no "5"`,
		"endpoint recover --since 2h":                              "accepts 1 arg(s)",
		"endpoint recover one --source a":                          "--since is missing",
		"endpoint replay one --source a":                           "--since is missing",
		"endpoint cancel-pending one --pace 3":                     "unknown flag: --pace",
		"task show":                                                "accepts 1 arg(s)",
	} {
		d.run(strings.Fields(command)...).expect(t, ExitUsage, says)
	}
	for command, says := range map[string]string{
		"endpoint recover one --since 2h":                          `2 endpoints are called "one"`,
		"endpoint recover three --since 2h":                        `no endpoint "three"`,
		"endpoint recover two --since 15d":                         "since: is more than 14 days ago",
		"endpoint recover two --since 2h --pace 5000":              "pace: ",
		"endpoint recover two --since 2h --pace 0":                 "pace: ",
		"endpoint replay two --message msg_nothing":                "msg_nothing",
		"task list --state gone":                                   "state: ",
		"task cancel qtask_nothing":                                "qtask_nothing",
		"endpoint cancel-pending two --since 2h --until 3h":        "until: is not after since",
		"endpoint replay-missing http://x/1 --app acme --since 2h": "acme",
	} {
		d.run(strings.Fields(command)...).expect(t, ExitInvalid, says)
	}
	d.run("task", "list").expect(t, ExitOK, "no tasks")
}

// running is a server that runs, with an application acme, whose endpoint "hook" got
// some messages.
type running struct {
	t   *testing.T
	dir string
	got chan string
	cl  *client
}

func newRunning(t *testing.T, messages int) *running {
	t.Helper()
	dir, err := os.MkdirTemp("", "sigpost") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg := config.Default()
	cfg.Listen, cfg.Data, cfg.ControlSocket, cfg.ShutdownTimeout = "127.0.0.1:0", dir, filepath.Join(dir, config.SocketName), time.Second
	var loopback config.Network
	if err := loopback.UnmarshalText([]byte("127.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	cfg.AllowNets = []config.Network{loopback}
	providers, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.Open(ctx, server.Options{Config: cfg, Providers: providers, Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &running{t: t, dir: dir, got: make(chan string, 100), cl: &client{http: &http.Client{Transport: inProcess{s.Control()}}}}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { r.got <- q.Header.Get("webhook-id") }))
	t.Cleanup(hook.Close)
	r.post("/api/v1/app", map[string]any{"name": "Acme", "uid": "acme"})
	r.post("/api/v1/app/acme/endpoint", map[string]any{"url": hook.URL, "uid": "hook"})
	for i := range messages {
		r.post("/api/v1/app/acme/msg", map[string]any{"eventType": fmt.Sprintf("t.%d", i%2), "payload": map[string]any{}})
		r.next()
	}
	r.settled(messages)
	return r
}

func (r *running) post(path string, in map[string]any) {
	r.t.Helper()
	if err := r.cl.ask(r.t.Context(), http.MethodPost, path, in, nil); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) next() {
	r.t.Helper()
	select {
	case <-r.got:
	case <-time.After(10 * time.Second):
		r.t.Fatal("no webhook came")
	}
}

// settled waits until so many deliveries have succeeded.
func (r *running) settled(n int) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-tick.C {
		var counts api.EndpointStats
		if err := r.cl.call(r.t.Context(), http.MethodGet, "/api/v1/app/acme/endpoint/hook/stats", nil, &counts); err != nil {
			r.t.Fatal(err)
		}
		if counts.Success == int64(n) {
			return
		}
	}
	r.t.Fatalf("%d deliveries have not succeeded", n)
}

func (r *running) run(args ...string) ran {
	r.t.Helper()
	return sigpost(r.t, append(args, "--data", r.dir)...)
}

func TestReplayIsCountedAndWatched(t *testing.T) {
	t.Parallel()
	r := newRunning(t, 4)
	replay := []string{"endpoint", "replay", "hook", "--app", "acme", "--since", "2h"}
	r.run(append(replay, "--dry-run", "--type", "t.1")...).expect(t, ExitOK, "endpoint.bulk-replay  finished", "would send 2, looked at 2", "such as   msg_")
	if n := len(r.got); n != 0 {
		t.Errorf("a dry run sent %d", n)
	}
	r.run(append(replay, "--watch")...).expect(t, ExitOK, "finished", "sent 4, looked at 4 of 4")
	for range 4 {
		r.next()
	}
	r.settled(4)
	id := regexp.MustCompile(`msg_\w+`).FindString(r.run("message", "list", "--app", "acme").out)
	r.run("message", "show", id).expect(t, ExitOK, "  application app_", "delivered (200), replay")
	r.run("endpoint", "cancel-pending", "hook", "--app", "acme", "--watch").expect(t, ExitOK, "endpoint.cancel-pending  finished", "canceled 0")
	r.run("endpoint", "recover", "hook", "--app", "acme", "--since", "1d", "--watch").expect(t, ExitOK, "endpoint.recover  finished", "sent 0, looked at 0 of 0")
	over := r.run("endpoint", "recover", "hook", "--app", "acme", "--since", "1d", "--watch")
	var out, says strings.Builder
	if err := (&program{out: &out, err: &says}).follow(t.Context(), &place{}, r.cl, taskID.FindString(over.out), false); err != nil || says.String() != "" {
		t.Errorf("of a task that is over it is said %q, %v", says.String(), err)
	}
	var shown api.BackgroundTaskOut
	if out := r.run("endpoint", "replay-missing", "hook", "--app", "acme", "--since", "1d", "--watch", "--json").out; json.Unmarshal([]byte(out), &shown) != nil || shown.Status != "finished" || shown.Task != "endpoint.replay" {
		t.Errorf("as JSON: %s", out)
	}
}

func TestTaskThatIsWatchedMayFail(t *testing.T) {
	t.Parallel()
	r := newRunning(t, 10)
	begun := r.run("endpoint", "replay", "hook", "--app", "acme", "--since", "2h", "--pace", "1")
	begun.expect(t, ExitOK, "endpoint.bulk-replay  running", "it goes on by itself")
	id := taskID.FindString(begun.out)
	r.run("task", "pause", id).expect(t, ExitOK, "paused")
	if err := r.cl.call(t.Context(), http.MethodDelete, "/api/v1/app/acme/endpoint/hook", nil, nil); err != nil {
		t.Fatal(err)
	}
	r.run("task", "resume", id).expect(t, ExitOK, id)
	r.run("task", "show", id, "--watch").expect(t, ExitInvalid, "failed", "there is no endpoint ep_")
}
