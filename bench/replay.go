package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sigpost/sigpost/bench/internal/event"
	"github.com/sigpost/sigpost/bench/internal/fill"
	"github.com/sigpost/sigpost/bench/internal/load"
	"github.com/sigpost/sigpost/bench/internal/report"
	"github.com/sigpost/sigpost/bench/internal/sink"
)

const (
	replayPace = 1000 // deliveries a second, the most that a task may be asked for
	replayCost = 0.1  // of live throughput and latency
	// replaySpare is how many times as many messages there are as a run can replay, so that
	// the task never ends before the run does.
	replaySpare = 10
	// replayLeast is how many there are at least.
	replayLeast = 10_000
	replayLimit = 20 * time.Minute
	// replayQuiet is how long nothing may arrive before a canceled task has no more to come.
	replayQuiet = 500 * time.Millisecond
)

// replaying is a running Sigpost with old messages of one endpoint, which gets live ones, too.
type replaying struct {
	*library
	to   *sink.Sink
	next uint64 // number of the next live event
}

// replay compares live messages of an endpoint while its old ones are replayed at the
// greatest pace with the same while they are not, on one server: at full speed, and at a fixed rate.
func (b *bench) replay(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, replayLimit, errors.New("the replays took too long"))
	defer cancel()
	r, err := b.startReplaying(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	const alone, beside = "alone", "beside a replay"
	group := fmt.Sprintf("live messages beside a bulk replay at %d/s, of one endpoint", replayPace)
	replayed := map[string][]float64{}
	full, err := b.inTurn(group, []string{alone, beside}, func(name string) (f figures, err error) {
		rate, err := r.during(ctx, b, name == beside, func(ctx context.Context) (live int, err error) {
			f, err = r.flood(ctx, b)
			return f.events, err
		})
		replayed["full"] = append(replayed["full"], rate)
		return f, err
	})
	if err != nil {
		return err
	}
	slow := map[string][]times{}
	_, err = b.inTurn(fmt.Sprintf("%s, %d events/s", group, steadyRate), []string{alone, beside}, func(name string) (f figures, err error) {
		rate, err := r.during(ctx, b, name == beside, func(ctx context.Context) (live int, err error) {
			t, err := r.steady(ctx, b)
			slow[name] = append(slow[name], t)
			f.rate = float64(len(t.deliver)) / b.opt.seconds.Seconds()
			return len(t.deliver), err
		})
		replayed["slow"] = append(replayed["slow"], rate)
		return f, err
	})
	if err != nil {
		return err
	}
	b.report.Add(group, "live, beside a replay / alone", report.Ratio, report.AtLeast(1-replayCost), "at full speed", report.Ratios(full[beside].rates(), full[alone].rates())...)
	b.report.Add(group, "live, beside a replay", report.Rate, nil, full[beside].refused(), full[beside].rates()...)
	b.report.Add(group, "live, alone", report.Rate, nil, full[alone].refused(), full[alone].rates()...)
	b.report.Add(group, "replayed meanwhile", report.Rate, nil, "it waits while live messages do", odd(replayed["full"])...)
	group = fmt.Sprintf("%s, live at %d/s", group, steadyRate)
	for _, p := range []float64{50, 99} {
		of := func(name string) (all []float64) {
			for _, t := range slow[name] {
				all = append(all, milliseconds(report.Percentile(t.whole, p)))
			}
			return all
		}
		name := fmt.Sprintf("sent→delivered p%g", p)
		b.report.Add(group, name+", beside a replay / alone", report.Ratio, report.AtMost(1+replayCost), "", report.Ratios(of(beside), of(alone))...)
		b.report.Add(group, name+", beside a replay", report.Milliseconds, nil, "", of(beside)...)
		b.report.Add(group, name+", alone", report.Milliseconds, nil, "", of(alone)...)
	}
	b.report.Add(group, "replayed meanwhile", report.Rate, nil, "", odd(replayed["slow"])...)
	return nil
}

// odd are every second of values: those of the second of two systems in turn.
func odd(values []float64) (list []float64) {
	for i := 1; i < len(values); i += 2 {
		list = append(list, values[i])
	}
	return list
}

// startReplaying fills a store and starts Sigpost on it. The caller closes it.
func (b *bench) startReplaying(ctx context.Context) (*replaying, error) {
	to, err := sink.Listen(b.zero)
	if err != nil {
		return nil, err
	}
	messages := max(replayLeast, int(replaySpare*replayPace*b.opt.seconds.Seconds()))
	dir, err := os.MkdirTemp(b.dir, "replay-")
	if err == nil {
		var l *library
		if l, err = b.fillLibrary(ctx, dir, to.URL(), messages); err == nil {
			return &replaying{library: l, to: to, next: uint64(messages)}, nil
		}
	}
	to.Close()
	return nil, err // the bench removes the directory above at its end
}

func (r *replaying) close() {
	r.library.close()
	r.to.Close()
}

// live are the options for events that were not sent before.
func (r *replaying) live(b *bench, events int) load.Options {
	book := event.NewMessageBookFrom(b.secret, r.next, events, fill.Heads()[:1]...)
	r.next += uint64(events)
	return load.Options{Addrs: []string{r.addr}, Path: "/api/v1/app/" + r.app + "/msg", Token: b.token, Book: book, Connections: connections, Zero: b.zero}
}

func (r *replaying) flood(ctx context.Context, b *bench) (figures, error) {
	f, err := b.flood(ctx, r.live(b, int(b.opt.seconds.Seconds()*fastestShared)), r.to, b.opt.seconds)
	if err != nil {
		err = fmt.Errorf("load sigpost: %w", err)
	}
	return f, err
}

func (r *replaying) steady(ctx context.Context, b *bench) (t times, err error) {
	sent, err := load.Open(ctx, r.live(b, int(b.opt.seconds.Seconds()*steadyRate)), steadyRate, b.opt.seconds)
	if err != nil {
		return t, fmt.Errorf("load sigpost: %w", err)
	}
	_, err = r.to.Await(ctx, sent.Numbers(), b.opt.patience)
	return timesOf(sent, r.to), err
}

// during does live, with a replay beside it or without, and returns how many deliveries a second were
// replayed. The replay has begun before live does, and has ended when during returns.
func (r *replaying) during(ctx context.Context, b *bench, beside bool, live func(context.Context) (int, error)) (rate float64, err error) {
	if !beside {
		_, err = live(ctx)
		return 0, err
	}
	since := map[string]any{"since": time.Now().Add(-time.Hour), "pace": replayPace}
	r.to.Mark()
	task, err := b.create(ctx, r.system, "/api/v1/app/"+r.app+"/endpoint/"+r.endpoint+"/bulk-replay", since)
	if err != nil {
		return 0, err
	}
	if _, err := r.to.First(ctx, b.opt.patience); err != nil {
		return 0, fmt.Errorf("nothing is replayed: %w", err)
	}
	before, began := r.to.Total(), time.Now()
	events, err := live(ctx)
	if err != nil {
		return 0, err
	}
	rate = float64(r.to.Total()-before-events) / time.Since(began).Seconds()
	// That is refused when the task has ended: it was not beside the events until their end.
	if _, err := b.create(ctx, r.system, "/api/v1/background-task/"+task+"/cancel", nil); err != nil {
		return 0, err
	}
	return rate, r.to.Quiet(ctx, replayQuiet)
}
