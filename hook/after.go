package hook

import (
	"context"
	"sync"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
)

// AfterOptions are the options of [After].
type AfterOptions struct {
	// Kinds are the operations for which the function is called. Default: all operations.
	Kinds []registry.OpKind
	// Timeout is the maximum time for one call. The context of the function ends then, and the
	// client gets its response. Default: 10 seconds, or 10 minutes with Background. A negative
	// value means no limit.
	Timeout time.Duration
	// Background calls the function while the client gets its response. Default: the client waits
	// for it.
	Background bool
	// Concurrency is the maximum number of calls at the same time, with those that have exceeded
	// Timeout and still run. Further operations wait for one to end, up to Timeout. With Background
	// they do not wait: the function is not called for them. Default: 1000, or 16 with Background. A
	// negative value means one.
	Concurrency int
	// Running counts the calls that run in the background, until they return. A host that stops
	// waits for it after the server has stopped. Default: nothing waits for them.
	Running *sync.WaitGroup
	// OnFailure is called if the function was not called, panicked, or exceeded Timeout. Default:
	// failures are ignored.
	OnFailure func(ctx context.Context, op *registry.Op, err error)
}

// After returns an interceptor that calls f after each operation that has succeeded. For a read of
// a blob, that is before its content is sent; for a list, after its last element.
//
// f cannot change the result of the operation. Its context has the values of that of the request,
// such as the identity of the caller, and does not end with the request. op is a copy, so f may
// keep it. It must not change what op points at.
func After(f func(ctx context.Context, op *registry.Op), opts *AfterOptions) registry.Interceptor {
	o := options.Value(opts)
	if o.Background {
		options.Default(&o.Timeout, 10*time.Minute)
		options.Default(&o.Concurrency, 16)
	}
	options.Default(&o.Timeout, 10*time.Second)
	options.Default(&o.Concurrency, 1000)
	a := &after{caller: newCaller(o.Kinds, o.Timeout, o.Concurrency), f: f, o: o}
	return a.intercept
}

type after struct {
	caller
	f func(context.Context, *registry.Op)
	o AfterOptions
}

func (a *after) intercept(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
	if err := next(ctx); err != nil || !a.wants(op) {
		return err
	}
	copied := *op
	ctx = context.WithoutCancel(ctx)
	if a.o.Background {
		a.background(ctx, &copied)
		return nil
	}
	limited, cancel := a.limit(ctx)
	defer cancel()
	if err := a.call(limited, a.function(limited, &copied)); err != nil {
		report(ctx, a.o.OnFailure, op, err)
	}
	return nil
}

// function returns f for a call with these arguments.
func (a *after) function(ctx context.Context, op *registry.Op) func() error {
	return func() error { a.f(ctx, op); return nil }
}

// background starts a call, unless too many have not ended.
func (a *after) background(ctx context.Context, op *registry.Op) {
	select {
	case a.slots <- struct{}{}:
	default:
		report(ctx, a.o.OnFailure, op, ErrBusy)
		return
	}
	if a.o.Running != nil {
		a.o.Running.Add(1)
	}
	limited, cancel := a.limit(ctx)
	reported := *op // f may change its own
	exceeded := context.AfterFunc(limited, func() { report(ctx, a.o.OnFailure, &reported, context.Cause(limited)) })
	a.start(a.function(limited, op), func(err error) {
		inTime := exceeded()
		cancel()
		if err != nil && inTime {
			report(ctx, a.o.OnFailure, &reported, err)
		}
		if a.o.Running != nil {
			a.o.Running.Done()
		}
	})
}
