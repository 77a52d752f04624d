package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
)

// maxUnderWay bounds the requests under way at once when there is a rate: a
// receiver that does not answer slows trigger down instead of filling it.
const maxUnderWay = 64

// send sends the events and prints what comes of each attempt.
func (p *program) send(ctx context.Context, e *emulation, f *triggerFlags) error {
	r := &triggerRun{program: p, emulation: e, flags: f}
	if f.rate == 0 {
		for n := 1; n <= f.count && ctx.Err() == nil; n++ {
			r.deliver(ctx, n)
		}
	} else {
		r.atRate(ctx)
	}
	if missing := f.count - r.taken; missing > 0 {
		return &exitError{ExitInvalid, fmt.Errorf("%d of %d events were not taken", missing, f.count)}
	}
	return nil
}

// triggerRun is one run of `sigpost trigger`.
type triggerRun struct {
	*program
	emulation *emulation
	flags     *triggerFlags

	mu    sync.Mutex // guards the output and taken
	taken int
}

// atRate starts each event at its time, however long the ones before it take.
func (r *triggerRun) atRate(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	room := make(chan struct{}, maxUnderWay)
	begun := time.Now()
	for n := 1; n <= r.flags.count; n++ {
		due := begun.Add(time.Duration(float64(n-1) / r.flags.rate * float64(time.Second)))
		if !pause(ctx, time.Until(due)) {
			return
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-room }()
			r.deliver(ctx, n)
		})
	}
}

// deliver sends one event until it is taken, the provider would give up, or
// ctx ends. Without --retry it tries once.
func (r *triggerRun) deliver(ctx context.Context, number int) {
	v, _ := r.emulation.event(number) // that it may repeat itself was checked before
	begun := time.Now()
	for attempt := 1; ctx.Err() == nil; attempt++ {
		s := r.emulation.attempt(ctx, v, attempt)
		var wait time.Duration
		again := false
		if !s.Taken && r.flags.retry {
			if wait, again = retryWait(r.emulation.provider.Send, attempt, time.Since(begun)); again {
				s.RetryIn = wait.String()
			}
		}
		r.print(s)
		if !again || !pause(ctx, wait) {
			return
		}
	}
}

func (r *triggerRun) print(s sent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Taken {
		r.taken++
	}
	if r.flags.json {
		enc := json.NewEncoder(r.out)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(s) // the exit code, not this, says what was taken
		return
	}
	fmt.Fprintln(r.out, s.line(r.flags.retry))
}

// line is the attempt for people: number, status, time, answer.
func (s sent) line(retry bool) string {
	number := fmt.Sprint(s.Event)
	if retry {
		number += fmt.Sprintf(".%d", s.Attempt)
	}
	parts := []string{number, statusWords(s.Status), fmt.Sprintf("%.1f ms", s.Millis), s.Type}
	if s.ID != "" {
		parts = append(parts, s.ID)
	}
	if s.Reason != "" {
		parts = append(parts, "not taken: "+oneLine(s.Reason))
	}
	if s.RetryIn != "" {
		parts = append(parts, "next try in "+s.RetryIn)
	}
	if answer := oneLine(s.Answer); answer != "" {
		parts = append(parts, answer)
	}
	return strings.Join(parts, "  ")
}

// oneLine is the beginning of a text from outside, without what would move the
// cursor of a terminal.
func oneLine(s string) string {
	const most = 200
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }), " ")
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// pause waits for d; false when ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
