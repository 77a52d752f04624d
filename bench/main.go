// Command bench measures what Sigpost costs, as ratios to servers that do less (package
// role), and prints the table behind docs/performance.md:
//
//	go run ./bench                         # everything, about an hour
//	go run ./bench -quick                  # a smoke run: the figures mean little
//	go run ./bench -run 'intake|relay' -seconds 10 -json figures.json
//	go run ./bench -run postgres           # all on PostgreSQL, about a quarter of an hour
//	go run ./bench -run '^postgres$'       # one node on it, and no more
//
// It builds cmd/sigpost and runs each system as a process of its own, one at a time, with
// its data in a directory that is removed afterwards. The load generator and the receiver
// of the deliveries are in the bench's own process, and all share the machine: a figure
// says what the whole of it comes to, and only ratios within one run travel to other
// machines. Nothing leaves the loopback interface. Sigpost is told to allow deliveries to
// 127.0.0.0/8; that it refuses its own listeners is no matter here, the receiver is ours.
//
// The events are decisions as Veriff posts them, 1,024 bytes, signed, each different.
// Signatures are computed before the clock starts. What generator and receiver cost
// together is measured and printed per event ("bench's own CPU"). By the API (api, lists)
// each is the payload of a message, with an idempotency key of its own.
//
// For lists a store is filled first, by this program in yet another process (package fill);
// a million messages take about 3 GB of disk and a minute or two. The lists are read while
// messages are created and delivered.
//
// PostgreSQL (package postgres) is started by the bench, from Debian's package, with syncs,
// full pages and autovacuum on, and removed afterwards; where it is not installed, or the system is not
// Linux, these measurements are passed over. It runs as another user where the bench is
// root, who must be able to get to -dir. A million events are written into its database
// first, which takes some minutes and 4 GB. What PostgreSQL costs is the CPU of all its
// processes, those that ended included.
//
// A missed target is a result: the exit code is 0. It is 1 when something failed, most of
// all when an event that was answered 200 never arrived.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/sigpost/sigpost/bench/internal/fill"
	"github.com/sigpost/sigpost/bench/internal/role"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "role":
		err = role.Run(ctx, os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == "fill":
		err = fill.Run(ctx, os.Args[2:], os.Stdout)
	default:
		err = measure(ctx, os.Args[1:])
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	seconds time.Duration // of each run at full speed
	steady  time.Duration // of each run at a fixed rate
	idle    time.Duration // before memory is read
	// patience is how long nothing new may arrive before what is missing counts as lost:
	// longer than a first retry (5 s and a tenth) after a request that timed out (15 s).
	patience time.Duration
	pairs    int
	messages int // in the store of the lists
	// endpoints are as many as hanging has; restart has ten times as many.
	endpoints int
	run       *regexp.Regexp
	dir       string
	json      string
	binary    string
	profiles  string // directory for profiles of Sigpost's runs
	begin     string // a data directory, copied for each run of Sigpost
}

func parse(args []string) (options, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	seconds := flags.Float64("seconds", 5, "length of each run at full speed")
	steady := flags.Float64("steady-seconds", 20, "length of each run at a fixed rate")
	pairs := flags.Int("pairs", 5, "how often each two systems are run in turn")
	messages := flags.Int("messages", 1_000_000, "how many messages there are for lists, and events in PostgreSQL; a million takes about 4 GB below -dir")
	endpoints := flags.Int("endpoints", 1000, "how many endpoints there are for hanging; ten times as many for restart")
	run := flags.String("run", ".", "measure only what matches this regular expression: "+names())
	dir := flags.String("dir", ".", "where the data directories are made, and removed again")
	json := flags.String("json", "", "write the figures to this file, too")
	binary := flags.String("sigpost", "", "measure this program instead of building cmd/sigpost")
	profiles := flags.String("profiles", "", "write a CPU profile of each run of sigpost into this directory")
	begin := flags.String("begin", "", "begin each run of sigpost with a copy of this data directory; one full of dedupe keys comes from BenchmarkSeen of internal/store")
	quick := flags.Bool("quick", false, "one short pair of each, 20,000 messages: shows that it works, no more")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	opt := options{
		seconds: time.Duration(*seconds * float64(time.Second)),
		steady:  time.Duration(*steady * float64(time.Second)),
		idle:    5 * time.Second, patience: 30 * time.Second,
		pairs: *pairs, messages: *messages, endpoints: *endpoints, dir: *dir, json: *json, binary: *binary, profiles: *profiles, begin: *begin,
	}
	if *quick {
		opt.seconds, opt.steady, opt.idle, opt.pairs, opt.messages, opt.endpoints = time.Second, 2*time.Second, time.Second, 1, 20_000, 100
	}
	return opt, opt.check(*run)
}

// check refuses what cannot be measured in a bounded time, and compiles the choice.
func (o *options) check(run string) (err error) {
	if o.run, err = regexp.Compile(run); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if len(chosen(o.run)) == 0 {
		return fmt.Errorf("-run %q matches no measurement: there are %s", run, names())
	}
	if o.pairs < 1 || o.pairs > 100 {
		return fmt.Errorf("-pairs %d: give 1 to 100", o.pairs)
	}
	if o.messages < 1000 || o.messages > 10_000_000 {
		return fmt.Errorf("-messages %d: give 1,000 to 10,000,000", o.messages)
	}
	if o.endpoints < 10 || o.endpoints > 5000 {
		return fmt.Errorf("-endpoints %d: give 10 to 5,000", o.endpoints)
	}
	if _, err := os.Stat(o.profiles); o.profiles != "" && err != nil {
		return fmt.Errorf("-profiles: %w; name a directory that is there", err)
	}
	if _, err := os.Stat(filepath.Join(o.begin, "sigpost.db")); o.begin != "" && err != nil {
		return fmt.Errorf("-begin: %w; name a data directory", err)
	}
	for name, d := range map[string]time.Duration{"-seconds": o.seconds, "-steady-seconds": o.steady} {
		if d < 100*time.Millisecond || d > time.Minute {
			return fmt.Errorf("%s %g: give 0.1 to 60", name, d.Seconds())
		}
	}
	return nil
}

// measure runs the measurements that args choose and prints the table.
func measure(ctx context.Context, args []string) (err error) {
	opt, err := parse(args)
	if err != nil {
		return err
	}
	b, err := newBench(opt, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	b.report.Command = strings.TrimSpace("bench " + strings.Join(args, " "))
	var failed []error // what fails does not take the figures of the rest along
	for _, m := range chosen(opt.run) {
		if ctx.Err() != nil {
			break
		}
		if err := m.do(b, ctx); err != nil {
			failed = append(failed, fmt.Errorf("measure %s: %w", m.name, err))
		}
	}
	failed = append(failed, b.report.WriteTable(os.Stdout))
	if opt.json != "" {
		failed = append(failed, b.report.WriteFile(opt.json))
	}
	return errors.Join(failed...)
}
