package store

import (
	"context"
	"testing"
	"time"
)

// A node whose clock is not that of the database makes keys by the database's, as it
// knows it from its last beat.
func TestKeysGoByTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := openNode(t, server.Database(t))
	off := func(k time.Time) time.Duration { return time.Until(k).Abs() } // here both clocks are one
	if d := off(s.keyTime(time.Now())); d > time.Second {
		t.Errorf("at the start keys are %v off", d)
	}
	now := time.Now()
	s.pg.clock.Store(&clockReading{now, now.Add(-time.Hour)})
	if err := s.Beat(ctx); err != nil {
		t.Fatal(err)
	}
	if d := off(s.keyTime(time.Now())); d > time.Second {
		t.Errorf("after a beat keys are %v off", d)
	}
	now = time.Now()
	s.pg.clock.Store(&clockReading{now, now.Add(time.Hour)})
	if at := keep(t, s, unit(0)).Message.ID.Time(); off(at.Add(-time.Hour)) > time.Second {
		t.Errorf("an hour ahead a key is of %v", at)
	}
}

// An answer that took long does not say what time it is.
func TestAClockThatAnswersLateIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := openNode(t, server.Database(t))
	before := s.pg.clock.Load()
	row := s.write.QueryRow("SELECT 1000000")
	if err := s.pg.read(row, time.Now().Add(-2*sure)); err != nil || s.pg.clock.Load() != before {
		t.Errorf("it was believed: %v, %v", s.pg.clock.Load(), err)
	}
}
