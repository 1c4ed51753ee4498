package filter

import (
	"errors"
	"math"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
)

// Authorize returns b restricted to what a allows identity to do. It applies the guard that
// [registry.Registry] applies to HTTP requests: each operation asks for the same access, a mount
// reads only from repositories that identity may pull from, overwriting a tag needs its own
// permission, and the catalog lists only repositories that identity may pull from. An unknown
// operation needs every access.
//
// Authorize returns an error if b or a is nil: without an Authorizer, everything would be allowed.
func Authorize(b registry.Backend, a auth.Authorizer, identity auth.Identity) (registry.Backend, error) {
	if a == nil {
		return nil, errors.New("filter: no authorizer")
	}
	r, err := registry.New(b, &registry.Options{Authorizer: a, MaxManifestSize: math.MaxInt64})
	if err != nil {
		return nil, err
	}
	return r.Backend(identity), nil
}
