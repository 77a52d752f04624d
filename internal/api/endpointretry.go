package api

import (
	"fmt"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// RetriesFor are the waits between attempts at messages of some event types.
type RetriesFor struct {
	EventTypes []string `json:"eventTypes" maxItems:"64" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.*]+$" doc:"Event types, with * as a wildcard"`
	Retries    []int    `json:"retries" maxItems:"64" minimum:"1" maximum:"604800" doc:"Seconds to wait after each failure; the last one repeats"`
}

// longestRetry bounds a wait between attempts: the whole window.
const longestRetry = hook.RetryWindow

// waitsOf are seconds as waits.
func waitsOf(field string, seconds []int) ([]time.Duration, error) {
	waits := make([]time.Duration, len(seconds))
	for i, n := range seconds {
		waits[i] = time.Duration(n) * time.Second
		if n < 1 || waits[i] > longestRetry {
			return nil, invalid(fmt.Sprintf("%d is not between 1 and %d seconds", n, int(longestRetry.Seconds())), "body", field)
		}
	}
	return waits, nil
}

func schedulesOf(list []RetriesFor) ([]hook.TypeSchedule, error) {
	var out []hook.TypeSchedule
	for _, r := range list {
		if len(r.EventTypes) == 0 || len(r.Retries) == 0 {
			return nil, invalid("needs eventTypes and retries: which event types are tried again, and after how many seconds", "body", "retriesFor")
		}
		waits, err := waitsOf("retriesFor", r.Retries)
		if err != nil {
			return nil, err
		}
		out = append(out, hook.TypeSchedule{EventTypes: r.EventTypes, Waits: waits})
	}
	return out, nil
}

func secondsOf(waits []time.Duration) []int {
	var out []int
	for _, w := range waits {
		out = append(out, int(w/time.Second))
	}
	return out
}

func retriesForOf(list []hook.TypeSchedule) []RetriesFor {
	var out []RetriesFor
	for _, s := range list {
		out = append(out, RetriesFor{EventTypes: s.EventTypes, Retries: secondsOf(s.Waits)})
	}
	return out
}

// setRetries puts the waits that a caller sent into an endpoint: nil leaves them as
// they are, an empty list gives the default back.
func setRetries(e *hook.Endpoint, retries *[]int, types *[]RetriesFor) (err error) {
	if retries != nil {
		if e.Schedule, err = waitsOf("retries", *retries); err != nil {
			return err
		}
	}
	if types != nil {
		e.Schedules, err = schedulesOf(*types)
	}
	return err
}
