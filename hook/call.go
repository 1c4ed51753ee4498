package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/contain"
)

// ErrTimeout is the error of a function that exceeded its time limit, or waited for that long for
// other calls to end.
var ErrTimeout = errors.New("hook: the function exceeded its time limit")

// ErrBusy is the error of a function that was not called in the background, because as many calls
// as Concurrency allows had not ended.
var ErrBusy = errors.New("hook: too many calls in the background")

// caller calls a function of the host with a time limit.
type caller struct {
	kinds   []registry.OpKind
	timeout time.Duration // negative: no limit
	slots   chan struct{} // has an element for each call that has not returned
}

func newCaller(kinds []registry.OpKind, timeout time.Duration, concurrency int) caller {
	return caller{slices.Clone(kinds), timeout, make(chan struct{}, max(concurrency, 1))}
}

// wants reports whether the function is called for the operation.
func (c *caller) wants(op *registry.Op) bool {
	return len(c.kinds) == 0 || slices.Contains(c.kinds, op.Kind)
}

// limit returns ctx with the time limit of a call.
func (c *caller) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.timeout < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, c.timeout, ErrTimeout)
}

// call calls f in a goroutine of its own, and waits until it returns or ctx ends. The error is that
// of f, a panic, or the cause of the end of ctx. f may still run then; its slot is free only after
// it has returned.
func (c *caller) call(ctx context.Context, f func() error) error {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	result := make(chan error, 1)
	c.start(f, func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// start calls f in a goroutine of its own, and then done. The caller has taken a slot.
func (c *caller) start(f func() error, done func(error)) {
	contain.Go(f, func(err error) {
		<-c.slots
		if errors.Is(err, contain.ErrExit) {
			err = fmt.Errorf("hook: the function %w", err)
		}
		done(err)
	})
}

// report calls a function of the host that receives failures. It may panic, too.
func report(ctx context.Context, f func(context.Context, *registry.Op, error), op *registry.Op, err error) {
	if f != nil {
		_ = contain.Call(func() error { f(ctx, op, err); return nil })
	}
}
