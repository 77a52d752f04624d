package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/bench/internal/report"
)

// databaseCPU is that of PostgreSQL per event, and bothCPU that of the nodes as well.
func (r runs) databaseCPU() []float64 {
	return r.each(func(f figures) float64 { return milliseconds(f.database.CPU) / float64(f.events) })
}

func (r runs) bothCPU() []float64 {
	return r.each(func(f figures) float64 { return milliseconds(f.usage.CPU+f.database.CPU) / float64(f.events) })
}

func (r runs) commits() []float64 {
	return r.each(func(f figures) float64 { return float64(f.database.Commits) / float64(f.events) })
}

// oneNode compares one node on PostgreSQL, until everything has arrived, with bare-relay.
func (b *bench) oneNode(ctx context.Context) error {
	on, err := b.stocked(ctx)
	if err != nil {
		return err
	}
	group := b.stockGroup("one node")
	all, err := b.inTurn(group, []string{"bare-relay", "sigpost"}, func(name string) (figures, error) {
		if name == "sigpost" {
			return b.sharedFor(ctx, on, 1)
		}
		return b.full(ctx, name, task{deliver: true})
	})
	if err != nil {
		return err
	}
	b.compare(group, "bare-relay", 0.45, all)
	sigpost := all["sigpost"]
	b.report.Add(group, "node and PostgreSQL, CPU per event", report.Milliseconds, report.AtMost(0.35), "all processes, start and stop of the node included", sigpost.bothCPU()...)
	b.report.Add(group, "node, CPU per event", report.Milliseconds, nil, "", sigpost.cpu()...)
	b.report.Add(group, "PostgreSQL, CPU per event", report.Milliseconds, nil, "", sigpost.databaseCPU()...)
	b.report.Add(group, "bare-relay, CPU per event", report.Milliseconds, nil, "", all["bare-relay"].cpu()...)
	b.report.Add(group, "bench's own CPU per event", report.Milliseconds, nil, "generator and receiver", sigpost.own()...)
	b.report.Add(group, "transactions", report.PerEvent, nil, "each is one round trip; heartbeats and the like included", sigpost.commits()...)
	b.report.Add(group, "node, peak memory", report.MiB, nil, "", sigpost.peak()...)
	return b.reportCheckpoint(ctx, group, sigpost)
}

// reportCheckpoint has what the runs left in memory written, and says what that takes: it
// is part of what an event costs, and not in the figures of the runs.
func (b *bench) reportCheckpoint(ctx context.Context, group string, of runs) error {
	events := 0
	for _, f := range of {
		events += f.events
	}
	before, err := b.pg.CPU()
	if err != nil {
		return err
	}
	if err := b.pg.Checkpoint(ctx); err != nil {
		return err
	}
	after, err := b.pg.CPU()
	b.report.Add(group, "a checkpoint afterwards, CPU per event", report.Milliseconds, nil, fmt.Sprintf("%d events", events), milliseconds(after-before)/float64(events))
	return err
}

// twoNodes compares two nodes with one on the same database and the same cores.
func (b *bench) twoNodes(ctx context.Context) error {
	on, err := b.stocked(ctx)
	if err != nil {
		return err
	}
	group := b.stockGroup("two nodes and one")
	all, err := b.inTurn(group, []string{"one node", "two nodes"}, func(name string) (figures, error) {
		return b.sharedFor(ctx, on, map[string]int{"one node": 1, "two nodes": 2}[name])
	})
	if err != nil {
		return err
	}
	one, two := all["one node"], all["two nodes"]
	b.report.Add(group, "two nodes / one node", report.Ratio, report.AtLeast(0.9), "on the same cores", report.Ratios(two.rates(), one.rates())...)
	for _, name := range []string{"one node", "two nodes"} {
		b.report.Add(group, name, report.Rate, nil, all[name].refused(), all[name].rates()...)
		b.report.Add(group, name+", CPU per event", report.Milliseconds, nil, "with PostgreSQL", all[name].bothCPU()...)
	}
	return nil
}

// fresh compares the first seconds of a database that was just made with those after its
// first ANALYZE: a plan made on empty tables must not be a slow one.
func (b *bench) fresh(ctx context.Context) error {
	const group = "postgresql: the first seconds of a database"
	var first, after runs
	for round := range b.opt.pairs {
		f, a, err := b.freshPair(ctx)
		if err != nil {
			return err
		}
		first, after = append(first, f), append(after, a)
		b.say("%s %d/%d: %.0f events/s, after ANALYZE %.0f", group, round+1, b.opt.pairs, f.rate, a.rate)
	}
	b.report.Add(group, "without statistics / after ANALYZE", report.Ratio, report.AtLeast(0.9), "the same node goes on", report.Ratios(first.rates(), after.rates())...)
	b.report.Add(group, fmt.Sprintf("without statistics, the first %s", b.opt.seconds), report.Rate, nil, first.refused(), first.rates()...)
	b.report.Add(group, "after ANALYZE", report.Rate, nil, after.refused(), after.rates()...)
	return nil
}

// freshPair floods a node on a database of its own twice, with an ANALYZE in between.
func (b *bench) freshPair(ctx context.Context) (first, after figures, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*b.opt.seconds+5*time.Minute, errors.New("the run took too long"))
	defer cancel()
	on, err := b.createDatabase(ctx)
	if err != nil {
		return first, after, err
	}
	defer func() { err = errors.Join(err, on.drop(ctx)) }()
	c, err := b.startCluster(ctx, on, 1)
	if err != nil {
		return first, after, err
	}
	defer c.close()
	events := int(b.opt.seconds.Seconds() * fastestShared)
	if first, err = c.flood(ctx, b, events, b.opt.seconds); err != nil {
		return first, after, err
	}
	if err := on.server.Exec(ctx, on.name, "ANALYZE"); err != nil {
		return first, after, err
	}
	if after, err = c.flood(ctx, b, events, b.opt.seconds); err != nil {
		return first, after, err
	}
	var cost figures
	return first, after, c.finish(&cost)
}
