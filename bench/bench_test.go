package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/bench/internal/load"
	"github.com/sigpost/sigpost/bench/internal/report"
	"github.com/sigpost/sigpost/bench/internal/sink"
	"github.com/sigpost/sigpost/internal/cli"
)

// TestMain lets the test binary play the children: the baselines, and a Sigpost that
// acknowledges everything and delivers nothing; under its real name, and on PostgreSQL, it
// is the real one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "role" || os.Args[1] == "fill") {
		main()
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if text, _ := os.ReadFile(os.Args[3]); filepath.Base(os.Args[0]) == real || strings.Contains(string(text), "\ndatabase_url: ") {
			os.Exit(cli.Run(context.Background(), "test", os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.LookupEnv))
		}
		forget(os.Args[3])
		return
	}
	os.Exit(m.Run())
}

// forget answers 200, or as the API does, to everything until it is told to end.
func forget(path string) {
	text, _ := os.ReadFile(path)
	var addr string
	if _, err := fmt.Sscanf(string(text), "listen: %q", &addr); err != nil {
		os.Exit(1)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /api/v1/app", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"id":"app_1"}`)
	})
	mux.HandleFunc("POST /api/v1/app/app_1/msg", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") == "" || strings.Count(r.Header.Get("Authorization"), ".") != 2 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	go http.ListenAndServe(addr, mux)
	<-term
}

// small is a bench that is done in no time.
func small(t *testing.T) *bench {
	t.Helper()
	return smallIn(t, t.TempDir())
}

func smallIn(t *testing.T, dir string) *bench {
	t.Helper()
	b, err := newBench(options{
		seconds: 100 * time.Millisecond, steady: 200 * time.Millisecond, patience: 10 * time.Second,
		idle: time.Millisecond, pairs: 1, messages: 1000, endpoints: 20, dir: dir, binary: os.Args[0],
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s was left behind", left[0].Name())
		}
	})
	return b
}

func TestEveryBaselineRuns(t *testing.T) {
	t.Parallel()
	b := small(t)
	if err := b.baselines(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, row := range b.report.Rows {
		if row.Value <= 0 && !strings.Contains(row.Name, "own CPU") {
			t.Errorf("%s is %v", row.Name, row.Value)
		}
	}
}

func TestSteadyTimesEveryEvent(t *testing.T) {
	t.Parallel()
	b := small(t)
	got, err := b.steady(t.Context(), "bare-relay", 100, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.accept) != 20 || len(got.deliver) != 20 || len(got.whole) != 20 {
		t.Errorf("%d accepted, %d delivered", len(got.accept), len(got.deliver))
	}
	for i := range got.whole {
		if got.whole[i] <= 0 || got.accept[i] < got.late[i] {
			t.Errorf("event %d: whole %v, accept %v, late %v", i, got.whole[i], got.accept[i], got.late[i])
		}
	}
}

func TestAnAcceptedEventThatNeverArrivesIsAnError(t *testing.T) {
	t.Parallel()
	b := small(t)
	b.opt.patience = 50 * time.Millisecond
	_, full := b.full(t.Context(), "sigpost", task{deliver: true})
	_, steady := b.steady(t.Context(), "sigpost", silentRate, true)
	for _, err := range []error{full, steady} {
		if err == nil || !strings.Contains(err.Error(), "accepted events never arrived") {
			t.Errorf("error %v", err)
		}
	}
}

func TestIntakeAndIdleNeedNoDeliveries(t *testing.T) {
	t.Parallel()
	b := small(t)
	if err := errors.Join(b.intake(t.Context()), b.idle(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestTheAPIAndItsBaselineGetTheSameBytes(t *testing.T) {
	t.Parallel()
	b := small(t)
	if err := b.api(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"sigpost / bare-fsync", "sigpost", "bare-fsync", "sigpost, CPU per message"}
	for i, name := range want {
		if row := b.report.Rows[i]; row.Name != name || row.Value <= 0 {
			t.Errorf("row %d is %s %v", i, row.Name, row.Value)
		}
	}
	if goal := b.report.Rows[0].Goal; *goal != (report.Goal{AtLeast: true, Limit: 0.4}) {
		t.Errorf("goal %+v", goal)
	}
	own, err := b.load(t.Context(), &system{name: "bare-fsync"}, task{messages: true})
	if err != nil || own.Book != b.messages() || own.Token != "" {
		t.Errorf("baseline: %+v, %v", own, err)
	}
}

func TestACanceledRunLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	b := small(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	b.opt.seconds = time.Minute
	if _, err := b.full(ctx, "bare-fsync", task{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestConfigurationIsWhatServeReads(t *testing.T) {
	t.Parallel()
	const alone = `listen: "127.0.0.1:1234"
data: "/a/\"b\" c"
allow_nets: ["127.0.0.0/8"]
jwt_secret: "s3cret"
sources:
  - name: bench
    provider: veriff
    secrets: ["s3cret"]
`
	const endpoints = `    endpoints:
      - url: "http://127.0.0.1:1/a"
        secret: "whsec_AAAA"
      - url: "http://127.0.0.1:2/b"
        secret: "whsec_AAAA"
`
	got := configuration("127.0.0.1:1234", `/a/"b" c`, "s3cret", "whsec_AAAA", nil)
	if diff := cmp.Diff(alone, string(got)); diff != "" {
		t.Error(diff)
	}
	got = configuration("127.0.0.1:1234", `/a/"b" c`, "s3cret", "whsec_AAAA", []string{"http://127.0.0.1:1/a", "http://127.0.0.1:2/b"})
	if diff := cmp.Diff(alone+endpoints, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestDeliveryBeforeTheAnswerCountsAsZero(t *testing.T) {
	t.Parallel()
	to, err := sink.Listen(time.Now().Add(-time.Second)) // arrivals are at 1 s and later
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	b := small(t)
	body, sig := make([]byte, 1024), make([]byte, 64)
	b.book.Write(body, sig, 0)
	resp, err := http.Post(to.URL(), "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	sent := load.Result{Accepted: []load.Answer{
		{Number: 0, Due: 100 * time.Millisecond, Sent: 110 * time.Millisecond, Answered: time.Hour},
	}}
	got := timesOf(sent, to)
	if got.deliver[0] != 0 || got.whole[0] < 900*time.Millisecond || got.late[0] != 10*time.Millisecond {
		t.Errorf("got %+v", got)
	}
}

func TestParseRefusesWhatItCannotMeasure(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-pairs 0":            "-pairs 0: give 1 to 100",
		"-messages 1":         "-messages 1: give 1,000 to 10,000,000",
		"-endpoints 9":        "-endpoints 9: give 10 to 5,000",
		"-seconds 0":          "-seconds 0: give 0.1 to 60",
		"-steady-seconds 9e9": "-steady-seconds",
		"-run nothing":        `-run "nothing" matches no measurement: there are baselines, intake, api, relay, fan-out, latency, silent, hanging, replay, restart, claims, lists, idle, postgres, `,
		"-run (":              "-run: error parsing regexp",
		"-begin /nowhere":     "-begin: stat /nowhere/sigpost.db",
		"extra":               `unexpected argument "extra"`,
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
	if _, err := parse([]string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestMeasureWritesTheFigures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "figures.json")
	err := measure(t.Context(), []string{"-run", "idle|silent", "-quick", "-sigpost", "/dev/null", "-dir", dir})
	if err == nil || !strings.Contains(err.Error(), "measure silent:") || !strings.Contains(err.Error(), "measure idle:") {
		t.Errorf("both fail, but the error is %v", err)
	}
	err = measure(t.Context(), []string{"-run", "idle", "-quick", "-sigpost", os.Args[0], "-dir", dir, "-json", path})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !regexp.MustCompile(`"name": "sigpost, memory"`).Match(text) {
		t.Errorf("%s, %v", text, err)
	}
}
