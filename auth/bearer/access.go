package bearer

import (
	"encoding/base64"
	"errors"
	"maps"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/scope"
)

// errMalformed is returned for a claim of the wrong type.
var errMalformed = errors.New("a claim is malformed")

// fromAccess is the default of Options.Map. hashed permits the claim access_hashes, which package token writes instead
// of a long list. Two names may have the same hash, so a user who can create repositories could search for a name with
// the hash of another repository. So hashes are accepted only if rules decide, too.
func fromAccess(claims map[string]any, hashed bool) (auth.Identity, permits, error) {
	var p permits
	name, ok := claims["sub"].(string)
	if !ok && claims["sub"] != nil {
		return auth.Identity{}, p, errMalformed
	}
	groups, err := texts(claims["groups"])
	if err != nil {
		return auth.Identity{}, p, err
	}
	if p.grants.Access, err = parseAccess(claims["access"]); err != nil {
		return auth.Identity{}, p, err
	}
	if text, ok := claims["access_hashes"].(string); ok && hashed {
		if p.grants.Hashes, err = base64.StdEncoding.DecodeString(text); err != nil {
			return auth.Identity{}, p, errMalformed
		}
	}
	kept := make(map[string]any, len(claims))
	if inner, ok := claims["claims"].(map[string]any); ok {
		maps.Copy(kept, inner)
	}
	for claim, value := range claims {
		if claim != "access" && claim != "access_hashes" {
			kept[claim] = value
		}
	}
	return auth.Identity{Name: name, Groups: groups, Claims: kept}, p, nil
}

// texts returns the strings of a list. A missing list is empty.
func texts(claim any) ([]string, error) {
	if claim == nil {
		return nil, nil
	}
	list, ok := claim.([]any)
	if !ok {
		return nil, errMalformed
	}
	result := make([]string, len(list))
	for i, one := range list {
		if result[i], ok = one.(string); !ok {
			return nil, errMalformed
		}
	}
	return result, nil
}

// parseAccess returns the grants in Docker's claim "access". The type of a grant may have a class, as in
// "repository(plugin)".
func parseAccess(claim any) ([]scope.Grant, error) {
	if claim == nil {
		return nil, nil
	}
	list, ok := claim.([]any)
	if !ok {
		return nil, errMalformed
	}
	grants := make([]scope.Grant, 0, len(list))
	for _, one := range list {
		entry, ok := one.(map[string]any)
		if !ok {
			return nil, errMalformed
		}
		kind, isText := entry["type"].(string)
		name, isName := entry["name"].(string)
		actions, err := texts(entry["actions"])
		if !isText || !isName || err != nil {
			return nil, errMalformed
		}
		if before, class, ok := strings.Cut(kind, "("); ok && strings.HasSuffix(class, ")") {
			kind = before
		}
		g := scope.Grant{Type: kind, Name: name}
		for _, action := range actions {
			g.Actions = append(g.Actions, expand(kind, auth.Action(action))...)
		}
		grants = append(grants, g)
	}
	return grants, nil
}
