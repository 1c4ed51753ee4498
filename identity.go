package registry

import (
	"context"

	"github.com/registrykit/registry/auth"
)

// identityKey is the key of the caller's identity in a context.
type identityKey struct{}

// IdentityFrom returns the identity of the caller of an operation. ctx is the context that an
// [Interceptor] or a [Backend] below a [Registry] receives. The zero, anonymous identity is
// returned for any other context.
func IdentityFrom(ctx context.Context) auth.Identity {
	identity, _ := ctx.Value(identityKey{}).(auth.Identity)
	return identity
}

// withIdentity returns ctx with the identity. It returns ctx itself if neither has one, so that
// anonymous registries do not pay for it.
func withIdentity(ctx context.Context, identity auth.Identity) context.Context {
	if identity.Anonymous() && identity.Groups == nil && identity.Claims == nil && ctx.Value(identityKey{}) == nil {
		return ctx
	}
	return context.WithValue(ctx, identityKey{}, identity)
}

// carry returns an interceptor that puts the identity into the context.
func carry(identity auth.Identity) Interceptor {
	return func(ctx context.Context, _ *Op, next func(context.Context) error) error {
		return next(withIdentity(ctx, identity))
	}
}
