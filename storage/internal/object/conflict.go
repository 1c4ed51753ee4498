package object

import (
	"context"
	"errors"
	"iter"
	mathrand "math/rand/v2"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage/driver"
)

// Conflict is the error of a Put whose condition does not hold. It holds the object that is there
// instead, so that the caller need not read it again.
type Conflict struct {
	Err     error // driver.ErrExist or driver.ErrChanged
	Content []byte
	Info    driver.Info // Version is "" if there is no object
}

// Error implements error.
func (c *Conflict) Error() string { return c.Err.Error() }

// Unwrap returns the error of the driver.
func (c *Conflict) Unwrap() error { return c.Err }

// maxAttempts is how often an operation is tried before it fails with ErrContended.
const maxAttempts = 32

// ErrContended is returned when an operation has lost maxAttempts compare-and-swaps in a row to
// other writers. It is a registry.ErrUnavailable: the client may try again.
var ErrContended = registry.ErrUnavailable.WithCause(errors.New("storage: other writers came first too often"))

// Attempts yields the numbers of the attempts of an operation that retries a compare-and-swap. The
// loop body continues when driver.IsConflict reports that another writer came first. It returns when
// the operation succeeds or fails for another reason. Attempts waits before each attempt but the
// first, for a random and growing time, so that conflicting writers drift apart.
//
// *err is nil during each attempt. After the loop it is ErrContended, or the error of ctx if ctx
// has ended.
func Attempts(ctx context.Context, err *error) iter.Seq[int] {
	return func(yield func(int) bool) {
		for n := range maxAttempts {
			if *err = Pause(ctx, n); *err != nil || !yield(n) {
				return
			}
		}
		*err = ErrContended
	}
}

// AttemptsInTurn is Attempts for an object that many writers in this process change at once. From
// the second attempt on, the loop holds a lock on key, so that these writers go one after the
// other.
func (s *Store) AttemptsInTurn(ctx context.Context, key string, err *error) iter.Seq[int] {
	return func(yield func(int) bool) {
		for n := range Attempts(ctx, err) {
			if n == 1 {
				unlock, lockErr := s.locks.lock(ctx, key)
				if lockErr != nil {
					*err = lockErr
					return
				}
				defer unlock()
			}
			if !yield(n) {
				return
			}
		}
	}
}

// Pause waits a random time before attempt n of an operation: less than 2^n milliseconds, and less
// than 64. The first attempt has number 0 and does not wait. It returns the error of ctx if ctx
// ends.
func Pause(ctx context.Context, n int) error {
	if n == 0 {
		return ctx.Err()
	}
	return pause.Sleep(ctx, mathrand.N(time.Millisecond<<min(n, 6)))
}
