package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sigpost/sigpost/bench/internal/event"
	"github.com/sigpost/sigpost/bench/internal/machine"
	"github.com/sigpost/sigpost/bench/internal/postgres"
	"github.com/sigpost/sigpost/bench/internal/report"
	"github.com/sigpost/sigpost/internal/seal"
)

const (
	// connections is how many requests are under way at once.
	connections = 64
	// fastest is how many events a second the book has for a run. A run that is faster ends
	// early, which changes no rate; two cores do not get there.
	fastest = 80_000
)

// measurement is one part of the plan, chosen by its name.
type measurement struct {
	name string
	do   func(*bench, context.Context) error
}

// plan is everything that can be measured, in the order of the table.
func plan() []measurement {
	return []measurement{
		{"baselines", (*bench).baselines},
		{"intake", (*bench).intake},
		{"api", (*bench).api},
		{"relay", (*bench).relay},
		{"fan-out", (*bench).fanOut},
		{"latency", (*bench).latency},
		{"silent", (*bench).silent},
		{"hanging", (*bench).hanging},
		{"replay", (*bench).replay},
		{"restart", (*bench).restart},
		{"claims", (*bench).sqliteClaims},
		{"lists", (*bench).lists},
		{"idle", (*bench).idle},
		onPostgres("postgres", (*bench).oneNode),
		onPostgres("postgres-nodes", (*bench).twoNodes),
		onPostgres("postgres-log", (*bench).log),
		onPostgres("postgres-fresh", (*bench).fresh),
		onPostgres("postgres-claims", (*bench).postgresClaims),
		onPostgres("postgres-design", (*bench).designs),
	}
}

// chosen are the measurements whose name matches.
func chosen(match *regexp.Regexp) []measurement {
	var out []measurement
	for _, m := range plan() {
		if match.MatchString(m.name) {
			out = append(out, m)
		}
	}
	return out
}

// names lists the measurements for a person.
func names() string {
	var all []string
	for _, m := range plan() {
		all = append(all, m.name)
	}
	return strings.Join(all, ", ")
}

// bench holds what the measurements share.
type bench struct {
	opt      options
	progress io.Writer
	zero     time.Time // all times count from here
	dir      string    // of its own, removed by close
	self     string    // the running program, which also plays the baselines
	sigpost  string    // the program under test; built when it is first needed
	secret   string    // of incoming requests, and of the API's tokens
	signing  string    // of outgoing requests
	master   string    // key of nodes that share a database
	token    string    // of the API
	book     *event.Book
	report   report.Report

	messageBook *event.Book // see messages

	available func() error     // whether PostgreSQL can be measured
	pg        *postgres.Server // see postgresServer
	databases int              // that were made on it
	stock     *database        // see stocked
}

// newBench prepares: the directory, the secrets, the signatures.
func newBench(opt options, progress io.Writer) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the baselines: %w", err)
	}
	dir, err := os.MkdirTemp(opt.dir, ".bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory below -dir: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("find the directory below -dir: %w", err)
	}
	key := make([]byte, 32)
	rand.Read(key) //nolint:errcheck // it never fails (crypto/rand)
	secret := rand.Text() + rand.Text()
	events := max(opt.seconds.Seconds()*fastest, opt.steady.Seconds()*steadyRate)
	return &bench{
		opt: opt, progress: progress, zero: time.Now(), dir: dir, self: self, sigpost: opt.binary,
		secret:  secret,
		token:   token(secret, organization, time.Now()),
		signing: "whsec_" + base64.StdEncoding.EncodeToString(key), master: seal.NewKey(),
		book: event.NewBook(secret, int(events)), available: postgres.Available,
		report: report.Report{
			Date: time.Now().Truncate(time.Second), Machine: machine.Look(dir),
			Plan: fmt.Sprintf("%d connections, bodies of %d bytes; %d runs of %s each in turn, figures are medians; fixed rates for %s",
				connections, event.Size, opt.pairs, opt.seconds, opt.steady),
		},
	}, nil
}

// close removes the data.
func (b *bench) close() error {
	var err error
	if b.pg != nil {
		err = b.pg.Close()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// say tells whoever waits what is going on.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, format+"\n", args...)
}

// program is the path of the Sigpost to be measured.
func (b *bench) program(ctx context.Context) (string, error) {
	if b.sigpost != "" {
		return b.sigpost, nil
	}
	b.say("building cmd/sigpost")
	path := filepath.Join(b.dir, "sigpost")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "github.com/sigpost/sigpost/cmd/sigpost")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	out, err := build.CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("build cmd/sigpost: %w", err), errors.New(strings.TrimSpace(string(out))))
	}
	b.sigpost = path
	return path, nil
}
