package telemetry

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// flushInterval is how long a line below Warn may wait in memory: at thousands
// of lines a second, a system call for each costs more than the line.
const flushInterval = 100 * time.Millisecond

// Log writes log lines through a buffer. Close it.
type Log struct {
	*slog.Logger
	out  *buffered
	done chan struct{}
}

// NewLog makes a log of the form "text" or "json" at a level ("debug", "info",
// "warn", "error").
func NewLog(w io.Writer, form, level string) (*Log, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q is not one of debug, info, warn, error", level)
	}
	out := &buffered{w: bufio.NewWriterSize(w, 64<<10)}
	opts := &slog.HandlerOptions{Level: least}
	var h slog.Handler
	switch strings.ToLower(form) {
	case "json":
		h = slog.NewJSONHandler(out, opts)
	case "text":
		h = slog.NewTextHandler(out, opts)
	default:
		return nil, fmt.Errorf("log format %q is not one of text, json", form)
	}
	l := &Log{Logger: slog.New(&urgent{h, out}), out: out, done: make(chan struct{})}
	go l.run()
	return l, nil
}

func (l *Log) run() {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-tick.C:
			l.out.flush()
		}
	}
}

// Close writes what is still in memory.
func (l *Log) Close() {
	close(l.done)
	l.out.flush()
}

// urgent flushes after every line that someone may be waiting for.
type urgent struct {
	slog.Handler
	out *buffered
}

func (u *urgent) Handle(ctx context.Context, r slog.Record) error {
	err := u.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		u.out.flush()
	}
	return err
}

func (u *urgent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &urgent{u.Handler.WithAttrs(attrs), u.out}
}

func (u *urgent) WithGroup(name string) slog.Handler {
	return &urgent{u.Handler.WithGroup(name), u.out}
}

type buffered struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (b *buffered) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.w.Write(p)
}

func (b *buffered) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.w.Flush()
}
