package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/bench/internal/load"
	"github.com/sigpost/sigpost/bench/internal/report"
	"github.com/sigpost/sigpost/bench/internal/sink"
)

const (
	steadyRate = 200 // events a second beside healthy endpoints
	silentRate = 50  // events a second beside one that never answers
)

// times are the latencies of a run at a fixed rate.
type times struct {
	late    []time.Duration // from due to sent: the generator's own fault
	accept  []time.Duration // from due to the 200
	deliver []time.Duration // from the 200 to the arrival; 0 if that came first
	whole   []time.Duration // from due to the arrival
	refused int
}

// steady runs the system called name at a fixed rate and waits until everything accepted
// has arrived at the sink, which is the first of its endpoints; the others come after.
// With sends unset there is no sink, and only accept and late are filled.
func (b *bench) steady(ctx context.Context, name string, rate int, sends bool, others ...string) (t times, err error) {
	var endpoints []string
	var to *sink.Sink
	if sends {
		if to, err = sink.Listen(b.zero); err != nil {
			return t, err
		}
		defer to.Close()
		endpoints = append([]string{to.URL()}, others...)
	}
	s, err := b.start(ctx, name, endpoints...)
	if err != nil {
		return t, err
	}
	defer s.close()
	b.say("%s at %d events/s for %s", name, rate, b.opt.steady)
	opt, err := b.load(ctx, s, task{})
	if err != nil {
		return t, err
	}
	sent, err := load.Open(ctx, opt, rate, b.opt.steady)
	if err != nil {
		return t, fmt.Errorf("load %s: %w", name, err)
	}
	if to != nil {
		if _, err = to.Await(ctx, sent.Numbers(), b.opt.patience); err != nil {
			return t, err
		}
	}
	if _, err = s.Stop(stopLimit); err != nil {
		return t, err
	}
	return timesOf(sent, to), nil
}

// timesOf sets the answers against the arrivals, if there is a sink.
func timesOf(sent load.Result, to *sink.Sink) times {
	t := times{refused: sent.Refused}
	for _, a := range sent.Accepted {
		t.late = append(t.late, a.Sent-a.Due)
		t.accept = append(t.accept, a.Answered-a.Due)
		if to == nil {
			continue
		}
		if at, ok := to.Arrival(a.Number); ok {
			t.deliver = append(t.deliver, max(0, at-a.Answered))
			t.whole = append(t.whole, at-a.Due)
		}
	}
	return t
}

// percentile adds a percentile of values as a row.
func (b *bench) percentile(group, name string, values []time.Duration, p float64, goal *report.Goal, note string) {
	b.report.Add(group, fmt.Sprintf("%s p%g", name, p), report.Milliseconds, goal, note,
		milliseconds(report.Percentile(values, p)))
}

// latency is at a rate that leaves the machine idle most of the time. The baselines show
// how much of it is the disk's and the machine's own.
func (b *bench) latency(ctx context.Context) error {
	fsync, err := b.steady(ctx, "bare-fsync", steadyRate, false)
	if err != nil {
		return err
	}
	relay, err := b.steady(ctx, "bare-relay", steadyRate, true)
	if err != nil {
		return err
	}
	t, err := b.steady(ctx, "sigpost", steadyRate, true)
	if err != nil {
		return err
	}
	group := fmt.Sprintf("latency at %d events/s", steadyRate)
	note := "from when it was due"
	if t.refused > 0 {
		note = fmt.Sprintf("%d events were refused (503)", t.refused)
	}
	b.percentile(group, "sigpost, accept", t.accept, 50, nil, note)
	b.percentile(group, "sigpost, accept", t.accept, 99, report.AtMost(10), "")
	b.percentile(group, "sigpost, accept→delivered", t.deliver, 50, report.AtMost(3), "from the 200 as read by the sender")
	b.percentile(group, "sigpost, accept→delivered", t.deliver, 99, nil, "")
	b.percentile(group, "sigpost, sent→delivered", t.whole, 50, nil, "from when it was due")
	b.percentile(group, "sigpost, sent→delivered", t.whole, 99, nil, "")
	b.percentile(group, "bare-fsync, accept", fsync.accept, 50, nil, "")
	b.percentile(group, "bare-fsync, accept", fsync.accept, 99, nil, "")
	b.percentile(group, "bare-relay, sent→delivered", relay.whole, 50, nil, "")
	b.percentile(group, "bare-relay, sent→delivered", relay.whole, 99, nil, "")
	b.percentile(group, "bench, due→sent", t.late, 99, nil, "part of the figures from when it was due")
	return nil
}

// silent is the healthy one of two endpoints of a source, beside one that never answers.
func (b *bench) silent(ctx context.Context) error {
	hole, err := sink.OpenHole()
	if err != nil {
		return err
	}
	defer hole.Close()
	t, err := b.steady(ctx, "sigpost", silentRate, true, hole.URL())
	if err != nil {
		return err
	}
	if hole.Accepted() == 0 {
		return fmt.Errorf("nothing was sent to the silent endpoint: this measured nothing")
	}
	group := fmt.Sprintf("beside a silent endpoint, at %d events/s", silentRate)
	b.percentile(group, "accept→delivered", t.deliver, 50, report.AtMost(3), "")
	b.percentile(group, "accept→delivered", t.deliver, 99, report.AtMost(50), "")
	b.percentile(group, "sent→delivered", t.whole, 50, nil, "")
	b.percentile(group, "sent→delivered", t.whole, 99, nil, "")
	b.report.Add(group, "missing", report.Count, report.AtMost(0),
		fmt.Sprintf("of %d accepted; %d connections to the silent one", len(t.accept), hole.Accepted()),
		float64(len(t.accept)-len(t.deliver)))
	return nil
}

// idle reads the memory of a server that has nothing to do.
func (b *bench) idle(ctx context.Context) error {
	s, err := b.start(ctx, "sigpost", "http://127.0.0.1:9/hook")
	if err != nil {
		return err
	}
	defer s.close()
	b.say("sigpost idle for %s", b.opt.idle)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(b.opt.idle):
	}
	now, _, err := s.Memory()
	if err != nil {
		return err
	}
	if _, err := s.Stop(stopLimit); err != nil {
		return err
	}
	b.report.Add("idle", "sigpost, memory", report.MiB, report.AtMost(40),
		fmt.Sprintf("resident, %s after the start", b.opt.idle), float64(now)/(1<<20))
	return nil
}
