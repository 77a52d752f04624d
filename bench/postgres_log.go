package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sigpost/sigpost/bench/internal/report"
)

const (
	// logShare is which part of the events in the database is sent for one figure of the
	// write-ahead log: with a million, 50,000.
	logShare = 20
	logGoal  = 8 // KiB an event
	// logLimit ends a run that is slow; it is not a matter of speed.
	logLimit = 3 * time.Minute
)

// log says how much PostgreSQL writes into its log for an event: after a checkpoint, when
// the first change of each page writes the whole of it, and later; and what it is
// after a checkpoint when these pages are compressed, which is a setting of PostgreSQL.
func (b *bench) log(ctx context.Context) error {
	on, err := b.stocked(ctx)
	if err != nil {
		return err
	}
	group := b.stockGroup("write-ahead log")
	b.report.Add(group, "size of the database", report.KiB, nil, "an event before", float64(on.size)/1024/float64(b.opt.messages))
	for _, part := range []struct {
		when        string
		compression string
		checkpoint  bool
		goal        *report.Goal
	}{
		{"after a checkpoint", "off", true, report.AtMost(logGoal)},
		{"later", "off", false, report.AtMost(logGoal)},
		{"after a checkpoint, wal_compression=lz4", "lz4", true, nil},
	} {
		if err := on.server.Set(ctx, "wal_compression", part.compression); err != nil {
			if part.goal != nil {
				return err
			}
			b.say("%s: without %s: %v", group, part.when, err) // it was built without
			break
		}
		if part.checkpoint {
			if err := on.server.Checkpoint(ctx); err != nil {
				return err
			}
		}
		f, err := b.shared(ctx, on, 1, b.opt.messages/logShare, logLimit)
		if err != nil {
			return err
		}
		if err := b.reportLog(ctx, group, part.when, part.goal, on, f); err != nil {
			return err
		}
	}
	return on.server.Set(ctx, "wal_compression", "")
}

func (b *bench) reportLog(ctx context.Context, group, when string, goal *report.Goal, on *database, f figures) error {
	kinds, err := on.server.Kinds(ctx, f.from, f.from+f.database.Log)
	if err != nil {
		return err
	}
	perEvent := func(bytes int64) float64 { return float64(bytes) / 1024 / float64(f.events) }
	var images int64
	for _, k := range kinds {
		images += k.Images
	}
	b.report.Add(group, when, report.KiB, goal, fmt.Sprintf("an event of 1 KiB; %d events", f.events), perEvent(f.database.Log))
	b.report.Add(group, when+", whole pages of it", report.KiB, nil, fmt.Sprintf("%.2f pages an event", float64(f.database.Images)/float64(f.events)), perEvent(images))
	if goal == nil {
		return nil
	}
	for _, k := range kinds {
		if share := perEvent(k.Bytes); share >= 0.05 {
			b.report.Add(group, when+", "+k.Name, report.KiB, nil, "without whole pages", share)
		}
	}
	b.report.Add(group, when+", updates of deliveries that are HOT", report.Percent, nil, fmt.Sprintf("of %d", f.database.Updates),
		100*float64(f.database.Hot)/float64(max(1, f.database.Updates)))
	return nil
}
