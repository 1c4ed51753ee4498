package registry

import (
	"context"
	"net/http"
	"slices"

	"github.com/registrykit/registry/auth"
)

// Caller is the sender of an HTTP request that another handler of the same program serves, such as a management
// API or a page. The registry identifies and authorises the sender by the same rules, with the same audit records
// and events, as the sender of its own requests. A Caller is valid during its request.
type Caller struct {
	guard *guard
}

// Caller identifies the sender of a request to another handler. a identifies the sender. If it is nil,
// Options.Authenticator does. Refused credentials make an audit record.
//
// Errors: ErrUnauthorized; ErrTooManyRequests; ErrUnavailable; any other error of the Authenticator.
func (r *Registry) Caller(req *http.Request, a auth.Authenticator) (*Caller, error) {
	c := &call{r: r, req: req}
	identity, err := c.authenticateBy(a)
	if err != nil {
		return nil, err
	}
	req = req.WithContext(withIdentity(req.Context(), identity))
	return &Caller{&guard{r: r, identity: identity, request: req, decision: c.newDecision(identity)}}, nil
}

// Identity returns the identity of the sender.
func (c *Caller) Identity() auth.Identity { return c.guard.identity }

// Backend returns the registry as the sender sees it. It is that of [Registry.Backend], and its audit records and
// events also describe the request.
func (c *Caller) Backend() Backend { return Intercept(c.guard, carry(c.guard.identity)) }

// Reader returns the registry as the sender sees it, for a program that shows what it has, such as a page. Its reads
// are those of the Backend, but they make no events, so they do not count as pulls. It has what was allowed to the
// Caller before.
func (c *Caller) Reader() Reader {
	g := c.guard
	quiet := &guard{r: g.r, identity: g.identity, granted: g.granted, decision: g.decision, request: g.request,
		quiet: true}
	return Intercept(quiet, carry(g.identity))
}

// Authorize asks Options.Authorizer whether the sender has all of accesses. The decision makes an audit record.
// Without accesses, it returns nil. What was allowed stays allowed until the end of the request, and operations of
// the Backend that need no more make no further audit record. Authorize must not be called at the same time as any
// other method.
//
// Errors: ErrUnauthorized if the sender is anonymous, or has credentials with a narrower scope; ErrDenied, also if the
// registry has no Authorizer; ErrUnavailable; ErrInternal if the Authorizer failed.
func (c *Caller) Authorize(ctx context.Context, accesses ...auth.Access) error {
	switch {
	case len(accesses) == 0:
		return nil
	case c.guard.r.opts.Authorizer == nil:
		return ErrDenied
	}
	if err := c.guard.allow(ctx, accesses); err != nil {
		return err
	}
	c.guard.granted = slices.Concat(c.guard.granted, accesses)
	return nil
}

// Allows reports whether the sender has all of accesses. It makes no audit record. A list calls it for each of its
// elements.
//
// Errors: ErrUnavailable; ErrInternal if the Authorizer failed.
func (c *Caller) Allows(ctx context.Context, accesses ...auth.Access) (bool, error) {
	if c.guard.r.opts.Authorizer == nil {
		return len(accesses) == 0, nil
	}
	return c.guard.allowed(ctx, accesses)
}

// Allows reports whether an identity has all of accesses. It makes no audit record.
//
// Errors: ErrUnavailable; ErrInternal if the Authorizer failed.
func (r *Registry) Allows(ctx context.Context, identity auth.Identity, accesses ...auth.Access) (bool, error) {
	return (&guard{r: r, identity: identity}).allowed(ctx, accesses)
}

// Authorizer returns Options.Authorizer, or nil.
func (r *Registry) Authorizer() auth.Authorizer { return r.opts.Authorizer }
