package filter

import (
	"context"

	"github.com/registrykit/registry"
)

// ReadOnly returns b without its writes and deletes. They return ErrUnsupported, as does any operation of which it is not known that
// it only reads. A nil b has no operations.
func ReadOnly(b registry.Backend) registry.Backend { return registry.Intercept(orNone(b), readOnly) }

// orNone returns b, or a Backend that can do nothing if b is nil.
func orNone(b registry.Backend) registry.Backend {
	if b == nil {
		return registry.Unimplemented{}
	}
	return b
}

func readOnly(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
	if op.Write() {
		return registry.ErrUnsupported.WithMessage("the registry is read-only")
	}
	return next(ctx)
}
