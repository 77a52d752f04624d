package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/bench/internal/report"
)

// runs are the figures of several runs of one system.
type runs []figures

// each is one value of every run.
func (r runs) each(value func(figures) float64) []float64 {
	out := make([]float64, len(r))
	for i, f := range r {
		out[i] = value(f)
	}
	return out
}

func (r runs) rates() []float64 { return r.each(func(f figures) float64 { return f.rate }) }

// cpu is the whole process, from start to end, per event.
func (r runs) cpu() []float64 {
	return r.each(func(f figures) float64 { return milliseconds(f.usage.CPU) / float64(f.events) })
}

func (r runs) own() []float64 {
	return r.each(func(f figures) float64 { return milliseconds(f.own) / float64(f.events) })
}

func (r runs) written() []float64 {
	return r.each(func(f figures) float64 { return float64(f.usage.Written) / 1024 / float64(f.events) })
}

func (r runs) log() []float64 {
	return r.each(func(f figures) float64 { return float64(f.log) / 1024 / float64(f.events) })
}

func (r runs) peak() []float64 {
	return r.each(func(f figures) float64 { return float64(f.peak) / (1 << 20) })
}

// refused says how many events were not accepted, if any: a system that turns load away
// must not look fast for it.
func (r runs) refused() string {
	total := 0
	for _, f := range r {
		total += f.refused
	}
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("%d events were refused (503)", total)
}

// inTurn runs the systems one after the other, A B A B …, so that what the machine does
// beside us in the course of time meets all of them alike.
func (b *bench) inTurn(group string, systems []string, run func(name string) (figures, error)) (map[string]runs, error) {
	all := map[string]runs{}
	for round := range b.opt.pairs {
		for _, name := range systems {
			f, err := run(name)
			if err != nil {
				return nil, err
			}
			all[name] = append(all[name], f)
			b.say("%s %d/%d: %s %.0f events/s", group, round+1, b.opt.pairs, name, f.rate)
		}
	}
	return all, nil
}

// alone runs systems in turn, each with its task.
func (b *bench) alone(ctx context.Context, group string, tasks map[string]task, systems ...string) (map[string]runs, error) {
	return b.inTurn(group, systems, func(name string) (figures, error) { return b.full(ctx, name, tasks[name]) })
}

// baselines are run for themselves, as a measure of the machine.
func (b *bench) baselines(ctx context.Context) error {
	systems := []string{"bare", "bare-fsync", "bare-post", "bare-relay"}
	sends := map[string]task{"bare-post": {deliver: true}, "bare-relay": {deliver: true}}
	all, err := b.alone(ctx, "baselines", sends, systems...)
	if err != nil {
		return err
	}
	for _, name := range systems {
		b.report.Add("baselines", name, report.Rate, nil, all[name].refused(), all[name].rates()...)
		b.report.Add("baselines", name+", CPU per event", report.Milliseconds, nil, "", all[name].cpu()...)
		b.report.Add("baselines", name+", bench's own CPU per event", report.Milliseconds, nil, "", all[name].own()...)
	}
	b.report.Add("baselines", "bare-fsync, written per event", report.KiB, nil, "", all["bare-fsync"].written()...)
	return nil
}

// intake compares a source without endpoints with bare-fsync.
func (b *bench) intake(ctx context.Context) error {
	all, err := b.alone(ctx, "intake", nil, "bare-fsync", "sigpost")
	if err != nil {
		return err
	}
	b.compare("intake", "bare-fsync", 0.6, all)
	return nil
}

// relay compares the whole way, until everything has arrived, with bare-relay, and says
// what it takes.
func (b *bench) relay(ctx context.Context) error {
	sends := map[string]task{"bare-relay": {deliver: true}, "sigpost": {deliver: true}}
	all, err := b.alone(ctx, "relay", sends, "bare-relay", "sigpost")
	if err != nil {
		return err
	}
	b.compare("relay", "bare-relay", 0.65, all)
	sigpost := all["sigpost"]
	b.report.Add("relay", "sigpost, CPU per event", report.Milliseconds, report.AtMost(0.2),
		"whole process, start and stop included", sigpost.cpu()...)
	goal, note := report.AtMost(7), fmt.Sprintf("until the process has ended; %.2f KiB of it log", report.Median(sigpost.log()))
	if report.Median(sigpost.written()) <= 0 {
		goal, note = nil, "not known: this system or file system does not count what is written"
	}
	b.report.Add("relay", "sigpost, written per event", report.KiB, goal, note, sigpost.written()...)
	b.report.Add("relay", "sigpost, peak memory", report.MiB, nil, "", sigpost.peak()...)
	b.report.Add("relay", "bare-relay, CPU per event", report.Milliseconds, nil, "", all["bare-relay"].cpu()...)
	b.report.Add("relay", "bench's own CPU per event", report.Milliseconds, nil, "generator and receiver", sigpost.own()...)
	return nil
}

// compare reports sigpost as a ratio to a baseline, of which least is the aim, and both rates.
func (b *bench) compare(group, baseline string, least float64, all map[string]runs) {
	sigpost, base := all["sigpost"], all[baseline]
	b.report.Add(group, "sigpost / "+baseline, report.Ratio, report.AtLeast(least), "",
		report.Ratios(sigpost.rates(), base.rates())...)
	b.report.Add(group, "sigpost", report.Rate, nil, sigpost.refused(), sigpost.rates()...)
	b.report.Add(group, baseline, report.Rate, nil, base.refused(), base.rates()...)
}

// milliseconds is d as a figure.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
