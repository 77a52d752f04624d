package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/bench/internal/child"
	"github.com/sigpost/sigpost/bench/internal/load"
	"github.com/sigpost/sigpost/bench/internal/report"
	"github.com/sigpost/sigpost/bench/internal/sink"
)

const (
	fanOutWidth = 10   // endpoints of the source
	fanOutGoal  = 0.75 // deliveries a second, of what bare-post posts
)

// fanOut compares deliveries of a source with ten endpoints, until the last of each event
// has arrived, with bare-post: one that sends as many from memory and receives nothing.
func (b *bench) fanOut(ctx context.Context) error {
	group := fmt.Sprintf("fan-out to %d endpoints", fanOutWidth)
	all, err := b.inTurn(group, []string{"bare-post", "sigpost"}, func(name string) (figures, error) {
		if name == "sigpost" {
			return b.fanned(ctx)
		}
		return b.full(ctx, name, task{deliver: true})
	})
	if err != nil {
		return err
	}
	b.compare(group, "bare-post", fanOutGoal, all)
	sigpost, post := all["sigpost"], all["bare-post"]
	b.report.Add(group, "sigpost, CPU per delivery", report.Milliseconds, nil, "whole process, start and stop included; a tenth of an event's intake is part of it", sigpost.cpu()...)
	b.report.Add(group, "bare-post, CPU per delivery", report.Milliseconds, nil, "", post.cpu()...)
	b.report.Add(group, "bench's own CPU per delivery", report.Milliseconds, nil, "generator and receivers", sigpost.own()...)
	b.report.Add(group, "sigpost, written per delivery", report.KiB, nil, "", sigpost.written()...)
	b.report.Add(group, "sigpost, peak memory", report.MiB, nil, "", sigpost.peak()...)
	return nil
}

// fanned is a run of Sigpost at full speed with one source and its ten endpoints, each a
// server of its own. What it counts are deliveries.
func (b *bench) fanned(ctx context.Context) (f figures, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*b.opt.seconds+5*time.Minute, errors.New("the run took too long"))
	defer cancel()
	var urls []string
	sinks := make([]*sink.Sink, fanOutWidth)
	for i := range sinks {
		if sinks[i], err = sink.Listen(b.zero); err != nil {
			return f, err
		}
		defer sinks[i].Close()
		urls = append(urls, sinks[i].URL())
	}
	s, err := b.start(ctx, "sigpost", urls...)
	if err != nil {
		return f, err
	}
	defer s.close()
	opt, err := b.load(ctx, s, task{})
	if err != nil {
		return f, err
	}
	before := child.Own()
	sent, err := load.Closed(ctx, opt, b.opt.seconds)
	if err != nil {
		return f, fmt.Errorf("load sigpost: %w", err)
	}
	f.events, f.refused = fanOutWidth*len(sent.Accepted), sent.Refused
	if f.events == 0 {
		return f, fmt.Errorf("no event was accepted, %d were refused", f.refused)
	}
	end := sent.Ended
	for _, to := range sinks {
		last, err := to.Await(ctx, sent.Numbers(), b.opt.patience)
		if err != nil {
			return f, err
		}
		if _, _, foreign := to.Counts(); foreign > 0 {
			return f, fmt.Errorf("%d deliveries were not what had been sent", foreign)
		}
		end = max(end, last)
	}
	f.rate = float64(f.events) / (end - sent.Began).Seconds()
	f.own = child.Own() - before
	return f, s.finish(&f)
}
