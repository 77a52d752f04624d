package fill

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sigpost/sigpost/bench/internal/event"
	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/seal"
	"github.com/sigpost/sigpost/internal/store"
)

const (
	// writers is as many as one transaction of the store takes.
	writers = 256
	// recordsAtOnce is how many deliveries of a writer are settled together.
	recordsAtOnce = 8
	// nextAttempt is when pending deliveries are due: long after the bench.
	nextAttempt = 24 * time.Hour
)

// Options say what is filled. The application and the endpoint must exist.
type Options struct {
	Data     string // the data directory; no server may have it open
	Org      string // as its owner's tokens name it
	App      string // app_…
	Endpoint string // ep_…
	Messages int
}

// Run fills as the flags in args say. It returns when everything is in the index of lists,
// and has then written to out when half of the messages were there (RFC 3339), and no more.
func Run(ctx context.Context, args []string, out io.Writer) error {
	var opt Options
	var url, key, urls, secret string
	flags := flag.NewFlagSet("fill", flag.ContinueOnError)
	flags.StringVar(&opt.Data, "data", "", "data directory")
	flags.StringVar(&opt.Org, "org", "", "organization")
	flags.StringVar(&opt.App, "app", "", "application, app_…")
	flags.StringVar(&opt.Endpoint, "endpoint", "", "endpoint, ep_…")
	flags.IntVar(&opt.Messages, "messages", 0, "how many messages")
	flags.StringVar(&url, "url", "", "database to stock with events of a source; all else but -messages is then left out")
	flags.StringVar(&key, "master-key", "", "of the nodes of -url")
	flags.StringVar(&urls, "tenants", "", "file of URLs: make an application with an endpoint for each; -messages are then retries of these")
	flags.StringVar(&secret, "secret", "", "of the endpoints of -tenants")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if url != "" {
		return Stock(ctx, url, key, opt.Messages)
	}
	if urls != "" {
		return Tenants(ctx, opt, urls, hook.Secret(secret), out)
	}
	middle, err := Fill(ctx, opt)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, middle.Format(time.RFC3339Nano))
	return err
}

// Fill writes the messages, each with its delivery and attempt, and indexes them. middle is
// when half of them were written.
func Fill(ctx context.Context, opt Options) (middle time.Time, err error) {
	ring, err := seal.FromFile(opt.Data) // the server's: it was here before
	if err != nil {
		return middle, err
	}
	s, err := store.Open(ctx, store.Options{Dir: opt.Data, Seal: ring, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return middle, err
	}
	defer s.Close()
	f, err := newFiller(ctx, s, opt)
	if err != nil {
		return middle, err
	}
	for _, part := range [][2]int{{0, opt.Messages / 2}, {opt.Messages / 2, opt.Messages}} {
		middle = time.Now()
		if err := f.write(ctx, part[0], part[1]); err != nil {
			return middle, fmt.Errorf("write messages: %w", err)
		}
	}
	for done := 1; done > 0; {
		if done, err = s.Index(ctx); err != nil {
			return middle, err
		}
	}
	return middle, s.Close()
}

// filler knows whose messages they are.
type filler struct {
	store              *store.Store
	template           *event.Template
	org, app, endpoint hook.Key
	make               func(n int) *hook.Append
	result             func(n int) result
	due                time.Time // of what is pending; zero: long after the bench
}

func newFiller(ctx context.Context, s *store.Store, opt Options) (*filler, error) {
	f := &filler{store: s, template: event.NewTemplate(), result: resultOf}
	f.make = f.message
	org, err := s.OrganizationByExternal(ctx, opt.Org)
	if err != nil {
		return nil, err
	}
	f.org = org.ID
	if f.app, err = s.IDs().Key(hook.KindApplication, opt.App); err != nil {
		return nil, err
	}
	if _, err = s.Application(ctx, f.org, f.app); err != nil {
		return nil, err
	}
	f.endpoint, err = s.IDs().Key(hook.KindEndpoint, opt.Endpoint)
	return f, err
}

// write appends and settles the messages first…end-1, many at once.
func (f *filler) write(ctx context.Context, first, end int) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	next.Store(int64(first))
	for range writers {
		group.Go(func() error {
			records := make([]*hook.Record, 0, recordsAtOnce)
			for i := int(next.Add(1) - 1); i < end; i = int(next.Add(1) - 1) {
				a := f.make(i)
				if err := f.store.Append(ctx, a); err != nil {
					return err
				}
				records = append(records, f.record(a, i))
				if len(records) < recordsAtOnce {
					continue
				}
				if err := f.settle(ctx, records); err != nil {
					return err
				}
				records = records[:0]
			}
			return f.settle(ctx, records)
		})
	}
	return group.Wait()
}

// message is message n with its delivery, held by this process until it is settled.
func (f *filler) message(n int) *hook.Append {
	body := make([]byte, event.Size)
	f.template.Fill(body, uint64(n))
	now, k := time.Now(), KindOf(n)
	return &hook.Append{
		Message: hook.Message{
			Org: f.org, App: f.app, Event: hook.Event{Type: k.Type}, ReceivedAt: now, Body: body,
			Channels: []string{k.Channel}, Tags: k.tags(), Headers: []hook.Header{{Name: "Content-Type", Value: "application/json"}},
		},
		Deliveries: []hook.Delivery{{Org: f.org, Endpoint: f.endpoint, State: hook.Pending, NextAt: now, Since: now, Holder: f.store.Incarnation()}},
	}
}

// record is what came of the delivery of message n.
func (f *filler) record(a *hook.Append, n int) *hook.Record {
	result, now := f.result(n), time.Now()
	r := &hook.Record{
		Delivery: a.Deliveries[0], State: result.state, NextAt: now,
		Attempt: &hook.Attempt{Number: 1, At: now, Duration: time.Millisecond, Outcome: result.outcome, Status: result.status},
	}
	if result.outcome != hook.OutcomeDelivered {
		r.Attempt.Reason, r.NextAt = "it is meant to fail", now.Add(nextAttempt)
	}
	if !f.due.IsZero() {
		r.NextAt = f.due
	}
	return r
}

func (f *filler) settle(ctx context.Context, records []*hook.Record) error {
	if len(records) == 0 {
		return nil
	}
	if err := f.store.Record(ctx, records); err != nil {
		return err
	}
	for _, r := range records {
		if r.Refused {
			return fmt.Errorf("delivery %d was not this process's", r.Delivery.ID)
		}
	}
	return nil
}
