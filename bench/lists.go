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

	"golang.org/x/sync/errgroup"

	"github.com/sigpost/sigpost/bench/internal/child"
	"github.com/sigpost/sigpost/bench/internal/event"
	"github.com/sigpost/sigpost/bench/internal/fill"
	"github.com/sigpost/sigpost/bench/internal/load"
	"github.com/sigpost/sigpost/bench/internal/report"
	"github.com/sigpost/sigpost/bench/internal/sink"
)

const (
	listRows    = 50  // of a page
	listReaders = 1   // connection that asks for lists, one after another
	listWrites  = 500 // messages a second meanwhile
	listGoal    = 25  // milliseconds
	// listLimit ends what does not end: a million messages are written in a minute or two.
	listLimit = 15 * time.Minute
)

// library is a store full of messages, and the running server that has it.
type library struct {
	*system
	app, endpoint string
	middle        time.Time // half of the messages are older
	ready         time.Duration
}

// lists asks for lists of all kinds from a store with many messages, while more are written.
func (b *bench) lists(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, listLimit, errors.New("the lists took too long"))
	defer cancel()
	to, err := sink.Listen(b.zero)
	if err != nil {
		return err
	}
	defer to.Close()
	dir, err := os.MkdirTemp(b.dir, "lists-")
	if err != nil {
		return fmt.Errorf("make the data directory of lists: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the bench removes the directory above at its end
	l, err := b.fillLibrary(ctx, dir, to.URL(), b.opt.messages)
	if err != nil {
		return err
	}
	defer l.close()
	kinds := listKinds(l.app, l.endpoint, l.middle)
	asked, sent, err := b.readAndWrite(ctx, l, kinds)
	if err != nil {
		return err
	}
	if _, err := to.Await(ctx, sent.Numbers(), b.opt.patience); err != nil {
		return err
	}
	if _, _, foreign := to.Counts(); foreign > 0 {
		return fmt.Errorf("%d deliveries were not what had been sent", foreign)
	}
	var f figures
	if err := l.finish(&f); err != nil {
		return err
	}
	if err := b.reportLists(l, kinds, asked, sent); err != nil {
		return err
	}
	b.report.Add(b.listGroup(), "sigpost, peak memory", report.MiB, nil, "", float64(f.peak)/(1<<20))
	return nil
}

// fillLibrary has a server make the application and its endpoint, stops it, fills its
// store, and starts it again, as one that has had these messages for long.
func (b *bench) fillLibrary(ctx context.Context, dir, url string, messages int) (*library, error) {
	s, err := b.launch(ctx, "sigpost", place{dir: dir})
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	l := &library{}
	if l.app, err = b.application(ctx, s); err != nil {
		return nil, err
	}
	endpoint := map[string]string{"url": url, "secret": b.signing}
	if l.endpoint, err = b.create(ctx, s, "/api/v1/app/"+l.app+"/endpoint", endpoint); err != nil {
		return nil, err
	}
	if _, err := s.Stop(stopLimit); err != nil {
		return nil, err
	}
	b.say("writing and indexing %d messages", messages)
	began := time.Now()
	args := []string{"fill", "-data", dataOf(dir), "-org", organization, "-app", l.app, "-endpoint", l.endpoint, "-messages", strconv.Itoa(messages)}
	said := filepath.Join(dir, "filled")
	filler, err := child.Start(b.self, args, said)
	if err != nil {
		return nil, err
	}
	if err := filler.Wait(ctx); err != nil {
		return nil, err
	}
	l.ready = time.Since(began)
	b.say("that took %s", l.ready.Round(time.Second/10))
	if l.middle, err = lastTime(said); err != nil {
		return nil, err
	}
	l.system, err = b.launch(ctx, "sigpost", place{dir: dir})
	return l, err
}

// lastTime reads the time that stands alone in the last line of a file; warnings may stand
// before it.
func lastTime(path string) (time.Time, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}, fmt.Errorf("read when half was filled: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return time.Parse(time.RFC3339Nano, lines[len(lines)-1])
}

// readAndWrite asks for the lists in turn while messages are created.
func (b *bench) readAndWrite(ctx context.Context, l *library, kinds []listKind) (asked []load.Asked, sent load.Result, err error) {
	b.say("lists: reading from %d connection, writing %d messages/s, for %s", listReaders, listWrites, b.opt.steady)
	opt := load.Options{
		Addrs: []string{l.addr}, Path: "/api/v1/app/" + l.app + "/msg", Token: b.token, Connections: connections, Zero: b.zero,
		Book: event.NewMessageBook(b.secret, int(listWrites*b.opt.steady/time.Second), fill.Heads()...),
	}
	asking := load.Asking{Addr: l.addr, Token: b.token, Connections: listReaders}
	for _, k := range kinds {
		asking.Paths = append(asking.Paths, k.path)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		sent, err = load.Open(ctx, opt, listWrites, b.opt.steady)
		return err
	})
	group.Go(func() (err error) {
		asked, err = load.Round(ctx, asking, b.opt.steady)
		return err
	})
	return asked, sent, group.Wait()
}

// reportLists adds the percentiles of all lists together, then of each kind. A list that
// should have had rows and ended without any would be quick for nothing: that is an error.
func (b *bench) reportLists(l *library, kinds []listKind, asked []load.Asked, sent load.Result) error {
	group := b.listGroup()
	var all []time.Duration
	var empty error
	for i := range asked {
		if kinds[i].rows && asked[i].Rows == 0 && asked[i].Done {
			empty = errors.Join(empty, fmt.Errorf("the list %q was empty: this measured nothing", kinds[i].name))
		}
		all = append(all, asked[i].Took...)
	}
	b.percentile(group, "all lists", all, 50, nil, fmt.Sprintf("%d lists from %d connection", len(all), listReaders))
	b.percentile(group, "all lists", all, 99, report.AtMost(listGoal), "")
	b.report.Add(group, "all lists, slowest", report.Milliseconds, nil, "", milliseconds(report.Percentile(all, 100)))
	b.reportWrites(group, sent)
	for i, k := range kinds {
		took := asked[i].Took
		note := fmt.Sprintf("p50 %.1f, max %.1f ms; lists: %d; rows: %d", milliseconds(report.Percentile(took, 50)),
			milliseconds(report.Percentile(took, 100)), len(took), asked[i].Rows)
		if asked[i].Rows < listRows && !asked[i].Done {
			note += ", and a next page"
		}
		b.percentile(group, k.name, took, 99, report.AtMost(listGoal), note)
	}
	b.report.Add(group, "messages in the store", report.Count, nil,
		fmt.Sprintf("each with a delivery and an attempt; written and indexed in %s", l.ready.Round(time.Second)), float64(b.opt.messages))
	return empty
}

// listGroup is the heading of the lists.
func (b *bench) listGroup() string {
	return fmt.Sprintf("lists of %d of %d messages, at %d writes/s", listRows, b.opt.messages, listWrites)
}

// reportWrites says whether the writes kept their rate, and how they fared beside the lists.
func (b *bench) reportWrites(group string, sent load.Result) {
	var accept []time.Duration
	for _, a := range sent.Accepted {
		accept = append(accept, a.Answered-a.Due)
	}
	rate := float64(len(sent.Accepted)) / (sent.Ended - sent.Began).Seconds()
	b.report.Add(group, "written meanwhile", report.Rate, nil, fmt.Sprintf("%d refused; each was delivered to the endpoint", sent.Refused), rate)
	b.percentile(group, "written meanwhile, accept", accept, 50, nil, "from when it was due")
	b.percentile(group, "written meanwhile, accept", accept, 99, nil, "")
}
