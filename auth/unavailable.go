package auth

import (
	"fmt"
	"time"
)

// UnavailableError is returned by Authenticate and Authorize, possibly wrapped, if the answer is not known now,
// for example because the keys of an issuer or the storage of accounts cannot be read. The response is 503 with a
// Retry-After header.
type UnavailableError struct {
	// RetryAfter is how long the caller should wait before the next attempt. Zero means that it is not known.
	RetryAfter time.Duration
	// Err is the cause, for the log.
	Err error
}

// Error implements error.
func (e *UnavailableError) Error() string { return fmt.Sprintf("auth: not available: %v", e.Err) }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }
