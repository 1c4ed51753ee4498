package filter

import (
	"context"
	"time"

	"github.com/registrykit/registry"
)

// Observer is called when an operation has ended, with its duration and its error, if any. The
// duration of OpenBlob is that of opening; the content is read afterwards. The duration of a list
// includes the time that the caller spends on its elements. An Observer must not change op. It is
// called concurrently, and the operation waits for it.
type Observer func(ctx context.Context, op *registry.Op, took time.Duration, err error)

// Observe returns b, and calls observe after each operation. If observe is nil, it is not called.
// If b is nil, every operation returns ErrUnsupported.
func Observe(b registry.Backend, observe Observer) registry.Backend {
	b = orNone(b)
	if observe == nil {
		return registry.Intercept(b, registry.Chain())
	}
	return registry.Intercept(b, func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
		begin := time.Now()
		err := next(ctx)
		observe(ctx, op, time.Since(begin), err)
		return err
	})
}
