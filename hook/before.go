package hook

import (
	"context"
	"time"

	"github.com/registrykit/registry"
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
	// FailOpen decides what happens if the function does not decide: it returns an error that is no
	// *registry.Error, panics, or exceeds Timeout. If FailOpen is set, the operation goes on.
	// Default: the client gets 503.
	FailOpen bool
	// Concurrency is the maximum number of calls at the same time, with those that have exceeded
	// Timeout and still run. Further operations wait for one to end. Default: 1000.
	Concurrency int
	// OnFailure is called each time the function did not decide, whatever FailOpen is. err is the
	// error of the function, ErrTimeout, or a panic as an error. Default: with FailOpen, failures
	// are ignored; without, the registry logs them.
	OnFailure func(ctx context.Context, op *registry.Op, err error)
}

// Before returns an interceptor that calls f before each operation. The operation goes on if f
// returns nil, and is refused if f returns an error with a *registry.Error in it. The client gets
// its status, code and message, see [Deny]. What any other error means is said in
// BeforeOptions.FailOpen; the client does not see its text.
//
// op is a copy, so f may keep it. It must not change what op points at.
func Before(f func(ctx context.Context, op *registry.Op) error, opts *BeforeOptions) registry.Interceptor {
	return func(ctx context.Context, op *registry.Op, next func(context.Context) error) error { return next(ctx) }
}

// Deny returns an error for a client that is not allowed to perform an operation: 403 with the code
// DENIED and the reason as its message. Use registry.NewError for another status or code.
func Deny(reason string) error { return registry.ErrDenied.WithMessage(reason) }
