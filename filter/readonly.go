package filter

import (
	"context"
	"sync/atomic"

	"github.com/registrykit/registry"
)

// ReadOnly returns b without its writes and deletes. They return ErrUnsupported, as does any
// operation of which it is not known that it only reads. A nil b has no operations.
func ReadOnly(b registry.Backend) registry.Backend { return registry.Intercept(orNone(b), readOnly) }

// orNone returns b, or a Backend that can do nothing if b is nil.
func orNone(b registry.Backend) registry.Backend {
	if b == nil {
		return registry.Unimplemented{}
	}
	return b
}

// readOnlyMessage is what clients are told unless there is something better to tell them.
const readOnlyMessage = "the registry is read-only"

func readOnly(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
	if op.Write() {
		return registry.ErrUnsupported.WithMessage(readOnlyMessage)
	}
	return next(ctx)
}

// Switch makes registries read-only, and writable again, while they run. The zero Switch is off:
// writes pass. Its method ReadOnly puts it in front of a Backend; any number may share it. It is
// safe for concurrent use, and is that of one process: replicas have one each.
type Switch struct{ message atomic.Pointer[string] }

// On refuses all writes and deletes that begin from now on, as [ReadOnly] does, and lets those in
// flight come to their end; but an upload takes a request or two more than it has made by then,
// which are refused as well. Clients are answered 405 UNSUPPORTED with the message, or with one of
// this package if it is "". They show it at once; after a 503, some try again first, and some show
// no message.
func (s *Switch) On(message string) {
	if message == "" {
		message = readOnlyMessage
	}
	s.message.Store(&message)
}

// Off lets writes pass again.
func (s *Switch) Off() { s.message.Store(nil) }

// Get reports whether it is on, and with which message.
func (s *Switch) Get() (message string, on bool) {
	if m := s.message.Load(); m != nil {
		return *m, true
	}
	return "", false
}

// ReadOnly returns b, which is read-only while the Switch is on. A nil b has no operations.
func (s *Switch) ReadOnly(b registry.Backend) registry.Backend {
	return registry.Intercept(orNone(b), func(ctx context.Context, op *registry.Op,
		next func(context.Context) error) error {
		if message, on := s.Get(); on && op.Write() {
			return registry.ErrUnsupported.WithMessage(message)
		}
		return next(ctx)
	})
}
