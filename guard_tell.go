package registry

import (
	"context"

	"github.com/registrykit/registry/auth"
)

// decide asks the Authorizer and records the decision. The error is that of the Authorizer.
func (g *guard) decide(ctx context.Context, accesses []auth.Access) error {
	a, rule := g.r.opts.Authorizer, ""
	var err error
	switch {
	case a == nil:
	case g.r.opts.Audit == nil:
		return a.Authorize(ctx, g.identity, accesses)
	default:
		rule, err = auth.Explain(ctx, a, g.identity, accesses)
	}
	g.r.audit(ctx, g.decision, accesses, rule, err)
	return err
}

// audit calls Options.Audit with a decision.
func (r *Registry) audit(ctx context.Context, d auth.Decision, accesses []auth.Access, rule string, err error) {
	if r.opts.Audit == nil {
		return
	}
	d.Accesses, d.Rule, d.Allowed, d.Err = accesses, rule, err == nil, err
	r.opts.Audit(ctx, d)
}

// newDecision returns the fields that all decisions about the request share.
func (c *call) newDecision(identity auth.Identity) auth.Decision {
	if c.r.opts.Audit == nil {
		return auth.Decision{}
	}
	return auth.Decision{
		Identity: identity, Method: c.req.Method, Path: LogPath(c.req),
		RemoteAddr: c.req.RemoteAddr, UserAgent: c.req.UserAgent(),
	}
}
