package store

import (
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// Nobody takes back what others changed: a row that was read, changed and is to be
// kept must be as it was read. What tells is its time of change, which grows with
// every change, whatever the clocks of nodes say. The transaction that changes it
// reads it with forUpdate first, so that no other node comes between.

// notStale is an error with CodeStale unless a row, changed at last, is as it was when
// it was read.
func notStale(what string, last, read time.Time) error {
	if last.Equal(read) {
		return nil
	}
	return hook.Errorf(hook.CodeStale, "the %s was changed by others in the meantime; read it again", what)
}

// changedAt is now, or the next moment after the time of the last change.
func changedAt(last time.Time) time.Time {
	now := inMS(time.Now())
	if now.After(last) {
		return now
	}
	return last.Add(time.Millisecond)
}

// sqlTouch is changedAt for statements that read nothing first; it takes now twice.
const sqlTouch = "updated_at = CASE WHEN updated_at < ? THEN ? ELSE updated_at + 1 END"
