package object

import (
	"context"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver"
)

// changed reports whether a conditional write failed because somebody else was first.
func IsConflict(err error) bool {
	return errors.Is(err, driver.ErrExist) || errors.Is(err, driver.ErrChanged)
}

// overtaken is the error of a put whose condition did not hold, with what is there instead.
type Conflict struct {
	Err     error // ErrExist or ErrChanged
	Content []byte
	Info    driver.Info // Version is "" if there is nothing
}

func (o *Conflict) Error() string { return o.Err.Error() }

func (o *Conflict) Unwrap() error { return o.Err }

// attempts bounds how often an operation begins again because somebody else was first.
const MaxAttempts = 32

// pause waits before attempt n, the first being 0: not at all at first, then at random and longer
// each time, so that those who are in each other's way come apart.
func Pause(ctx context.Context, n int) error {
	if n == 0 {
		return ctx.Err()
	}
	return Sleep(ctx, mathrand.N(time.Millisecond<<min(n, 6)))
}

// sleep waits for a time, or until ctx ends, whose error it then returns.
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

// errContended is what an operation ends with that has begun again too often.
var ErrContended = registry.ErrUnavailable.WithCause(errors.New("storage: others were first too often"))
