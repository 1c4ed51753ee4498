package accounts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/fingerprint"
	"github.com/registrykit/registry/auth/internal/object"
)

// Federate returns an Authenticator that maps the identities of inner, for example of package oidc, to accounts. If
// inner returns the name of an active user or robot, the identity is that of the account, with the groups of the
// account and the claims of inner. Other identities are unchanged. Use Federate only if callers cannot choose the name
// that inner returns: otherwise they can log in as any account. Rules with "robot" of package oidc satisfy this.
//
// Authenticate returns auth.ErrCredentials in these cases:
//
//   - The name belongs to an organisation or to an account that is not active.
//   - The name is a former name of an account.
//   - The name contains "+", and there is no such robot.
//   - inner sets a claim whose name begins with "registrykit.io/", except for the claim of packages htpasswd and
//     static. So inner cannot be an [Authenticator] of this package. To use both, put them into a chain.
//
// The Authenticator implements [auth.Renewer] if inner does.
func Federate(d Directory, inner auth.Authenticator) auth.Authenticator {
	return &federation{inner, d, NewAuthorizer(d)}
}

type federation struct {
	inner     auth.Authenticator
	directory Directory
	access    *Authorizer // knows which accounts are active
}

var _ auth.Renewer = (*federation)(nil)

// Authenticate implements [auth.Authenticator].
func (f *federation) Authenticate(r *http.Request) (auth.Identity, error) {
	identity, err := f.inner.Authenticate(r)
	if err != nil {
		return auth.Identity{}, err
	}
	return f.federate(r.Context(), identity)
}

// Challenge implements [auth.Authenticator]. It returns that of the inner Authenticator.
func (f *federation) Challenge(r *http.Request, accesses []auth.Access) string {
	return f.inner.Challenge(r, accesses)
}

// federate returns the identity of the account of that name, if there is one.
func (f *federation) federate(ctx context.Context, identity auth.Identity) (auth.Identity, error) {
	for claim := range identity.Claims {
		if strings.HasPrefix(claim, fingerprint.Reserved) && claim != fingerprint.Claim {
			return auth.Identity{}, refused(fmt.Sprintf("the federated identity has the reserved claim %q", claim))
		}
	}
	if identity.Anonymous() {
		return identity, nil
	}
	found, err := f.directory.Lookup(ctx, identity.Name)
	switch {
	case errors.Is(err, ErrUnknown) && strings.Contains(identity.Name, "+"):
		return auth.Identity{}, refused("the robot does not exist")
	case errors.Is(err, ErrUnknown):
		return identity, nil
	case err != nil:
		return auth.Identity{}, object.Unavailable(err)
	}
	account, why, err := f.access.active(ctx, found.ID)
	switch {
	case err != nil:
		return auth.Identity{}, object.Unavailable(err)
	case why != (reason{}):
		return auth.Identity{}, refused(why.String())
	case account.Name != identity.Name:
		return auth.Identity{}, refused("the account has another name now")
	}
	groups, err := groupsOf(ctx, f.directory, account)
	if err != nil {
		return auth.Identity{}, object.Unavailable(err)
	}
	claims := map[string]any{}
	maps.Copy(claims, identity.Claims)
	claims[AccountClaim] = string(account.ID)
	return auth.Identity{Name: account.Name, Groups: groups, Claims: claims}, nil
}

// Renew implements [auth.Renewer]. The inner Authenticator renews its identity, and the account must be the same.
//
// Errors: auth.ErrCredentials; those of the inner Authenticator and of the Directory.
func (f *federation) Renew(ctx context.Context, identity auth.Identity) (auth.Identity, error) {
	had := identity.Claims[AccountClaim]
	if _, ok := identity.Claims[SecretClaim]; ok {
		return auth.Identity{}, refused("not a federated identity")
	}
	identity.Claims = maps.Clone(identity.Claims)
	delete(identity.Claims, AccountClaim)
	renewed, err := auth.Renew(ctx, f.inner, identity)
	if err != nil {
		return auth.Identity{}, err
	}
	now, err := f.federate(ctx, renewed)
	if err != nil {
		return auth.Identity{}, err
	}
	if now.Claims[AccountClaim] != had {
		return auth.Identity{}, refused("the name belongs to another account now")
	}
	return now, nil
}
