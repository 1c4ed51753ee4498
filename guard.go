package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
)

// guard is the choke point: the registry as one identity sees it. Every operation, whether it comes
// by HTTP or from Go code, is checked, authorised, limited and told of here and nowhere else. It
// embeds nothing but Unimplemented, so what it does not know is refused.
type guard struct {
	Unimplemented
	r        *Registry
	identity auth.Identity
	request  *notification.Request // nil for calls in process
	granted  []auth.Access         // what this very request has been granted already
	decision auth.Decision         // the fields that all decisions about this request share
}

// authorize allows or refuses op. Names are checked first, so that an Authorizer never sees one
// that cannot be; existence is not looked at. Whether op names one manifest is checked last: a
// reference that no manifest can have is answered like an unknown one, which only callers that may
// read the repository learn.
func (g *guard) authorize(ctx context.Context, op *Op) error {
	if err := op.check(); err != nil {
		return err
	}
	if err := g.allow(ctx, op.Access()); err != nil {
		return err
	}
	return op.checkOneRef()
}

// allow asks the Authorizer for accesses that this request has not been granted yet.
func (g *guard) allow(ctx context.Context, accesses []auth.Access) error {
	if g.hasGranted(accesses) {
		return nil
	}
	err := g.decide(ctx, accesses)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, auth.ErrScope), errors.Is(err, auth.ErrDenied) && g.identity.Anonymous():
		return ErrUnauthorized.WithCause(&challenge{accesses: accesses, err: err})
	case errors.Is(err, auth.ErrDenied):
		return ErrDenied.WithCause(err)
	}
	return authorizeFailed(err)
}

// hasGranted reports whether this request has been granted all of accesses before.
func (g *guard) hasGranted(accesses []auth.Access) bool {
	return !slices.ContainsFunc(accesses, func(a auth.Access) bool { return !slices.Contains(g.granted, a) })
}

// authorizeFailed is the error for an Authorizer that does not know.
func authorizeFailed(err error) error {
	return ErrInternal.WithCause(fmt.Errorf("authorize: %w", err))
}

// challenge is the cause of an ErrUnauthorized: what the answer must ask credentials for.
type challenge struct {
	accesses []auth.Access
	err      error
}

func (c *challenge) Error() string { return c.err.Error() }
func (c *challenge) Unwrap() error { return c.err }

// sees reports whether the caller may do what an element of a list stands for. Nobody is told that
// it was asked.
func (g *guard) sees(ctx context.Context, op *Op) (bool, error) { return g.allowed(ctx, op.Access()) }

// allowed reports whether the caller may do all of accesses. Nobody is told of the question.
func (g *guard) allowed(ctx context.Context, accesses []auth.Access) (bool, error) {
	if g.r.opts.Authorizer == nil {
		return true, nil
	}
	err := g.r.opts.Authorizer.Authorize(ctx, g.identity, accesses)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, auth.ErrDenied), errors.Is(err, auth.ErrScope):
		return false, nil
	}
	return false, authorizeFailed(err)
}
