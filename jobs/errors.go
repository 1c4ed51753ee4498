package jobs

import (
	"errors"
	"fmt"
)

var (
	// ErrUnknown is returned by Start and Cancel if no replica has had a job of that name.
	ErrUnknown = errors.New("jobs: unknown job")
	// ErrNotRunning is returned by Cancel if the job does not run and no run is requested.
	ErrNotRunning = errors.New("jobs: the job is not running")
	// ErrCanceled is the cause of the context of a run that [Runner.Cancel] has ended.
	ErrCanceled = errors.New("jobs: canceled on request")
	// ErrLost is the cause of the context of a run whose lease is lost: the storage could not be
	// reached for the time of the lease, or another replica has taken it.
	ErrLost = errors.New("jobs: the lease is lost")

	// errDied is the error of a run whose process has ended.
	errDied = errors.New("jobs: the process that ran the job ended, or lost the storage")
)

// PanicError is the error of a run that panicked.
type PanicError struct {
	// Value is the value of the panic.
	Value any
	// Stack is the stack of the goroutine. It is not part of the recorded error.
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("jobs: panic: %v", e.Value) }
