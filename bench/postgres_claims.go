package main

import (
	"context"
	"errors"
	"fmt"

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
	on      *database
	queue   *claims.Queue
	claim   []float64 // milliseconds a claim
	rate    []float64 // deliveries claimed and settled a second
}

// claims compares what a claim costs with a thousand deliveries pending and with up to as
// many as -messages says: of one endpoint, and spread over a thousand.
func (b *bench) claims(ctx context.Context) error {
	for _, endpoints := range []int{1, claimEndpoints} {
		if err := b.claimsOf(ctx, endpoints); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) claimsOf(ctx context.Context, endpoints int) (err error) {
	var lines []*line
	defer func() {
		for _, l := range lines {
			err = errors.Join(err, l.queue.Close(), l.on.drop(ctx))
		}
	}()
	for pending := 1000; pending <= b.opt.messages; pending *= 10 {
		d, err := b.createDatabase(ctx)
		if err != nil {
			return err
		}
		b.say("claims: making %d pending deliveries of %d endpoints", pending, endpoints)
		q, err := claims.Open(ctx, d.url, pending, endpoints)
		if err != nil {
			return err
		}
		lines = append(lines, &line{pending: pending, on: d, queue: q})
	}
	if err := b.pg.Checkpoint(ctx); err != nil {
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
	b.reportClaims(endpoints, lines)
	return nil
}

func (b *bench) reportClaims(endpoints int, lines []*line) {
	group, together := fmt.Sprintf("postgresql: claims of %d of one endpoint", claims.Batch), claims.Batch
	if endpoints > 1 {
		group, together = fmt.Sprintf("postgresql: claims of 1 of %d endpoints in turn", endpoints), claims.Few
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
