package hook

import (
	"context"
	"sync"
	"time"

	"github.com/registrykit/registry"
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
	// they do not wait: the function is not called for them. Default: 1000, or 16 with Background.
	Concurrency int
	// Running counts the calls that run in the background. A host that stops waits for it after the
	// server has stopped. Default: nothing waits for them.
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
	return func(ctx context.Context, op *registry.Op, next func(context.Context) error) error { return next(ctx) }
}
