package hook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
)

// BeforeOptions are the options of [Before].
type BeforeOptions struct {
	// Kinds are the operations for which the function is called. A push of a layer consists of
	// several operations, see registry.OpKind. Default: all operations.
	Kinds []registry.OpKind
	// AfterRead calls the function for GetManifest, StatManifest, OpenBlob and StatBlob when
	// Op.Result is set, and before anything is sent to the client. A policy about content needs it:
	// if it looked up the tag by itself, the tag could move between its look and the read. Other
	// operations are not affected. Default: the function is called before reads, too.
	AfterRead bool
	// Timeout is the maximum time for one call, including the time to wait for other calls, see
	// Concurrency. The context of the function ends then. Default: 10 seconds. A negative value
	// means no limit.
	Timeout time.Duration
	// FailOpen decides what happens if the function does not decide: it panics, exceeds Timeout, or
	// returns another error than a *registry.Error with a status below 500. If FailOpen is set, the
	// operation goes on. Default: the client gets a *registry.Error as it is, and otherwise 503.
	FailOpen bool
	// Concurrency is the maximum number of calls at the same time, with those that have exceeded
	// Timeout and still run. Further operations wait for one to end. Default: 1000. A negative value
	// means one.
	Concurrency int
	// OnFailure is called each time the function did not decide, whatever FailOpen is. err is the
	// error of the function, ErrTimeout, or a panic as an error. Default: with FailOpen, failures
	// are ignored; without, the registry logs them.
	OnFailure func(ctx context.Context, op *registry.Op, err error)
}

// Before returns an interceptor that calls f before each operation. The operation goes on if f
// returns nil. It is refused if f returns an error that has a *registry.Error with a status below
// 500 in its chain: the client gets that status, code and message, see [Deny]. Any other error
// means that f did not decide, see BeforeOptions.FailOpen; the client does not see its text.
//
// The errors of a Backend are of this kind, too. A function that looks something up there must not
// return that it does not exist, unless the client is to see this.
//
// op is a copy, so f may keep it. It must not change what op points at.
func Before(f func(ctx context.Context, op *registry.Op) error, opts *BeforeOptions) registry.Interceptor {
	o := options.Value(opts)
	options.Default(&o.Timeout, 10*time.Second)
	options.Default(&o.Concurrency, 1000)
	b := &before{caller: newCaller(o.Kinds, o.Timeout, o.Concurrency), f: f, o: o}
	return b.intercept
}

// Deny returns an error for a client that is not allowed to perform an operation: 403 with the code
// DENIED and the reason as its message. Use registry.NewError for another status or code, and
// WithRetryAfter of the error to ask the client to try again, such as after a scan.
func Deny(reason string) error { return registry.ErrDenied.WithMessage(reason) }

// errUndecided is what the client gets if a function that fails closed did not decide.
var errUndecided = registry.ErrUnavailable.WithMessage("a policy of the registry could not be checked")

type before struct {
	caller
	f func(context.Context, *registry.Op) error
	o BeforeOptions
}

func (b *before) intercept(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
	if !b.wants(op) {
		return next(ctx)
	}
	if b.o.AfterRead && readsContent(op.Kind) {
		if err := next(ctx); err != nil {
			return err
		}
		return b.decide(ctx, op)
	}
	if err := b.decide(ctx, op); err != nil {
		return err
	}
	return next(ctx)
}

// readsContent reports whether an operation returns content that is not changed by it.
func readsContent(kind registry.OpKind) bool {
	switch kind {
	case registry.OpGetManifest, registry.OpStatManifest, registry.OpOpenBlob, registry.OpStatBlob:
		return true
	}
	return false
}

// decide returns nil if the operation may go on, and otherwise the error for the client.
func (b *before) decide(ctx context.Context, op *registry.Op) error {
	limited, cancel := b.limit(ctx)
	defer cancel()
	copied := *op // f may still run when the operation sets its result
	err := b.call(limited, func() error { return b.f(limited, &copied) })
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // the caller has gone, which is not a failure of f
	}
	var refused *registry.Error
	if errors.As(err, &refused) && refused.Status() < 500 {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(limited), ErrTimeout) {
		err = fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	report(ctx, b.o.OnFailure, op, err)
	if b.o.FailOpen {
		return nil
	}
	if refused != nil {
		return err
	}
	return errUndecided.WithCause(fmt.Errorf("hook: before %s: %w", op.Kind, err))
}
