package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sigpost/sigpost/bench/internal/child"
	"github.com/sigpost/sigpost/bench/internal/event"
	"github.com/sigpost/sigpost/bench/internal/load"
	"github.com/sigpost/sigpost/bench/internal/postgres"
	"github.com/sigpost/sigpost/bench/internal/sink"
)

// fastestShared is fastest for nodes on PostgreSQL.
const fastestShared = 25_000

// table is the one whose updates are counted.
const table = "deliveries"

// cluster are running nodes on one database, and the sink to which they deliver.
type cluster struct {
	nodes []*system
	on    *database
	to    *sink.Sink
}

// startCluster starts n nodes one after another. The caller closes them.
func (b *bench) startCluster(ctx context.Context, on *database, n int) (c *cluster, err error) {
	c = &cluster{on: on}
	if c.to, err = sink.Listen(b.zero); err != nil {
		return nil, err
	}
	for range n {
		s, err := b.startNode(ctx, on, c.to.URL())
		if err != nil {
			c.close()
			return nil, err
		}
		c.nodes = append(c.nodes, s)
	}
	return c, nil
}

func (b *bench) startNode(ctx context.Context, on *database, url string) (*system, error) {
	dir, err := os.MkdirTemp(b.dir, "node-")
	if err != nil {
		return nil, fmt.Errorf("make the data directory of a node: %w", err)
	}
	return b.launch(ctx, "sigpost", place{dir: dir, database: on.url}, url)
}

func (c *cluster) close() {
	for _, s := range c.nodes {
		s.close()
	}
	c.to.Close()
}

// finish stops the nodes and adds what they took to f.
func (c *cluster) finish(f *figures) error {
	for _, s := range c.nodes {
		var one figures
		if err := s.finish(&one); err != nil {
			return err
		}
		f.usage.CPU += one.usage.CPU
		f.usage.Written += one.usage.Written
		f.peak = max(f.peak, one.peak)
		f.log += one.log
	}
	return nil
}

// flood sends events to the nodes, as many as there are and for as long as limit says,
// and waits until all have arrived.
func (c *cluster) flood(ctx context.Context, b *bench, events int, limit time.Duration) (f figures, err error) {
	opt := load.Options{Path: "/in/bench", Book: event.NewBookFrom(b.secret, c.on.next, events), Connections: connections, Zero: b.zero}
	c.on.next += uint64(events)
	for _, s := range c.nodes {
		opt.Addrs = append(opt.Addrs, s.addr)
	}
	before := child.Own()
	if f, err = b.flood(ctx, opt, c.to, limit); err != nil {
		return f, fmt.Errorf("load %d nodes on PostgreSQL: %w", len(c.nodes), err)
	}
	f.own = child.Own() - before
	return f, nil
}

// shared is a whole run of n nodes on a database, with what PostgreSQL took for it from
// before they started until they had stopped.
func (b *bench) shared(ctx context.Context, on *database, n, events int, limit time.Duration) (f figures, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*limit+5*time.Minute, errors.New("the run took too long"))
	defer cancel()
	before, err := on.look(ctx)
	if err != nil {
		return f, err
	}
	c, err := b.startCluster(ctx, on, n)
	if err != nil {
		return f, err
	}
	defer c.close()
	if f, err = c.flood(ctx, b, events, limit); err != nil {
		return f, err
	}
	if err := c.finish(&f); err != nil {
		return f, err
	}
	after, err := on.look(ctx)
	f.database, f.from = after.Since(before), before.Log
	return f, err
}

// sharedFor is shared at full speed for as long as -seconds says.
func (b *bench) sharedFor(ctx context.Context, on *database, n int) (figures, error) {
	return b.shared(ctx, on, n, int(b.opt.seconds.Seconds()*fastestShared), b.opt.seconds)
}

// look is what PostgreSQL has taken so far. A database without tables has no updates.
func (d *database) look(ctx context.Context) (postgres.Cost, error) {
	return d.server.Look(ctx, d.name, table)
}
