package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
)

// guard is the registry as one identity sees it. Every operation, over HTTP or from Go code, is
// checked, authorised, limited and reported here and nowhere else. It embeds only Unimplemented, so
// it refuses operations that it does not know.
type guard struct {
	Unimplemented
	r        *Registry
	identity auth.Identity
	done     *Op           // the operation of the request, once it has been authorized; nil for Go calls
	granted  []auth.Access // granted to this request already
	decision auth.Decision // the fields that all decisions about this request share
	quiet    bool          // makes no events

	request   *http.Request         // nil for Go calls
	describe  sync.Once             // sets described: a Caller may have several operations at once
	described *notification.Request // the request for its events, once there was one
}

// authorize returns nil if op is allowed. It does not check whether anything exists.
//
// Names are checked first, so that an Authorizer never sees a malformed one. Whether the reference
// names exactly one manifest is checked last. A reference that no manifest can have then gets the
// same response as an unknown one, and only callers with pull access receive it.
func (g *guard) authorize(ctx context.Context, op *Op) error {
	if g.done != nil && g.done.same(op) {
		return nil
	}
	if err := op.check(); err != nil {
		return err
	}
	if g.decides() {
		var one [1]auth.Access // of most operations, so that a second one of a request allocates nothing
		if !g.hasGranted(op.appendAccess(one[:0])) {
			if err := g.ask(ctx, op.Access()); err != nil {
				return err
			}
		}
	}
	return op.checkOneRef()
}

// authorizeRequest authorizes the operation of a request. The guard then authorizes the same
// operation again without a decision, and others with what has been granted.
func (g *guard) authorizeRequest(ctx context.Context, op *Op) error {
	if err := op.check(); err != nil {
		return err
	}
	if g.decides() {
		accesses := op.Access()
		if err := g.ask(ctx, accesses); err != nil {
			return err
		}
		g.granted = accesses
	}
	if err := op.checkOneRef(); err != nil {
		return err
	}
	g.done = op
	return nil
}

// decides reports whether decisions have an effect or are recorded. If not, everything is allowed.
func (g *guard) decides() bool { return g.r.opts.Authorizer != nil || g.r.opts.Audit != nil }

// allow asks the Authorizer for accesses, unless this request has been granted all of them.
func (g *guard) allow(ctx context.Context, accesses []auth.Access) error {
	if !g.decides() || g.hasGranted(accesses) {
		return nil
	}
	return g.ask(ctx, accesses)
}

// ask asks the Authorizer for accesses. The accesses may be kept and must not change.
func (g *guard) ask(ctx context.Context, accesses []auth.Access) error {
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
	for _, a := range accesses {
		if !slices.Contains(g.granted, a) {
			return false
		}
	}
	return true
}

// authorizeFailed returns the error for an Authorizer that failed to decide.
func authorizeFailed(err error) error {
	err = fmt.Errorf("authorize: %w", err)
	if u := unavailable(err); u != nil {
		return u
	}
	return ErrInternal.WithCause(err)
}

// unavailable returns ErrUnavailable if err is an *auth.UnavailableError, and otherwise nil.
func unavailable(err error) error {
	var u *auth.UnavailableError
	if !errors.As(err, &u) {
		return nil
	}
	e := ErrUnavailable.WithCause(err)
	if u.RetryAfter > 0 {
		e = e.WithRetryAfter(u.RetryAfter)
	}
	return e
}

// challenge is the cause of an ErrUnauthorized. It holds the accesses for which the response asks
// for credentials.
type challenge struct {
	accesses []auth.Access
	err      error
}

func (c *challenge) Error() string { return c.err.Error() }
func (c *challenge) Unwrap() error { return c.err }

// sees reports whether the caller may perform op on an element of a list. It makes no audit record.
func (g *guard) sees(ctx context.Context, op *Op) (bool, error) { return g.allowed(ctx, op.Access()) }

// allowed reports whether the caller has all of accesses. It makes no audit record.
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
