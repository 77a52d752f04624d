package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sigpost/sigpost/bench/internal/child"
	"github.com/sigpost/sigpost/bench/internal/load"
	"github.com/sigpost/sigpost/bench/internal/postgres"
	"github.com/sigpost/sigpost/bench/internal/role"
	"github.com/sigpost/sigpost/bench/internal/sink"
)

// figures are what one run of one system came to.
type figures struct {
	rate    float64 // events a second: accepted, or delivered if there is a sink
	events  int
	refused int
	usage   child.Usage   // of the system, its start and its stop included
	own     time.Duration // CPU of generator and sink
	peak    int64         // memory, bytes
	log     int64         // bytes of the system's log
	// database is what PostgreSQL took, where there is one, and from where in its log.
	database postgres.Cost
	from     int64
}

// task is what a system is to do in a run.
type task struct {
	deliver  bool // the run ends when all has arrived, not when it is accepted
	messages bool // the events come as messages of the API: to Sigpost there, to others signed
}

// full runs the system called name at full speed.
func (b *bench) full(ctx context.Context, name string, t task) (f figures, err error) {
	// Whatever happens, one run has an end.
	ctx, cancel := context.WithTimeoutCause(ctx, 10*b.opt.seconds+5*time.Minute, errors.New("the run took too long"))
	defer cancel()
	var endpoints []string
	var to *sink.Sink
	if t.deliver {
		if to, err = sink.Listen(b.zero); err != nil {
			return f, err
		}
		defer to.Close()
		endpoints = []string{to.URL()}
	}
	s, err := b.start(ctx, name, endpoints...)
	if err != nil {
		return f, err
	}
	defer s.close()
	before := child.Own()
	if name == "bare-post" {
		f, err = b.burst(ctx, s, to)
	} else if opt, failed := b.load(ctx, s, t); failed != nil {
		err = failed
	} else {
		f, err = b.flood(ctx, opt, to, b.opt.seconds)
	}
	if err != nil {
		return f, fmt.Errorf("load %s: %w", name, err)
	}
	f.own = child.Own() - before
	return f, s.finish(&f)
}

// finish stops the system and adds what it took to f.
func (s *system) finish(f *figures) (err error) {
	if _, f.peak, err = s.Memory(); err != nil {
		return err
	}
	if f.usage, err = s.Stop(stopLimit); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(s.dir, "log"))
	if err != nil {
		return fmt.Errorf("measure the log of %s: %w", s.name, err)
	}
	f.log = info.Size()
	return nil
}

// flood sends as fast as is answered for a time and, if there is a sink, waits until all that
// was accepted has arrived there.
func (b *bench) flood(ctx context.Context, opt load.Options, to *sink.Sink, d time.Duration) (figures, error) {
	sent, err := load.Closed(ctx, opt, d)
	if err != nil {
		return figures{}, err
	}
	f := figures{events: len(sent.Accepted), refused: sent.Refused}
	if f.events == 0 {
		return f, fmt.Errorf("no event was accepted, %d were refused", f.refused)
	}
	end := sent.Ended
	if to != nil {
		if end, err = to.Await(ctx, sent.Numbers(), b.opt.patience); err != nil {
			return f, err
		}
		if _, _, foreign := to.Counts(); foreign > 0 {
			return f, fmt.Errorf("%d deliveries were not what had been sent", foreign)
		}
	}
	f.rate = float64(f.events) / (end - sent.Began).Seconds()
	return f, nil
}

// burst has bare-post post events of its own making.
func (b *bench) burst(ctx context.Context, s *system, to *sink.Sink) (figures, error) {
	query := url.Values{
		"seconds": {strconv.FormatFloat(b.opt.seconds.Seconds(), 'f', -1, 64)},
		"limit":   {strconv.Itoa(b.book.Len())},
	}
	ctx, cancel := context.WithTimeout(ctx, b.opt.seconds+b.opt.patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/run?"+query.Encode(), nil)
	if err != nil {
		return figures{}, err
	}
	req.Close = true // or the stop would wait for an idle connection
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return figures{}, err
	}
	defer resp.Body.Close()
	var posted role.Posted
	if err := json.NewDecoder(resp.Body).Decode(&posted); err != nil || resp.StatusCode != http.StatusOK {
		return figures{}, fmt.Errorf("it answered %s, %w", resp.Status, err)
	}
	elapsed := time.Since(began)
	if unique, _, _ := to.Counts(); uint64(unique) != posted.Events {
		return figures{}, fmt.Errorf("it posted %d events, %d arrived", posted.Events, unique)
	}
	return figures{rate: float64(posted.Events) / elapsed.Seconds(), events: int(posted.Events)}, nil
}
