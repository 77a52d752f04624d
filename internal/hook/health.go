package hook

import "time"

// Health is how an endpoint has been doing. It is kept in the store, so it
// outlives a restart and is the same for all nodes.
type Health struct {
	Endpoint Key
	Org      Key
	// FailingSince is the first failure after the last success; zero when the last
	// attempt that ended was one.
	FailingSince time.Time
	// Failures is how many attempts failed since then.
	Failures      int
	LastFailureAt time.Time
	LastSuccessAt time.Time // as far as it was noted: that of a healthy endpoint may be old
	// Warned is the highest warning that was given, in percent of the time after which
	// an endpoint is disabled.
	Warned int
	// Trips is how often in a row its breaker opened; 0 is closed. It is open until
	// OpenUntil, and afterwards lets one attempt at a time through.
	Trips     int
	OpenUntil time.Time
	// RecoverFrom is when it succeeded after failures: retries that waited then are
	// brought forward. Zero when there are none.
	RecoverFrom time.Time
}

// HealthChange is what is to be added to the health of an endpoint.
type HealthChange struct {
	Endpoint Key
	Org      Key
	// SucceededAt is the last success; zero when there was none. It ends what
	// failed before.
	SucceededAt time.Time
	// Failures came after that success, the first and the last of them at these times.
	Failures    int
	FirstFailed time.Time
	LastFailed  time.Time
	// HealthyUntil is the last success before the first of them; zero when it is not known.
	HealthyUntil time.Time
	// Trips and OpenUntil are the breaker's.
	Trips     int
	OpenUntil time.Time
}

// DisableAfter is how long without a success an application's endpoint may fail
// before it is disabled.
const DisableAfter = 5 * 24 * time.Hour
