package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sigpost/sigpost/bench/internal/child"
	"github.com/sigpost/sigpost/bench/internal/load"
	"github.com/sigpost/sigpost/bench/internal/sink"
)

// tenants makes a store in a directory in which each URL is the endpoint of an application of
// its own, with so many retries that are due, and returns where their messages are created.
func (b *bench) tenants(ctx context.Context, dir string, urls []string, retries int) (paths []string, err error) {
	list, said := filepath.Join(dir, "urls"), filepath.Join(dir, "made")
	if err := os.WriteFile(list, []byte(strings.Join(urls, "\n")), 0o600); err != nil {
		return nil, fmt.Errorf("write the URLs of the endpoints: %w", err)
	}
	args := []string{"fill", "-data", dataOf(dir), "-org", organization, "-tenants", list, "-secret", b.signing, "-messages", strconv.Itoa(retries)}
	filler, err := child.Start(b.self, args, said)
	if err != nil {
		return nil, err
	}
	if err := filler.Wait(ctx); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(said)
	if err != nil {
		return nil, fmt.Errorf("read the applications: %w", err)
	}
	for line := range strings.Lines(string(text)) { // warnings may stand between them
		if app := strings.TrimSpace(line); strings.HasPrefix(app, "app_") {
			paths = append(paths, "/api/v1/app/"+app+"/msg")
		}
	}
	if len(paths) != len(urls) {
		return nil, fmt.Errorf("%d applications were made, %d were to be", len(paths), len(urls))
	}
	return paths, nil
}

// crowd is many endpoints, each of an application of its own and on a host of its own. Event
// n goes to endpoint n modulo their number. Of every so many the last hangs: it takes
// connections and never answers. With 0 none does.
type crowd struct {
	endpoints int
	every     int
}

// hangs says whether the endpoint of event n is one of those.
func (c crowd) hangs(n uint64) bool {
	return c.every > 0 && n%uint64(c.endpoints)%uint64(c.every) == uint64(c.every-1)
}

// crowded is a running Sigpost that has them, and the receivers.
type crowded struct {
	crowd
	*system
	to    *sink.Sink
	holes []*sink.Hole
	opt   load.Options
}

func (c *crowded) close() {
	if c.system != nil {
		c.system.close()
	}
	if c.to != nil {
		c.to.Close()
	}
	for _, h := range c.holes {
		h.Close()
	}
}

// startCrowd opens the receivers, fills a store and starts Sigpost on it. The caller closes it.
func (b *bench) startCrowd(ctx context.Context, of crowd) (c *crowded, err error) {
	c = &crowded{crowd: of}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	urls := make([]string, of.endpoints)
	for i := range urls {
		if !of.hangs(uint64(i)) {
			continue
		}
		h, err := sink.OpenHole()
		if err != nil {
			return c, err
		}
		c.holes = append(c.holes, h)
		urls[i] = h.URL()
	}
	if c.to, err = sink.ListenOn(b.zero, of.endpoints-len(c.holes)); err != nil {
		return c, err
	}
	healthy := c.to.URLs()
	for i := range urls {
		if urls[i] == "" {
			urls[i], healthy = healthy[0], healthy[1:]
		}
	}
	dir, err := os.MkdirTemp(b.dir, "crowd-")
	if err != nil {
		return c, fmt.Errorf("make the data directory of many endpoints: %w", err)
	}
	paths, err := b.tenants(ctx, dir, urls, 0)
	if err == nil {
		c.system, err = b.launch(ctx, "sigpost", place{dir: dir})
	}
	if err != nil {
		return c, errors.Join(err, os.RemoveAll(dir))
	}
	c.opt = load.Options{Addrs: []string{c.addr}, Paths: paths, Token: b.token, Book: b.messages(), Connections: connections, Zero: b.zero}
	return c, nil
}

// arrive waits until everything has arrived that was accepted for endpoints that do not
// hang, and returns that and when the last of it came.
func (c *crowded) arrive(ctx context.Context, b *bench, sent load.Result) (healthy load.Result, err error) {
	healthy = sent
	healthy.Accepted = nil
	for _, a := range sent.Accepted {
		if !c.hangs(a.Number) {
			healthy.Accepted = append(healthy.Accepted, a)
		}
	}
	if len(healthy.Accepted) == 0 {
		return healthy, errors.New("no event was accepted for an endpoint that answers")
	}
	last, err := c.to.Await(ctx, healthy.Numbers(), b.opt.patience)
	if err != nil {
		return healthy, err
	}
	if _, _, foreign := c.to.Counts(); foreign > 0 {
		return healthy, fmt.Errorf("%d deliveries were not what had been sent", foreign)
	}
	end := time.After(b.opt.patience)
	for i, h := range c.holes { // the last event may be on its way to one
		select {
		case <-h.First():
		case <-ctx.Done():
			return healthy, context.Cause(ctx)
		case <-end:
			return healthy, fmt.Errorf("nothing was sent to hanging endpoint %d: this measured nothing", i)
		}
	}
	healthy.Ended = max(sent.Ended, last)
	return healthy, nil
}
