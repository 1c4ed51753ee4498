package filter

import (
	"context"
	"time"

	"github.com/registrykit/registry"
)

// Observer is told of an operation that has ended: how long it took, and with which error, if any.
// The time of OpenBlob is that of opening; the bytes are read afterwards. The time of a list
// includes what the caller did with its elements. It must not change op, is called by many
// goroutines at once, and the operation waits for it.
type Observer func(ctx context.Context, op *registry.Op, took time.Duration, err error)

// Observe returns b, and has observe, unless nil, told of each operation. A nil b has no
// operations.
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
