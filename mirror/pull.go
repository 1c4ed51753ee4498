package mirror

import (
	"context"
	"strconv"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror/internal/upstream"
)

// pull is one operation on a mirrored repository.
type pull struct {
	origin *origin
	repo   string             // the name in the mirror
	name   string             // the name at the upstream
	caller *caller            // of an upstream with PassThrough; otherwise nil
	exempt *registry.Manifest // the operation is part of the decision about this manifest; or nil
	via    string             // the Via header of the request, or ""
}

// route returns the pull for a repository of the mirror, or nil for a repository of the store.
//
// Errors: registry.ErrNameInvalid; registry.ErrNameUnknown for a name that begins with an alias,
// because Resolve maps such names.
func (m *Mirror) route(ctx context.Context, repo string) (*pull, error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	o, name := m.names.mirrored(repo)
	if o == nil {
		if m.names.alias(repo) {
			return nil, errAlias
		}
		return nil, nil
	}
	p := &pull{origin: o, repo: repo, name: name}
	if o.PassThrough {
		p.caller = m.callerOf(ctx, o)
	}
	p.via, _ = ctx.Value(viaKey{}).(string)
	p.exempt, _ = ctx.Value(exemptKey{}).(*registry.Manifest)
	return p, nil
}

var errAlias = registry.ErrNameUnknown.WithMessage("the name begins with an alias of an upstream")

// routeUpstream is route for an operation that only a repository of an upstream has.
//
// Errors: registry.ErrNameUnknown for a repository of the store; those of route.
func (m *Mirror) routeUpstream(ctx context.Context, repo string) (*pull, error) {
	p, err := m.route(ctx, repo)
	if err == nil && p == nil {
		err = registry.ErrNameUnknown.WithMessage("no upstream has the prefix of this repository")
	}
	return p, err
}

// remote returns the upstream with the credentials of the pull.
func (p *pull) remote() *upstream.Upstream {
	u := p.origin.as(p.caller)
	if p.via != "" {
		u = u.Through(p.via)
	}
	return u
}

// key returns a key for what the mirror remembers of a reference in the repository: a tag, a
// digest, or "". The responses of an upstream to a caller are remembered for that caller alone.
func (p *pull) key(ref string) string {
	if p.caller != nil {
		return p.repo + "\x00" + ref + "\x00" + string(p.caller.id[:])
	}
	return p.shared(ref)
}

// flight returns a key for a request to the upstream. A request that has passed mirrors waits only for
// those that have passed as many: mirrors in a loop would wait for each other. The Via header itself is
// no part of the key, because clients can send anything in it.
func (p *pull) flight(ref string) string { return p.key(ref) + "\x00" + strconv.Itoa(hops(p.via)) }

// maxHops is the maximum number of mirrors in a loop.
const maxHops = 20

// hops returns the number of elements of a Via header, up to maxHops.
func hops(via string) int {
	if via == "" {
		return 0
	}
	return min(1+strings.Count(via, ","), maxHops)
}

// shared returns a key for what does not depend on the caller.
func (p *pull) shared(ref string) string { return p.repo + "\x00" + ref }
