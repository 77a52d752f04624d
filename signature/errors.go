package signature

import (
	"errors"
	"fmt"
	"time"
)

// What can be wrong, to be told apart with errors.Is. None of them, and no
// error that wraps them, contains a secret or an expected signature. A server
// should still answer every one of them alike: see Middleware.
var (
	// ErrBadScheme: the scheme cannot be used; see Scheme.Validate.
	ErrBadScheme = errors.New("bad signature scheme")
	// ErrUnknownAlgorithm: a variant names an algorithm that this package does
	// not have. It comes with ErrBadScheme.
	ErrUnknownAlgorithm = errors.New("unknown signature algorithm")
	// ErrNoSecret: no secret was given, or one of them is empty.
	ErrNoSecret = errors.New("no secret")
	// ErrBadSecret: a secret is not a key of the form that the scheme wants.
	ErrBadSecret = errors.New("bad secret")
	// ErrMissingHeader: a header that the scheme needs is not there.
	ErrMissingHeader = errors.New("missing header")
	// ErrMalformedHeader: a header is there, but not in the scheme's form.
	ErrMalformedHeader = errors.New("malformed header")
	// ErrMismatch: no signature of the request belongs to any live secret.
	ErrMismatch = errors.New("signature does not match")
	// ErrTimestamp: the request was signed too long ago, or in the future. The
	// error is a *TimestampError.
	ErrTimestamp = errors.New("timestamp out of tolerance")
)

// SecretError says which of the given secrets is wrong, and how, without
// quoting it. It is ErrNoSecret or ErrBadSecret.
type SecretError struct {
	Index  int    // position among the secrets, from 0; -1 when it is about all of them
	Reason string // in words, for people
	kind   error
}

// Error counts from 1, as people do.
func (e *SecretError) Error() string {
	if e.Index < 0 {
		return e.Reason
	}
	return fmt.Sprintf("secret %d: %s", e.Index+1, e.Reason)
}

// Unwrap gives ErrNoSecret or ErrBadSecret.
func (e *SecretError) Unwrap() error { return e.kind }

// HeaderError says which header is missing or malformed, and how, without
// quoting its value. It is ErrMissingHeader or ErrMalformedHeader.
type HeaderError struct {
	Header string // the name, as the scheme writes it
	Reason string // in words, for people; empty when the header is missing
	kind   error
}

func (e *HeaderError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%v %s", e.kind, e.Header)
	}
	return fmt.Sprintf("%v %s: %s", e.kind, e.Header, e.Reason)
}

// Unwrap gives ErrMissingHeader or ErrMalformedHeader.
func (e *HeaderError) Unwrap() error { return e.kind }

func missing(header string) error {
	return &HeaderError{Header: header, kind: ErrMissingHeader}
}

func malformed(header, reason string) error {
	return &HeaderError{Header: header, Reason: reason, kind: ErrMalformedHeader}
}

// TimestampError is ErrTimestamp with its size.
type TimestampError struct {
	Timestamp time.Time     // when the request says it was signed
	Skew      time.Duration // the verifier's time less Timestamp: above 0 it is too old, below 0 in the future
	Tolerance time.Duration // what the scheme allows on either side
}

func (e *TimestampError) Error() string {
	side := "in the past"
	if e.Skew < 0 {
		side = "in the future"
	}
	return fmt.Sprintf("%v: %v %s, %v allowed", ErrTimestamp, e.size(), side, e.Tolerance)
}

// size is the skew without its sign, in whole seconds.
func (e *TimestampError) size() time.Duration {
	// The smallest duration has no positive counterpart.
	return max(e.Skew, -max(e.Skew, -maxDuration)).Round(time.Second)
}

// Is makes every TimestampError an ErrTimestamp.
func (e *TimestampError) Is(target error) bool { return target == ErrTimestamp }

const maxDuration = time.Duration(1<<63 - 1)
