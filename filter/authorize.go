package filter

import (
	"errors"
	"math"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
)

// Authorize returns b as one identity may use it. It is the choke point of [registry.Registry] in
// front of b: the same operations ask for the same accesses, mounts only take from what may be
// pulled, tags are overwritten only by who may, and the catalogue shows only what may be pulled. An
// operation of which it is not known what it needs asks for everything.
//
// It fails if b or a is nil: that nobody decides shall not mean that everything is allowed.
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
