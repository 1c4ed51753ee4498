package filter

import (
	"context"
	"sync/atomic"

	"github.com/registrykit/registry"
)

// ReadOnly returns b without writes and deletes, which return ErrUnsupported. So does every
// operation that is not known to be a read. If b is nil, every operation returns ErrUnsupported.
func ReadOnly(b registry.Backend) registry.Backend { return registry.Intercept(orNone(b), readOnly) }

// orNone returns b, or a Backend without operations if b is nil.
func orNone(b registry.Backend) registry.Backend {
	if b == nil {
		return registry.Unimplemented{}
	}
	return b
}

// readOnlyMessage is the default message of ReadOnly and Switch.
const readOnlyMessage = "the registry is read-only"

func readOnly(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
	if op.Write() {
		return registry.ErrUnsupported.WithMessage(readOnlyMessage)
	}
	return next(ctx)
}

// Switch makes Backends read-only, and writable again, while they are in use. The zero Switch is
// off: writes pass. [Switch.ReadOnly] wraps a Backend; any number of Backends may share a Switch.
// It is safe for concurrent use. It works within one process: each replica needs its own.
type Switch struct{ message atomic.Pointer[string] }

// On rejects all writes and deletes that start from now on, as [ReadOnly] does, with message. If
// message is "", it is a default of this package. Operations in flight complete. An upload in
// progress fails at its next request. Clients receive status 405 with code UNSUPPORTED and show the
// message at once. After a 503, some would retry first, and some show no message.
func (s *Switch) On(message string) {
	if message == "" {
		message = readOnlyMessage
	}
	s.message.Store(&message)
}

// Off lets writes pass again.
func (s *Switch) Off() { s.message.Store(nil) }

// Get reports whether the Switch is on, and its message.
func (s *Switch) Get() (message string, on bool) {
	if m := s.message.Load(); m != nil {
		return *m, true
	}
	return "", false
}

// ReadOnly returns b, which is read-only while the Switch is on. If b is nil, every operation
// returns ErrUnsupported.
func (s *Switch) ReadOnly(b registry.Backend) registry.Backend {
	return registry.Intercept(orNone(b), func(ctx context.Context, op *registry.Op,
		next func(context.Context) error) error {
		if message, on := s.Get(); on && op.Write() {
			return registry.ErrUnsupported.WithMessage(message)
		}
		return next(ctx)
	})
}
