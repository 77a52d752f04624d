package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/bench/internal/design"
	"github.com/sigpost/sigpost/bench/internal/report"
)

// designShare is which part of the events in the database each run of a design has
// batches: with a million, 200.
const designShare = 5000

// designRun is what the runs of one design in one way came to, per event.
type designRun struct{ cpu, log, rate []float64 } // microseconds, bytes, events a second

// tried is a design with what came of it.
type tried struct {
	design.Design
	bench  *design.Bench
	on     *database
	events int
	before int64                // bytes of indexes
	runs   map[string]designRun // by way
}

// ways are how an event goes through the database.
func ways() []string { return []string{"held from the start", "claimed"} }

// designs compares the indexes that deliveries have with a side table of what is open.
func (b *bench) designs(ctx context.Context) (err error) {
	var all []*tried
	defer func() {
		for _, t := range all {
			t.bench.Close()
			err = errors.Join(err, t.on.drop(ctx))
		}
	}()
	for _, d := range design.Designs() {
		t, err := b.tryDesign(ctx, d)
		if err != nil {
			return err
		}
		all = append(all, t)
	}
	if err := b.pg.Checkpoint(ctx); err != nil {
		return err
	}
	for range b.opt.pairs {
		for _, way := range ways() {
			for _, t := range all {
				if err := b.runDesign(ctx, t, way); err != nil {
					return fmt.Errorf("%s, %s: %w", t.Name, way, err)
				}
			}
		}
	}
	b.reportRuns(all)
	for _, t := range all {
		if err := b.reportDead(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) tryDesign(ctx context.Context, d design.Design) (t *tried, err error) {
	t = &tried{Design: d, runs: map[string]designRun{}}
	if t.on, err = b.createDatabase(ctx); err != nil {
		return nil, err
	}
	b.say("design: %s: making %d deliveries", d.Name, b.opt.messages)
	if t.bench, err = design.Open(ctx, t.on.url, d, b.opt.messages); err != nil {
		return nil, err
	}
	if err = t.bench.Straight(ctx, 1); err == nil { // so that everything is planned and in memory
		t.before, err = t.bench.Indexes(ctx)
	}
	if err != nil {
		t.bench.Close()
	}
	return t, err
}

func (b *bench) runDesign(ctx context.Context, t *tried, way string) error {
	batches := max(4, b.opt.messages/designShare)
	events := batches * design.Batch
	before, err := b.pg.Now(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if way == ways()[0] {
		err = t.bench.Straight(ctx, batches)
	} else {
		err = t.bench.Claimed(ctx, batches)
	}
	if err != nil {
		return err
	}
	took := time.Since(began)
	after, err := b.pg.Now(ctx)
	if err != nil {
		return err
	}
	cost, r := after.Since(before), t.runs[way]
	r.cpu = append(r.cpu, float64(cost.CPU.Microseconds())/float64(events))
	r.log = append(r.log, float64(cost.Log)/float64(events))
	r.rate = append(r.rate, float64(events)/took.Seconds())
	t.runs[way] = r
	t.events += events
	return nil
}

// designGroup is the heading of the comparison.
func (b *bench) designGroup(what string) string {
	return fmt.Sprintf("postgresql: what is open, %s, %d deliveries before", what, b.opt.messages)
}

// reportRuns adds the ratios to today's design, and then the figures of each.
func (b *bench) reportRuns(all []*tried) {
	for _, way := range ways() {
		group, today := b.designGroup(way), all[0].runs[way]
		for _, t := range all[1:] {
			r := t.runs[way]
			b.report.Add(group, t.Name+" / "+all[0].Name+", log", report.Ratio, nil, "", report.Ratios(r.log, today.log)...)
			b.report.Add(group, t.Name+" / "+all[0].Name+", CPU", report.Ratio, nil, "", report.Ratios(r.cpu, today.cpu)...)
		}
		for _, t := range all {
			r := t.runs[way]
			b.report.Add(group, t.Name+", log per event", report.Bytes, nil, "", r.log...)
			b.report.Add(group, t.Name+", CPU of PostgreSQL per event", report.Microseconds, nil, "", r.cpu...)
			b.report.Add(group, t.Name, report.Rate, nil, fmt.Sprintf("one connection, batches of %d", design.Batch), r.rate...)
		}
	}
}

// reportDead says what is left over, and what it takes to clean that up. It ends the design.
func (b *bench) reportDead(ctx context.Context, t *tried) error {
	group := b.designGroup("left over")
	indexes, err := t.bench.Indexes(ctx)
	if err != nil {
		return err
	}
	before, err := b.pg.Now(ctx)
	if err != nil {
		return err
	}
	if err := t.bench.Vacuum(ctx); err != nil {
		return err
	}
	after, err := b.pg.Now(ctx)
	if err != nil {
		return err
	}
	t.bench.Close()
	look, err := t.on.look(ctx)
	if err != nil {
		return err
	}
	cost, n := after.Since(before), float64(t.events)
	b.report.Add(group, t.Name+", indexes grew per event", report.Bytes, nil, "of deliveries and the side table, without vacuum", float64(indexes-t.before)/n)
	b.report.Add(group, t.Name+", vacuum, CPU per event", report.Microseconds, nil, "", float64(cost.CPU.Microseconds())/n)
	b.report.Add(group, t.Name+", vacuum, log per event", report.Bytes, nil, "", float64(cost.Log)/n)
	b.report.Add(group, t.Name+", updates of deliveries that are HOT", report.Percent, nil, "", 100*float64(look.Hot)/float64(max(1, look.Updates)))
	return nil
}
