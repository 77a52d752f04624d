package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sigpost/sigpost/bench/internal/claims"
	"github.com/sigpost/sigpost/bench/internal/report"
)

const (
	// claimRounds is how often a batch is claimed of each number of pending deliveries,
	// for each pair of -pairs.
	claimRounds = 8
	// claimEndpoints is among how many endpoints deliveries are spread.
	claimEndpoints = 1000
	// claimGoal is how much dearer a claim may be with the most pending than with the fewest.
	claimGoal = 1.5
)

// line is a queue of a length, with what its rounds took.
type line struct {
	pending int
	queue   *claims.Queue
	gone    func() error // removes its database
	claim   []float64    // milliseconds a claim
	rate    []float64    // deliveries claimed and settled a second
}

// engine is what a queue stands in.
type engine struct {
	name string
	// open makes a queue in a database of its own, which gone removes.
	open func(ctx context.Context, pending, endpoints int) (q *claims.Queue, gone func() error, err error)
	// settle has the database write what it only has in memory.
	settle func(ctx context.Context) error
}

// sqliteClaims and postgresClaims compare what a claim costs with a thousand deliveries pending and
// with up to as many as -messages says: of one endpoint, and spread over a thousand.
func (b *bench) sqliteClaims(ctx context.Context) error {
	return b.claims(ctx, engine{"sqlite", b.queueInFile, func(context.Context) error { return nil }})
}

func (b *bench) postgresClaims(ctx context.Context) error {
	return b.claims(ctx, engine{"postgresql", b.queueInDatabase, func(ctx context.Context) error { return b.pg.Checkpoint(ctx) }})
}

func (b *bench) claims(ctx context.Context, on engine) error {
	for _, endpoints := range []int{1, claimEndpoints} {
		if err := b.claimsOf(ctx, on, endpoints); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) queueInFile(ctx context.Context, pending, endpoints int) (*claims.Queue, func() error, error) {
	dir, err := os.MkdirTemp(b.dir, "claims-")
	if err != nil {
		return nil, nil, fmt.Errorf("make the data directory of claims: %w", err)
	}
	q, err := claims.OpenFile(ctx, dir, pending, endpoints)
	return q, func() error { return os.RemoveAll(dir) }, err
}

func (b *bench) queueInDatabase(ctx context.Context, pending, endpoints int) (*claims.Queue, func() error, error) {
	d, err := b.createDatabase(ctx)
	if err != nil {
		return nil, nil, err
	}
	q, err := claims.Open(ctx, d.url, pending, endpoints)
	return q, func() error { return d.drop(ctx) }, err
}

func (b *bench) claimsOf(ctx context.Context, on engine, endpoints int) (err error) {
	var lines []*line
	defer func() {
		for _, l := range lines {
			err = errors.Join(err, l.queue.Close(), l.gone())
		}
	}()
	for pending := 1000; pending <= b.opt.messages; pending *= 10 {
		b.say("claims: making %d pending deliveries of %d endpoints", pending, endpoints)
		q, gone, err := on.open(ctx, pending, endpoints)
		if err != nil {
			return err
		}
		lines = append(lines, &line{pending: pending, queue: q, gone: gone})
	}
	if err := on.settle(ctx); err != nil {
		return err
	}
	for range claimRounds * b.opt.pairs {
		for _, l := range lines { // in turn, so that the machine's doings meet all of them alike
			r, err := l.queue.Round(ctx)
			if err != nil {
				return err
			}
			l.claim = append(l.claim, milliseconds(r.Claim)/float64(r.Claims))
			l.rate = append(l.rate, float64(r.Rows)/(r.Claim+r.Settle).Seconds())
		}
	}
	b.reportClaims(on, endpoints, lines)
	return nil
}

func (b *bench) reportClaims(on engine, endpoints int, lines []*line) {
	group, together := fmt.Sprintf("%s: claims of %d of one endpoint", on.name, claims.Batch), claims.Batch
	if endpoints > 1 {
		group, together = fmt.Sprintf("%s: claims of 1 of %d endpoints in turn", on.name, endpoints), claims.Few
	}
	fewest, most := lines[0], lines[len(lines)-1]
	b.report.Add(group, fmt.Sprintf("a claim with %d pending / with %d", most.pending, fewest.pending), report.Ratio, report.AtMost(claimGoal),
		fmt.Sprintf("medians of %d rounds of each number in turn", len(most.claim)), report.Median(most.claim)/report.Median(fewest.claim))
	for _, l := range lines {
		b.report.Add(group, fmt.Sprintf("a claim with %d pending", l.pending), report.Milliseconds, nil, "", l.claim...)
	}
	note := fmt.Sprintf("%d settled together; one process, one after another", together)
	for _, l := range lines {
		b.report.Add(group, fmt.Sprintf("claimed and settled with %d pending", l.pending), report.Rate, nil, note, l.rate...)
	}
}
