package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/bench/internal/load"
	"github.com/sigpost/sigpost/bench/internal/report"
)

const (
	hangingEvery = 10  // one of so many endpoints hangs at full speed
	hangingGoal  = 0.9 // deliveries a second of the others
	// crowdLate is how late after it was due the slowest hundredth may be answered at a
	// fixed rate: beyond it the machine does not carry the rate, and has half of it.
	crowdLate = time.Second
	// crowdLeast is a number of endpoints that is not halved any more.
	crowdLeast = 50
)

// hanging is what endpoints that never answer cost the others: at full speed, where a tenth
// of them hang, and at a fixed rate of an event a second for each, where one does.
func (b *bench) hanging(ctx context.Context) error {
	if err := b.hangingTenth(ctx); err != nil {
		return err
	}
	return b.hangingOne(ctx)
}

// hangingTenth compares the endpoints that answer with themselves where the others answer, too,
// and where there are no others. Runs are as long as those at a fixed rate: longer than
// the 15 s after which an attempt that hangs is given up.
func (b *bench) hangingTenth(ctx context.Context) error {
	n := b.opt.endpoints
	crowds := map[string]crowd{
		"a tenth hangs": {n, hangingEvery},
		"none hangs":    {n, 0},
		"no others":     {n - n/hangingEvery, 0},
	}
	group := fmt.Sprintf("%d endpoints, of which a tenth hangs", n)
	all, err := b.inTurn(group, []string{"no others", "a tenth hangs", "none hangs"}, func(name string) (figures, error) {
		return b.crowdAtFullSpeed(ctx, crowds[name])
	})
	if err != nil {
		return err
	}
	hang, same, alone := all["a tenth hangs"], all["none hangs"], all["no others"]
	share := 1 - 1/float64(hangingEvery) // of what all endpoints get: the healthy ones' where none hangs
	healthy := same.each(func(f figures) float64 { return f.rate * share })
	b.report.Add(group, "the others / the same with none that hangs", report.Ratio, report.AtLeast(hangingGoal), "of the same events", report.Ratios(hang.rates(), healthy)...)
	b.report.Add(group, "the others / without those that hang", report.Ratio, report.AtLeast(hangingGoal), "a tenth of the events go to those that hang",
		report.Ratios(hang.rates(), alone.rates())...)
	b.report.Add(group, "the others", report.Rate, nil, hang.refused(), hang.rates()...)
	b.report.Add(group, "the same with none that hangs", report.Rate, nil, same.refused(), healthy...)
	b.report.Add(group, "without those that hang", report.Rate, nil, alone.refused(), alone.rates()...)
	b.report.Add(group, "CPU per event accepted", report.Milliseconds, nil, "start included", hang.cpu()...)
	b.report.Add(group, "with none that hangs, CPU per event accepted", report.Milliseconds, nil, "", same.cpu()...)
	b.report.Add(group, "without those that hang, CPU per event accepted", report.Milliseconds, nil, "", alone.cpu()...)
	b.report.Add(group, "sigpost, peak memory", report.MiB, nil, "", hang.peak()...)
	b.report.Add(group, "with none that hangs, peak memory", report.MiB, nil, "", same.peak()...)
	return nil
}

// crowdAtFullSpeed counts what arrives at the endpoints that do not hang.
func (b *bench) crowdAtFullSpeed(ctx context.Context, of crowd) (f figures, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*b.opt.steady+5*time.Minute, errors.New("the run took too long"))
	defer cancel()
	c, err := b.startCrowd(ctx, of)
	if err != nil {
		return f, err
	}
	defer c.close()
	sent, err := load.Closed(ctx, c.opt, b.opt.steady)
	if err != nil {
		return f, fmt.Errorf("load %d endpoints: %w", of.endpoints, err)
	}
	healthy, err := c.arrive(ctx, b, sent)
	if err != nil {
		return f, err
	}
	f.refused = sent.Refused
	f.rate = float64(len(healthy.Accepted)) / (healthy.Ended - healthy.Began).Seconds()
	if _, f.peak, err = c.Memory(); err != nil {
		return f, err
	}
	f.usage = c.End() // not in order: that would wait for those that hang
	f.events = len(sent.Accepted)
	return f, nil
}

// hangingOne is the latency of the others where each endpoint gets an event a second.
func (b *bench) hangingOne(ctx context.Context) error {
	n := b.opt.endpoints
	t, err := b.crowdSteady(ctx, n)
	for err == nil && n > crowdLeast && report.Percentile(t.accept, 99) > crowdLate {
		b.say("hanging: %d events/s are too many for the machine", n)
		n /= 2
		t, err = b.crowdSteady(ctx, n)
	}
	if err != nil {
		return err
	}
	group := fmt.Sprintf("%d endpoints of which one hangs, an event a second each", n)
	note := ""
	if n < b.opt.endpoints {
		note = fmt.Sprintf("the machine did not carry %d", b.opt.endpoints)
	}
	b.percentile(group, "accept→delivered", t.deliver, 50, report.AtMost(5), note)
	b.percentile(group, "accept→delivered", t.deliver, 99, report.AtMost(100), "")
	b.percentile(group, "sent→delivered", t.whole, 50, nil, "from when it was due")
	b.percentile(group, "sent→delivered", t.whole, 99, nil, "")
	b.percentile(group, "accept", t.accept, 50, nil, "")
	b.percentile(group, "accept", t.accept, 99, nil, "")
	b.percentile(group, "bench, due→sent", t.late, 99, nil, "part of the figures from when it was due")
	b.report.Add(group, "delivered", report.Count, nil, fmt.Sprintf("each that was accepted; %d were refused", t.refused), float64(len(t.deliver)))
	return nil
}

// crowdSteady times the events of all endpoints but the one that hangs.
func (b *bench) crowdSteady(ctx context.Context, endpoints int) (t times, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*b.opt.steady+5*time.Minute, errors.New("the run took too long"))
	defer cancel()
	c, err := b.startCrowd(ctx, crowd{endpoints, endpoints})
	if err != nil {
		return t, err
	}
	defer c.close()
	b.say("hanging: %d events/s for %s", endpoints, b.opt.steady)
	sent, err := load.Open(ctx, c.opt, endpoints, max(b.opt.steady, time.Second)) // one event for each at least
	if err != nil {
		return t, fmt.Errorf("load %d endpoints: %w", endpoints, err)
	}
	healthy, err := c.arrive(ctx, b, sent)
	return timesOf(healthy, c.to), err
}
