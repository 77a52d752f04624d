package telemetry

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestLogIsWrittenSoonAndUrgentLinesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out lines
		log, err := NewLog(&out, "text", "info")
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("not this")
		log.Info("first")
		if out.String() != "" {
			t.Error("a line was written alone")
		}
		log.With("a", 1).Warn("second")
		if s := out.String(); !strings.Contains(s, "first") || !strings.Contains(s, "second") || strings.Contains(s, "not this") {
			t.Errorf("after a warning: %q", s)
		}
		log.Info("third")
		time.Sleep(flushInterval)
		synctest.Wait()
		if !strings.Contains(out.String(), "third") {
			t.Error("a line was not written soon")
		}
		log.Info("last")
		log.Close()
		if !strings.Contains(out.String(), "last") {
			t.Error("closing lost a line")
		}
	})
}

func TestNewLogRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"xml", "info"}, {"text", "loud"}} {
		if _, err := NewLog(&lines{}, c[0], c[1]); err == nil || !strings.Contains(err.Error(), "is not one of") {
			t.Errorf("%v: %v", c, err)
		}
	}
}
