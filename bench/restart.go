package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sigpost/sigpost/bench/internal/report"
	"github.com/sigpost/sigpost/bench/internal/sink"
)

const (
	restartFailing = 10   // one of so many endpoints fails
	restartGoal    = 5000 // milliseconds until the first delivery
	// restartPorts is among how many hosts the endpoints are divided: each would take two
	// files of the machine.
	restartPorts = 500
	restartLimit = 30 * time.Minute
	// restartQuiet is how long nothing may come of what a killed process had under way.
	restartQuiet = 100 * time.Millisecond
)

// revived is what one start after a kill came to.
type revived struct {
	listening time.Duration // until its health was answered
	first     time.Duration // until the first delivery arrived
	rate      float64       // deliveries a second from then on
	peak      int64         // memory, bytes
}

// restart kills a Sigpost with many retries due, and starts it again: until the first delivery
// arrives, and what it holds in memory then.
func (b *bench) restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, restartLimit, errors.New("the restarts took too long"))
	defer cancel()
	to, err := sink.ListenOn(b.zero, restartPorts)
	if err != nil {
		return err
	}
	defer to.Close()
	fault, err := sink.OpenFault()
	if err != nil {
		return err
	}
	defer fault.Close()
	dir, err := os.MkdirTemp(b.dir, "restart-")
	if err != nil {
		return fmt.Errorf("make the data directory of restarts: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the bench removes the directory above at its end
	urls := restartURLs(10*b.opt.endpoints, to.URLs(), fault.URL())
	b.say("restart: writing and indexing %d retries of %d endpoints", b.opt.messages, len(urls))
	began := time.Now()
	if _, err := b.tenants(ctx, dir, urls, b.opt.messages); err != nil {
		return err
	}
	b.say("restart: that took %s", time.Since(began).Round(time.Second/10))
	all, err := b.killAndStart(ctx, dir, to)
	if err != nil {
		return err
	}
	if fault.Asked() == 0 {
		return errors.New("nothing was sent to the endpoints that fail: this measured nothing")
	}
	b.reportRestart(len(urls), all, to, fault)
	return nil
}

// restartURLs are n URLs, of which every so many the last is on the host that fails, and the
// others are divided among hosts.
func restartURLs(n int, hosts []string, fails string) []string {
	urls := make([]string, n)
	for i := range urls {
		host := hosts[i%len(hosts)]
		if i%restartFailing == restartFailing-1 {
			host = fails
		}
		urls[i] = fmt.Sprintf("%s/%d", host, i)
	}
	return urls
}

// killAndStart starts Sigpost, lets it deliver for a while, kills it, and so on. The first
// start is the one that finds what another process left in order; the others come after a kill.
func (b *bench) killAndStart(ctx context.Context, dir string, to *sink.Sink) (all []revived, err error) {
	// Each run leaves enough for the next ones, however few there were.
	share := b.opt.messages * (restartFailing - 1) / restartFailing / (b.opt.pairs + 2)
	for round := range b.opt.pairs + 1 {
		r, err := b.revive(ctx, dir, to, share)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
		b.say("restart %d/%d: first delivery after %s, then %.0f a second; %d MiB", round, b.opt.pairs, r.first.Round(time.Millisecond), r.rate, r.peak>>20)
	}
	return all, nil
}

// revive starts Sigpost on what is there, and kills it when it has delivered for -seconds, or
// so many.
func (b *bench) revive(ctx context.Context, dir string, to *sink.Sink, most int) (r revived, err error) {
	if err := to.Quiet(ctx, restartQuiet); err != nil {
		return r, err
	}
	before := to.Total()
	s, err := b.launch(ctx, "sigpost", place{dir: dir})
	if err != nil {
		return r, err
	}
	defer s.Kill()
	r.listening = time.Since(s.began)
	first, err := to.First(ctx, b.opt.patience)
	if err != nil {
		return r, err
	}
	r.first = first - s.began.Sub(b.zero)
	for end := time.After(b.opt.seconds); ; {
		select {
		case <-ctx.Done():
			return r, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
			if to.Total()-before < most {
				continue
			}
		case <-end:
		}
		break
	}
	r.rate = float64(to.Total()-before) / (time.Since(b.zero) - first).Seconds()
	_, r.peak, err = s.Memory()
	return r, err
}

func (b *bench) reportRestart(endpoints int, all []revived, to *sink.Sink, fault *sink.Fault) {
	group := fmt.Sprintf("after kill -9 with %d retries due, of %d endpoints of which a tenth fails", b.opt.messages, endpoints)
	each := func(value func(revived) float64) (list []float64) {
		for _, r := range all[1:] {
			list = append(list, value(r))
		}
		return list
	}
	unique, repeated, _ := to.Counts()
	b.report.Add(group, "start until the first delivery", report.Milliseconds, report.AtMost(restartGoal), "", each(func(r revived) float64 { return milliseconds(r.first) })...)
	b.report.Add(group, "start until it listens", report.Milliseconds, nil, "", each(func(r revived) float64 { return milliseconds(r.listening) })...)
	b.report.Add(group, "first start of all, until the first delivery", report.Milliseconds, nil, "what was left in order", milliseconds(all[0].first))
	b.report.Add(group, "delivered from then on", report.Rate, nil,
		fmt.Sprintf("in all %d, %d of them again; %d attempts failed", unique, repeated, fault.Asked()), each(func(r revived) float64 { return r.rate })...)
	b.report.Add(group, "sigpost, peak memory", report.MiB, nil, fmt.Sprintf("until %s after the first delivery", b.opt.seconds), each(func(r revived) float64 { return float64(r.peak) / (1 << 20) })...)
}
