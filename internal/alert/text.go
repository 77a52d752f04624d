package alert

import (
	"fmt"
	"strings"
	"time"
)

// minuteLayout is how people read a time here.
const minuteLayout = "2006-01-02 15:04 MST"

// at words an instant.
func at(t time.Time) string { return t.UTC().Format(minuteLayout) }

// lasting words a length of time, in at most two units.
func lasting(d time.Duration) string {
	d = d.Round(time.Minute)
	days, hours, minutes := int(d/(24*time.Hour)), int(d/time.Hour)%24, int(d/time.Minute)%60
	var parts []string
	add := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprint(n, " ", many))
		}
	}
	add(days, "day", "days")
	add(hours, "hour", "hours")
	if days == 0 {
		add(minutes, "minute", "minutes")
	}
	if len(parts) == 0 {
		return "less than a minute"
	}
	return strings.Join(parts, " ")
}

// instant is a time as the API writes it; nil for none.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}
