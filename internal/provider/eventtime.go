package provider

import (
	"math"
	"strconv"
	"time"
)

// parseTime reads a provider's time: RFC 3339 with any number of fraction
// digits, or a Unix time in seconds, milliseconds or microseconds, told apart
// by size (seconds reach 1e11 only in the year 5138). The result is in UTC;
// what is no such time, or outside the years 1970 to 9999, is false.
func parseTime(s string) (time.Time, bool) {
	if len(s) > 64 {
		return time.Time{}, false
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return plausible(t.UTC())
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || n <= 0 || n >= 1e17 {
		return time.Time{}, false
	}
	switch {
	case n < 1e11:
		return plausible(time.UnixMicro(int64(math.Round(n * 1e6))).UTC())
	case n < 1e14:
		return plausible(time.UnixMicro(int64(math.Round(n * 1e3))).UTC())
	default:
		return plausible(time.UnixMicro(int64(n)).UTC())
	}
}

func plausible(t time.Time) (time.Time, bool) {
	if t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}, false
	}
	return t, true
}
