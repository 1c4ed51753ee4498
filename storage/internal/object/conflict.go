package object

import (
	"context"
	"errors"
	"iter"
	mathrand "math/rand/v2"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver"
)

// IsConflict reports whether a conditional write failed because the object has changed since it was
// read: another writer came first.
func IsConflict(err error) bool {
	return errors.Is(err, driver.ErrExist) || errors.Is(err, driver.ErrChanged)
}

// Conflict is the error of a Put whose condition did not hold. It has the object that is there instead,
// so that the caller need not read it again.
type Conflict struct {
	Err     error // driver.ErrExist or driver.ErrChanged
	Content []byte
	Info    driver.Info // Version is "" if there is no object
}

func (c *Conflict) Error() string { return c.Err.Error() }

// Unwrap returns the error of the driver.
func (c *Conflict) Unwrap() error { return c.Err }

// maxAttempts is how often an operation is tried before it fails with ErrContended.
const maxAttempts = 32

// ErrContended is returned when an operation has lost to other writers maxAttempts times.
var ErrContended = registry.ErrUnavailable.WithCause(errors.New("storage: other writers came first too often"))

// Attempts yields the numbers of the attempts of an operation that starts again when IsConflict reports
// that another writer came first. It waits before each attempt but the first, at random and longer each
// time, so that writers that conflict drift apart. The loop body returns when the operation succeeds or
// fails for another reason.
//
// *err is nil during each attempt. After the loop it is ErrContended, or the error of ctx if that has
// ended.
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

// AttemptsInTurn is Attempts for an object that many writers in this process change at once: from the
// second attempt on, the loop holds the lock of key, so that these writers go one after the other.
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

// Pause waits before attempt n of an operation; the first attempt has number 0 and does not wait.
func Pause(ctx context.Context, n int) error {
	if n == 0 {
		return ctx.Err()
	}
	return Sleep(ctx, mathrand.N(time.Millisecond<<min(n, 6)))
}

// Sleep waits for a time, or until ctx ends, whose error it then returns.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
