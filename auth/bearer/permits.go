package bearer

import (
	"errors"
	"slices"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/scope"
)

// everyRepository is the name in a permission of Options.Map that stands for every repository. No repository has
// this name, so that in Docker's claim "access" it permits nothing.
const everyRepository = "*"

// permits is what a token permits.
type permits struct {
	grants scope.Grants
	// every are the actions that are permitted in every repository.
	every []auth.Action
}

// catalog is the permission to list the repositories.
var catalog = auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}

// check returns auth.ErrScope unless everything is permitted.
func (p permits) check(accesses []auth.Access) error {
	if len(p.every) == 0 {
		return p.grants.Check(accesses)
	}
	rest := make([]auth.Access, 0, len(accesses))
	for _, a := range accesses {
		action := a.Action
		if action == auth.Overwrite {
			action = auth.Push
		}
		if a.Type != auth.TypeRepository || !slices.Contains(p.every, action) {
			rest = append(rest, a)
		}
	}
	return p.grants.Check(rest)
}

// names returns the names of the repositories that the token permits something in, and false if it permits
// something in others, too. The catalog also lists repositories that are not named.
func (p permits) names() ([]string, bool) {
	if len(p.every) > 0 || len(p.grants.Hashes) > 0 || p.grants.Check([]auth.Access{catalog}) == nil {
		return nil, false
	}
	names := make([]string, 0, len(p.grants.Access))
	for _, g := range p.grants.Access {
		if g.Type == auth.TypeRepository && len(g.Actions) > 0 && !slices.Contains(names, g.Name) {
			names = append(names, g.Name)
		}
	}
	return names, true
}

// newPermits returns the permissions that Options.Map has returned.
func newPermits(accesses []auth.Access) (permits, error) {
	var p permits
	for _, a := range accesses {
		if a.Tag != "" {
			return permits{}, errors.New("a permission of Map has a tag")
		}
		actions := expand(a.Type, a.Action)
		if a.Type == auth.TypeRepository && a.Name == everyRepository {
			p.every = append(p.every, actions...)
			continue
		}
		p.grants.Access = append(p.grants.Access, scope.Grant{Type: a.Type, Name: a.Name, Actions: actions})
	}
	return p, nil
}

// expand returns the actions that an action of a token stands for. "*" is every action, also those that this
// version does not know. Push includes overwriting tags.
func expand(kind string, action auth.Action) []auth.Action {
	switch {
	case kind == auth.TypeRepository && action == auth.All:
		return []auth.Action{auth.Pull, auth.Push, auth.Delete, auth.All}
	case action == auth.Overwrite: // the registry also asks for push
		return nil
	}
	return []auth.Action{action}
}
