package notification

import (
	"errors"
	"fmt"
	"time"
)

// PartialError is the error of a [Sink] that delivered the first of several events and then failed.
// The caller repeats the others only.
type PartialError struct {
	// Delivered is the number of events that were delivered, counted from the first.
	Delivered int
	// Err is why the next event was not.
	Err error
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("%v (after %d delivered events)", e.Err, e.Delivered)
}

// Unwrap returns Err.
func (e *PartialError) Unwrap() error { return e.Err }

// Partial returns err as a [PartialError], or err itself if delivered is zero.
func Partial(delivered int, err error) error {
	if delivered == 0 || err == nil {
		return err
	}
	return &PartialError{Delivered: delivered, Err: err}
}

// Delivered returns how many of n events a call of Notify that returned err has delivered: all of
// them without an error, none with an error that is not a [PartialError].
func Delivered(err error, n int) int {
	var partial *PartialError
	switch {
	case err == nil:
		return n
	case errors.As(err, &partial):
		return min(max(partial.Delivered, 0), n)
	}
	return 0
}

// RetryError is the error of a [Sink] whose receiver said when to try again, such as with the
// header Retry-After.
type RetryError struct {
	// After is the time to wait before the next attempt. Callers limit it.
	After time.Duration
	// Err is what went wrong.
	Err error
}

func (e *RetryError) Error() string { return fmt.Sprintf("%v (retry after %s)", e.Err, e.After) }

// Unwrap returns Err.
func (e *RetryError) Unwrap() error { return e.Err }

// Stats counts what a queue or an outbox has done for one sink since the process started. A host
// publishes the numbers as metrics.
type Stats struct {
	// Delivered is the number of events that the sink accepted.
	Delivered int64
	// Failed is the number of calls of the sink that returned an error.
	Failed int64
	// Dropped is the number of events that the sink will never get: they exceeded a limit, or the
	// process gave up on them.
	Dropped int64
	// Pending is the number of events that wait for the sink.
	Pending int64
	// Oldest is the time of the oldest event that waits, or zero if none does.
	Oldest time.Time
	// LastError is the error of the last call, or nil if it succeeded.
	LastError error
	// Disabled is set if the sink is not called, because its receiver wants no more events.
	Disabled bool
}
