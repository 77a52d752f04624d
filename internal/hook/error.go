package hook

import (
	"errors"
	"fmt"
)

// Code classifies an error once, where it is first known. How it is shown –
// HTTP status, exit code – is decided in one place per face.
type Code string

// The codes.
const (
	CodeInvalid     Code = "invalid"      // the caller must change something
	CodeNotFound    Code = "not_found"    // there is no such thing
	CodeConflict    Code = "conflict"     // the thing exists, or is managed elsewhere
	CodeStale       Code = "stale"        // it was changed since it was read
	CodeDenied      Code = "denied"       // the caller is known and may not do this
	CodeUnknown     Code = "unauthorized" // the caller is not known
	CodeTooLarge    Code = "too_large"    // over a documented limit
	CodeUnavailable Code = "unavailable"  // our own trouble: try again later
	CodeInternal    Code = "internal"     // a fault of ours; told outside without detail
)

// Error is the one error that faces show to people. Its message names the
// field, the value and the way out, and never holds a secret.
type Error struct {
	Code    Code
	Message string
	Err     error // the cause, for the log; nil when there is none
}

// Errorf makes an Error. A %w verb keeps the cause for errors.Is.
func Errorf(code Code, format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: wrapped.Error(), Err: errors.Unwrap(wrapped)}
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the code of err: its own when it is or wraps an *Error, else CodeInternal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
